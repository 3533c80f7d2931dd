//! The service's way to the homeserver: one request, one typed answer or one typed error.
//!
//! [`Client::call`] makes one attempt; [`Client::ask`] obeys rate limits and tries again what may help, within a
//! bound. Messages go through the outbox instead, which tries for as long as it takes. The token is never masked by a
//! device: acting as a user is said call by call. Calls as a person who has given the service a token of their own go
//! with that one.

mod call;
mod contact;
mod gate;
mod http;
pub(crate) mod limiter;
mod request;
pub(crate) mod retry_after;

use std::{
    future::Future,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ::http::{Method, Request, Response, StatusCode, header};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::{sync::watch, time::Instant};
use tracing::Instrument as _;

pub use self::call::Urgency;
pub(crate) use self::{
    call::{Call, Token, escape},
    http::{HttpTransport, is_local},
};
use self::{
    contact::Contact,
    gate::Gate,
    limiter::{Class, Limiter, Outcome, Target},
    request::{Answer, Identity, class_of, is_of_homeserver, refusal, request, split},
};
use crate::{
    bridge::puppets::PuppetTable,
    error::Error,
    id::UserId,
    metrics::{Metrics, catalogue::LIMIT_WAIT_SECONDS},
    surroundings::{BodyStream, Surroundings, Transport, TransportError},
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
    puppets: Arc<PuppetTable>,
    surroundings: Surroundings,
    gate: Gate,
    limiter: Mutex<Limiter>,
    metrics: Metrics,
    contact: Contact,
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
    pub(crate) puppets: Arc<PuppetTable>,
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
                puppets: config.puppets,
                surroundings: config.surroundings,
                gate: Gate::new(config.concurrency),
                limiter: Mutex::new(Limiter::new(LIMITED_ACCOUNTS, MAX_LIMITED)),
                metrics: config.metrics,
                contact: Contact::default(),
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
        self.retried(call, || self.call(call)).await
    }

    /// The same for a success whose body is read piece by piece, or a redirection.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub(crate) async fn open(
        &self,
        call: &Call,
        max_bytes: usize,
    ) -> Result<Response<BodyStream>, Error> {
        self.retried(call, || self.open_once(call, max_bytes)).await
    }

    async fn retried<T, F, Attempt>(&self, call: &Call, attempt: F) -> Result<T, Error>
    where
        F: Fn() -> Attempt + Send + Sync,
        Attempt: Future<Output = Result<T, Error>> + Send,
    {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let error = match attempt().await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if !error.is_transient() || attempts >= ASK_ATTEMPTS {
                return Err(error);
            }
            let wait = self.wait_before_retry(&error, attempts);
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
        let transport = &self.shared.transport;
        let sent = self.exchange(call, |request| async move {
            Ok((transport.call(request, max_bytes).await?, None))
        });
        let (response, _) = sent.await?;
        Ok(response)
    }

    async fn open_once(
        &self,
        call: &Call,
        max_bytes: usize,
    ) -> Result<Response<BodyStream>, Error> {
        let transport = &self.shared.transport;
        let opened = self.exchange(call, |request| async move {
            split(transport.open(request, max_bytes).await?).await
        });
        let (response, body) = opened.await?;
        Ok(response.map(|_| body.unwrap_or_else(|| stream::empty().boxed())))
    }

    /// Sends a request by that way, and notes how it went. Gives back what is no refusal.
    async fn exchange<F, Sending>(&self, call: &Call, send: F) -> Result<Answer, Error>
    where
        F: FnOnce(Request<Bytes>) -> Sending + Send,
        Sending: Future<Output = Result<Answer, TransportError>> + Send,
    {
        let span = tracing::info_span!(
            "call",
            call = call.name(),
            user = call.user.as_ref().map(tracing::field::display),
        );
        let identity = self.identity(call);
        let answer = self.answer(call, &identity, send).instrument(span).await;
        // A no to somebody else's token says nothing of the service's.
        if answer.is_ok() || matches!(identity, Identity::Service(..)) {
            let now_ms = self.shared.surroundings.clock.now_ms();
            self.shared.contact.note(&answer, now_ms);
            if answer.is_ok() && call.method != Method::GET {
                self.shared.contact.note_written(now_ms);
            }
        }
        answer
    }

    async fn answer<F, Sending>(
        &self,
        call: &Call,
        identity: &Identity<'_>,
        send: F,
    ) -> Result<Answer, Error>
    where
        F: FnOnce(Request<Bytes>) -> Sending + Send,
        Sending: Future<Output = Result<Answer, TransportError>> + Send,
    {
        let request = request(call, identity)?;
        let started = Instant::now();
        let (response, body) = self.admitted(call, send(request)).await?;
        let status = response.status();
        tracing::debug!(status = status.as_u16(), took = ?started.elapsed(), "answered");
        // A redirection's body is never of use, but where it leads may be.
        if status.is_success() || (body.is_some() && status.is_redirection()) {
            return Ok((response, body));
        }
        let mut error = refusal(call, &response, self.named_wait(&response));
        if let Some(token) = identity.token() {
            error = error.without(token);
        }
        Err(self.without_lost(identity, error))
    }

    /// Waits until the request may go, by its urgency and by the limits that the homeserver has shown, and sends it.
    async fn admitted(
        &self,
        call: &Call,
        sending: impl Future<Output = Result<Answer, TransportError>> + Send,
    ) -> Result<Answer, Error> {
        let shared = &self.shared;
        let target = self.target(call);
        if !call.is_admitted {
            self.obey_limits(target).await;
        }
        let _place = shared.gate.enter(call.urgency).await;
        let started = Instant::now();
        let answer = sending.await;
        let response = answer.as_ref().map(|(response, _)| response);
        self.note_reach(response.is_ok_and(is_of_homeserver));
        let outcome = match response {
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
        Ok(answer?)
    }

    /// A person's token that is no longer good is forgotten.
    fn without_lost(&self, identity: &Identity<'_>, error: Error) -> Error {
        let is_unknown_token =
            error.status() == Some(401) && error.errcode() == Some("M_UNKNOWN_TOKEN");
        match identity {
            Identity::Person(user, token) if is_unknown_token => {
                self.shared.puppets.lose(user, token);
                Error::PuppetLost((*user).clone())
            }
            _ => error,
        }
    }

    /// The persons whom the service acts for.
    pub(crate) fn puppets(&self) -> &PuppetTable {
        &self.shared.puppets
    }

    fn target<'a>(&'a self, call: &'a Call) -> Target<'a> {
        Target {
            account: call.user.as_ref().unwrap_or(&self.shared.bot).as_str(),
            class: class_of(call),
        }
    }

    /// Counts a call as made, by the limits that the homeserver has shown: making it then waits for none of them. An
    /// error says how long to wait before asking again.
    pub(crate) fn admit(&self, mut call: Call) -> Result<Call, Duration> {
        let target = self.target(&call);
        let wait = self.shared.limiter.lock().take(Instant::now(), target);
        if !wait.is_zero() {
            let metrics = &self.shared.metrics;
            metrics.record(&LIMIT_WAIT_SECONDS, &[], wait.as_secs_f64());
            return Err(wait);
        }
        call.is_admitted = true;
        Ok(call)
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

    fn identity<'a>(&'a self, call: &'a Call) -> Identity<'a> {
        let shared = &self.shared;
        match &call.token {
            Token::None => return Identity::Nobody,
            Token::Given(token) => return Identity::Holder(token),
            Token::Actors => {}
        }
        if let Some(user) = &call.user
            && let Some(token) = shared.puppets.token(user)
        {
            return Identity::Person(user, token);
        }
        // The service's own user needs no mask; homeservers that know the sender only as such refuse one. With a device
        // it needs one: Synapse (1.163) looks for the devices of nobody without.
        let user = call.user.as_ref().unwrap_or(&shared.bot);
        let mask = (*user != shared.sender || call.names_device()).then_some(user);
        Identity::Service(&shared.as_token, mask)
    }
}

#[cfg(test)]
mod tests;
