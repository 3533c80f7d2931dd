//! Tokens of persons at rest: encrypted, so that a copy of the database alone acts for nobody.
//!
//! XChaCha20-Poly1305 with a random nonce. The user's id is authenticated with it: one person's token cannot be put into
//! another's row.

use bridgehead_registration::Secret;
use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{id::UserId, surroundings::Randomness};

/// The first byte of a sealed token: how it was made.
const VERSION: u8 = 1;
const NONCE_BYTES: usize = 24;
/// What the key is for, so that the same secret may serve for other things too.
const PURPOSE: &[u8] = b"bridgehead puppet tokens 1";

/// The key of one service's tokens.
pub(super) struct Seal(XChaCha20Poly1305);

impl Seal {
    /// From the operator's secret.
    pub(super) fn new(secret: &Secret) -> Self {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes())
            .expect("invariant: HMAC takes keys of any length");
        mac.update(PURPOSE);
        let key = Zeroizing::new(<[u8; 32]>::from(mac.finalize().into_bytes()));
        Self(XChaCha20Poly1305::new((&*key).into()))
    }

    pub(super) fn close(
        &self,
        user: &UserId,
        token: &Secret,
        randomness: &dyn Randomness,
    ) -> Vec<u8> {
        let mut nonce = [0; NONCE_BYTES];
        randomness.fill(&mut nonce);
        let payload = Payload {
            msg: token.expose().as_bytes(),
            aad: user.as_str().as_bytes(),
        };
        let sealed = self.0.encrypt(&XNonce::from(nonce), payload);
        let sealed = sealed.expect("invariant: a token is shorter than the cipher's limit");
        [&[VERSION], &nonce[..], &sealed].concat()
    }

    /// The token; `None` when it was sealed with another secret, for another user, or is damaged.
    pub(super) fn open(&self, user: &UserId, sealed: &[u8]) -> Option<Secret> {
        let (version, rest) = sealed.split_first()?;
        let (nonce, text) = rest.split_first_chunk::<NONCE_BYTES>()?;
        if *version != VERSION {
            return None;
        }
        let payload = Payload {
            msg: text,
            aad: user.as_str().as_bytes(),
        };
        let plain = self.0.decrypt(&XNonce::from(*nonce), payload).ok()?;
        String::from_utf8(plain).ok().map(Secret::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::surroundings::SeededRandomness;

    fn seal(secret: &str) -> Seal {
        Seal::new(&Secret::new(secret.to_owned()))
    }

    fn user(localpart: &str) -> UserId {
        UserId::new(localpart, "example.org").expect("a user")
    }

    #[test]
    fn a_token_is_opened_with_its_secret_for_its_user_alone() {
        let randomness = SeededRandomness::new(1);
        let token = Secret::new("syt_alice_token".to_owned());
        let sealed = seal("secret").close(&user("alice"), &token, &randomness);
        assert_eq!(
            seal("secret").open(&user("alice"), &sealed),
            Some(token.clone())
        );
        assert_eq!(seal("other").open(&user("alice"), &sealed), None);
        assert_eq!(seal("secret").open(&user("bob"), &sealed), None);
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert_eq!(
                seal("secret").open(&user("alice"), &damaged),
                None,
                "byte {at}"
            );
            assert_eq!(
                seal("secret").open(&user("alice"), &sealed[..at]),
                None,
                "cut at {at}"
            );
        }
        let text = token.expose().as_bytes();
        assert!(!sealed.windows(text.len()).any(|window| window == text));
        let again = seal("secret").close(&user("alice"), &token, &randomness);
        assert_ne!(sealed, again, "each has a nonce of its own");
    }
}
