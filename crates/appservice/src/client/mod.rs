//! The service's way to the homeserver: one request, one typed answer or one typed error.
//!
//! [`Client::call`] makes one attempt; [`Client::ask`] obeys rate limits and tries again what may help, within a
//! bound. Messages go through the outbox instead, which tries for as long as it takes. The token is never masked by a
//! device: acting as a user is said call by call.

mod contact;
pub mod gate;
mod http;
pub mod limiter;
pub mod retry_after;

use std::{
    collections::HashMap,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ::http::{HeaderValue, Method, Request, Response, StatusCode, header};
use bytes::Bytes;
use parking_lot::Mutex;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::{sync::watch, time::Instant};
use tracing::Instrument as _;

pub(crate) use self::http::HttpTransport;
use self::{
    contact::Contact,
    gate::Gate,
    limiter::{Class, Limiter, Outcome, Target},
};
use crate::{
    error::Error,
    id::UserId,
    metrics::{Metrics, catalogue::LIMIT_WAIT_SECONDS},
    surroundings::{Surroundings, Transport},
    trace::{self, Trace},
};
use bridgehead_registration::Secret;

/// Bytes of a JSON answer at most; the state of a large room is the largest.
const MAX_JSON_BYTES: usize = 64 << 20;

/// Accounts whose limits are remembered.
const LIMITED_ACCOUNTS: NonZeroUsize = NonZeroUsize::new(10_000).expect("not zero");

/// The longest that a limit is obeyed at a time.
const MAX_LIMITED: Duration = Duration::from_secs(600);

/// How often [`Client::ask`] tries.
const ASK_ATTEMPTS: u32 = 6;

/// How long [`Client::ask`] waits between attempts at most.
const ASK_MAX_WAIT: Duration = Duration::from_secs(30);

/// Everything but the unreserved characters of RFC 3986 is escaped in a path.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// One part of a path, escaped.
pub(crate) fn escape(part: &str) -> String {
    utf8_percent_encode(part, UNRESERVED).to_string()
}

/// How urgent a request is; where requests have to wait, more urgent ones go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Urgency {
    /// Messages, and what somebody waits for.
    Message,
    /// Joins, leaves, invitations.
    Membership,
    /// Names and pictures.
    Profile,
    /// History.
    Backfill,
}

/// A request to be.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// From `/_matrix` on, escaped, without a query.
    pub(crate) path: String,
    pub(crate) query: Vec<(&'static str, String)>,
    /// JSON.
    pub(crate) body: Option<Bytes>,
    /// Who acts; `None` is the service's own user.
    pub(crate) user: Option<UserId>,
    pub(crate) urgency: Urgency,
}

impl Call {
    pub(crate) fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            query: Vec::new(),
            body: None,
            user: None,
            urgency: Urgency::Message,
        }
    }

    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    pub(crate) fn post(path: impl Into<String>, body: &Value) -> Self {
        Self::new(Method::POST, path).json(body)
    }

    pub(crate) fn put(path: impl Into<String>, body: &Value) -> Self {
        Self::new(Method::PUT, path).json(body)
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.text(body.to_string())
    }

    /// With a body that is JSON already.
    pub(crate) fn text(mut self, body: String) -> Self {
        self.body = Some(Bytes::from(body));
        self
    }

    pub(crate) fn by(mut self, user: Option<&UserId>) -> Self {
        self.user = user.cloned();
        self
    }

    pub(crate) fn query(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.query.push((key, value.into()));
        self
    }

    pub(crate) fn urgency(mut self, urgency: Urgency) -> Self {
        self.urgency = urgency;
        self
    }

    /// What it is called in errors: method and path, without the query.
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// The way to the homeserver as the service; cheap to clone.
#[derive(Clone)]
pub(crate) struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    transport: Arc<dyn Transport>,
    as_token: Secret,
    /// The sender of the registration: the token alone acts as it.
    sender: UserId,
    /// The service's own user; another one than the sender where the registration has it in its namespace.
    bot: UserId,
    surroundings: Surroundings,
    gate: Gate,
    limiter: Mutex<Limiter>,
    metrics: Metrics,
    contact: Contact,
    /// Access tokens of people for whom the service acts.
    tokens: Mutex<HashMap<UserId, Secret>>,
    /// Whether the homeserver was away when it was last asked.
    away: AtomicBool,
    /// How often it has come back.
    comebacks: watch::Sender<u64>,
}

/// What the client is made of.
pub(crate) struct ClientConfig {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) as_token: Secret,
    pub(crate) sender: UserId,
    pub(crate) bot: UserId,
    pub(crate) surroundings: Surroundings,
    /// Requests under way at the same time.
    pub(crate) concurrency: usize,
    pub(crate) metrics: Metrics,
}

