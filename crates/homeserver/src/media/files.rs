//! Files named by content hash under the data folder; equal bytes are stored once.
//!
//! Bytes arrive in pieces. What is larger than [`HELD_BYTES`] goes to a file beside while it
//! arrives; a file gets its final name only once it is whole and on disk.

use std::{
    fs::File,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use bytes::BytesMut;
use sha2::{Digest as _, Sha256};

use crate::{blocking::Blocking, random::Random};

/// So much of an arriving file is held in memory.
const HELD_BYTES: usize = 1 << 20;

/// The folder of media files.
pub(crate) struct MediaFiles {
    folder: PathBuf,
    /// Files that are not whole yet; emptied at the start.
    arriving: PathBuf,
    blocking: Blocking,
}

/// A file that is whole, on disk, and has its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    /// SHA-256 in hexadecimal.
    pub(crate) sha256: String,
    /// How many bytes.
    pub(crate) size_bytes: u64,
}

/// A file that is arriving. Dropping it forgets what has arrived.
pub(crate) struct Arriving<'a> {
    files: &'a MediaFiles,
    hasher: Sha256,
    size_bytes: u64,
    held: BytesMut,
    beside: Option<Beside>,
}

/// A file without its final name; removed unless it gets one.
struct Beside {
    file: File,
    path: PathBuf,
    is_kept: bool,
}

impl MediaFiles {
    pub(crate) fn new(data_dir: &Path, blocking: Blocking) -> io::Result<Self> {
        let folder = data_dir.join("media");
        let arriving = folder.join("arriving");
        std::fs::create_dir_all(&arriving)?;
        // What arrived when the server died is of no use: its sender knows that it failed.
        for entry in std::fs::read_dir(&arriving)? {
            std::fs::remove_file(entry?.path())?;
        }
        Ok(Self {
            folder,
            arriving,
            blocking,
        })
    }

    /// Where the bytes with this hash are.
    pub(crate) fn path(&self, sha256: &str) -> PathBuf {
        let (first, rest) = sha256.split_at(2.min(sha256.len()));
        self.folder.join(first).join(rest)
    }

    /// A new file, empty so far.
    pub(crate) fn receive(&self) -> Arriving<'_> {
        Arriving {
            files: self,
            hasher: Sha256::new(),
            size_bytes: 0,
            held: BytesMut::new(),
            beside: None,
        }
    }
}

impl Arriving<'_> {
    /// How many bytes have arrived.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Adds the next bytes.
    pub(crate) async fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.size_bytes += bytes.len() as u64;
        self.held.extend_from_slice(bytes);
        if self.held.len() >= HELD_BYTES {
            self.flush().await?;
        }
        Ok(())
    }

    /// Ends the file: on disk under its name when this returns.
    pub(crate) async fn finish(mut self) -> io::Result<Stored> {
        let sha256: String = std::mem::take(&mut self.hasher)
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let stored = Stored {
            size_bytes: self.size_bytes,
            sha256,
        };
        let path = self.files.path(&stored.sha256);
        let (blocking, known) = (self.files.blocking, path.clone());
        if blocking.io(move || known.try_exists()).await? {
            return Ok(stored);
        }
        self.flush().await?;
        if let Some(beside) = self.beside.take() {
            blocking.io(move || beside.keep_as(&path)).await?;
        }
        Ok(stored)
    }

    /// Writes what is held to the file beside.
    async fn flush(&mut self) -> io::Result<()> {
        let held = self.held.split().freeze();
        let beside = self.beside.take();
        let path = self.files.arriving.join(Random::system().hex(32));
        let written = self.files.blocking.io(move || {
            let mut beside = match beside {
                Some(beside) => beside,
                None => Beside::create(path)?,
            };
            beside.file.write_all(&held)?;
            Ok(beside)
        });
        self.beside = Some(written.await?);
        Ok(())
    }
}

impl Beside {
    fn create(path: PathBuf) -> io::Result<Self> {
        Ok(Self {
            file: File::create_new(&path)?,
            path,
            is_kept: false,
        })
    }

    /// Gives the file its name, durably.
    fn keep_as(mut self, path: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        if !folder.exists() {
            std::fs::create_dir_all(folder)?;
            sync_folder(folder.parent().ok_or(io::ErrorKind::InvalidInput)?)?;
        }
        std::fs::rename(&self.path, path)?;
        self.is_kept = true;
        sync_folder(folder)
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if !self.is_kept
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!(%error, path = %self.path.display(), "cannot remove an unfinished upload");
        }
    }
}

/// A rename is durable once its folder is.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::{Blocking, HELD_BYTES, MediaFiles};

    #[tokio::test]
    async fn equal_bytes_are_stored_once_however_they_arrive() {
        let folder = TempDir::new().unwrap();
        let files = MediaFiles::new(folder.path(), Blocking::Threads).unwrap();
        let bytes = vec![7; 3 * HELD_BYTES + 5];
        let mut whole = files.receive();
        whole.push(&bytes).await.unwrap();
        let whole = whole.finish().await.unwrap();
        let mut pieces = files.receive();
        for piece in bytes.chunks(HELD_BYTES / 2 + 1) {
            pieces.push(piece).await.unwrap();
        }
        assert_eq!(pieces.finish().await.unwrap(), whole);
        assert_eq!(whole.size_bytes, bytes.len() as u64);
        assert_eq!(fs::read(files.path(&whole.sha256)).unwrap(), bytes);
        assert_eq!(fs::read_dir(&files.arriving).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn what_does_not_arrive_wholly_leaves_nothing() {
        let folder = TempDir::new().unwrap();
        let files = MediaFiles::new(folder.path(), Blocking::Threads).unwrap();
        let mut half = files.receive();
        half.push(&vec![7; HELD_BYTES]).await.unwrap();
        assert_eq!(fs::read_dir(&files.arriving).unwrap().count(), 1);
        drop(half);
        assert_eq!(fs::read_dir(&files.arriving).unwrap().count(), 0);
        fs::write(files.arriving.join("of a dead server"), "x").unwrap();
        let files = MediaFiles::new(folder.path(), Blocking::Threads).unwrap();
        assert_eq!(fs::read_dir(&files.arriving).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn nothing_is_a_file_too() {
        let folder = TempDir::new().unwrap();
        let files = MediaFiles::new(folder.path(), Blocking::Threads).unwrap();
        let stored = files.receive().finish().await.unwrap();
        assert_eq!(fs::read(files.path(&stored.sha256)).unwrap(), b"");
    }
}
