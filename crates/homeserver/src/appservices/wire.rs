//! Requests to an application service: addresses, tokens, dialects, limits.
//!
//! A service of the protocol's first years answers only on paths without `/_matrix/app/v1` and
//! may read its token from the query alone. Which dialect it speaks is found out once, remembered,
//! and looked at again from time to time.

use std::{
    sync::atomic::{AtomicI64, AtomicU8, Ordering},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use http::{Method, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::secret::Secret;

/// Everything but the unreserved characters of RFC 3986 is escaped.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

const LEGACY_PATHS: u8 = 1;
const QUERY_TOKEN: u8 = 2;

/// Bytes of an answer that are read at most; a service has little to say.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// One service's address and how to talk to it.
pub(crate) struct Wire {
    client: reqwest::Client,
    base: String,
    hs_token: Secret,
    always_query_token: bool,
    request_timeout: Duration,
    dialect: AtomicU8,
    /// When the versioned paths were last tried, ms since the epoch.
    probed_at: AtomicI64,
    reprobe_after: Duration,
}

/// Why a request brought no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum CallError {
    /// No connection could be made: wrong address, nobody listens, TLS refused.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The service did not answer in time.
    #[error("no answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// The connection broke before the answer was complete.
    #[error("the connection broke: {0}")]
    Broken(String),
}

/// What a service answered.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: StatusCode,
    /// The body, cut after [`MAX_ANSWER_BYTES`].
    pub(crate) body: Bytes,
}

impl Answer {
    /// The start of the body as text, for people.
    pub(crate) fn head(&self) -> String {
        const SHOWN: usize = 512;
        String::from_utf8_lossy(&self.body[..self.body.len().min(SHOWN)]).into_owned()
    }
}

/// A request to a service, in the current path and, where there was one, in the legacy path.
pub(crate) struct Call<'a> {
    /// GET, PUT or POST.
    pub(crate) method: Method,
    /// Below `/_matrix/app/v1`.
    pub(crate) path: &'a str,
    /// The path of the protocol's first years.
    pub(crate) legacy_path: Option<&'a str>,
    /// Query parameters.
    pub(crate) query: &'a [(String, String)],
    /// JSON body.
    pub(crate) body: Option<Bytes>,
}

/// What a [`Wire`] is made of.
pub(crate) struct WireConfig {
    /// The service's url.
    pub(crate) base: String,
    /// The token to show.
    pub(crate) hs_token: Secret,
    /// The registration asks for the token in the query as well.
    pub(crate) always_query_token: bool,
    /// For the connection.
    pub(crate) connect_timeout: Duration,
    /// For the whole exchange, the answer's last byte included.
    pub(crate) request_timeout: Duration,
    /// How long a legacy dialect is believed.
    pub(crate) reprobe_after: Duration,
    /// The dialect remembered.
    pub(crate) dialect: u8,
}

impl Wire {
    pub(crate) fn new(config: WireConfig) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .connect_timeout(config.connect_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .tcp_nodelay(true)
            .user_agent(concat!("bridgehead/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self {
            client,
            base: config.base,
            hs_token: config.hs_token,
            always_query_token: config.always_query_token,
            request_timeout: config.request_timeout,
            dialect: AtomicU8::new(config.dialect),
            probed_at: AtomicI64::new(0),
            reprobe_after: config.reprobe_after,
        })
    }

    /// The dialect to remember; changes when [`Wire::call`] learnt something.
    pub(crate) fn dialect(&self) -> u8 {
        self.dialect.load(Ordering::Relaxed)
    }

    /// Host and port, to see whether somebody listens there.
    pub(crate) fn authority(&self) -> Option<(String, u16)> {
        let url = url::Url::parse(&self.base).ok()?;
        Some((
            url.host_str()?.trim_matches(['[', ']']).to_owned(),
            url.port_or_known_default()?,
        ))
    }

