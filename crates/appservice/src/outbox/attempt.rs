//! The attempts at a send: the request, what comes of it, when it is tried again or given up.

use std::{sync::Weak, time::Duration};

use futures_util::{FutureExt as _, future::BoxFuture};
use http::Method;
use serde_json::Value;
use tracing::Instrument as _;

use super::{MAX_ALONE, MAX_WAIT, Outgoing, Sending, outgoing::urgency_of};
use crate::{
    Error,
    client::Call,
    id::{EventId, UserId},
    lanes::{LaneWork, Step},
    metrics::catalogue::{SEND_RETRIES, SEND_SECONDS, SENDS},
    store::{OutboxRow, Result as StoreResult},
    surroundings::TransportError,
    trace::Trace,
};

impl LaneWork for Sending {
    type Row = OutboxRow;

    fn load<'a>(
        &'a self,
        lane: &'a str,
        after: i64,
        limit: usize,
    ) -> BoxFuture<'a, StoreResult<Vec<OutboxRow>>> {
        let lane = lane.to_owned();
        // Behind what was handed in: a lane is woken before the commit of its new sends, and what it has done before
        // may be handed in and not committed yet.
        self.store
            .read_behind(move |unit| unit.outbox_lane(&lane, after, limit))
            .boxed()
    }

    fn work<'a>(&'a self, row: &'a mut OutboxRow) -> BoxFuture<'a, Step> {
        let trace = row.send.trace.as_deref().and_then(Trace::parse);
        let span = tracing::info_span!(
            "send",
            service = self.client.metrics().service(),
            room.id = %row.send.lane,
            attempt = row.attempts + 1,
            trace.id = trace.as_ref().map(Trace::id),
        );
        Trace::around(trace, self.attempt(row).instrument(span)).boxed()
    }
}

impl Sending {
    async fn attempt(&self, row: &mut OutboxRow) -> Step {
        let call = match self.call_of(row) {
            Ok(call) => call,
            Err(error) => return self.failed(row, error).await,
        };
        // Here, and not with the call: whoever waits for a limited user would keep a place from everybody else's rooms.
        let call = match self.client.admit(call) {
            Ok(call) => call,
            Err(wait) => return Step::Again(wait.min(MAX_WAIT)),
        };
        row.tries
            .first_ms
            .get_or_insert(self.surroundings.clock.now_ms());
        match self.put(&call).await {
            Ok(event_id) => {
                let (id, now_ms) = (row.id, self.surroundings.clock.now_ms());
                let event = event_id.clone();
                self.store
                    .write_later(move |unit| {
                        unit.complete_outbox(id, event.as_ref().map(EventId::as_str), now_ms)
                    })
                    .await;
                self.answer(&row.send.key, &Ok(event_id));
                if row.tries.is_mended
                    && let Some(core) = self.core.get().and_then(Weak::upgrade)
                    && let Some(outgoing) = Outgoing::of(row)
                {
                    core.repair_helped(&outgoing);
                }
                let metrics = self.client.metrics();
                metrics.count(&SENDS, &["sent"], 1);
                metrics.record(&SEND_SECONDS, &[], self.age(row).as_secs_f64());
                Step::Next
            }
            Err(error) => self.failed(row, error).await,
        }
    }

    fn call_of(&self, row: &OutboxRow) -> Result<Call, Error> {
        let user = row.send.user_id.as_deref().map(UserId::parse).transpose()?;
        let mut call = Call::new(Method::PUT, row.send.path.clone())
            .text(self.body(row, user.as_ref()))
            .by(user.as_ref())
            .urgency(urgency_of(row.send.urgency));
        if let Some(ts) = row.send.ts_ms {
            call = call.query("ts", ts.to_string());
        }
        Ok(call)
    }

    async fn put(&self, call: &Call) -> Result<Option<EventId>, Error> {
        let answer: Value = self.client.call(call).await?;
        let event_id = answer.get("event_id").and_then(Value::as_str);
        let event_id = event_id.map(EventId::parse).transpose();
        event_id.map_err(|error| Error::Nonsense {
            what: call.name(),
            why: error.to_string(),
        })
    }

    /// What is sent; as a person it is marked.
    fn body(&self, row: &OutboxRow, user: Option<&UserId>) -> String {
        let puppets = self.client.puppets();
        match user.filter(|user| puppets.has(user)) {
            Some(user) => {
                let mut body = serde_json::from_str(&row.send.body).unwrap_or_default();
                puppets.mark(user, &mut body);
                body.to_string()
            }
            None => row.send.body.clone(),
        }
    }

