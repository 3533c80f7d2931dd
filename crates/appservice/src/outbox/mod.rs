//! The outbox: what is sent has its transaction id before the first attempt and keeps it, through timeouts and crashes,
//! so nothing is there twice; and each room is sent to in order.
//!
//! A send is named by a *key*: the event that a handler worked on and the place in the handler, or the remote
//! network's own message id. Asking for the same key again is asking for the same send, and gives back the same event.

mod outgoing;

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

use futures_util::{FutureExt as _, future::BoxFuture};
use http::Method;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::{oneshot, watch};
use tracing::Instrument as _;

use self::outgoing::urgency_of;
pub(crate) use self::outgoing::{Outgoing, What};
use crate::{
    Error,
    client::{Call, Client},
    core::{Core, Limits},
    id::{EventId, UserId},
    lanes::{LaneRow, LaneWork, Lanes, Step},
    metrics::catalogue::{SEND_RETRIES, SEND_SECONDS, SENDS},
    store::{NewOutboxRow, OutboxRow, OutboxState, Result as StoreResult, Store, Tx, Unit},
    surroundings::{Surroundings, TransportError},
    trace::Trace,
};

/// The longest wait between two attempts at a send.
const MAX_WAIT: Duration = Duration::from_secs(60);

impl LaneRow for OutboxRow {
    fn id(&self) -> i64 {
        self.id
    }
}

type Waiters = HashMap<String, Vec<oneshot::Sender<Answer>>>;

type Answer = Result<Option<EventId>, Error>;

/// Somebody who waits for a send; who stops waiting leaves nothing behind.
struct Waiting<'a> {
    waiters: &'a Mutex<Waiters>,
    key: &'a str,
    answer: oneshot::Receiver<Answer>,
}

impl<'a> Waiting<'a> {
    fn new(sending: &'a Sending, key: &'a str) -> Self {
        let (waiter, answer) = oneshot::channel();
        let waiters = &sending.waiters;
        waiters
            .lock()
            .entry(key.to_owned())
            .or_default()
            .push(waiter);
        Self {
            waiters,
            key,
            answer,
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.answer.close();
        let mut table = self.waiters.lock();
        if let Some(waiters) = table.get_mut(self.key) {
            waiters.retain(|waiter| !waiter.is_closed());
            if waiters.is_empty() {
                table.remove(self.key);
            }
        }
    }
}

/// The outbox of a running service; cheap to clone.
#[derive(Clone)]
pub(crate) struct Outbox {
    store: Store,
    lanes: Lanes<Sending>,
    surroundings: Surroundings,
    stop: watch::Receiver<bool>,
}

/// What is done with the outbox's rows.
pub(crate) struct Sending {
    store: Store,
    client: Client,
    surroundings: Surroundings,
    give_up_after: Duration,
    /// When the service started.
    began_ms: i64,
    waiters: Mutex<Waiters>,
    /// Sees to what a refused send lacks. Set when the service starts.
    core: OnceLock<Weak<Core>>,
}

impl Outbox {
    pub(crate) fn new(
        store: Store,
        client: Client,
        surroundings: Surroundings,
        limits: &Limits,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let sending = Sending {
            store: store.clone(),
            client,
            surroundings: surroundings.clone(),
            give_up_after: limits.give_up_after,
            began_ms: surroundings.clock.now_ms(),
            waiters: Mutex::default(),
            core: OnceLock::new(),
        };
        Self {
            store,
            lanes: Lanes::new(sending, limits.send_concurrency),
            surroundings,
            stop,
        }
    }

    /// From now on, what fails for want of a membership or of power is mended.
    pub(crate) fn attach(&self, core: &Arc<Core>) {
        self.lanes.work().core.set(Arc::downgrade(core)).ok();
    }

    /// Begins with what waits from before.
    pub(crate) async fn begin(&self) -> StoreResult<()> {
        for (lane, _) in self.store.read(|unit| unit.outbox_lanes()).await? {
            self.lanes.wake(&lane);
        }
        Ok(())
    }

