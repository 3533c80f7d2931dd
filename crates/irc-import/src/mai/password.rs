//! Passwords as matrix-appservice-irc stores them: by RSA (OAEP with SHA-1, in base64), with a salt and a space before them.

use std::path::Path;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bridgehead_appservice::Secret;
use rsa::{Oaep, RsaPrivateKey, pkcs1::DecodeRsaPrivateKey as _, pkcs8::DecodePrivateKey as _};
use sha1_of_rsa::Sha1;

use crate::{Failure, Result};

/// The key of stored passwords.
pub(crate) struct Opener(RsaPrivateKey);

impl Opener {
    pub(crate) fn load(file: &Path) -> Result<Self> {
        let place = || format!("the key of stored passwords, {}", file.display());
        let text = std::fs::read_to_string(file).map_err(|error| Failure::at(place(), error))?;
        Self::parse(&text).ok_or_else(|| {
            Failure::at(
                place(),
                "that is no RSA key in PEM without a passphrase; it is what passwordEncryptionKeyPath names",
            )
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let key = RsaPrivateKey::from_pkcs8_pem(text).ok();
        key.or_else(|| RsaPrivateKey::from_pkcs1_pem(text).ok())
            .map(Self)
    }

    /// The password; `None` when it was stored with another key, or is damaged.
    pub(crate) fn open(&self, stored: &str) -> Option<Secret> {
        let bytes = STANDARD.decode(stored).ok()?;
        let plain = self.0.decrypt(Oaep::new::<Sha1>(), &bytes).ok()?;
        let plain = String::from_utf8(plain).ok()?;
        let (_, password) = plain.split_once(' ')?;
        (!password.is_empty()).then(|| Secret::new(password.to_owned()))
    }
}
