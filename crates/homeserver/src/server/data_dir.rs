//! The data folder: one server at a time, secrets for its owner only, and the signing key.

use std::{
    fs::{File, TryLockError},
    io,
    path::Path,
};

use bridgehead_room::SigningKey;

use super::StartError;
use crate::{
    private_file::{self, Readers, create_private_dir, write_private},
    random::Random,
};

/// Files of the data folder that hold secrets.
const OWN_SECRETS: &[&str] = &["signing.key", "secrets.key", "operator.token"];

/// One server to a data folder: two would hand out the same positions. The lock ends with the
/// file handle, so a crash leaves none behind.
pub(super) fn lock_data_dir(data_dir: &Path) -> Result<File, StartError> {
    create_private_dir(data_dir).map_err(|reason| StartError::DataDir {
        path: data_dir.to_owned(),
        reason,
    })?;
    let path = data_dir.join("bridgehead.lock");
    let failed = |reason| StartError::DataDir {
        path: path.clone(),
        reason,
    };
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StartError::InUse {
            path: data_dir.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// Refuses to work with secrets that others on the machine may know by now.
pub(super) fn refuse_open_keys(data_dir: &Path) -> Result<(), StartError> {
    for name in OWN_SECRETS {
        let path = data_dir.join(name);
        match private_file::readers(&path) {
            Ok(Readers::Owner) => {}
            Ok(Readers::Group | Readers::Everybody) => return Err(StartError::OpenKey { path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(reason) => return Err(StartError::DataDir { path, reason }),
        }
    }
    Ok(())
}

/// Reads the signing key, or makes one that only its owner can read.
pub(super) fn signing_key(
    path: &Path,
    server_name: &ruma::ServerName,
    random: &Random,
) -> Result<SigningKey, StartError> {
    let failed = |reason| StartError::DataDir {
        path: path.to_owned(),
        reason,
    };
    let bad = || StartError::BadKey {
        path: path.to_owned(),
    };
    if !path.exists() {
        let text = format!(
            "ed25519 a_{} {}\n",
            random.alphanumeric(4),
            random
                .key()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
        );
        // Whole or not at all: half a key after a crash would keep the server from starting.
        let unfinished = path.with_extension("unfinished");
        write_private(&unfinished, &text).map_err(failed)?;
        std::fs::rename(&unfinished, path).map_err(failed)?;
    }
    let text = std::fs::read(path).map_err(failed)?;
    let text = std::str::from_utf8(&text).map_err(|_| bad())?;
    let mut words = text.split_whitespace();
    let (Some("ed25519"), Some(version), Some(hex)) = (words.next(), words.next(), words.next())
    else {
        return Err(bad());
    };
    let seed: Vec<u8> = (0..hex.len() / 2)
        .filter_map(|i| u8::from_str_radix(hex.get(2 * i..2 * i + 2)?, 16).ok())
        .collect();
    let seed: [u8; 32] = seed.try_into().map_err(|_| bad())?;
    SigningKey::from_seed(server_name.to_owned(), &seed, version).map_err(|_| bad())
}
