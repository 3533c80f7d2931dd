//! Fetching media from the homeserver.
//!
//! With the service's token (client-server API since v1.11, `GET /_matrix/client/v1/media/download/…`), or from older
//! homeservers without (`GET /_matrix/media/v3/download/…`). A homeserver may redirect to a store of its own: that is
//! followed to public addresses and to those that the operator has named, and without the token.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use http::{Response, header};
use tokio::time::Instant;
use url::Url;

use super::{MediaError, Opened, headers};
use crate::{
    Error,
    client::{Call, Token, escape},
    id::MxcUri,
    surroundings::{BodyStream, TransportError},
    web::{SaidBy, WebError},
};

/// Redirections that are followed one after another.
const MAX_REDIRECTS: usize = 3;

/// How long the homeserver may wait for content that is being uploaded.
const WAIT_MS: &str = "20000";

/// How long a homeserver that has no authenticated downloads is taken to have none.
const LEGACY_FOR: Duration = Duration::from_secs(3600);

/// Stands for the homeserver in addresses that are relative to it.
const HOME: &str = "http://homeserver.invalid/";

/// How a thumbnail fits its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// Fills it; what sticks out is cut off.
    Crop,
    /// Lies within it.
    Scale,
}

/// Media as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Downloaded {
    /// The content.
    pub bytes: Bytes,
    /// Its MIME type, as its uploader has named it.
    pub mime: Option<String>,
    /// The file's name, without folders.
    pub name: Option<String>,
}

/// Media that comes piece by piece.
#[non_exhaustive]
pub struct MediaStream {
    /// Its MIME type, as its uploader has named it.
    pub mime: Option<String>,
    /// The file's name, without folders.
    pub name: Option<String>,
    /// How many bytes it has, where the homeserver says.
    pub size_bytes: Option<u64>,
    limit: u64,
    body: BodyStream,
}

impl std::fmt::Debug for MediaStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MediaStream")
            .field("mime", &self.mime)
            .field("name", &self.name)
            .field("size_bytes", &self.size_bytes)
            .finish_non_exhaustive()
    }
}

impl MediaStream {
    fn new(response: Response<BodyStream>, limit: u64) -> Result<Self, MediaError> {
        let (head, body) = response.into_parts();
        let size = head.headers.get(header::CONTENT_LENGTH);
        let size_bytes = size.and_then(|size| size.to_str().ok()?.parse().ok());
        if size_bytes.is_some_and(|size: u64| size > limit) {
            return Err(MediaError::TooLarge { limit: Some(limit) });
        }
        Ok(Self {
            mime: headers::mime(&head.headers),
            name: headers::file_name(&head.headers),
            size_bytes,
            limit,
            body,
        })
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// When the connection breaks, or there is more than was asked for.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, MediaError> {
        match self.body.next().await {
            Some(Ok(bytes)) => Ok(Some(bytes)),
            Some(Err(TransportError::TooLarge(_))) => Err(MediaError::TooLarge {
                limit: Some(self.limit),
            }),
            Some(Err(error)) => Err(Error::from(error).into()),
            None => Ok(None),
        }
    }

    /// All of it.
    ///
    /// # Errors
    /// As [`piece`](Self::piece).
    pub async fn read(mut self) -> Result<Downloaded, MediaError> {
        let mut bytes = BytesMut::new();
        while let Some(piece) = self.piece().await? {
            bytes.extend_from_slice(&piece);
        }
        Ok(Downloaded {
            bytes: bytes.freeze(),
            mime: self.mime,
            name: self.name,
        })
    }
}

/// What is asked of the homeserver: the part of the path behind the version, and the query.
struct Ask<'a> {
    uri: &'a MxcUri,
    what: &'static str,
    query: Vec<(&'static str, String)>,
    limit: usize,
}

impl Ask<'_> {
    fn call(&self, is_legacy: bool) -> Call {
        let (server, id) = self.uri.parts();
        let base = if is_legacy {
            "/_matrix/media/v3"
        } else {
            "/_matrix/client/v1/media"
        };
        let path = format!("{base}/{}/{}/{}", self.what, escape(server), escape(id));
        let mut call = Call::get(path).query("timeout_ms", WAIT_MS);
        if is_legacy {
            call = call.query("allow_redirect", "true").token(Token::None);
        }
        let query = self.query.iter().cloned();
        query.fold(call, |call, (key, value)| call.query(key, value))
    }
}

impl Opened {
    pub(super) async fn open(
        &self,
        uri: &MxcUri,
        max_bytes: usize,
    ) -> Result<MediaStream, MediaError> {
        let ask = Ask {
            uri,
            what: "download",
            query: Vec::new(),
            limit: max_bytes,
        };
        self.fetch(&ask).await
    }

    pub(super) async fn thumbnail(
        &self,
        uri: &MxcUri,
        (width, height): (u32, u32),
        fit: Fit,
    ) -> Result<Downloaded, MediaError> {
        let method = match fit {
            Fit::Crop => "crop",
            Fit::Scale => "scale",
        };
        let ask = Ask {
            uri,
            what: "thumbnail",
            query: vec![
                ("width", width.to_string()),
                ("height", height.to_string()),
                ("method", method.to_owned()),
            ],
            limit: self.core.limits.max_media_bytes,
        };
        self.fetch(&ask).await?.read().await
    }

