//! Thumbnails: smaller images, made when asked for and kept within a budget of disk space.
//!
//! The file `<sha256>-<width>x<height>-<method>` in the folder `thumbnails` is a cache: all of it
//! may be deleted while the server is down. Images are untrusted: their size is read from the
//! header first, decoding is bounded in memory and in how many run at once.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use image::{
    DynamicImage, ImageDecoder as _, ImageError, ImageFormat, ImageReader, Limits as DecoderLimits,
    codecs::jpeg::JpegEncoder, imageops::FilterType, metadata::Orientation,
};
use lru::LruCache;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::ReadyMedia;
use crate::{blocking::Blocking, config::Limits, random::Random};

/// Images decoded at once; each may take [`MAX_BYTES_PER_PIXEL`] times the pixel limit of memory.
const DECODES: usize = 2;
/// 16 bits in four channels: the most that the formats we read have.
const MAX_BYTES_PER_PIXEL: u64 = 8;
/// What a small file takes on disk all the same.
const MIN_FILE_BYTES: u64 = 4096;
/// JPEG quality: small, and good to look at.
const JPEG_QUALITY: u8 = 85;

/// How an image is made smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// Fills the size; what stands over is cut off.
    Crop,
    /// Fits into the size.
    Scale,
}

/// A size that thumbnails are made in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    width: u32,
    height: u32,
    method: Method,
}

/// The sizes the specification recommends, smallest first. Others are not made: a client could
/// otherwise fill the disk by asking for every size.
const SIZES: [Size; 5] = [
    Size::new(32, 32, Method::Crop),
    Size::new(96, 96, Method::Crop),
    Size::new(320, 240, Method::Scale),
    Size::new(640, 480, Method::Scale),
    Size::new(800, 600, Method::Scale),
];

impl Size {
    const fn new(width: u32, height: u32, method: Method) -> Self {
        Self {
            width,
            height,
            method,
        }
    }

    /// The smallest size that is at least as large as asked for, of that method if there is one;
    /// else the largest.
    pub(crate) fn for_request(width: u32, height: u32, method: Method) -> Self {
        let is_enough = |size: &&Self| size.width >= width && size.height >= height;
        SIZES
            .iter()
            .filter(|size| size.method == method)
            .find(is_enough)
            .or_else(|| SIZES.iter().find(is_enough))
            .copied()
            .unwrap_or(SIZES[SIZES.len() - 1])
    }

    fn file_name(self, sha256: &str) -> String {
        let method = match self.method {
            Method::Crop => "crop",
            Method::Scale => "scale",
        };
        format!("{sha256}-{}x{}-{method}", self.width, self.height)
    }
}

/// An image made smaller.
#[derive(Debug, Clone)]
pub(crate) struct Thumbnail {
    /// The encoded image.
    pub(crate) bytes: Bytes,
    /// Names original and size; equal names have equal bytes.
    pub(crate) name: String,
}

impl Thumbnail {
    /// PNG where there is transparency, JPEG elsewhere.
    pub(crate) fn is_png(&self) -> bool {
        self.bytes.starts_with(b"\x89PNG")
    }
}

/// Why there is no thumbnail.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ThumbnailError {
    /// Not an image, one that is broken, or of a format that is not read here.
    #[error("not an image that can be read")]
    NotAnImage,
    /// It has too many pixels.
    #[error("the image is too large")]
    TooLarge,
    /// The original or the cache could not be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Makes thumbnails and keeps them.
pub(crate) struct Thumbnails {
    folder: PathBuf,
    max_pixels: u32,
    kept: Mutex<Kept>,
    decodes: Semaphore,
    blocking: Blocking,
}

/// What is on disk, by last use.
struct Kept {
    sizes: LruCache<String, u64>,
    total_bytes: u64,
    budget_bytes: u64,
}

impl Thumbnails {
    pub(super) fn new(data_dir: &Path, limits: &Limits, blocking: Blocking) -> io::Result<Self> {
        let folder = data_dir.join("thumbnails");
        fs::create_dir_all(&folder)?;
        let mut kept = Kept {
            sizes: LruCache::unbounded(),
            total_bytes: 0,
            budget_bytes: limits.max_thumbnail_cache_bytes,
        };
        for (name, size_bytes) in whole_files(&folder)? {
            kept.insert(name, size_bytes);
        }
        for name in kept.over_budget() {
            fs::remove_file(folder.join(name))?;
        }
        Ok(Self {
            folder,
            max_pixels: limits.max_image_pixels,
            kept: Mutex::new(kept),
            decodes: Semaphore::new(DECODES),
            blocking,
        })
    }