    /// After a no, once: sees to what was missing. `None`: another attempt may help; else the error that stays.
    async fn mend(&self, row: &mut OutboxRow, error: Error) -> Option<Error> {
        if error.status() != Some(403) || row.tries.is_mended {
            return Some(error);
        }
        let core = self.core.get().and_then(Weak::upgrade);
        let (Some(core), Some(outgoing)) = (core, Outgoing::of(row)) else {
            return Some(error);
        };
        match core.repair(&outgoing, &error).await {
            Ok(()) => {
                row.tries.is_mended = true;
                None
            }
            Err(Error::Stopping) => Some(Error::Stopping),
            // What is only a matter of time is tried again with the send.
            Err(why) if why.may_pass() => Some(why),
            // The room's rules say more than the homeserver has.
            Err(why @ Error::Forbidden(_)) => Some(why),
            Err(_) => Some(error),
        }
    }

    /// For how long it has been in the outbox.
    fn age(&self, row: &OutboxRow) -> Duration {
        self.since(row.created_ms)
    }

    /// For how long it has been tried. The time that it waited behind others, or while the service was off, does not
    /// count.
    fn tried_for(&self, row: &OutboxRow) -> Duration {
        row.tries
            .first_ms
            .map_or(Duration::ZERO, |first_ms| self.since(first_ms))
    }

    fn since(&self, then_ms: i64) -> Duration {
        let ms = self.surroundings.clock.now_ms().saturating_sub(then_ms);
        Duration::from_millis(u64::try_from(ms).unwrap_or(0))
    }

    async fn failed(&self, row: &mut OutboxRow, error: Error) -> Step {
        let error = match self.mend(row, error).await {
            None => return Step::Again(Duration::ZERO),
            Some(Error::Stopping) => return Step::Stop,
            Some(error) => error,
        };
        row.attempts += 1;
        let now_ms = self.surroundings.clock.now_ms();
        let (id, attempts, text) = (row.id, row.attempts, error.to_string());
        if self.may_help(row, &error) {
            let cause = cause_of(&error);
            self.client.metrics().count(&SEND_RETRIES, &[cause], 1);
            let wait = self
                .client
                .wait_before_retry(&error, attempts)
                .min(MAX_WAIT);
            tracing::debug!(%error, attempts, ?wait, "not sent; it will be tried again");
            self.store
                .write_later(move |unit| unit.fail_outbox(id, attempts, &text))
                .await;
            return Step::Again(wait);
        }
        tracing::warn!(%error, attempts, "not sent, and given up");
        let is_lost = matches!(error, Error::PuppetLost(_));
        self.store
            .write_later(move |unit| match is_lost {
                // The same may be said by a ghost, under the same name.
                true => unit.delete_outbox(id),
                false => unit.give_up_outbox(id, attempts, &text, now_ms),
            })
            .await;
        self.answer(&row.send.key, &Err(error));
        self.client.metrics().count(&SENDS, &["given_up"], 1);
        Step::Next
    }

    /// Whether it is to be tried again.
    fn may_help(&self, row: &mut OutboxRow, error: &Error) -> bool {
        // It is only a matter of time, and the homeserver says so itself.
        if error.is_rate_limit() {
            return true;
        }
        // A token that is refused is the operator's mistake, which can be mended: nothing is lost for it. A person's
        // own is gone for good, and others wait behind.
        let user = row.send.user_id.as_deref().map(UserId::parse);
        let is_ours = user
            .is_none_or(|user| user.is_ok_and(|user| self.client.puppets().token(&user).is_none()));
        let may_pass = error.may_pass() && (is_ours || error.status() != Some(401));
        may_pass && self.tried_for(row) < self.give_up_after && !self.is_poison(row, error)
    }

    /// Whether the homeserver fails over this send and over nothing else: then the room must not wait for it.
    fn is_poison(&self, row: &mut OutboxRow, error: &Error) -> bool {
        let before_ms = row
            .tries
            .failed_ms
            .replace(self.surroundings.clock.now_ms());
        let wrote_ms = self.client.contact().wrote_ms();
        let does_others = before_ms.is_some_and(|before_ms| wrote_ms >= Some(before_ms));
        if is_of_this(error) && does_others {
            row.tries.alone += 1;
        }
        row.tries.alone >= MAX_ALONE
    }

    pub(super) fn answer(&self, key: &str, outcome: &Result<Option<EventId>, Error>) {
        for waiter in self.waiters.lock().remove(key).unwrap_or_default() {
            // Who has stopped waiting does not want to know.
            waiter.send(outcome.clone()).ok();
        }
    }
}

/// Whether an error can be about what was sent: not where the homeserver, or a part of it, is away.
fn is_of_this(error: &Error) -> bool {
    match error {
        Error::Nonsense { .. } => true,
        error => error
            .status()
            .is_some_and(|status| status >= 500 && !(502..=504).contains(&status)),
    }
}

/// Why a send has to be tried again, in the words of the metrics.
fn cause_of(error: &Error) -> &'static str {
    match error {
        error if error.is_rate_limit() => "limited",
        Error::Transport(TransportError::Unreachable(_)) => "unreachable",
        Error::Transport(TransportError::Timeout(_)) => "timeout",
        error if error.status().is_some_and(|status| status >= 500) => "5xx",
        _ => "other",
    }
}