impl Client {
    pub(crate) fn new(config: ClientConfig) -> Self {
        Self {
            shared: Arc::new(Shared {
                transport: config.transport,
                as_token: config.as_token,
                sender: config.sender,
                bot: config.bot,
                surroundings: config.surroundings,
                gate: Gate::new(config.concurrency),
                limiter: Mutex::new(Limiter::new(LIMITED_ACCOUNTS, MAX_LIMITED)),
                metrics: config.metrics,
                contact: Contact::default(),
                tokens: Mutex::default(),
                away: AtomicBool::new(false),
                comebacks: watch::Sender::new(0),
            }),
        }
    }

    /// Where requests are counted.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// How the homeserver has answered lately.
    pub(crate) fn contact(&self) -> &Contact {
        &self.shared.contact
    }

    /// The sender of the registration, as which the token alone acts.
    pub(crate) fn sender(&self) -> &UserId {
        &self.shared.sender
    }

    /// Requests as this user are made with their own access token from now on, or not any more.
    pub(crate) fn set_token(&self, user: &UserId, token: Option<Secret>) {
        let mut tokens = self.shared.tokens.lock();
        match token {
            Some(token) => tokens.insert(user.clone(), token),
            None => tokens.remove(user),
        };
    }

    /// Whether requests as this user are made with their own access token.
    pub(crate) fn has_token(&self, user: &UserId) -> bool {
        self.shared.tokens.lock().contains_key(user)
    }

    /// The same by the id's text.
    pub(crate) fn has_token_of(&self, user: Option<&str>) -> bool {
        user.is_some_and(|user| self.shared.tokens.lock().contains_key(user))
    }

    /// When the last of so many calls is likely to be let through, as far as the homeserver has shown its limits.
    pub(crate) fn forecast(&self, user: &UserId, class: Class, calls: u32) -> Duration {
        let target = Target {
            account: user.as_str(),
            class,
        };
        let limiter = self.shared.limiter.lock();
        limiter.forecast(Instant::now(), target, calls)
    }

    /// How often the homeserver was away and has come back, as far as calls have shown.
    pub(crate) fn comebacks(&self) -> watch::Receiver<u64> {
        self.shared.comebacks.subscribe()
    }

    fn note_reach(&self, is_there: bool) {
        let was_away = self.shared.away.swap(!is_there, Ordering::Relaxed);
        if was_away && is_there {
            self.shared.comebacks.send_modify(|count| *count += 1);
        }
    }

    /// One attempt, with the answer's JSON read as `T`.
    ///
    /// # Errors
    /// No answer, a refusal, or an answer that makes no sense.
    pub(crate) async fn call<T: DeserializeOwned>(&self, call: &Call) -> Result<T, Error> {
        let response = self.send(call, MAX_JSON_BYTES).await?;
        serde_json::from_slice(response.body()).map_err(|error| Error::Nonsense {
            what: call.name(),
            why: error.to_string(),
        })
    }

