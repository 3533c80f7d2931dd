//! Secrets at rest: what the server has to read again is encrypted with a key beside the data.
//!
//! XChaCha20-Poly1305 with a random nonce. What a value is for goes into the authentication, so
//! that one row's value cannot be put into another's place.

use std::path::Path;

use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use zeroize::Zeroizing;

use crate::{
    private_file::{is_open_to_others, write_private},
    random::Random,
    server::StartError,
};

/// The first byte of a sealed value: how it was made.
const VERSION: u8 = 1;
const NONCE_BYTES: usize = 24;
/// The first word of the key file.
const CIPHER: &str = "xchacha20poly1305";

/// The key of one server's secrets.
pub(crate) struct SealingKey(XChaCha20Poly1305);

impl SealingKey {
    /// Reads the key file, or makes one that only its owner can read.
    ///
    /// # Errors
    /// The file cannot be used, may be read by others, or holds no key.
    pub(crate) fn load_or_make(path: &Path, random: &Random) -> Result<Self, StartError> {
        let failed = |reason| StartError::DataDir {
            path: path.to_owned(),
            reason,
        };
        if !path.exists() {
            let key = Zeroizing::new(random.key());
            let hex: Zeroizing<String> =
                Zeroizing::new(key.iter().map(|byte| format!("{byte:02x}")).collect());
            let text = Zeroizing::new(format!("{CIPHER} {}\n", *hex));
            // Whole or not at all: half a key after a crash would open nothing.
            let unfinished = path.with_extension("unfinished");
            write_private(&unfinished, &text).map_err(failed)?;
            std::fs::rename(&unfinished, path).map_err(failed)?;
        }
        if is_open_to_others(path).map_err(failed)? {
            return Err(StartError::OpenKey {
                path: path.to_owned(),
            });
        }
        let text = Zeroizing::new(std::fs::read(path).map_err(failed)?);
        parse_key(&text).ok_or_else(|| StartError::BadSealingKey {
            path: path.to_owned(),
        })
    }

    /// Encrypts `plain`, which can be opened again for the same purpose only.
    pub(crate) fn seal(&self, purpose: &str, plain: &[u8]) -> Vec<u8> {
        let seed = Random::system().key();
        let nonce: [u8; NONCE_BYTES] = seed[..NONCE_BYTES]
            .try_into()
            .expect("the seed is longer than the nonce");
        let payload = Payload {
            msg: plain,
            aad: purpose.as_bytes(),
        };
        let sealed = self
            .0
            .encrypt(&XNonce::from(nonce), payload)
            .expect("only a message of 256 GiB is too long");
        let mut value = Vec::with_capacity(1 + NONCE_BYTES + sealed.len());
        value.push(VERSION);
        value.extend_from_slice(&nonce);
        value.extend_from_slice(&sealed);
        value
    }

    /// What was sealed for this purpose with this key; `None` when it was not.
    pub(crate) fn open(&self, purpose: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (version, rest) = sealed.split_first()?;
        if *version != VERSION {
            return None;
        }
        let (nonce, msg) = rest.split_first_chunk::<NONCE_BYTES>()?;
        let aad = purpose.as_bytes();
        let payload = Payload { msg, aad };
        let plain = self.0.decrypt(&XNonce::from(*nonce), payload).ok()?;
        Some(Zeroizing::new(plain))
    }
}

fn parse_key(text: &[u8]) -> Option<SealingKey> {
    let text = std::str::from_utf8(text).ok()?;
    let mut words = text.split_whitespace();
    let (Some(CIPHER), Some(hex), None) = (words.next(), words.next(), words.next()) else {
        return None;
    };
    if hex.len() != 64 {
        return None;
    }
    let mut key = Zeroizing::new([0_u8; 32]);
    for (index, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(SealingKey(XChaCha20Poly1305::new((&*key).into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_can_be_opened_for_its_purpose_with_its_key_only() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secrets.key");
        let key = SealingKey::load_or_make(&file, &Random::system()).unwrap();
        let sealed = key.seal("a", b"hunter2");
        assert!(!sealed.windows(7).any(|window| window == b"hunter2"));
        assert_ne!(sealed, key.seal("a", b"hunter2"), "nonces differ");
        let again = SealingKey::load_or_make(&file, &Random::system()).unwrap();
        assert_eq!(again.open("a", &sealed).unwrap().as_slice(), b"hunter2");
        assert!(again.open("b", &sealed).is_none());
        let other =
            SealingKey::load_or_make(&folder.path().join("other.key"), &Random::system()).unwrap();
        assert!(other.open("a", &sealed).is_none());
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert!(key.open("a", &changed).is_none(), "byte {place}");
            assert!(key.open("a", &sealed[..place]).is_none());
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secrets.key");
        SealingKey::load_or_make(&file, &Random::system()).unwrap();
        let mode =
            |mode| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(
            std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
        for open in [0o640, 0o604, 0o660] {
            mode(open);
            assert!(matches!(
                SealingKey::load_or_make(&file, &Random::system()),
                Err(StartError::OpenKey { .. })
            ));
        }
        mode(0o600);
        std::fs::write(&file, "xchacha20poly1305 abc").unwrap();
        assert!(matches!(
            SealingKey::load_or_make(&file, &Random::system()),
            Err(StartError::BadSealingKey { .. })
        ));
    }
}
