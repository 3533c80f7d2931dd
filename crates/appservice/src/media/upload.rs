//! Uploading, and not uploading again.
//!
//! What was uploaded is remembered by its hash. Where the homeserver offers it, the id comes first (client-server API,
//! `POST /_matrix/media/v1/create`) and is stored, then the content goes to it: an upload that broke off is taken up
//! again with the same id.

use std::{
    fmt::{self, Debug, Display},
    sync::Arc,
};

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _};
use http::Method;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::{MediaError, Opened};
use crate::{
    Error, Urgency,
    client::{Call, escape},
    id::{MxcUri, UserId},
    store::UploadRow,
};

/// Uploads remembered at most.
const REMEMBERED: usize = 20_000;

/// How long before its end an id that was given out is not used any more, in ms.
const MARGIN_MS: i64 = 60_000;

/// What is uploaded, hashed with its type and name.
pub(super) type Digest = [u8; 32];

/// Something to be uploaded.
#[derive(Clone, PartialEq, Eq)]
#[must_use]
pub struct Upload {
    bytes: Bytes,
    mime: String,
    name: Option<String>,
    by: Option<UserId>,
    is_remembered: bool,
}

impl Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload")
            .field("bytes", &self.bytes.len())
            .field("mime", &self.mime)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Upload {
    /// Bytes of this MIME type, uploaded by the service's own user.
    pub fn new(bytes: impl Into<Bytes>, mime: &str) -> Self {
        Self {
            bytes: bytes.into(),
            mime: mime.to_owned(),
            name: None,
            by: None,
            is_remembered: true,
        }
    }

    /// The file's name.
    pub fn named(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned()).filter(|name| !name.is_empty());
        self
    }

    /// Uploaded by this user: a ghost, or a puppet.
    pub fn by(mut self, user: &UserId) -> Self {
        self.by = Some(user.clone());
        self
    }

    /// Uploaded even if the same was uploaded before, and not remembered.
    pub fn anew(mut self) -> Self {
        self.is_remembered = false;
        self
    }

    fn digest(&self) -> Digest {
        let mut hash = Sha256::new();
        for part in [
            self.mime.as_bytes(),
            self.name.as_deref().unwrap_or_default().as_bytes(),
        ] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hash.update(&self.bytes);
        hash.finalize().into()
    }

    fn call(&self, method: Method, path: &str, user: &UserId) -> Call {
        let is_type = http::HeaderValue::from_str(&self.mime).is_ok() && !self.mime.is_empty();
        let mime = if is_type {
            &self.mime
        } else {
            "application/octet-stream"
        };
        let mut call = Call::new(method, path)
            .bytes(self.bytes.clone(), mime)
            .by(Some(user))
            .urgency(Urgency::Message);
        if let Some(name) = &self.name {
            call = call.query("filename", name);
        }
        call
    }
}

#[derive(Deserialize)]
struct Created {
    content_uri: MxcUri,
    unused_expires_at: Option<i64>,
}

impl Opened {
    pub(super) async fn upload(&self, upload: Upload) -> Result<MxcUri, MediaError> {
        if let Some(limit) = self.limit().await
            && upload.bytes.len() as u64 > limit
        {
            return Err(MediaError::TooLarge { limit: Some(limit) });
        }
        let user = upload.by.clone().unwrap_or_else(|| self.core.bot.clone());
        self.core.ensure_registered(&user).await?;
        if !upload.is_remembered {
            return self.put_content(&upload, &user, None).await;
        }
        let digest = upload.digest();
        let turn = self.turn(digest);
        let _turn = turn.lock().await;
        self.upload_once(&upload, &user, digest).await
    }

