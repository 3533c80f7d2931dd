//! SCRAM-SHA-256 on the server's side (RFC 5802, RFC 7677), without channel binding.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use super::Step;

/// Rounds that a password is hashed: as few as RFC 7677 allows.
const ROUNDS: u32 = 4096;
/// The same for all: nobody's password is at stake here.
const SALT: &[u8] = b"in memory only";

/// An exchange: the client's first message, then its proof, then its leave.
#[derive(Debug, Default)]
pub(crate) enum Scram {
    /// Nothing has come.
    #[default]
    First,
    /// The client's first message has been answered.
    Proof {
        account: String,
        /// Both first messages, without the header.
        spoken: String,
        nonce: String,
    },
    /// The server has proved itself as well.
    Leave {
        /// The account that they are in.
        account: String,
    },
}

impl Scram {
    /// Takes a message. `nonce` is the server's part of it; `password` gives an account's.
    pub(crate) fn take(
        &mut self,
        message: &[u8],
        nonce: &str,
        password: impl Fn(&str) -> Option<String>,
    ) -> Step {
        let text = String::from_utf8_lossy(message).into_owned();
        let (next, step) = match self {
            Self::First => match first(&text, nonce) {
                Some((next, say)) => (next, Step::Say(say.into_bytes())),
                None => return Step::Refused,
            },
            Self::Proof {
                account,
                spoken,
                nonce,
            } => {
                let checked =
                    password(account).and_then(|password| check(&text, spoken, nonce, &password));
                let Some(signature) = checked else {
                    return Step::Refused;
                };
                let account = account.clone();
                let say = format!("v={}", STANDARD.encode(signature));
                (Self::Leave { account }, Step::Say(say.into_bytes()))
            }
            Self::Leave { account } => return Step::Done(account.clone()),
        };
        *self = next;
        step
    }
}

/// Reads `n,,n=account,r=nonce`, and gives the answer.
fn first(message: &str, nonce: &str) -> Option<(Scram, String)> {
    // `y` says that the client knows channel binding and thinks that the server does not, which is so.
    let bare = message
        .strip_prefix("n,")
        .or_else(|| message.strip_prefix("y,"))?;
    let (_acting, bare) = bare.split_once(',')?;
    let account = field(bare, 'n')?.replace("=2C", ",").replace("=3D", "=");
    let nonce = format!("{}{nonce}", field(bare, 'r')?);
    let say = format!("r={nonce},s={},i={ROUNDS}", STANDARD.encode(SALT));
    let next = Scram::Proof {
        account,
        spoken: format!("{bare},{say}"),
        nonce,
    };
    Some((next, say))
}

/// Checks `c=…,r=…,p=proof`, and gives the server's own signature.
fn check(message: &str, spoken: &str, nonce: &str, password: &str) -> Option<[u8; 32]> {
    let (unproven, proof) = message.rsplit_once(",p=")?;
    if field(unproven, 'r')? != nonce {
        return None;
    }
    let proof: [u8; 32] = STANDARD.decode(proof).ok()?.try_into().ok()?;
    let spoken = format!("{spoken},{unproven}");
    let salted = salted(password.as_bytes());
    let client_key = mac(&salted, b"Client Key");
    let stored: [u8; 32] = Sha256::digest(client_key).into();
    let signature = mac(&stored, spoken.as_bytes());
    let is_proven = (0..32).all(|at| client_key[at] ^ signature[at] == proof[at]);
    is_proven.then(|| mac(&mac(&salted, b"Server Key"), spoken.as_bytes()))
}

fn field(message: &str, name: char) -> Option<&str> {
    let mut fields = message.split(',');
    fields.find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
}

/// `Hi` of RFC 5802: PBKDF2 with one block.
fn salted(password: &[u8]) -> [u8; 32] {
    let mut block = mac(password, &[SALT, &1_u32.to_be_bytes()].concat());
    let mut sum = block;
    for _ in 1..ROUNDS {
        block = mac(password, &block);
        for (sum, byte) in sum.iter_mut().zip(block) {
            *sum ^= byte;
        }
    }
    sum
}

fn mac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a client proves that it knows the password with.
    fn proof(spoken: &str, password: &str) -> String {
        let client_key = mac(&salted(password.as_bytes()), b"Client Key");
        let stored: [u8; 32] = Sha256::digest(client_key).into();
        let signature = mac(&stored, spoken.as_bytes());
        let proof: Vec<u8> = (0..32).map(|at| client_key[at] ^ signature[at]).collect();
        STANDARD.encode(proof)
    }

    fn exchange(password: &str) -> (Scram, Step) {
        let known = |account: &str| (account == "ann").then(|| "secret".to_owned());
        let mut scram = Scram::default();
        let Step::Say(answer) = scram.take(b"n,,n=ann,r=abc", "def", known) else {
            panic!("it answers");
        };
        let answer = String::from_utf8(answer).expect("text");
        assert!(answer.starts_with("r=abcdef,s="), "{answer}");
        let unproven = "c=biws,r=abcdef";
        let spoken = format!("n=ann,r=abc,{answer},{unproven}");
        let message = format!("{unproven},p={}", proof(&spoken, password));
        let step = scram.take(message.as_bytes(), "", known);
        (scram, step)
    }

    #[test]
    fn who_knows_the_password_gets_in() {
        let (mut scram, step) = exchange("secret");
        assert!(matches!(step, Step::Say(say) if say.starts_with(b"v=")));
        let done = scram.take(b"", "", |_| None);
        assert_eq!(done, Step::Done("ann".to_owned()));
    }

    #[test]
    fn who_does_not_know_it_stays_out() {
        assert_eq!(exchange("guess").1, Step::Refused);
        let nonsense = Scram::default().take(b"nonsense", "x", |_| None);
        assert_eq!(nonsense, Step::Refused);
    }

    #[test]
    fn passwords_are_hashed_as_rfc_7677_says() {
        // RFC 7677, 3 has another salt; the block function itself is checked with its values.
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").expect("Base64");
        let mut block = mac(b"pencil", &[&salt[..], &1_u32.to_be_bytes()].concat());
        let mut sum = block;
        for _ in 1..4096 {
            block = mac(b"pencil", &block);
            for (sum, byte) in sum.iter_mut().zip(block) {
                *sum ^= byte;
            }
        }
        let spoken = "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let signature = mac(&mac(&sum, b"Server Key"), spoken.as_bytes());
        assert_eq!(
            STANDARD.encode(signature),
            "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
        );
    }
}
