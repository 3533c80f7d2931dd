//! Media: bytes on disk, named by their hash.

mod files;

pub(crate) use self::files::MediaFiles;