    /// Stores a send and waits until the homeserver has taken it; gives back the event it made. One that is known by
    /// its key is not made again; one that was given up is tried again, under its own transaction id.
    ///
    /// # Errors
    /// The homeserver's final no, that it was given up, or that the service ends (it will be sent at the next start).
    pub(crate) async fn send(&self, outgoing: &Outgoing) -> Result<Option<EventId>, Error> {
        let mut waiting = Waiting::new(self.lanes.work(), &outgoing.key);
        let stored = self.store_row(outgoing.row()).await;
        let known = match stored {
            Ok(row) => finished(&row),
            Err(error) => Some(Err(error)),
        };
        if let Some(known) = known {
            self.lanes.work().answer(&outgoing.key, &known);
            return known;
        }
        let mut stop = self.stop.clone();
        tokio::select! {
            answer = &mut waiting.answer => answer.unwrap_or(Err(Error::Stopping)),
            _ = stop.wait_for(|stop| *stop) => Err(Error::Stopping),
        }
    }

    /// The event that the send of this key has made, if it was sent.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub(crate) async fn sent(&self, key: &str) -> Result<Option<EventId>, Error> {
        let key = key.to_owned();
        let row = self
            .store
            .read(move |unit| unit.outbox_by_key(&key))
            .await?;
        match row.map(|row| row.state) {
            Some(OutboxState::Done(Some(event))) => Ok(Some(EventId::parse(&event)?)),
            _ => Ok(None),
        }
    }

    /// Stores a send, and does not wait for it.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub(crate) async fn enqueue(&self, outgoing: &Outgoing) -> Result<(), Error> {
        self.store_row(outgoing.row()).await.map(drop)
    }

    /// Adds a send to what is written with an event's consumption: it is sent if, and only if, that is committed.
    pub(crate) fn enqueue_with(&self, tx: &Tx, outgoing: &Outgoing) {
        let (row, now_ms) = (outgoing.row(), self.surroundings.clock.now_ms());
        let lanes = self.lanes.clone();
        tx.push(move |unit| insert(unit, &lanes, &row, now_ms).map(drop));
    }

    /// Whether nothing waits to be sent.
    pub(crate) fn is_idle(&self) -> bool {
        self.lanes.busy() == 0
    }

    /// Ends waits between attempts.
    pub(crate) fn hurry(&self) {
        self.lanes.hurry();
    }

    /// Begins no further request.
    pub(crate) fn halt(&self) {
        self.lanes.halt();
    }

    /// Lets requests under way finish, for a while, and begins no other.
    pub(crate) async fn stop(&self, grace: Duration) {
        self.lanes.stop(grace).await;
    }

    async fn store_row(&self, row: NewOutboxRow) -> Result<OutboxRow, Error> {
        let (now_ms, lanes) = (self.surroundings.clock.now_ms(), self.lanes.clone());
        let stored = self
            .store
            .write(move |unit| insert(unit, &lanes, &row, now_ms));
        Ok(stored.await?)
    }
}

/// Stores a send, and has its lane look for it. That is done here and not by whoever waits for the commit, who may be
/// gone by then; lanes are read behind the commit.
fn insert(
    unit: &Unit<'_>,
    lanes: &Lanes<Sending>,
    row: &NewOutboxRow,
    now_ms: i64,
) -> StoreResult<OutboxRow> {
    let (stored, is_new) = unit.insert_outbox(row, now_ms)?;
    if is_new {
        lanes.wake(&stored.send.lane);
    }
    Ok(stored)
}

