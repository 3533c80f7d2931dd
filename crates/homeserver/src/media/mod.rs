//! Media: bytes on disk, named by their hash; ids that point at them; thumbnails.
//!
//! `upload` brings bytes in, `read` finds them again and waits for announced ones, `thumbnail`
//! makes and keeps smaller images. Nothing is fetched from other servers.

mod files;
mod read;
mod thumbnail;
mod upload;

use std::{io, path::Path};

use tokio::sync::broadcast;

use self::files::MediaFiles;
pub(crate) use self::{
    read::{ReadyMedia, find},
    thumbnail::{Method, Size, Thumbnail, ThumbnailError, Thumbnails},
    upload::{About, create_id, upload, upload_to},
};
use crate::{blocking::Blocking, config::Limits};

/// Arrivals remembered for those who wait and are slow to look.
const ARRIVALS: usize = 256;

/// What the media endpoints share.
pub(crate) struct Media {
    /// The files as uploaded.
    files: MediaFiles,
    /// Smaller images made from them.
    pub(crate) thumbnails: Thumbnails,
    /// Ids whose bytes have just arrived.
    arrivals: broadcast::Sender<String>,
}

impl Media {
    /// Opens, or makes, the folders below the data folder.
    pub(crate) fn new(data_dir: &Path, limits: &Limits, blocking: Blocking) -> io::Result<Self> {
        Ok(Self {
            files: MediaFiles::new(data_dir, blocking)?,
            thumbnails: Thumbnails::new(data_dir, limits, blocking)?,
            arrivals: broadcast::Sender::new(ARRIVALS),
        })
    }
}