    /// The same, tried again a few times where that may help.
    ///
    /// # Errors
    /// As [`Client::call`], of the last attempt.
    pub(crate) async fn ask<T: DeserializeOwned>(&self, call: &Call) -> Result<T, Error> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let error = match self.call(call).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if !error.is_transient() || attempt >= ASK_ATTEMPTS {
                return Err(error);
            }
            let wait = self.wait_before_retry(&error, attempt);
            tracing::debug!(call = call.name(), %error, ?wait, "trying again");
            tokio::time::sleep(wait).await;
        }
    }

    /// How long to wait after the `attempt`th failure.
    pub(crate) fn wait_before_retry(&self, error: &Error, attempt: u32) -> Duration {
        let told = match error {
            Error::Refused { retry_after, .. } => *retry_after,
            _ => None,
        };
        told.unwrap_or_else(|| {
            let base = 250_u64 << attempt.min(7);
            let jitter = self.shared.surroundings.randomness.below(base / 2 + 1);
            Duration::from_millis(base / 2 + jitter)
        })
        .min(ASK_MAX_WAIT)
    }

    /// One attempt; gives back the whole response of a success.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub(crate) async fn send(
        &self,
        call: &Call,
        max_bytes: usize,
    ) -> Result<Response<Bytes>, Error> {
        let span = tracing::info_span!(
            "call",
            call = call.name(),
            user = call.user.as_ref().map(tracing::field::display),
        );
        let answer = self.answer(call, max_bytes).instrument(span).await;
        let now_ms = self.shared.surroundings.clock.now_ms();
        self.shared.contact.note(&answer, now_ms);
        answer
    }

    async fn answer(&self, call: &Call, max_bytes: usize) -> Result<Response<Bytes>, Error> {
        let request = self.request(call)?;
        let started = Instant::now();
        let response = self.admitted(call, request, max_bytes).await?;
        let status = response.status().as_u16();
        tracing::debug!(status, took = ?started.elapsed(), "answered");
        if response.status().is_success() {
            return Ok(response);
        }
        let wait = self.named_wait(&response);
        let mut error = refusal(call, &response, wait).without(&self.shared.as_token);
        let tokens = self.shared.tokens.lock();
        if let Some(token) = call.user.as_ref().and_then(|user| tokens.get(user)) {
            error = error.without(token);
        }
        Err(error)
    }

    /// Waits until the request may go, by its urgency and by the limits that the homeserver has shown, and sends it.
    async fn admitted(
        &self,
        call: &Call,
        request: Request<Bytes>,
        max_bytes: usize,
    ) -> Result<Response<Bytes>, Error> {
        let shared = &self.shared;
        let target = Target {
            account: call.user.as_ref().unwrap_or(&shared.bot).as_str(),
            class: Class::of(&call.path),
        };
        self.obey_limits(target).await;
        let _place = shared.gate.enter(call.urgency).await;
        let started = Instant::now();
        let response = shared.transport.call(request, max_bytes).await;
        self.note_reach(response.as_ref().is_ok_and(is_of_homeserver));
        let outcome = match &response {
            Ok(response) if response.status() == StatusCode::TOO_MANY_REQUESTS => {
                Outcome::Limited(self.named_wait(response))
            }
            Ok(response) if !response.status().is_server_error() => Outcome::Admitted,
            Ok(_) | Err(_) => Outcome::Unknown,
        };
        shared
            .limiter
            .lock()
            .observe(Instant::now(), target, started, outcome);
        Ok(response?)
    }

    async fn obey_limits(&self, target: Target<'_>) {
        let mut waited = Duration::ZERO;
        loop {
            let wait = self.shared.limiter.lock().take(Instant::now(), target);
            if wait.is_zero() {
                break;
            }
            tokio::time::sleep(wait).await;
            waited += wait;
        }
        if !waited.is_zero() {
            let metrics = &self.shared.metrics;
            metrics.record(&LIMIT_WAIT_SECONDS, &[], waited.as_secs_f64());
        }
    }

    /// The wait that a refusal names (specification, *Rate limiting*).
    fn named_wait(&self, response: &Response<Bytes>) -> Option<Duration> {
        let body: Value = serde_json::from_slice(response.body()).unwrap_or_default();
        let in_body = body.get("retry_after_ms").and_then(Value::as_f64);
        let header = response.headers().get(header::RETRY_AFTER);
        retry_after::retry_after(
            in_body.map(|ms| ms.max(0.0) as u64),
            header.and_then(|header| header.to_str().ok()),
            self.shared.surroundings.clock.now_ms(),
        )
    }

    fn request(&self, call: &Call) -> Result<Request<Bytes>, Error> {
        let mut uri = call.path.clone();
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(call.query.iter().map(|(key, value)| (*key, value.as_str())));
        // The service's own user needs no mask; homeservers that know the sender only as such refuse one.
        let user = call.user.as_ref().unwrap_or(&self.shared.bot);
        let tokens = self.shared.tokens.lock();
        // A person's own token says who acts.
        let own_token = call.user.as_ref().and_then(|user| tokens.get(user));
        if *user != self.shared.sender && own_token.is_none() {
            query.append_pair("user_id", user.as_str());
        }
        let query = query.finish();
        if !query.is_empty() {
            uri.push('?');
            uri.push_str(&query);
        }
        let no_request = |error: &dyn std::fmt::Display| {
            Error::Unsupported(format!("{} cannot be asked: {error}", call.name()))
        };
        let token = own_token.unwrap_or(&self.shared.as_token).expose();
        let token = format!("Bearer {token}");
        let mut token = HeaderValue::try_from(token).map_err(|error| no_request(&error))?;
        // What prints headers does not print this one.
        token.set_sensitive(true);
        let mut request = Request::builder()
            .method(call.method.clone())
            .uri(uri)
            .header(header::AUTHORIZATION, token);
        if let Some(trace) = Trace::current() {
            request = request.header(trace::HEADER, trace.as_str());
        }
        if call.body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        request
            .body(call.body.clone().unwrap_or_default())
            .map_err(|error| no_request(&error))
    }
}

/// Whether a response is the homeserver's, and not of a proxy before it which finds nobody there.
fn is_of_homeserver(response: &Response<Bytes>) -> bool {
    match response.status() {
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            let body = serde_json::from_slice::<Value>(response.body());
            body.is_ok_and(|body| body.get("errcode").is_some_and(Value::is_string))
        }
        _ => true,
    }
}

/// The error that a response which is no success stands for.
fn refusal(call: &Call, response: &Response<Bytes>, retry_after: Option<Duration>) -> Error {
    let body: Value = serde_json::from_slice(response.body()).unwrap_or_default();
    let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default();
    let message = match text("error") {
        "" => {
            String::from_utf8_lossy(&response.body()[..response.body().len().min(300)]).into_owned()
        }
        message => message.chars().take(300).collect(),
    };
    Error::Refused {
        what: call.name(),
        status: response.status().as_u16(),
        errcode: text("errcode").chars().take(100).collect(),
        message,
        retry_after,
    }
}

#[cfg(test)]
mod tests;