    /// A thumbnail of some media.
    pub(crate) async fn get(
        &self,
        original: &ReadyMedia,
        size: Size,
    ) -> Result<Thumbnail, ThumbnailError> {
        let name = size.file_name(&original.sha256);
        if let Some(thumbnail) = self.load(&name).await {
            return Ok(thumbnail);
        }
        let permit = self.decodes.acquire().await;
        let _permit = permit.expect("invariant: the semaphore is never closed");
        // Somebody else may have made it while this one waited.
        if let Some(thumbnail) = self.load(&name).await {
            return Ok(thumbnail);
        }
        let (path, max_pixels) = (original.path.clone(), self.max_pixels);
        let making = self.blocking.run(move || make(&path, size, max_pixels));
        let bytes = making
            .await
            // The decoder panicked: the image is broken in a way nobody thought of.
            .map_err(|_| ThumbnailError::NotAnImage)??;
        let thumbnail = Thumbnail {
            bytes: Bytes::from(bytes),
            name,
        };
        if let Err(error) = self.keep(&thumbnail).await {
            tracing::warn!(%error, "cannot keep a thumbnail; it will be made again when asked for");
        }
        Ok(thumbnail)
    }

    async fn load(&self, name: &str) -> Option<Thumbnail> {
        self.kept.lock().sizes.get(name)?;
        let path = self.folder.join(name);
        match self.blocking.io(move || fs::read(path)).await {
            Ok(bytes) => Some(Thumbnail {
                bytes: bytes.into(),
                name: name.to_owned(),
            }),
            Err(error) => {
                tracing::warn!(%error, "cannot read a thumbnail; it is made again");
                self.kept.lock().remove(name);
                None
            }
        }
    }

    async fn keep(&self, thumbnail: &Thumbnail) -> io::Result<()> {
        let size_bytes = thumbnail.bytes.len() as u64;
        if size_bytes.max(MIN_FILE_BYTES) > self.kept.lock().budget_bytes {
            return Ok(());
        }
        let beside = self.folder.join(format!(".{}", Random::system().hex(32)));
        let path = self.folder.join(&thumbnail.name);
        let bytes = thumbnail.bytes.clone();
        let writing = self
            .blocking
            .io(move || write_whole(&beside, &path, &bytes));
        writing.await?;
        let leaving = {
            let mut kept = self.kept.lock();
            kept.insert(thumbnail.name.clone(), size_bytes);
            kept.over_budget()
        };
        for name in leaving {
            let path = self.folder.join(name);
            self.blocking.io(move || fs::remove_file(path)).await?;
        }
        Ok(())
    }
}

impl Kept {
    fn insert(&mut self, name: String, size_bytes: u64) {
        let size_bytes = size_bytes.max(MIN_FILE_BYTES);
        self.total_bytes += size_bytes;
        self.total_bytes -= self.sizes.put(name, size_bytes).unwrap_or(0);
    }

    fn remove(&mut self, name: &str) {
        self.total_bytes -= self.sizes.pop(name).unwrap_or(0);
    }

    /// Takes out what was not used for longest, until the rest is within the budget.
    fn over_budget(&mut self) -> Vec<String> {
        let mut leaving = Vec::new();
        while self.total_bytes > self.budget_bytes
            && let Some((name, size_bytes)) = self.sizes.pop_lru()
        {
            self.total_bytes -= size_bytes;
            leaving.push(name);
        }
        leaving
    }
}

/// Name and size of what an earlier run has left, oldest first. Files that did not become whole
/// are removed.
fn whole_files(folder: &Path) -> io::Result<Vec<(String, u64)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            fs::remove_file(entry.path())?;
            continue;
        }
        let metadata = entry.metadata()?;
        files.push((metadata.modified()?, name, metadata.len()));
    }
    files.sort();
    Ok(files
        .into_iter()
        .map(|(_, name, size_bytes)| (name, size_bytes))
        .collect())
}

/// Synced before it gets its name, so that a crash leaves no broken image behind.
fn write_whole(beside: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let written = fs::File::create_new(beside)
        .and_then(|mut file| {
            io::Write::write_all(&mut file, bytes)?;
            file.sync_data()
        })
        .and_then(|()| fs::rename(beside, path));
    if written.is_err() {
        // The first error is the one to tell.
        fs::remove_file(beside).ok();
    }
    written
}

