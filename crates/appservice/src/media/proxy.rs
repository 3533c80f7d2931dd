//! Media for people who have no account: links that the service has signed, served by the service.
//!
//! A request for a link is checked before anything is asked of the homeserver: who knows only a media id gets nothing. What
//! is served has headers under which a browser runs nothing of it. Requests at the same time and bytes are bounded.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use bridgehead_registration::Secret;
use futures_util::stream;
use http::{HeaderValue, StatusCode, Uri, header};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{MediaError, MediaStream, Opened, headers};
use crate::{
    bridge::signed::{LinkRefused, LinkSigner, Media, SigningKey},
    core::Core,
    id::MxcUri,
};

/// Where the service serves media, behind its public address.
const PREFIX: &str = "/_bridgehead-appservice/media/";

/// How long a request waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// Serves media to people of the other network, by signed links: see [`Service::media_proxy`](crate::Service::media_proxy).
#[derive(Clone, Debug)]
#[must_use]
pub struct MediaProxy {
    base: String,
    key: Option<SigningKey>,
    previous: Option<SigningKey>,
    lifetime: Option<Duration>,
    max_bytes: usize,
    concurrency: usize,
}

impl MediaProxy {
    /// Links signed with this secret, of at least 16 random bytes, at the service's public address, such as
    /// `https://bridge.example.org`. Keep the secret: links signed with a lost one are dead.
    pub fn new(secret: &Secret, public_base_url: &str) -> Self {
        Self {
            base: public_base_url.trim_end_matches('/').to_owned(),
            key: SigningKey::new(secret.expose().as_bytes()).ok(),
            previous: None,
            lifetime: Some(Duration::from_secs(30 * 24 * 3600)),
            max_bytes: 100 << 20,
            concurrency: 32,
        }
    }

    /// Links signed with this secret are good as well, until they end: to change secrets.
    pub fn previous_secret(mut self, secret: &Secret) -> Self {
        self.previous = SigningKey::new(secret.expose().as_bytes()).ok();
        self
    }

    /// How long links live; 30 days if it is not said.
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// Links live for ever, as archives of the other network want it. [`MediaRepo::revoke`](super::MediaRepo::revoke) ends one.
    pub fn forever(mut self) -> Self {
        self.lifetime = None;
        self
    }

    /// Bytes of media at most; 100 MiB if it is not said.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Requests at the same time; 32 if it is not said.
    pub fn concurrency(mut self, requests: usize) -> Self {
        self.concurrency = requests.max(1);
        self
    }

    /// What is wrong with it.
    pub(crate) fn check(&self) -> Option<String> {
        if self.key.is_none() {
            return Some(
                "the secret of `media_proxy` is too short: use at least 16 random bytes".to_owned(),
            );
        }
        let is_http =
            |url: &url::Url| matches!(url.scheme(), "http" | "https") && url.host().is_some();
        let url = url::Url::parse(&self.base).ok().filter(is_http);
        match url {
            Some(url) if url.query().is_none() && url.fragment().is_none() => None,
            _ => Some(format!(
                "the address of `media_proxy` is `{}`: write one such as `https://bridge.example.org`",
                self.base
            )),
        }
    }

    fn signer(&self) -> Result<LinkSigner, LinkRefused> {
        let key = self.key.clone().ok_or(LinkRefused::NotSigned)?;
        Ok(LinkSigner::new(key, self.previous.clone()))
    }

    /// A link to media.
    pub(super) fn url(
        &self,
        media: &MxcUri,
        name: &str,
        now_ms: i64,
    ) -> Result<String, MediaError> {
        let media = Media::new(media.as_str(), name)?;
        let now_s = u64::try_from(now_ms / 1000).unwrap_or(0);
        let end = self
            .lifetime
            .map(|lifetime| now_s.saturating_add(lifetime.as_secs()));
        let path = self.signer()?.path(&media, end)?;
        Ok(format!("{}{PREFIX}{path}", self.base))
    }
}

#[derive(Clone)]
struct Serving {
    core: Arc<Core>,
    places: Arc<Semaphore>,
}

