//! What brings requests to a service: sockets, or what the server was given in their place.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, future::BoxFuture};
use http::{HeaderValue, Method, header};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};
use url::Url;

use super::{Answer, CallError};
use crate::{
    secret::Secret,
    surroundings::{Outgoing, OutgoingError},
};

/// What the server calls itself.
const USER_AGENT: &str = concat!("bridgehead/", env!("CARGO_PKG_VERSION"));
/// The type of every body sent.
const JSON: &str = "application/json";
/// Bytes of an answer that are read at most; a service has little to say.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// What brings requests to a service.
pub(super) enum Carrier {
    /// Sockets.
    Http(reqwest::Client),
    /// What the server was given instead.
    Given(Arc<dyn Outgoing>),
}

/// One request.
pub(super) struct Parcel<'a> {
    pub(super) method: &'a Method,
    pub(super) url: &'a str,
    /// Shown in the header.
    pub(super) token: &'a Secret,
    /// JSON.
    pub(super) body: Option<&'a Bytes>,
}

impl Carrier {
    pub(super) fn new(
        outgoing: Option<Arc<dyn Outgoing>>,
        connect_timeout: Duration,
    ) -> Result<Self, reqwest::Error> {
        if let Some(outgoing) = outgoing {
            return Ok(Self::Given(outgoing));
        }
        let client = reqwest::Client::builder()
            .connect_timeout(connect_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .tcp_nodelay(true)
            .user_agent(USER_AGENT)
            .build()?;
        Ok(Self::Http(client))
    }

    /// Whether somebody accepts connections at the url's address.
    pub(super) async fn is_reachable(&self, url: &str) -> bool {
        match self {
            Self::Given(outgoing) => outgoing.reachable(url).await,
            Self::Http(_) => match authority(url) {
                Some(authority) => TcpStream::connect(authority).await.is_ok(),
                None => false,
            },
        }
    }

    /// Carries a request; `within` is for the whole exchange, the answer's last byte included.
    pub(super) async fn carry(
        &self,
        parcel: &Parcel<'_>,
        within: Duration,
    ) -> Result<Answer, CallError> {
        let client = match self {
            Self::Given(outgoing) => {
                return carried(outgoing.send(parcel.request()?), within).await;
            }
            Self::Http(client) => client,
        };
        let mut request = client
            .request(parcel.method.clone(), parcel.url)
            .bearer_auth(parcel.token.expose());
        if let Some(body) = parcel.body {
            request = request
                .header(header::CONTENT_TYPE, JSON)
                .body(body.clone());
        }
        exchange(request, within).await
    }
}

impl Parcel<'_> {
    /// The request as it would go over a socket.
    fn request(&self) -> Result<http::Request<Bytes>, CallError> {
        // The error's own text may show the url, and with it the token.
        let bad = || CallError::Broken("the service's url makes no request".to_owned());
        let url = Url::parse(self.url).map_err(|_| bad())?;
        let bearer = format!("Bearer {}", self.token.expose());
        let mut bearer = HeaderValue::try_from(bearer).map_err(|_| bad())?;
        bearer.set_sensitive(true);
        let mut request = http::Request::builder()
            .method(self.method.clone())
            .uri(url.as_str())
            .header(header::AUTHORIZATION, bearer)
            .header(header::USER_AGENT, USER_AGENT)
            .header(header::ACCEPT, "*/*");
        if self.body.is_some() {
            request = request.header(header::CONTENT_TYPE, JSON);
        }
        let body = self.body.cloned().unwrap_or_default();
        request.body(body).map_err(|_| bad())
    }
}

/// Host and port.
fn authority(url: &str) -> Option<(String, u16)> {
    let url = Url::parse(url).ok()?;
    Some((
        url.host_str()?.trim_matches(['[', ']']).to_owned(),
        url.port_or_known_default()?,
    ))
}

/// What was carried without a socket, in the same time and within the same bounds.
async fn carried(
    sending: BoxFuture<'_, Result<http::Response<Bytes>, OutgoingError>>,
    within: Duration,
) -> Result<Answer, CallError> {
    let sent = timeout(within, sending)
        .await
        .unwrap_or(Err(OutgoingError::Timeout));
    let response = sent.map_err(|error| match error {
        OutgoingError::Connect(reason) => CallError::Connect(reason),
        OutgoingError::Timeout => CallError::Timeout(within),
        OutgoingError::Broken(reason) => CallError::Broken(reason),
    })?;
    let (head, mut body) = response.into_parts();
    body.truncate(MAX_ANSWER_BYTES);
    Ok(Answer {
        status: head.status,
        body,
    })
}

async fn exchange(request: reqwest::RequestBuilder, within: Duration) -> Result<Answer, CallError> {
    let deadline = Instant::now() + within;
    let response = timeout_at(deadline, request.send())
        .await
        .map_err(|_| CallError::Timeout(within))?
        .map_err(|error| call_error(&error))?;
    let status = response.status();
    let mut body = BytesMut::new();
    let mut chunks = response.bytes_stream();
    // The status is what counts: a service whose 2xx arrived has acknowledged, whatever happens to
    // the rest.
    while let Ok(Some(Ok(chunk))) = timeout_at(deadline, chunks.next()).await {
        let room = MAX_ANSWER_BYTES - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() >= MAX_ANSWER_BYTES {
            break;
        }
    }
    Ok(Answer {
        status,
        body: body.freeze(),
    })
}

/// What went wrong with a request, without its url.
pub(in crate::appservices) fn call_error(error: &reqwest::Error) -> CallError {
    // The url may carry the token; the sources say what happened without it.
    let mut text = String::new();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        text = inner.to_string();
        source = inner.source();
    }
    if text.is_empty() {
        text = "the request failed".to_owned();
    }
    if error.is_connect() {
        CallError::Connect(text)
    } else {
        CallError::Broken(text)
    }
}