/// How a stored send ended, if it has.
fn finished(row: &OutboxRow) -> Option<Result<Option<EventId>, Error>> {
    match &row.state {
        OutboxState::Pending => None,
        OutboxState::Done(event) => {
            Some(Ok(event.as_deref().and_then(|id| EventId::parse(id).ok())))
        }
        OutboxState::Failed(last) => Some(Err(Error::GivenUp {
            attempts: row.attempts,
            last: last.clone(),
        })),
    }
}

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
        match self.put(row).await {
            Ok(event_id) => {
                let (id, now_ms) = (row.id, self.surroundings.clock.now_ms());
                let event = event_id.clone();
                self.store
                    .write_later(move |unit| {
                        unit.complete_outbox(id, event.as_ref().map(EventId::as_str), now_ms)
                    })
                    .await;
                self.answer(&row.send.key, &Ok(event_id));
                let metrics = self.client.metrics();
                metrics.count(&SENDS, &["sent"], 1);
                metrics.record(&SEND_SECONDS, &[], self.age(row).as_secs_f64());
                Step::Next
            }
            Err(error) => self.failed(row, error).await,
        }
    }

    async fn put(&self, row: &OutboxRow) -> Result<Option<EventId>, Error> {
        let mut body: Value = serde_json::from_str(&row.send.body).unwrap_or_default();
        let user = row.send.user_id.as_deref().map(UserId::parse).transpose()?;
        if let Some(user) = &user {
            self.client.puppets().mark(user, &mut body);
        }
        let mut call = Call::new(Method::PUT, row.send.path.clone())
            .text(row.send.body.clone())
            .by(user.as_ref())
            .urgency(urgency_of(row.send.urgency));
        if let Some(ts) = row.send.ts_ms {
            call = call.query("ts", ts.to_string());
        }
        let answer: Value = self.client.call(&call).await?;
        let event_id = answer.get("event_id").and_then(Value::as_str);
        Ok(event_id.map(EventId::parse).transpose()?)
    }

    /// After a no, once: sees to what was missing. `None`: another attempt may help; else the error that stays.
    async fn mend(&self, row: &mut OutboxRow, error: Error) -> Option<Error> {
        if error.status() != Some(403) || row.is_mended {
            return Some(error);
        }
        let core = self.core.get().and_then(Weak::upgrade);
        let (Some(core), Some(outgoing)) = (core, Outgoing::of(row)) else {
            return Some(error);
        };
        match core.repair(&outgoing).await {
            Ok(()) => {
                row.is_mended = true;
                None
            }
            Err(Error::Stopping) => Some(Error::Stopping),
            // What is only a matter of time is tried again with the send.
            Err(why) if why.is_transient() => Some(why),
            // The room's rules say more than the homeserver has.
            Err(why @ Error::Forbidden(_)) => Some(why),
            Err(_) => Some(error),
        }
    }

    /// For how long it has been in the outbox.
    fn age(&self, row: &OutboxRow) -> Duration {
        self.since(row.created_ms)
    }

    /// For how long it has been in the outbox while the service ran: the days when it was off do not count.
    fn tried_for(&self, row: &OutboxRow) -> Duration {
        self.since(row.created_ms.max(self.began_ms))
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
        // A token that is refused is the operator's mistake, which can be mended: nothing is lost for it. A person's
        // own is gone for good, and others wait behind.
        let user = row.send.user_id.as_deref().map(UserId::parse);
        let is_ours = user
            .is_none_or(|user| user.is_ok_and(|user| self.client.puppets().token(&user).is_none()));
        let may_help = error.is_transient() || (error.status() == Some(401) && is_ours);
        if may_help && self.tried_for(row) < self.give_up_after {
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
        self.store
            .write_later(move |unit| unit.give_up_outbox(id, attempts, &text, now_ms))
            .await;
        self.answer(&row.send.key, &Err(error));
        self.client.metrics().count(&SENDS, &["given_up"], 1);
        Step::Next
    }

    fn answer(&self, key: &str, outcome: &Result<Option<EventId>, Error>) {
        for waiter in self.waiters.lock().remove(key).unwrap_or_default() {
            // Who has stopped waiting does not want to know.
            waiter.send(outcome.clone()).ok();
        }
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

#[cfg(test)]
mod tests;
