//! Media both ways: uploads by the service's users, downloads with its token, and links for people who have none.
//!
//! - [`MediaRepo::upload`] uploads, and uploads the same thing only once. Where the homeserver gives out an id before it has
//!   the content, one that was begun is finished after a crash, and nothing is there twice.
//! - [`MediaRepo::download`], [`MediaRepo::open`] and [`MediaRepo::thumbnail`] fetch with the service's token, or without one
//!   from homeservers of before v1.11.
//! - [`MediaProxy`] serves media to people of the other network, by links that the service has signed:
//!   [`MediaRepo::public_url`].
//!
//! ```no_run
//! # use bridgehead_appservice::{prelude::*, media::{MediaRepo, Upload}};
//! # async fn f(media: MediaRepo, ghost: Ghost, png: Vec<u8>) -> Result<(), HandlerError> {
//! let avatar = media.upload(Upload::new(png, "image/png").by(ghost.id())).await?;
//! let bytes = media.download(&avatar).await?.bytes;
//! let link = media.public_url(&avatar, "ann.png")?;
//! # Ok(())
//! # }
//! ```

mod download;
mod headers;
mod proxy;
mod upload;

use std::{
    collections::HashMap,
    fmt::Display,
    sync::{Arc, Weak},
};

use bytes::Bytes;
use futures_util::Stream;
use parking_lot::Mutex;

pub(crate) use self::proxy::router as proxy_router;
pub use self::{
    download::{Downloaded, Fit, MediaStream},
    proxy::MediaProxy,
    upload::Upload,
};
use crate::{
    Content, Error,
    bridge::signed::LinkRefused,
    core::Core,
    format::content::Media,
    handler::{Context, FromContext, Rejection},
    id::MxcUri,
    store::StoreError,
};

/// Why media could not be brought from here to there. Displays as a sentence for people.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MediaError {
    /// It is larger than the homeserver takes, or than the service does.
    #[error("the media is larger than {}", most(*.limit))]
    TooLarge {
        /// Bytes at most; `None` when the homeserver does not say.
        limit: Option<u64>,
    },
    /// The homeserver has no such media.
    #[error("there is no media at {0}")]
    NotFound(MxcUri),
    /// The id exists, and its content was not uploaded in time.
    #[error("the media at {0} has not been uploaded yet: try again later")]
    NotYet(MxcUri),
    /// The content is encrypted, and this service cannot decrypt.
    #[error(
        "the media is encrypted for the members of its room, and this service has no decryption"
    )]
    Encrypted,
    /// The homeserver redirects to where the service does not go.
    #[error("the homeserver redirects to where this service does not go: {0}")]
    Redirect(String),
    /// There are no links, as the service was declared without a [`MediaProxy`], or none to this media.
    #[error("{0}")]
    NoLink(String),
    /// What was to be uploaded could not be read.
    #[error("what is to be uploaded cannot be read: {0}")]
    Unreadable(String),
    /// The homeserver could not be asked, or said no.
    #[error(transparent)]
    Homeserver(#[from] Error),
}

fn most(limit: Option<u64>) -> String {
    match limit {
        Some(limit) => format!("{limit} bytes, and no more is taken"),
        None => "the homeserver takes".to_owned(),
    }
}

impl From<StoreError> for MediaError {
    fn from(error: StoreError) -> Self {
        Self::Homeserver(error.into())
    }
}

impl From<LinkRefused> for MediaError {
    fn from(error: LinkRefused) -> Self {
        Self::NoLink(error.to_string())
    }
}

/// What the parts of a running service share for media.
#[derive(Default)]
pub(crate) struct MediaShared {
    /// Uploads under way, by what is uploaded: others of the same wait for them.
    under_way: Mutex<HashMap<upload::Digest, Weak<tokio::sync::Mutex<()>>>>,
    /// When the homeserver was last seen to have no authenticated downloads.
    legacy: Mutex<Option<tokio::time::Instant>>,
    pub(crate) proxy: Option<MediaProxy>,
}

impl MediaShared {
    pub(crate) fn new(proxy: Option<MediaProxy>) -> Self {
        Self {
            proxy,
            ..Self::default()
        }
    }
}

/// The homeserver's media repository. Handlers take it as an argument.
///
/// It does not keep the service alive, so that a network may keep it ([`Remote::media`](crate::bridge::Remote::media)):
/// when the service has ended, all of it fails with [`Error::Stopping`].
#[derive(Clone)]
pub struct MediaRepo {
    core: Weak<Core>,
}

impl std::fmt::Debug for MediaRepo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MediaRepo").finish_non_exhaustive()
    }
}

impl FromContext for MediaRepo {
    async fn from_context(context: &Context) -> Result<Self, Rejection> {
        Ok(Self::new(&context.core))
    }
}

impl MediaRepo {
    pub(crate) fn new(core: &Arc<Core>) -> Self {
        Self {
            core: Arc::downgrade(core),
        }
    }

