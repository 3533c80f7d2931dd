//! Secrets of people at rest: encrypted, so that a copy of the database alone logs in as nobody.
//!
//! XChaCha20-Poly1305 with a random nonce. Whose secret it is, is authenticated with it: one person's secret cannot be put
//! into another's row. The key comes from the configuration, or from a file beside the database that nobody else may
//! read, made when there is none.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use bridgehead_appservice::{
    Secret,
    store::{Store, StoreError},
};
use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::settings::SecretsSettings;

/// The first byte of what is sealed: how it was made.
const VERSION: u8 = 1;
const NONCE_BYTES: usize = 24;
/// What the key is for, so that the same secret may serve for other things too.
const PURPOSE: &[u8] = b"bridgehead irc accounts 1";
/// Characters of a key at least.
pub(crate) const MIN_KEY: usize = 32;
/// Bytes of a key file at most.
const MAX_KEY_BYTES: u64 = 4096;

/// The key of people's secrets.
pub(crate) struct Seal(XChaCha20Poly1305);

/// Why there is no key. Displays as what an operator is to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SealError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file.
    #[error("the key of stored passwords, {path}, cannot be used: {reason}; `secrets.key_file` names another", path = .0.display(), reason = .1)]
    File(PathBuf, String),
}

impl Seal {
    /// The key that the configuration names. In a database in memory, one that lasts as long.
    ///
    /// # Errors
    /// When the file cannot be read or made.
    pub(crate) async fn load(settings: &SecretsSettings, store: &Store) -> Result<Self, SealError> {
        if let Some(key) = settings.key.get() {
            return Ok(Self::new(key));
        }
        let path = match &settings.key_file {
            Some(path) => Some(path.as_ref().to_owned()),
            None => beside(store).await?,
        };
        match path {
            Some(path) => {
                let key = of_file(&path).map_err(|error| SealError::File(path, error.to_string()));
                Ok(Self::new(&key?))
            }
            None => Ok(Self::new(&made())),
        }
    }

    fn new(secret: &Secret) -> Self {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes())
            .expect("invariant: HMAC takes keys of any length");
        mac.update(PURPOSE);
        let key = Zeroizing::new(<[u8; 32]>::from(mac.finalize().into_bytes()));
        Self(XChaCha20Poly1305::new((&*key).into()))
    }

    /// Seals a secret, which is opened for `whose` alone.
    pub(crate) fn close(&self, whose: &str, secret: &Secret) -> Vec<u8> {
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let payload = Payload {
            msg: secret.expose().as_bytes(),
            aad: whose.as_bytes(),
        };
        let sealed = self.0.encrypt(&XNonce::from(nonce), payload);
        let sealed = sealed.expect("invariant: a secret is shorter than the cipher's limit");
        [&[VERSION], &nonce[..], &sealed].concat()
    }

    /// The secret; `None` when it was sealed with another key, for somebody else, or is damaged.
    pub(crate) fn open(&self, whose: &str, sealed: &[u8]) -> Option<Secret> {
        let (version, rest) = sealed.split_first()?;
        let (nonce, text) = rest.split_first_chunk::<NONCE_BYTES>()?;
        if *version != VERSION {
            return None;
        }
        let payload = Payload {
            msg: text,
            aad: whose.as_bytes(),
        };
        let plain = self.0.decrypt(&XNonce::from(*nonce), payload).ok()?;
        String::from_utf8(plain).ok().map(Secret::new)
    }
}

/// The file beside the database; `None` where that is in memory.
async fn beside(store: &Store) -> Result<Option<PathBuf>, StoreError> {
    let sql = "SELECT file FROM pragma_database_list WHERE name = 'main'";
    let rows = store.query(sql, []).await?;
    let file = rows.first().and_then(|row| row.text(0));
    let file = file.filter(|file| !file.is_empty());
    Ok(file.map(|file| PathBuf::from(format!("{file}.key"))))
}

fn made() -> Secret {
    let bytes: [u8; 32] = rand::random();
    Secret::new(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The key in a file, which is made where there is none.
fn of_file(path: &Path) -> io::Result<Secret> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make(path)?;
            fs::File::open(path)?
        }
        Err(error) => return Err(error),
    };
    let metadata = file.metadata()?;
    if metadata.permissions().mode() & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "others may read the key of stored passwords: chmod 600 mends that");
    }
    let mut text = Zeroizing::new(String::new());
    io::Read::read_to_string(&mut io::Read::take(file, MAX_KEY_BYTES), &mut text)?;
    let key = text.trim();
    match key.len() < MIN_KEY {
        true => Err(io::Error::other(format!(
            "it holds less than {MIN_KEY} characters"
        ))),
        false => Ok(Secret::new(key.to_owned())),
    }
}

/// Makes a key, whole or not at all: what is sealed with half of one is lost.
fn make(path: &Path) -> io::Result<()> {
    let new = path.with_added_extension("new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    writeln!(file, "{}", made().expose())?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    #[test]
    fn a_secret_is_opened_with_its_key_for_its_owner_alone() {
        let seal = Seal::new(&secret("one"));
        let sealed = seal.close("net @alice:x", &secret("sesame"));
        assert_eq!(seal.open("net @alice:x", &sealed), Some(secret("sesame")));
        assert_eq!(seal.open("net @bob:x", &sealed), None);
        assert_eq!(
            Seal::new(&secret("two")).open("net @alice:x", &sealed),
            None
        );
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert_eq!(seal.open("net @alice:x", &damaged), None, "byte {at}");
            assert_eq!(
                seal.open("net @alice:x", &sealed[..at]),
                None,
                "cut at {at}"
            );
        }
        assert!(!sealed.windows(6).any(|window| window == b"sesame"));
        assert_ne!(sealed, seal.close("net @alice:x", &secret("sesame")));
    }

    #[test]
    fn a_key_file_is_made_once_and_is_for_its_owner_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("irc.db.key");
        let made = of_file(&path).expect("made");
        assert_eq!(made.expose().len(), 64);
        assert_eq!(of_file(&path).expect("read"), made);
        let mode = fs::metadata(&path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let files = fs::read_dir(folder.path()).expect("a folder").count();
        assert_eq!(files, 1, "nothing is left of the making");
    }

    #[test]
    fn a_key_that_is_none_is_refused_and_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        for text in ["", "short"] {
            fs::write(&path, text).expect("written");
            let error = of_file(&path).expect_err("no key").to_string();
            assert_eq!(error, "it holds less than 32 characters");
            assert_eq!(fs::read_to_string(&path).expect("there"), text);
        }
    }
}