    /// Sends a request in the service's dialect; finds the dialect out where needed.
    ///
    /// # Errors
    /// When no complete answer came. An answer of any status is an `Ok`.
    pub(crate) async fn call(&self, call: &Call<'_>, now_ms: i64) -> Result<Answer, CallError> {
        let known = self.dialect();
        let stale = Duration::from_millis(
            u64::try_from(now_ms - self.probed_at.load(Ordering::Relaxed)).unwrap_or(0),
        ) >= self.reprobe_after;
        if let (Some(legacy_path), true, false) =
            (call.legacy_path, known & LEGACY_PATHS != 0, stale)
        {
            return self.with_token(call, legacy_path, known).await;
        }

        self.probed_at.store(now_ms, Ordering::Relaxed);
        let versioned = format!("/_matrix/app/v1{}", call.path);
        let answer = self.with_token(call, &versioned, known).await?;
        let Some(legacy_path) = call.legacy_path else {
            return Ok(answer);
        };
        if answer.status.is_success() || !looks_unrouted(&answer) {
            self.dialect.fetch_and(!LEGACY_PATHS, Ordering::Relaxed);
            return Ok(answer);
        }
        let legacy = self.with_token(call, legacy_path, known).await?;
        if legacy.status.is_success() {
            self.dialect.fetch_or(LEGACY_PATHS, Ordering::Relaxed);
        }
        // Where neither path works the current one's answer says more.
        Ok(if looks_unrouted(&legacy) {
            answer
        } else {
            legacy
        })
    }

    /// Header always; the query too where the registration asks for it or the header alone was
    /// refused.
    async fn with_token(
        &self,
        call: &Call<'_>,
        path: &str,
        known: u8,
    ) -> Result<Answer, CallError> {
        let in_query = self.always_query_token || known & QUERY_TOKEN != 0;
        let answer = self.send(call, path, in_query).await?;
        let refused = matches!(
            answer.status,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
        );
        if in_query || !refused {
            return Ok(answer);
        }
        let again = self.send(call, path, true).await?;
        if again.status.is_success() {
            self.dialect.fetch_or(QUERY_TOKEN, Ordering::Relaxed);
            return Ok(again);
        }
        Ok(answer)
    }

    async fn send(
        &self,
        call: &Call<'_>,
        path: &str,
        token_in_query: bool,
    ) -> Result<Answer, CallError> {
        let url = self.url(call.query, path, token_in_query);
        let mut request = self
            .client
            .request(call.method.clone(), url)
            .bearer_auth(self.hs_token.expose());
        if let Some(body) = &call.body {
            request = request
                .header(http::header::CONTENT_TYPE, "application/json")
                .body(body.clone());
        }
        tokio::time::timeout(self.request_timeout, exchange(request))
            .await
            .unwrap_or(Err(CallError::Timeout(self.request_timeout)))
    }

    fn url(&self, query: &[(String, String)], path: &str, token_in_query: bool) -> String {
        let mut pairs = url::form_urlencoded::Serializer::new(String::new());
        pairs.extend_pairs(query);
        if token_in_query {
            pairs.append_pair("access_token", self.hs_token.expose());
        }
        let query = pairs.finish();
        if query.is_empty() {
            format!("{}{path}", self.base)
        } else {
            format!("{}{path}?{query}", self.base)
        }
    }
}

async fn exchange(request: reqwest::RequestBuilder) -> Result<Answer, CallError> {
    let response = request.send().await.map_err(|error| call_error(&error))?;
    let status = response.status();
    let mut body = BytesMut::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        // The status is what counts: a service whose 2xx arrived has acknowledged, whatever
        // happens to the rest.
        let Ok(chunk) = chunk else { break };
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

fn call_error(error: &reqwest::Error) -> CallError {
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

/// Whether an answer says "no such path here", as opposed to the service's own 404.
fn looks_unrouted(answer: &Answer) -> bool {
    matches!(
        answer.status,
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED
    )
}

/// Escapes an id to stand in a path.
pub(crate) fn escape(id: &str) -> String {
    utf8_percent_encode(id, UNRESERVED).to_string()
}