/// The route for links; none without a proxy.
pub(crate) fn router(core: &Arc<Core>) -> Router {
    let Some(proxy) = &core.media.proxy else {
        return Router::new();
    };
    let serving = Serving {
        core: core.clone(),
        places: Arc::new(Semaphore::new(proxy.concurrency)),
    };
    // HEAD comes here too: its body is not read on, and the download ends with it.
    Router::new()
        .route(&format!("{PREFIX}{{*link}}"), get(serve))
        .with_state(serving)
}

/// Why a link is not served: a status, and a sentence.
struct NotServed(StatusCode, &'static str);

impl IntoResponse for NotServed {
    fn into_response(self) -> Response {
        let mut response = (self.0, self.1).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        if self.0 == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("10"));
        }
        response
    }
}

impl From<LinkRefused> for NotServed {
    fn from(refused: LinkRefused) -> Self {
        match refused {
            LinkRefused::Malformed => Self(StatusCode::NOT_FOUND, "This is not a link to media."),
            LinkRefused::NotSigned => Self(
                StatusCode::NOT_FOUND,
                "This link was not made by this service, or was changed.",
            ),
            LinkRefused::Expired => Self(
                StatusCode::GONE,
                "This link has expired. Ask for a new one.",
            ),
        }
    }
}

impl From<MediaError> for NotServed {
    fn from(error: MediaError) -> Self {
        match error {
            MediaError::NotFound(_) => {
                Self(StatusCode::NOT_FOUND, "The media is not there any more.")
            }
            MediaError::NotYet(_) => {
                Self(StatusCode::GATEWAY_TIMEOUT, "The media is not there yet.")
            }
            MediaError::TooLarge { .. } => Self(
                StatusCode::BAD_GATEWAY,
                "The media is larger than this service brings.",
            ),
            error => {
                tracing::warn!(%error, "media for a link cannot be fetched");
                Self(
                    StatusCode::BAD_GATEWAY,
                    "The media cannot be fetched at the moment.",
                )
            }
        }
    }
}

async fn serve(State(serving): State<Serving>, uri: Uri) -> Result<Response, NotServed> {
    let core = &serving.core;
    let proxy = core.media.proxy.as_ref().ok_or(LinkRefused::Malformed)?;
    let link = uri
        .path()
        .strip_prefix(PREFIX)
        .ok_or(LinkRefused::Malformed)?;
    let now_s = u64::try_from(core.now_ms() / 1000).unwrap_or(0);
    let media = proxy.signer()?.check(link, now_s)?;
    let mxc = media.mxc();
    let uri = MxcUri::parse(&mxc).map_err(|_| LinkRefused::Malformed)?;
    let revoked = core
        .store
        .read(move |unit| unit.is_revoked_media(&mxc))
        .await;
    match revoked {
        Ok(false) => {}
        Ok(true) => return Err(NotServed(StatusCode::GONE, "This link was taken back.")),
        Err(error) => return Err(MediaError::from(error).into()),
    }
    let busy = NotServed(
        StatusCode::SERVICE_UNAVAILABLE,
        "Too many ask at the moment. Try again soon.",
    );
    let turn = tokio::time::timeout(PATIENCE, serving.places.clone().acquire_owned()).await;
    let Ok(Ok(place)) = turn else {
        return Err(busy);
    };
    let opened = Opened { core: core.clone() };
    let stream = opened.open(&uri, proxy.max_bytes).await?;
    Ok(response(stream, &media.file_name, place))
}

fn response(stream: MediaStream, name: &str, place: OwnedSemaphorePermit) -> Response {
    let name = match name {
        "" => stream.name.as_deref(),
        name => Some(name),
    };
    let mut headers = headers::public(stream.mime.as_deref(), name);
    if let Some(size) = stream.size_bytes {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(size));
    }
    // The place is given back when all is sent, or nobody reads on.
    let pieces = stream::try_unfold((stream, place), |(mut stream, place)| async move {
        let piece = stream.piece().await?;
        Ok::<_, MediaError>(piece.map(|piece| (piece, (stream, place))))
    });
    (headers, Body::from_stream(pieces)).into_response()
}
