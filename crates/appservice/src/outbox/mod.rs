//! The outbox: what is sent has its transaction id before the first attempt and keeps it, through timeouts and crashes,
//! so nothing is there twice; and each room is sent to in order.
//!
//! A send is named by a *key*: the event that a handler worked on and the place in the handler, or the remote
//! network's own message id. Asking for the same key again is asking for the same send, and gives back the same event.

mod attempt;
mod given_up;
mod outgoing;

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

pub use self::given_up::GivenUp;
pub(crate) use self::outgoing::{Outgoing, What};
use crate::{
    Error,
    client::Client,
    core::{Core, Limits},
    id::EventId,
    lanes::{LaneRow, Lanes},
    store::{
        NewOutboxRow, OutboxRow, OutboxState, Result as StoreResult, Store, StoreError, Tx, Unit,
    },
    surroundings::Surroundings,
};

/// The longest wait between two attempts at a send.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// How often the homeserver may fail over one send while it does other things. Then that one is set aside: the room's
/// others must not wait a day for it.
const MAX_ALONE: u32 = 20;

impl LaneRow for OutboxRow {
    fn id(&self) -> i64 {
        self.id
    }

    fn rank(&self) -> usize {
        outgoing::urgency_of(self.send.urgency) as usize
    }
}

type Answer = Result<Option<EventId>, Error>;
type Waiters = HashMap<String, Vec<oneshot::Sender<Answer>>>;

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
            self.lanes.wake(&lane, 0);
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

    /// The event that this send has made before.
    ///
    /// # Errors
    /// When another send has had its place in the handler, or the database cannot be used.
    pub(crate) async fn sent_before(&self, outgoing: &Outgoing) -> Result<Option<EventId>, Error> {
        let row = outgoing.row();
        let known = self.store.read(move |unit| {
            let known = unit.outbox_by_key(&row.key)?;
            known.map(|known| same_send(&row, known)).transpose()
        });
        match known.await?.map(|known| known.state) {
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
        lanes.wake(&stored.send.lane, stored.rank());
    }
    same_send(row, stored)
}

/// What the names of sends begin with that are named by their place in a handler.
const PLACED: &str = "at/";

/// The name of a send by the place in a handler that this names.
pub(crate) fn placed(place: &str) -> String {
    format!("{PLACED}{place}")
}

/// What is stored under a send's name, unless that is another send: a handler which leaves one out when it is run again
/// gives its name to the next, which would be taken for sent.
fn same_send(row: &NewOutboxRow, stored: OutboxRow) -> StoreResult<OutboxRow> {
    let known = &stored.send;
    let is_same =
        (&row.lane, &row.user_id, &row.path) == (&known.lane, &known.user_id, &known.path);
    if is_same || !row.key.starts_with(PLACED) {
        return Ok(stored);
    }
    let by = |send: &NewOutboxRow| send.user_id.clone().unwrap_or_default();
    Err(StoreError::Statement(format!(
        "a handler that was run again does not send the same things in the same order: what was `PUT {}` by {} is now \
         `PUT {}` by {}. Nothing is sent for it; have the handler send the same each time, or name its sends \
         (`send_with_key`)",
        known.path,
        by(known),
        row.path,
        by(row)
    )))
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

#[cfg(test)]
mod tests;