    async fn fetch(&self, ask: &Ask<'_>) -> Result<MediaStream, MediaError> {
        let shared = &self.core.media;
        let legacy = *shared.legacy.lock();
        let is_legacy = legacy.is_some_and(|since| since.elapsed() < LEGACY_FOR);
        let mut opened = self.core.client.open(&ask.call(is_legacy), ask.limit).await;
        if !is_legacy && is_unrecognized(&opened) {
            opened = self.core.client.open(&ask.call(true), ask.limit).await;
            if opened.is_ok() {
                *shared.legacy.lock() = Some(Instant::now());
            }
        }
        let response = opened.map_err(|error| download_error(error, ask))?;
        let response = self.redirected(response, ask).await?;
        MediaStream::new(response, ask.limit as u64)
    }

    /// Follows redirections to where the content is.
    async fn redirected(
        &self,
        mut response: Response<BodyStream>,
        ask: &Ask<'_>,
    ) -> Result<Response<BodyStream>, MediaError> {
        let base = Url::parse(&self.core.homeserver).or_else(|_| Url::parse(HOME));
        let base = base.expect("invariant: a constant address");
        let mut at = base.clone();
        for _ in 0..MAX_REDIRECTS {
            if !response.status().is_redirection() {
                return Ok(response);
            }
            let to = target(&response, &at)?;
            response = if to.origin() == base.origin() {
                let call = call_to(&to).token(Token::None);
                let opened = self.core.client.open(&call, ask.limit).await;
                opened.map_err(|error| download_error(error, ask))?
            } else {
                let opened = self.core.web.open(&to, SaidBy::Others, ask.limit).await;
                let response = opened.map_err(web_error)?;
                checked(response, &to)?
            };
            at = to;
        }
        if response.status().is_redirection() {
            let text = format!("{MAX_REDIRECTS} addresses one after another");
            return Err(MediaError::Redirect(text));
        }
        Ok(response)
    }
}

/// Where a response redirects to.
fn target(response: &Response<BodyStream>, at: &Url) -> Result<Url, MediaError> {
    let wrong = |text: &str| MediaError::Redirect(text.to_owned());
    if !matches!(response.status().as_u16(), 302 | 307 | 308) {
        return Err(wrong(&format!(
            "by a response with status {}",
            response.status()
        )));
    }
    let location = response.headers().get(header::LOCATION);
    let location = location
        .and_then(|location| location.to_str().ok())
        .ok_or_else(|| wrong("to no address"))?;
    let to = at
        .join(location)
        .map_err(|_| wrong("to something that is no address"))?;
    // From the store's https to http: somebody on the way could change it.
    if at.scheme() == "https" && to.scheme() == "http" {
        return Err(wrong("from https to http"));
    }
    Ok(to)
}

fn call_to(url: &Url) -> Call {
    let pairs = url.query_pairs();
    let query = pairs.map(|(key, value)| (key.into_owned(), value.into_owned()));
    let mut text = url::form_urlencoded::Serializer::new(String::new());
    text.extend_pairs(query);
    let query = text.finish();
    if query.is_empty() {
        Call::get(url.path())
    } else {
        Call::get(format!("{}?{query}", url.path()))
    }
}

fn checked(response: Response<BodyStream>, to: &Url) -> Result<Response<BodyStream>, MediaError> {
    let status = response.status();
    if status.is_success() || status.is_redirection() {
        return Ok(response);
    }
    let host = to.host_str().unwrap_or_default();
    Err(MediaError::Redirect(format!("{host} answers {status}")))
}

fn web_error(error: WebError) -> MediaError {
    match error {
        WebError::Transport(error) => Error::from(error).into(),
        WebError::NotHttp | WebError::Private(_) | WebError::Unusable(_) => {
            MediaError::Redirect(error.to_string())
        }
    }
}

/// Whether the homeserver does not know the way at all, as against the media.
fn is_unrecognized<T>(opened: &Result<T, Error>) -> bool {
    let Err(error) = opened else { return false };
    match error.status() {
        Some(404 | 405) => matches!(error.errcode(), None | Some("M_UNRECOGNIZED")),
        Some(400) => error.errcode() == Some("M_UNRECOGNIZED"),
        _ => false,
    }
}

fn download_error(error: Error, ask: &Ask<'_>) -> MediaError {
    if matches!(error, Error::Transport(TransportError::TooLarge(_))) {
        let limit = Some(ask.limit as u64);
        return MediaError::TooLarge { limit };
    }
    match (error.status(), error.errcode()) {
        (_, Some("M_NOT_YET_UPLOADED")) => MediaError::NotYet(ask.uri.clone()),
        (Some(413), _) | (_, Some("M_TOO_LARGE")) => MediaError::TooLarge { limit: None },
        (Some(404), _) => MediaError::NotFound(ask.uri.clone()),
        _ => error.into(),
    }
}
