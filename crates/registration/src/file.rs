//! Registration files on disk: written whole or not at all, for their owner alone.

use std::{
    ffi::OsString,
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
};

/// Left over by processes that died while they wrote; with more of them, somebody should look.
const MAX_LEFT_OVER: u32 = 100;

/// Makes a file that only its owner may read.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] if something is there: tokens in use are not to be lost.
pub fn create_file(file: &Path, content: &str) -> io::Result<()> {
    let unfinished = write_beside(file, content, None)?;
    // Unlike a rename, a link never takes another file's place.
    let linked = fs::hard_link(&unfinished, file).or_else(|error| {
        if error.kind() == io::ErrorKind::AlreadyExists || file.symlink_metadata().is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        // Not every file system has links.
        fs::rename(&unfinished, file)
    });
    fs::remove_file(&unfinished).ok();
    linked?;
    sync_folder(file)
}

/// Replaces a file's content at once, with its owner and mode kept; a link stays a link.
///
/// # Errors
/// When the file is not there, is read-only, has an owner or a group that this account may not give, or its folder
/// cannot be written. It is then as before.
pub fn replace_file(file: &Path, content: &str) -> io::Result<()> {
    let file = fs::canonicalize(file)?;
    // Whoever made the file read-only meant it.
    let old = fs::File::options().write(true).open(&file)?;
    let unfinished = write_beside(&file, content, Some(&old.metadata()?))?;
    let replaced = fs::rename(&unfinished, &file);
    if replaced.is_err() {
        fs::remove_file(&unfinished).ok();
    }
    replaced?;
    sync_folder(&file)
}

/// The rename itself is to be on disk.
fn sync_folder(file: &Path) -> io::Result<()> {
    match file.parent() {
        Some(folder) if folder.as_os_str().is_empty() => fs::File::open(".")?.sync_all(),
        Some(folder) => fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// Writes a file in the same folder, and nothing at all where that fails.
fn write_beside(file: &Path, content: &str, like: Option<&fs::Metadata>) -> io::Result<PathBuf> {
    let (path, mut new) = open_unfinished(file)?;
    let written = like
        .map_or(Ok(()), |like| take_after(&new, like))
        .and_then(|()| new.write_all(content.as_bytes()))
        .and_then(|()| new.sync_all());
    match written {
        Ok(()) => Ok(path),
        Err(error) => {
            fs::remove_file(&path).ok();
            Err(error)
        }
    }
}

fn open_unfinished(file: &Path) -> io::Result<(PathBuf, fs::File)> {
    let mut options = fs::File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    for number in 0..MAX_LEFT_OVER {
        let path = unfinished_name(file, number);
        match options.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            opened => return opened.map(|new| (path, new)),
        }
    }
    Err(io::Error::other(
        "the folder holds too many unfinished copies of it",
    ))
}

/// Hidden, so that a watched folder does not take it for a registration.
fn unfinished_name(file: &Path, number: u32) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(file.file_name().unwrap_or_default());
    name.push(format!(".{}-{number}", std::process::id()));
    file.with_file_name(name)
}

#[cfg(unix)]
fn take_after(new: &fs::File, like: &fs::Metadata) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let mine = new.metadata()?;
    let wanted = (like.uid(), like.gid());
    if (mine.uid(), mine.gid()) != wanted {
        std::os::unix::fs::fchown(new, Some(wanted.0), Some(wanted.1))
            .map_err(|error| not_given(error, (mine.uid(), mine.gid()), wanted))?;
    }
    new.set_permissions(like.permissions())
}

/// Why a file cannot keep its owner and group: only root may give files away, and others only to groups of their own.
/// Without them, whoever reads the file by its group could not read it any more.
#[cfg(unix)]
fn not_given(error: io::Error, mine: (u32, u32), wanted: (u32, u32)) -> io::Error {
    if error.kind() != io::ErrorKind::PermissionDenied {
        return error;
    }
    let (user, group) = wanted;
    let cure = if mine.0 == user {
        format!(
            "it belongs to group {group}, which this account is not in: add the account to the group and log in anew, \
             or do this as root"
        )
    } else {
        format!(
            "it belongs to user {user} and group {group}, and only root can keep it so: do this as that user or as root"
        )
    };
    io::Error::new(io::ErrorKind::PermissionDenied, cure)
}

#[cfg(not(unix))]
fn take_after(new: &fs::File, like: &fs::Metadata) -> io::Result<()> {
    new.set_permissions(like.permissions())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;

    fn mode(file: &Path) -> u32 {
        let metadata = fs::metadata(file).expect("the file is there");
        metadata.permissions().mode() & 0o777
    }

    fn names(folder: &tempfile::TempDir) -> usize {
        fs::read_dir(folder.path())
            .expect("the folder is there")
            .count()
    }

    #[test]
    fn a_new_file_is_its_owners_and_never_takes_anothers_place() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.yaml");
        create_file(&file, "first").unwrap();
        assert_eq!(mode(&file), 0o600);
        let again = create_file(&file, "second").unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&file).unwrap(), "first");
        let dangling = folder.path().join("link.yaml");
        std::os::unix::fs::symlink(folder.path().join("nowhere"), &dangling).unwrap();
        let over_link = create_file(&dangling, "third").unwrap_err();
        assert_eq!(over_link.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(names(&folder), 2, "nothing is left over");
    }

    #[test]
    fn a_file_is_replaced_at_once_and_keeps_mode_and_link() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.yaml");
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        let link = folder.path().join("link.yaml");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let inode = fs::metadata(&file).unwrap().ino();
        replace_file(&link, "new").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(mode(&file), 0o640);
        assert_ne!(fs::metadata(&file).unwrap().ino(), inode);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(names(&folder), 2, "nothing is left over");
    }

    #[test]
    fn who_may_not_keep_a_files_owner_is_told_what_to_do() {
        let refused = || io::Error::from(io::ErrorKind::PermissionDenied);
        for (wanted, part) in [
            (
                (7, 9),
                "group 9, which this account is not in: add the account",
            ),
            ((8, 9), "user 8 and group 9, and only root"),
        ] {
            let told = not_given(refused(), (7, 7), wanted);
            assert_eq!(told.kind(), io::ErrorKind::PermissionDenied);
            assert!(told.to_string().contains(part), "{told}");
        }
        let other = not_given(io::ErrorKind::StorageFull.into(), (7, 7), (7, 9));
        assert_eq!(other.kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn what_a_dead_process_left_is_in_nobodys_way() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.yaml");
        fs::write(unfinished_name(&file, 0), "half").unwrap();
        create_file(&file, "whole").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "whole");
    }
}
