//! The homeserver over HTTP.

use std::{sync::Arc, time::Duration};

use ::http::{Request, Response};
use bytes::{Bytes, BytesMut};
use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream};

use crate::surroundings::{BodyStream, Transport, TransportError};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A request and its whole answer; large uploads and room states take long.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(90);

/// The same for bodies that are handed on piece by piece, to readers that may be slow.
const STREAM_TIMEOUT: Duration = Duration::from_secs(3600);

/// One piece of such a body.
const PIECE_TIMEOUT: Duration = Duration::from_secs(60);

/// The homeserver at an address.
pub(crate) struct HttpTransport {
    client: reqwest::Client,
    base: String,
    /// For a request and its whole answer.
    timeout: Duration,
}

impl HttpTransport {
    /// `base` is the homeserver's address, such as `https://matrix.example.org`.
    ///
    /// # Errors
    /// A sentence for people, when the address is none.
    pub(crate) fn new(base: &str) -> Result<Self, String> {
        Self::with_timeout(base, REQUEST_TIMEOUT)
    }

    fn with_timeout(base: &str, timeout: Duration) -> Result<Self, String> {
        let address =
            url::Url::parse(base).map_err(|error| format!("`{base}` is no address: {error}"))?;
        if !matches!(address.scheme(), "http" | "https") || address.host_str().is_none() {
            return Err(format!(
                "`{base}` is no address of a homeserver: write `http://host:port` or `https://host`"
            ));
        }
        let mut builder = builder();
        if is_local(&address) {
            // A proxy of the machine's is not for loopback.
            builder = builder.no_proxy();
        }
        Self::with(builder, base.trim_end_matches('/'), timeout)
    }

    /// Whatever address a request names. `resolver` says which addresses a name has; with one, no proxy is used, which
    /// would resolve names by itself.
    ///
    /// # Errors
    /// A sentence for people, when there can be no client.
    pub(crate) fn anywhere(
        resolver: Option<Arc<dyn reqwest::dns::Resolve>>,
    ) -> Result<Self, String> {
        let builder = match resolver {
            Some(resolver) => builder().dns_resolver(resolver).no_proxy(),
            None => builder(),
        };
        Self::with(builder, "", REQUEST_TIMEOUT)
    }

    fn with(
        builder: reqwest::ClientBuilder,
        base: &str,
        timeout: Duration,
    ) -> Result<Self, String> {
        let client = builder
            .build()
            .map_err(|error| format!("no HTTP client can be made: {error}"))?;
        Ok(Self {
            client,
            base: base.to_owned(),
            timeout,
        })
    }

    async fn answer(
        &self,
        request: Request<Bytes>,
        timeout: Duration,
    ) -> Result<reqwest::Response, TransportError> {
        let (parts, body) = request.into_parts();
        self.client
            .request(parts.method, format!("{}{}", self.base, parts.uri))
            .timeout(timeout)
            .headers(parts.headers)
            .body(body)
            .send()
            .await
            .map_err(|error| failure(error, timeout))
    }

    async fn send(
        &self,
        request: Request<Bytes>,
        max_bytes: usize,
    ) -> Result<Response<Bytes>, TransportError> {
        let response = self.answer(request, self.timeout).await?;
        let (mut whole, _) = Response::new(()).into_parts();
        whole.status = response.status();
        whole.headers = response.headers().clone();
        let mut bytes = BytesMut::new();
        let mut chunks = response.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| failure(error, self.timeout))?;
            if bytes.len() + chunk.len() > max_bytes {
                return Err(TransportError::TooLarge(max_bytes));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Response::from_parts(whole, bytes.freeze()))
    }

    async fn send_open(
        &self,
        request: Request<Bytes>,
        max_bytes: usize,
    ) -> Result<Response<BodyStream>, TransportError> {
        let response = self.answer(request, STREAM_TIMEOUT);
        let response = tokio::time::timeout(self.timeout, response)
            .await
            .map_err(|_| late(self.timeout))??;
        let (mut head, _) = Response::new(()).into_parts();
        head.status = response.status();
        head.headers = response.headers().clone();
        let pieces = response.bytes_stream();
        let body = stream::try_unfold((pieces, max_bytes), move |(mut pieces, left)| async move {
            let piece = tokio::time::timeout(PIECE_TIMEOUT, pieces.next()).await;
            let Some(piece) = piece.map_err(|_| late(PIECE_TIMEOUT))? else {
                return Ok(None);
            };
            let piece = piece.map_err(|error| failure(error, STREAM_TIMEOUT))?;
            let left = left
                .checked_sub(piece.len())
                .ok_or(TransportError::TooLarge(max_bytes))?;
            Ok(Some((piece, (pieces, left))))
        });
        Ok(Response::from_parts(head, body.boxed()))
    }
}

fn builder() -> reqwest::ClientBuilder {
    // The process's TLS provider; a second call finds it set already.
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .tcp_nodelay(true)
        .user_agent(concat!("bridgehead-appservice/", env!("CARGO_PKG_VERSION")))
}

fn late(after: Duration) -> TransportError {
    TransportError::Timeout(u64::try_from(after.as_millis()).unwrap_or(u64::MAX))
}

impl Transport for HttpTransport {
    fn call(
        &self,
        request: Request<Bytes>,
        max_bytes: usize,
    ) -> BoxFuture<'_, Result<Response<Bytes>, TransportError>> {
        self.send(request, max_bytes).boxed()
    }

    fn open(
        &self,
        request: Request<Bytes>,
        max_bytes: usize,
    ) -> BoxFuture<'_, Result<Response<BodyStream>, TransportError>> {
        self.send_open(request, max_bytes).boxed()
    }
}

/// Whether an address is this machine's.
pub(crate) fn is_local(address: &url::Url) -> bool {
    match address.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// What went wrong, without the address, which may hold a token in its query.
fn failure(error: reqwest::Error, timeout: Duration) -> TransportError {
    let error = error.without_url();
    if error.is_timeout() && !error.is_connect() {
        return late(timeout);
    }
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(inner) = source {
        text = inner.to_string();
        source = inner.source();
    }
    if error.is_connect() || error.is_builder() {
        TransportError::Unreachable(text)
    } else {
        TransportError::Broken(text)
    }
}

#[cfg(test)]
mod tests;