fn make(path: &Path, size: Size, max_pixels: u32) -> Result<Vec<u8>, ThumbnailError> {
    let image = shrink(decode(path, max_pixels)?, size);
    let mut bytes = io::Cursor::new(Vec::new());
    // Some decoders give an alpha channel whether or not anything is transparent.
    let image = image.to_rgba8();
    if image.pixels().any(|pixel| pixel[3] != u8::MAX) {
        image.write_to(&mut bytes, ImageFormat::Png)
    } else {
        let encoder = JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY);
        DynamicImage::from(image)
            .to_rgb8()
            .write_with_encoder(encoder)
    }
    .map_err(|error| ThumbnailError::Io(io::Error::other(error)))?;
    Ok(bytes.into_inner())
}

fn decode(path: &Path, max_pixels: u32) -> Result<DynamicImage, ThumbnailError> {
    let mut reader = ImageReader::open(path)?.with_guessed_format()?;
    let mut limits = DecoderLimits::default();
    limits.max_alloc = Some(u64::from(max_pixels) * MAX_BYTES_PER_PIXEL);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(unreadable)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > u64::from(max_pixels) {
        return Err(ThumbnailError::TooLarge);
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(unreadable)?;
    image.apply_orientation(orientation);
    Ok(image)
}

fn unreadable(error: ImageError) -> ThumbnailError {
    match error {
        ImageError::Limits(_) => ThumbnailError::TooLarge,
        ImageError::IoError(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
            ThumbnailError::Io(error)
        }
        _ => ThumbnailError::NotAnImage,
    }
}

/// Never makes anything larger.
fn shrink(image: DynamicImage, size: Size) -> DynamicImage {
    let width = size.width.min(image.width());
    let height = size.height.min(image.height());
    match size.method {
        Method::Crop => image.resize_to_fill(width, height, FilterType::Triangle),
        Method::Scale if image.width() > size.width || image.height() > size.height => {
            image.thumbnail(size.width, size.height)
        }
        Method::Scale => image,
    }
}

#[cfg(test)]
mod tests {
    use image::DynamicImage;

    use super::{Kept, LruCache, Method, Size, shrink};

    #[track_caller]
    fn check_size(asked: (u32, u32, Method), given: (u32, u32, Method)) {
        let size = Size::for_request(asked.0, asked.1, asked.2);
        assert_eq!((size.width, size.height, size.method), given);
    }

    #[test]
    fn sizes_are_those_of_the_specification() {
        use Method::{Crop, Scale};
        check_size((1, 1, Crop), (32, 32, Crop));
        check_size((32, 33, Crop), (96, 96, Crop));
        check_size((97, 97, Crop), (320, 240, Scale));
        check_size((1, 1, Scale), (320, 240, Scale));
        check_size((240, 320, Scale), (640, 480, Scale));
        check_size((641, 1, Scale), (800, 600, Scale));
        check_size((9999, 1, Scale), (800, 600, Scale));
    }

    #[test]
    fn images_only_get_smaller() {
        let shrunk = |width, height, size| {
            let image = shrink(DynamicImage::new_rgb8(width, height), size);
            (image.width(), image.height())
        };
        let scale = Size::for_request(320, 240, Method::Scale);
        assert_eq!(shrunk(640, 240, scale), (320, 120));
        assert_eq!(shrunk(100, 100, scale), (100, 100));
        assert_eq!(shrunk(1, 5000, scale), (1, 240));
        let crop = Size::for_request(96, 96, Method::Crop);
        assert_eq!(shrunk(640, 240, crop), (96, 96));
        assert_eq!(shrunk(50, 240, crop), (50, 96));
    }

    #[test]
    fn the_least_recently_used_leaves_first() {
        let mut kept = Kept {
            sizes: LruCache::unbounded(),
            total_bytes: 0,
            budget_bytes: 20_000,
        };
        for name in ["a", "b", "c"] {
            kept.insert(name.to_owned(), 9_000);
            kept.sizes.get("a");
        }
        assert_eq!(kept.over_budget(), ["b"]);
        assert_eq!(kept.total_bytes, 18_000);
        kept.remove("a");
        kept.insert("c".to_owned(), 1);
        assert_eq!(kept.total_bytes, 4096);
    }
}
