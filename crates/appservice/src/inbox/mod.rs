//! The inbox: what the homeserver has brought is on disk before it is acknowledged, and handled in each room's order.
//!
//! ```text
//! PUT …/transactions/{id} ──▶ take: one unit of work ──▶ 200
//!                                     │ rows
//!                                     ▼
//!            lanes (one a room) ──▶ handlers ──▶ consumed, together with what they wrote
//!                                     │ failed
//!                                     ▼
//!                            again, after growing waits ──▶ parked, with the error
//! ```
//!
//! `take` reads transactions, `handle` runs handlers, `parked` is what an operator does with what was set aside.

mod failing;
mod handle;
mod handled;
mod outage;
mod parked;
mod take;
mod waiting;

use std::{
    collections::VecDeque,
    sync::{
        Arc, Weak,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
};

use futures_util::{FutureExt as _, future::BoxFuture};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::{mpsc, watch};

pub use self::parked::Parked;
use self::{failing::Failing, handled::Handled};
pub(crate) use self::{handle::aside_lane, outage::Outage};
pub(crate) use self::{take::TakeError, waiting::Waiting};
use crate::{
    core::{Core, Limits},
    id::RoomId,
    lanes::{LaneRow, LaneWork, Lanes, Step},
    metrics::Metrics,
    state::Rooms,
    store::{InboxRow, Result as StoreResult, Store, Unit},
    surroundings::Randomness,
};

/// Ephemeral events that may wait; more of them are dropped.
const EPHEMERAL_WAITING: usize = 1024;

impl LaneRow for InboxRow {
    fn id(&self) -> i64 {
        self.id
    }
}

/// The inbox of a running service.
pub(crate) struct Inbox {
    store: Store,
    lanes: Lanes<Handling>,
    high_water: usize,
    metrics: Metrics,
    rooms: Rooms,
    /// Names what has no id.
    randomness: Arc<dyn Randomness>,
    /// Only one transaction is taken at a time, so that lanes see rows in the order of their ids.
    /// It holds whether handling has begun; until then rows wait in the database.
    taking: tokio::sync::Mutex<bool>,
    handled: Handled,
    failing: Failing,
    /// Counts edits and redactions that have come.
    changes: watch::Sender<u64>,
    /// The last transactions that had nothing to store.
    passing: Mutex<VecDeque<[u8; 16]>>,
    ephemeral: mpsc::Sender<Arc<Value>>,
    ephemeral_queue: Mutex<Option<mpsc::Receiver<Arc<Value>>>>,
    ephemeral_waiting: Arc<AtomicUsize>,
}

/// What is done with the inbox's rows. The core is set when the service starts.
pub(crate) struct Handling {
    store: Store,
    core: std::sync::OnceLock<Weak<Core>>,
    depth: AtomicUsize,
    /// The last row that lanes were told of. Those behind it are committed, and on their way to them.
    queued_to: AtomicI64,
}

impl Handling {
    fn add(&self) {
        self.depth.fetch_add(1, Ordering::Relaxed);
    }

    /// Never below zero: a count that went wrong must not close the inbox.
    fn remove(&self) {
        let less = |depth: usize| depth.checked_sub(1);
        let removed = self
            .depth
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        if removed.is_err() {
            tracing::error!("more events were handled than had come");
        }
    }
}

impl LaneWork for Handling {
    type Row = InboxRow;

    fn load<'a>(
        &'a self,
        lane: &'a str,
        after: i64,
        limit: usize,
    ) -> BoxFuture<'a, StoreResult<Vec<InboxRow>>> {
        let lane = lane.to_owned();
        let range = (after, self.queued_to.load(Ordering::Acquire));
        self.store
            .read(move |unit| unit.inbox_lane(&lane, range, limit))
            .boxed()
    }

    fn pushed(&self, id: i64) {
        self.queued_to.store(id, Ordering::Release);
    }

    fn work<'a>(&'a self, row: &'a mut InboxRow) -> BoxFuture<'a, Step> {
        async move {
            let Some(core) = self.core.get().and_then(Weak::upgrade) else {
                return Step::Stop;
            };
            let step = handle::row(&core, row).await;
            if step == Step::Next {
                self.remove();
            }
            step
        }
        .boxed()
    }
}

impl Inbox {
    pub(crate) fn new(
        store: Store,
        limits: &Limits,
        metrics: Metrics,
        rooms: Rooms,
        randomness: Arc<dyn Randomness>,
    ) -> Self {
        let (ephemeral, queue) = mpsc::channel(EPHEMERAL_WAITING);
        let handling = Handling {
            store: store.clone(),
            core: std::sync::OnceLock::new(),
            depth: AtomicUsize::new(0),
            queued_to: AtomicI64::new(0),
        };
        Self {
            store,
            lanes: Lanes::new(handling, limits.concurrency),
            high_water: limits.inbox_high_water,
            metrics,
            rooms,
            randomness,
            taking: tokio::sync::Mutex::new(false),
            handled: Handled::default(),
            failing: Failing::default(),
            changes: watch::Sender::new(0),
            passing: Mutex::default(),
            ephemeral,
            ephemeral_queue: Mutex::new(Some(queue)),
            ephemeral_waiting: Arc::default(),
        }
    }

