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
    sync::{Arc, Weak},
};

use parking_lot::Mutex;

pub(crate) use self::proxy::router as proxy_router;
pub use self::{
    download::{Downloaded, Fit, MediaStream},
    proxy::MediaProxy,
    upload::Upload,
};
use crate::{
    Error,
    bridge::signed::LinkRefused,
    core::Core,
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
#[derive(Clone)]
pub struct MediaRepo {
    core: Arc<Core>,
}

impl FromContext for MediaRepo {
    async fn from_context(context: &Context) -> Result<Self, Rejection> {
        Ok(Self::new(context.core.clone()))
    }
}

impl MediaRepo {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// A link to media that anybody can open, for as long as the [`MediaProxy`] says. The name is that under which a
    /// browser saves it; it may be empty.
    ///
    /// # Errors
    /// When the service was declared without [`Service::media_proxy`](crate::Service::media_proxy), or the name is longer
    /// than 255 bytes.
    pub fn public_url(&self, media: &MxcUri, name: &str) -> Result<String, MediaError> {
        let proxy = self.core.media.proxy.as_ref().ok_or_else(|| {
            let text = "there are no links to media: declare them with `Service::media_proxy`";
            MediaError::NoLink(text.to_owned())
        })?;
        proxy.url(media, name, self.core.now_ms())
    }

    /// Links to this media are followed no more, such as when the message with it was redacted.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn revoke(&self, media: &MxcUri) -> Result<(), MediaError> {
        let (mxc, now_ms) = (media.to_string(), self.core.now_ms());
        let store = &self.core.store;
        store
            .write(move |unit| unit.revoke_media(&mxc, now_ms))
            .await?;
        Ok(())
    }
}