    /// That of a service that has ended.
    pub(crate) fn ended() -> Self {
        Self { core: Weak::new() }
    }

    fn opened(&self) -> Result<Opened, MediaError> {
        let core = self.core.upgrade().ok_or(Error::Stopping)?;
        Ok(Opened { core })
    }

    /// Uploads, and returns when the homeserver has it. What was uploaded before, with the same type and name, is not
    /// uploaded again, whoever has uploaded it.
    ///
    /// # Errors
    /// [`MediaError::TooLarge`] before anything is sent when the homeserver says that it takes no more; its no.
    pub async fn upload(&self, upload: Upload) -> Result<MxcUri, MediaError> {
        self.opened()?.upload(upload).await
    }

    /// Reads a stream whole, to be uploaded; no further than the homeserver takes, and the service.
    ///
    /// # Errors
    /// [`MediaError::TooLarge`], or [`MediaError::Unreadable`] with the stream's own error.
    pub async fn read<S, E>(&self, stream: S) -> Result<Bytes, MediaError>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: Display + Send,
    {
        self.opened()?.read(stream).await
    }

    /// Forgets that this was uploaded, such as when the homeserver's operator has removed it; `false` when it was not
    /// known.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn forget(&self, media: &MxcUri) -> Result<bool, MediaError> {
        self.opened()?.forget(media).await
    }

    /// Downloads media as a whole, of at most [`Limits::max_media_bytes`](crate::Limits).
    ///
    /// # Errors
    /// See [`MediaError`].
    pub async fn download(&self, uri: &MxcUri) -> Result<Downloaded, MediaError> {
        let opened = self.opened()?;
        let limit = opened.core.limits.max_media_bytes;
        opened.open(uri, limit).await?.read().await
    }

    /// Downloads the media of a message as a whole.
    ///
    /// # Errors
    /// See [`MediaError`]; [`MediaError::Encrypted`] when it is.
    pub async fn download_of(&self, media: &Media) -> Result<Downloaded, MediaError> {
        if media.encrypted {
            return Err(MediaError::Encrypted);
        }
        self.download(&media.uri).await
    }

    /// Downloads media piece by piece, of at most `max_bytes`. Read it without long pauses, or the connection ends.
    ///
    /// # Errors
    /// See [`MediaError`].
    pub async fn open(&self, uri: &MxcUri, max_bytes: usize) -> Result<MediaStream, MediaError> {
        self.opened()?.open(uri, max_bytes).await
    }

    /// Downloads a small picture of media, made by the homeserver; it may be larger than the size in pixels that is
    /// asked for.
    ///
    /// # Errors
    /// See [`MediaError`]; also when the homeserver can make none of it.
    pub async fn thumbnail(
        &self,
        uri: &MxcUri,
        size: (u32, u32),
        fit: Fit,
    ) -> Result<Downloaded, MediaError> {
        self.opened()?.thumbnail(uri, size, fit).await
    }

    /// A link to media that anybody can open, for as long as the [`MediaProxy`] says. The name is that under which a
    /// browser saves it; it may be empty.
    ///
    /// # Errors
    /// When the service was declared without [`Service::media_proxy`](crate::Service::media_proxy), or the name is longer
    /// than 255 bytes.
    pub fn public_url(&self, media: &MxcUri, name: &str) -> Result<String, MediaError> {
        let core = self.opened()?.core;
        let proxy = core.media.proxy.as_ref().ok_or_else(|| {
            let text = "there are no links to media: declare them with `Service::media_proxy`";
            MediaError::NoLink(text.to_owned())
        })?;
        proxy.url(media, name, core.now_ms())
    }

    /// What a content is, for a network that shows texts alone: as [`Content::describe`] has it, and of media with a
    /// link behind it that anybody can open, where the service has a [`MediaProxy`]. Media that are encrypted get no
    /// link: nobody could read what it leads to.
    #[must_use]
    pub fn describe(&self, content: &Content) -> Option<String> {
        let words = content.describe()?;
        let media = content.media().filter(|media| !media.encrypted);
        let link = media.and_then(|media| self.link_to(&media));
        Some(match link {
            Some(link) => format!("{words} {link}"),
            None => words,
        })
    }

    /// A link under the file's own name, or under none where that is too long for a link.
    fn link_to(&self, media: &Media) -> Option<String> {
        let named = self.public_url(&media.uri, &media.name);
        named.or_else(|_| self.public_url(&media.uri, "")).ok()
    }

    /// Links to this media are followed no more, such as when the message with it was redacted.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn revoke(&self, media: &MxcUri) -> Result<(), MediaError> {
        let core = self.opened()?.core;
        let (mxc, now_ms) = (media.to_string(), core.now_ms());
        core.store
            .write(move |unit| unit.revoke_media(&mxc, now_ms))
            .await?;
        Ok(())
    }
}

/// The repository while it is used: keeps the service for as long.
struct Opened {
    core: Arc<Core>,
}