    /// Counts what waits from before; to be called before anything is taken.
    pub(crate) async fn open(&self) -> StoreResult<()> {
        let count = |unit: &Unit<'_>| Ok(unit.inbox_lanes()?.iter().map(|(_, rows)| rows).sum());
        let rows = self.store.read(count).await?;
        self.lanes.work().depth.store(rows, Ordering::Relaxed);
        Ok(())
    }

    /// Begins to handle what waits from before, and what will come.
    pub(crate) async fn begin(&self, core: &Arc<Core>) -> StoreResult<()> {
        let mut begun = self.taking.lock().await;
        // First what can fail: rows that come must not be brought to lanes that do not know of what is before them.
        let names = |unit: &Unit<'_>| {
            let lanes = unit.inbox_lanes()?.into_iter();
            let names: Vec<String> = lanes.map(|(lane, _)| lane).collect();
            Ok((names, unit.inbox_last()?))
        };
        let (waiting, last) = self.store.read_behind(names).await?;
        *begun = true;
        self.lanes.work().pushed(last);
        self.lanes.work().core.set(Arc::downgrade(core)).ok();
        for lane in waiting {
            self.lanes.wake(&lane, 0);
        }
        drop(begun);
        tokio::spawn(hurry_on_comebacks(Arc::downgrade(core)));
        let queue = self.ephemeral_queue.lock().take();
        if let Some(queue) = queue {
            let waiting = self.ephemeral_waiting.clone();
            tokio::spawn(handle::ephemeral(Arc::downgrade(core), queue, waiting));
        }
        Ok(())
    }

    /// Rows that are to be removed.
    fn handled(&self) -> &Handled {
        &self.handled
    }

    /// Rooms in which nothing succeeds.
    fn failing(&self) -> &Failing {
        &self.failing
    }

    /// How many events wait.
    pub(crate) fn depth(&self) -> usize {
        self.lanes.work().depth.load(Ordering::Relaxed)
    }

    /// Whether events are being handled: not before the service's start has succeeded.
    pub(crate) async fn has_begun(&self) -> bool {
        *self.taking.lock().await
    }

    /// How many rooms have events that wait.
    pub(crate) fn lanes(&self) -> usize {
        self.lanes.busy()
    }

    /// Whether it has begun and nothing waits.
    pub(crate) fn is_idle(&self) -> bool {
        // Who holds the lock is taking something.
        let has_begun = self.taking.try_lock().is_ok_and(|begun| *begun);
        has_begun && self.lanes.busy() == 0 && self.ephemeral_waiting.load(Ordering::Acquire) == 0
    }

    /// Ends waits between attempts: there is reason to think that they will succeed now.
    pub(crate) fn hurry(&self) {
        self.lanes.hurry();
    }

    /// Ends the waits of a room and of what is put aside there.
    pub(crate) fn hurry_room(&self, room: &RoomId) {
        let aside = format!("{room}{}", handle::ASIDE);
        for lane in self.lanes.names() {
            if lane == room.as_str() || lane.starts_with(&aside) {
                self.lanes.hurry_lane(&lane);
            }
        }
    }

    /// A lane has got a row from another one, which is about to count it as done: it waits as before.
    fn moved(&self, lane: &str, id: i64) {
        self.lanes.work().add();
        self.lanes.wake_for(lane, id);
    }

    /// Ends the wait of a lane, if it waits.
    pub(crate) fn hurry_lane(&self, lane: &str) {
        self.lanes.hurry_lane(lane);
    }

    /// Tells whenever an edit or a redaction has come: what waits behind others may change them.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Ends the waits of rooms that wait for the homeserver.
    fn hurry_for_homeserver(&self) {
        self.lanes
            .hurry_where(|row: &InboxRow| row.outage.attempts() > 0);
    }

    /// Starts no further handler.
    pub(crate) fn halt(&self) {
        self.lanes.halt();
    }

    /// Whether no further handler is started.
    fn is_halted(&self) -> bool {
        self.lanes.is_halted()
    }

    /// Lets handlers that run finish, for a while, and starts no other.
    pub(crate) async fn stop(&self, grace: std::time::Duration) {
        self.lanes.stop(grace).await;
        self.handled.flush(&self.store).await;
    }
}

/// Whenever the homeserver has come back, goes on with what waits for that. Ends with the service.
async fn hurry_on_comebacks(core: Weak<Core>) {
    let watch = |core: Arc<Core>| (core.client.comebacks(), core.stop.subscribe());
    let Some((mut comebacks, mut stop)) = core.upgrade().map(watch) else {
        return;
    };
    loop {
        tokio::select! {
            changed = comebacks.changed() => if changed.is_err() { return },
            _ = stop.wait_for(|stop| *stop) => return,
        }
        let Some(core) = core.upgrade() else { return };
        core.inbox.hurry_for_homeserver();
    }
}

#[cfg(test)]
mod tests;
