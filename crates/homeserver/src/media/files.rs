//! Files named by content hash under the data folder; equal bytes are stored once.

use std::{
    io,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::random;

/// The folder of media files.
pub(crate) struct MediaFiles {
    folder: PathBuf,
}

impl MediaFiles {
    pub(crate) fn new(data_dir: &Path) -> io::Result<Self> {
        let folder = data_dir.join("media");
        std::fs::create_dir_all(&folder)?;
        Ok(Self { folder })
    }

    /// Where the bytes with this hash are.
    pub(crate) fn path(&self, sha256: &str) -> PathBuf {
        let (first, rest) = sha256.split_at(2.min(sha256.len()));
        self.folder.join(first).join(rest)
    }

    /// Stores bytes, on disk when this returns, and answers their SHA-256 in hexadecimal.
    pub(crate) async fn store(&self, bytes: Bytes) -> io::Result<String> {
        let folder = self.folder.clone();
        tokio::task::spawn_blocking(move || {
            let sha256: String = Sha256::digest(&bytes)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            let files = Self { folder };
            let path = files.path(&sha256);
            if path.exists() {
                return Ok(sha256);
            }
            let parent = path.parent().unwrap_or(&files.folder);
            std::fs::create_dir_all(parent)?;
            // Whole files only: written beside, synced, then renamed.
            let beside = parent.join(format!(".{}", random::hex(16)));
            let mut file = std::fs::File::create(&beside)?;
            io::Write::write_all(&mut file, &bytes)?;
            file.sync_all()?;
            std::fs::rename(&beside, &path)?;
            std::fs::File::open(parent)?.sync_all()?;
            Ok(sha256)
        })
        .await
        .map_err(io::Error::other)?
    }

    /// The bytes with this hash.
    pub(crate) async fn load(&self, sha256: &str) -> io::Result<Bytes> {
        tokio::fs::read(self.path(sha256)).await.map(Bytes::from)
    }
}