    pub(super) async fn read<S, E>(&self, stream: S) -> Result<Bytes, MediaError>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: Display + Send,
    {
        let own = self.core.limits.max_media_bytes as u64;
        let limit = self.limit().await.map_or(own, |limit| limit.min(own));
        let mut stream = std::pin::pin!(stream);
        let mut bytes = BytesMut::new();
        while let Some(piece) = stream.next().await {
            let piece = piece.map_err(|error| MediaError::Unreadable(error.to_string()))?;
            if (bytes.len() + piece.len()) as u64 > limit {
                return Err(MediaError::TooLarge { limit: Some(limit) });
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes.freeze())
    }

    pub(super) async fn forget(&self, media: &MxcUri) -> Result<bool, MediaError> {
        let mxc = media.to_string();
        let store = &self.core.store;
        Ok(store.write(move |unit| unit.forget_upload_of(&mxc)).await?)
    }

    /// Bytes of an upload at most, as far as the homeserver says.
    async fn limit(&self) -> Option<u64> {
        match self.core.capabilities().await {
            Ok(capabilities) => capabilities.max_upload_bytes,
            Err(error) => {
                tracing::debug!(%error, "the homeserver does not say how much it takes");
                None
            }
        }
    }

    /// One upload of a thing at a time: the next finds it uploaded.
    fn turn(&self, digest: Digest) -> Arc<tokio::sync::Mutex<()>> {
        let mut under_way = self.core.media.under_way.lock();
        under_way.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = under_way.get(&digest).and_then(std::sync::Weak::upgrade) {
            return turn;
        }
        let turn = Arc::default();
        under_way.insert(digest, Arc::downgrade(&turn));
        turn
    }

    async fn upload_once(
        &self,
        upload: &Upload,
        user: &UserId,
        digest: Digest,
    ) -> Result<MxcUri, MediaError> {
        let now_ms = self.core.now_ms();
        let known = self
            .core
            .store
            .read(move |unit| unit.upload(&digest))
            .await?;
        if let Some(row) = known {
            let uri = MxcUri::parse(&row.mxc).map_err(Error::from)?;
            if row.is_done {
                let touch = move |unit: &crate::store::Unit<'_>| unit.touch_upload(&digest, now_ms);
                self.core.store.write_later(touch).await;
                return Ok(uri);
            }
            let is_alive = row.expires_ms.is_none_or(|end| now_ms + MARGIN_MS < end);
            let owner = UserId::parse(&row.user_id).map_err(Error::from)?;
            if is_alive && self.fill(upload, &owner, &uri).await? {
                self.keep(digest, &uri, &owner, None).await?;
                return Ok(uri);
            }
        }
        let uri = self.put_content(upload, user, Some(digest)).await?;
        self.keep(digest, &uri, user, None).await?;
        Ok(uri)
    }

    /// Uploads by whichever way the homeserver has. With a digest, an id that was given out first is stored.
    async fn put_content(
        &self,
        upload: &Upload,
        user: &UserId,
        digest: Option<Digest>,
    ) -> Result<MxcUri, MediaError> {
        let capabilities = self.core.capabilities().await;
        let is_async = capabilities.is_ok_and(|capabilities| capabilities.async_uploads());
        if is_async && let Some(created) = self.create(user).await? {
            let (uri, end) = (created.content_uri, created.unused_expires_at);
            if let Some(digest) = digest {
                self.keep(digest, &uri, user, Some(end)).await?;
            }
            if self.fill(upload, user, &uri).await? {
                return Ok(uri);
            }
        }
        let call = upload.call(Method::POST, "/_matrix/media/v3/upload", user);
        let created: Created = self.core.client.ask(&call).await.map_err(upload_error)?;
        Ok(created.content_uri)
    }

    /// An id to upload to; `None` when the homeserver does not give any after all.
    async fn create(&self, user: &UserId) -> Result<Option<Created>, MediaError> {
        let call = Call::post("/_matrix/media/v1/create", &serde_json::json!({})).by(Some(user));
        match self.core.client.ask(&call).await {
            Ok(created) => Ok(Some(created)),
            // What is not there may be unknown, not allowed, or an unknown method; and too many ids may wait already.
            Err(Error::Refused {
                status: 403..=405 | 429,
                ..
            }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Uploads to an id; `false` when the homeserver does not know the id any more.
    async fn fill(&self, upload: &Upload, user: &UserId, uri: &MxcUri) -> Result<bool, MediaError> {
        let (server, id) = uri.parts();
        let path = format!("/_matrix/media/v3/upload/{}/{}", escape(server), escape(id));
        let call = upload.call(Method::PUT, &path, user);
        match self.core.client.ask::<serde_json::Value>(&call).await {
            Ok(_) => Ok(true),
            // An earlier attempt had arrived.
            Err(error) if error.errcode() == Some("M_CANNOT_OVERWRITE_MEDIA") => Ok(true),
            Err(Error::Refused { status: 404, .. }) => Ok(false),
            Err(error) => Err(upload_error(error)),
        }
    }

    /// Remembers an upload that is done, or with `begun` an id that waits for its content until then.
    async fn keep(
        &self,
        digest: Digest,
        uri: &MxcUri,
        user: &UserId,
        begun: Option<Option<i64>>,
    ) -> Result<(), MediaError> {
        let row = UploadRow {
            mxc: uri.to_string(),
            user_id: user.to_string(),
            is_done: begun.is_none(),
            expires_ms: begun.flatten(),
        };
        let now_ms = self.core.now_ms();
        let kept = self.core.store.write(move |unit| {
            unit.put_upload(&digest, &row, now_ms)?;
            unit.trim_uploads(REMEMBERED)
        });
        Ok(kept.await?)
    }
}

fn upload_error(error: Error) -> MediaError {
    if error.status() == Some(413) || error.errcode() == Some("M_TOO_LARGE") {
        return MediaError::TooLarge { limit: None };
    }
    error.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_and_name_are_part_of_what_is_uploaded() {
        let digest = |upload: Upload| upload.digest();
        let png = || Upload::new("abc", "image/png");
        assert_eq!(
            digest(png()),
            digest(png().by(&UserId::parse("@a:b").expect("a user")))
        );
        assert_eq!(digest(png()), digest(png().named("")));
        assert_ne!(digest(png()), digest(Upload::new("abc", "image/gif")));
        assert_ne!(digest(png()), digest(png().named("a")));
        assert_ne!(
            digest(Upload::new("c", "ab")),
            digest(Upload::new("bc", "a")),
            "parts cannot be shifted into each other"
        );
    }
}
