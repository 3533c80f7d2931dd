//! Files and folders that are nobody else's business: made for their owner alone, and looked at again before what is
//! in them is used.

use std::{
    fs::{self, Metadata, OpenOptions},
    io::{self, Write as _},
    path::Path,
};

/// Who on this machine may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Its owner (and the administrator).
    Owner,
    /// The members of its group as well.
    Group,
    /// Everybody.
    Everybody,
}

impl Readers {
    /// What the file's mode says. Writing counts as much as reading: who may write a key may know it.
    #[cfg(unix)]
    pub(crate) fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = metadata.permissions().mode();
        if mode & 0o007 != 0 {
            Self::Everybody
        } else if mode & 0o070 != 0 {
            Self::Group
        } else {
            Self::Owner
        }
    }

    /// Not knowable here.
    #[cfg(not(unix))]
    pub(crate) fn of(_: &Metadata) -> Self {
        Self::Owner
    }
}

/// Who may read the file at `path`.
pub(crate) fn readers(path: &Path) -> io::Result<Readers> {
    fs::metadata(path).map(|metadata| Readers::of(&metadata))
}

/// Whether others than its owner may do anything with the file at `path`.
pub(crate) fn is_open_to_others(path: &Path) -> io::Result<bool> {
    Ok(readers(path)? != Readers::Owner)
}

/// Writes a file that only its owner may read, durably.
pub(crate) fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let options = &mut private_file();
    let mut file = options.create(true).truncate(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// How a file is opened for writing that only its owner may read when this makes it.
#[cfg(unix)]
pub(crate) fn private_file() -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

/// How a file is opened for writing.
#[cfg(not(unix))]
pub(crate) fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    options
}

/// Only its owner may look into a folder that is made here; one that is there stays as it is.
#[cfg(unix)]
pub(crate) fn create_private_dir(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

/// Makes a folder.
#[cfg(not(unix))]
pub(crate) fn create_private_dir(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

#[cfg(all(test, unix))]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::{Readers, readers, write_private};

    #[test]
    fn the_mode_tells_who_may_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        write_private(&path, "x").unwrap();
        assert_eq!(readers(&path).unwrap(), Readers::Owner);
        for (mode, expected) in [
            (0o400, Readers::Owner),
            (0o700, Readers::Owner),
            (0o640, Readers::Group),
            (0o620, Readers::Group),
            (0o604, Readers::Everybody),
            (0o602, Readers::Everybody),
            (0o666, Readers::Everybody),
        ] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(readers(&path).unwrap(), expected, "{mode:o}");
        }
    }
}
