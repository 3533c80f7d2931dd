//! A proof of a password that does not tell it (SCRAM, RFC 5802, with SHA-256, RFC 7677).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// Rounds that are computed at most: a server must not keep the client busy.
const MAX_ROUNDS: u32 = 500_000;
/// Rounds below which the proof is no protection (RFC 7677, 4).
const MIN_ROUNDS: u32 = 4096;

type Hash = [u8; 32];

/// The client's side.
pub(super) struct Scram {
    password: String,
    nonce: String,
    first_bare: String,
    stage: Stage,
}

enum Stage {
    Begin,
    First,
    /// The signature by which the server proves itself.
    Final(Hash),
    Proven,
}

impl Scram {
    /// A nonce is derived of the seed and the number of the exchange.
    pub(super) fn new(account: &str, password: &str, seed: u64, number: u32) -> Self {
        let hash = Sha256::digest(format!("bridgehead scram {seed} {number}"));
        Self::with_nonce(account, password, &STANDARD.encode(&hash[..18]))
    }

    fn with_nonce(account: &str, password: &str, nonce: &str) -> Self {
        let account = account.replace('=', "=3D").replace(',', "=2C");
        Self {
            password: password.to_owned(),
            nonce: nonce.to_owned(),
            first_bare: format!("n={account},r={nonce}"),
            stage: Stage::Begin,
        }
    }

    /// Whether the server was given a proof of the password.
    pub(super) fn has_proven(&self) -> bool {
        matches!(self.stage, Stage::Final(_) | Stage::Proven)
    }

    /// Whether the server has proven that it knows the password.
    pub(super) fn is_proven(&self) -> bool {
        matches!(self.stage, Stage::Proven)
    }

    /// The answer to the server's message; none where it makes no sense or proves nothing.
    pub(super) fn answer(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        let message = std::str::from_utf8(message).ok()?;
        match std::mem::replace(&mut self.stage, Stage::Begin) {
            Stage::Begin => {
                self.stage = Stage::First;
                Some(format!("n,,{}", self.first_bare).into_bytes())
            }
            Stage::First => self.prove(message),
            Stage::Final(signature) => {
                let said = STANDARD.decode(message.strip_prefix("v=")?).ok()?;
                bool::from(said.as_slice().ct_eq(&signature)).then(|| {
                    self.stage = Stage::Proven;
                    Vec::new()
                })
            }
            Stage::Proven => None,
        }
    }

    fn prove(&mut self, server_first: &str) -> Option<Vec<u8>> {
        let mut fields = server_first.split(',');
        let nonce = fields.next()?.strip_prefix("r=")?;
        let salt = STANDARD.decode(fields.next()?.strip_prefix("s=")?).ok()?;
        let rounds: u32 = fields.next()?.strip_prefix("i=")?.parse().ok()?;
        let is_ours = nonce.starts_with(&self.nonce) && nonce.len() > self.nonce.len();
        if !is_ours || !(MIN_ROUNDS..=MAX_ROUNDS).contains(&rounds) {
            return None;
        }
        let salted = salted(self.password.as_bytes(), &salt, rounds);
        let unproven = format!("c=biws,r={nonce}");
        let whole = format!("{},{server_first},{unproven}", self.first_bare);
        let client_key = mac(&salted, &[b"Client Key"]);
        let stored = Sha256::digest(client_key);
        let signature = mac(&stored, &[whole.as_bytes()]);
        let proof = xor(client_key, signature);
        let server_key = mac(&salted, &[b"Server Key"]);
        self.stage = Stage::Final(mac(&server_key, &[whole.as_bytes()]));
        Some(format!("{unproven},p={}", STANDARD.encode(proof)).into_bytes())
    }
}

fn mac(key: &[u8], parts: &[&[u8]]) -> Hash {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("keys of any length are taken");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// `Hi` of RFC 5802, 2.2.
fn salted(password: &[u8], salt: &[u8], rounds: u32) -> Hash {
    let keyed = Hmac::<Sha256>::new_from_slice(password).expect("keys of any length are taken");
    let mut round = mac(password, &[salt, &1_u32.to_be_bytes()]);
    let mut all = round;
    for _ in 1..rounds {
        let mut next = keyed.clone();
        next.update(&round);
        round = next.finalize().into_bytes().into();
        all = xor(all, round);
    }
    all
}

fn xor(left: Hash, right: Hash) -> Hash {
    std::array::from_fn(|at| left[at] ^ right[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7677, 3.
    #[test]
    fn the_rfcs_example() {
        let mut scram = Scram::with_nonce("user", "pencil", "rOprNGfwEbeRWgbNEkqO");
        let first = scram.answer(b"").expect("an answer");
        assert_eq!(first, b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let server_first = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let proof = scram.answer(server_first.as_bytes()).expect("a proof");
        assert_eq!(
            String::from_utf8_lossy(&proof),
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert!(!scram.is_proven());
        let end = scram.answer(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
        assert_eq!(end, Some(Vec::new()));
        assert!(scram.is_proven());
    }

    #[test]
    fn a_server_that_cheats_gets_no_answer() {
        for (nonce, rounds) in [
            ("other", 4096),
            ("mine", 4096),
            ("mine+", 1),
            ("mine+", 4_000_000),
        ] {
            let mut scram = Scram::with_nonce("user", "pencil", "mine");
            scram.answer(b"");
            let first = format!("r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i={rounds}");
            assert_eq!(scram.answer(first.as_bytes()), None, "{first}");
        }
        let mut scram = Scram::with_nonce("us,er=", "pencil", "mine");
        assert_eq!(
            scram.answer(b"").as_deref(),
            Some(&b"n,,n=us=2Cer=3D,r=mine"[..])
        );
        assert!(scram.answer(b"r=mine+,s=AAAA,i=4096").is_some());
        assert_eq!(scram.answer(b"v=AAAA"), None);
        assert!(!scram.is_proven());
    }
}
