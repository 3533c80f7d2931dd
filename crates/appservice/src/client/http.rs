//! The homeserver over HTTP.

use std::time::Duration;

use ::http::{Request, Response};
use bytes::{Bytes, BytesMut};
use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture};

use crate::surroundings::{Transport, TransportError};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A request and its whole answer; large uploads and room states take long.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(90);

/// The homeserver at an address.
pub(crate) struct HttpTransport {
    client: reqwest::Client,
    base: String,
}

impl HttpTransport {
    /// `base` is the homeserver's address, such as `https://matrix.example.org`.
    ///
    /// # Errors
    /// A sentence for people, when the address is none.
    pub(crate) fn new(base: &str) -> Result<Self, String> {
        let address =
            url::Url::parse(base).map_err(|error| format!("`{base}` is no address: {error}"))?;
        if !matches!(address.scheme(), "http" | "https") || address.host_str().is_none() {
            return Err(format!(
                "`{base}` is no address of a homeserver: write `http://host:port` or `https://host`"
            ));
        }
        // The process's TLS provider; a second call finds it set already.
        rustls::crypto::ring::default_provider()
            .install_default()
            .ok();
        let mut client = reqwest::Client::builder();
        if is_local(&address) {
            // A proxy of the machine's is not for loopback.
            client = client.no_proxy();
        }
        let client = client
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .tcp_nodelay(true)
            .user_agent(concat!("bridgehead-appservice/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| format!("no HTTP client can be made: {error}"))?;
        Ok(Self {
            client,
            base: base.trim_end_matches('/').to_owned(),
        })
    }

    async fn send(
        &self,
        request: Request<Bytes>,
        max_bytes: usize,
    ) -> Result<Response<Bytes>, TransportError> {
        let (parts, body) = request.into_parts();
        let response = self
            .client
            .request(parts.method, format!("{}{}", self.base, parts.uri))
            .headers(parts.headers)
            .body(body)
            .send()
            .await
            .map_err(failure)?;
        let mut whole = Response::builder().status(response.status());
        if let Some(headers) = whole.headers_mut() {
            *headers = response.headers().clone();
        }
        let mut bytes = BytesMut::new();
        let mut chunks = response.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(failure)?;
            if bytes.len() + chunk.len() > max_bytes {
                return Err(TransportError::TooLarge(max_bytes));
            }
            bytes.extend_from_slice(&chunk);
        }
        whole
            .body(bytes.freeze())
            .map_err(|error| TransportError::Broken(error.to_string()))
    }
}

impl Transport for HttpTransport {
    fn call(
        &self,
        request: Request<Bytes>,
        max_bytes: usize,
    ) -> BoxFuture<'_, Result<Response<Bytes>, TransportError>> {
        self.send(request, max_bytes).boxed()
    }
}

fn is_local(address: &url::Url) -> bool {
    match address.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// What went wrong, without the address, which may hold a token in its query.
fn failure(error: reqwest::Error) -> TransportError {
    let error = error.without_url();
    if error.is_timeout() && !error.is_connect() {
        return TransportError::Timeout(
            u64::try_from(REQUEST_TIMEOUT.as_millis()).unwrap_or(u64::MAX),
        );
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
