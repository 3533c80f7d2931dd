//! A service's delivery as it is now, for whoever looks: the operator API, metrics, the service
//! itself. The task writes it as it goes; nothing is decided by it.

use std::collections::VecDeque;

use bridgehead_admin_api::{
    Dialect, InFlight, LastError, Pause, PausedBy, Progress, Rates, Service, State, Stuck,
    Transport as TransportKind,
};
use bridgehead_store::{
    DrainRow, FrozenTransaction, LogEntry, Orders, PauseRow, ReplayRow, StreamPosition, Waiting,
};
use parking_lot::Mutex;
use serde::Deserialize;

use super::{
    state::{DeliveryMove, after},
    transport::Failure,
};
use crate::appservices::Appservice;

/// One bucket of the recent past.
const BUCKET_MS: i64 = 10_000;
/// Buckets that are remembered: five minutes.
const BUCKETS: i64 = 30;
/// Buckets of "the last minute".
const MINUTE: i64 = 6;
/// Characters of a service's answer that are kept.
const ANSWER_HEAD: usize = 512;

/// The live figures of one service.
pub(crate) struct Status {
    inner: Mutex<Inner>,
}

/// A copy of the figures.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    /// Where it stands.
    pub(crate) state: State,
    /// What was ordered, as the task last read it; its `frozen` is the transaction in flight,
    /// without the body.
    pub(crate) orders: Orders,
    /// Bytes of the body in flight.
    pub(crate) in_flight_bytes: u64,
    /// The event that is stuck.
    pub(crate) stuck: Option<Stuck>,
    /// Attempts of the transaction in flight that failed.
    pub(crate) failed_attempts: u32,
    /// The last failure.
    pub(crate) last_error: Option<LastError>,
    /// The last acknowledgement, ms since the epoch.
    pub(crate) last_success_at: Option<i64>,
    /// When the next attempt is due, ms since the epoch.
    pub(crate) next_try_at: Option<i64>,
    /// How transactions get there.
    pub(crate) transport: TransportKind,
    /// Entries in a transaction at most.
    pub(crate) batch_limit: u64,
    /// Entries of the log that wait, those in flight included.
    pub(crate) depth: u64,
    /// When the oldest of them was written, ms since the epoch.
    pub(crate) oldest_at: Option<i64>,
    /// Entries acknowledged since the server's start.
    pub(crate) delivered: u64,
    /// Attempts that failed since the server's start.
    pub(crate) failures: u64,
    /// Illegal moves that were refused: bugs.
    pub(crate) illegal_moves: u64,
}

struct Inner {
    figures: Figures,
    /// Rows up to here are counted by reading the log, newer ones as they are committed. `None`:
    /// not yet.
    counted_from: Option<StreamPosition>,
    recent: VecDeque<Bucket>,
}

#[derive(Default, Clone, Copy)]
struct Bucket {
    number: i64,
    delivered: u64,
    attempts: u64,
    failed: u64,
}

impl Status {
    pub(crate) fn new() -> Self {
        Self {
            inner: Mutex::new(Inner {
                figures: Figures {
                    state: State::Idle,
                    orders: Orders::default(),
                    in_flight_bytes: 0,
                    stuck: None,
                    failed_attempts: 0,
                    last_error: None,
                    last_success_at: None,
                    next_try_at: None,
                    transport: TransportKind::None,
                    batch_limit: 0,
                    depth: 0,
                    oldest_at: None,
                    delivered: 0,
                    failures: 0,
                    illegal_moves: 0,
                },
                counted_from: None,
                recent: VecDeque::new(),
            }),
        }
    }

    /// A copy of what is known.
    pub(crate) fn figures(&self) -> Figures {
        self.inner.lock().figures.clone()
    }

    /// Where the delivery stands.
    pub(crate) fn state(&self) -> State {
        self.inner.lock().figures.state
    }

    /// Makes a move. An illegal one is refused, and counted.
    pub(super) fn step(&self, step: DeliveryMove) {
        let mut inner = self.inner.lock();
        let state = inner.figures.state;
        match after(state, step) {
            Some(next) => {
                inner.figures.state = next;
                if next != State::Retrying {
                    inner.figures.next_try_at = None;
                }
            }
            None => {
                inner.figures.illegal_moves += 1;
                tracing::error!(?state, ?step, "illegal delivery move; this is a bug");
            }
        }
    }

    /// The state that a life begins in.
    pub(super) fn begin(&self, state: State) {
        self.inner.lock().figures.state = state;
    }

    /// The task has read its orders.
    pub(super) fn ordered(&self, orders: &Orders) {
        let mut inner = self.inner.lock();
        inner.figures.orders = Orders {
            frozen: None,
            ..orders.clone()
        };
        inner.in_flight(orders.frozen.as_ref());
    }

    /// The cursor has moved, and `frozen` is in flight now.
    pub(super) fn moved(&self, cursor: StreamPosition, frozen: Option<&FrozenTransaction>) {
        let mut inner = self.inner.lock();
        inner.figures.orders.cursor = cursor;
        inner.in_flight(frozen);
        match frozen.filter(|frozen| frozen.replay_id.is_none() && frozen.entries > 0) {
            Some(frozen) => inner.figures.oldest_at = Some(frozen.oldest_at),
            None if inner.figures.depth == 0 => inner.figures.oldest_at = None,
            None => {}
        }
    }

    /// How transactions get there, and how many entries one may have.
    pub(super) fn way(&self, transport: TransportKind, batch_limit: usize) {
        let mut inner = self.inner.lock();
        inner.figures.transport = transport;
        inner.figures.batch_limit = batch_limit as u64;
    }

    /// Whether the service takes its transactions itself, as far as the task has seen.
    pub(super) fn way_is_outlet(&self) -> bool {
        let transport = self.inner.lock().figures.transport;
        matches!(transport, TransportKind::Websocket | TransportKind::Pull)
    }

    /// Somebody has just ordered a pause, which the task is about to read.
    pub(crate) fn paused(&self, pause: PauseRow) {
        let mut inner = self.inner.lock();
        let pauses = &mut inner.figures.orders.pauses;
        pauses.retain(|other| other.by != pause.by);
        pauses.push(pause);
    }

    /// Somebody has just ended a pause of theirs.
    pub(crate) fn resumed(&self, by: &str) {
        let mut inner = self.inner.lock();
        inner.figures.orders.pauses.retain(|pause| pause.by != by);
    }

    /// Whether somebody holds the delivery: `operator`, or the `service` itself.
    pub(crate) fn is_paused_by(&self, by: &str, now_ms: i64) -> bool {
        let inner = self.inner.lock();
        let mut pauses = inner.figures.orders.pauses.iter();
        pauses.any(|pause| pause.by == by && holds(pause, now_ms))
    }

    /// Whether somebody holds the delivery, or has given the service up.
    pub(super) fn is_held(&self, now_ms: i64) -> bool {
        let inner = self.inner.lock();
        let mut pauses = inner.figures.orders.pauses.iter();
        inner.figures.state == State::Failed || pauses.any(|pause| holds(pause, now_ms))
    }

    /// Whether what waits has been counted, and is nothing.
    pub(super) fn is_drained(&self) -> bool {
        let inner = self.inner.lock();
        let orders = &inner.figures.orders;
        inner.counted_from.is_some()
            && inner.figures.depth == 0
            && orders.frozen.is_none()
            && orders.replay.is_none()
    }

    /// A replay goes on.
    pub(super) fn replaying(&self, replay: Option<bridgehead_store::ReplayRow>) {
        self.inner.lock().figures.orders.replay = replay;
    }

    /// A transaction was acknowledged.
    pub(super) fn acknowledged(&self, transaction: &FrozenTransaction, now_ms: i64) {
        let mut inner = self.inner.lock();
        let figures = &mut inner.figures;
        figures.last_success_at = Some(now_ms);
        figures.failed_attempts = 0;
        figures.stuck = None;
        figures.delivered += transaction.entries;
        if transaction.replay_id.is_none() {
            figures.depth = figures.depth.saturating_sub(transaction.entries);
        }
        let bucket = inner.bucket(now_ms);
        bucket.delivered += transaction.entries;
        bucket.attempts += 1;
    }

    /// Rows went by that the service is told nothing of.
    pub(super) fn passed(&self, entries: u64) {
        let mut inner = self.inner.lock();
        inner.figures.depth = inner.figures.depth.saturating_sub(entries);
    }

    /// An attempt failed.
    pub(super) fn failed(&self, transaction: &FrozenTransaction, failure: &Failure, now_ms: i64) {
        let mut inner = self.inner.lock();
        let (status, body) = match failure {
            Failure::Refused { status, body } => (Some(*status), Some(head(body))),
            Failure::Unreachable(_) | Failure::Timeout(_) | Failure::Broken(_) => (None, None),
        };
        inner.figures.last_error = Some(LastError {
            at_ms: now_ms,
            transaction_id: transaction.txn_id.to_string(),
            message: head(&failure.to_string()),
            status,
            body,
        });
        inner.figures.failed_attempts += 1;
        inner.figures.failures += 1;
        let bucket = inner.bucket(now_ms);
        bucket.attempts += 1;
        bucket.failed += 1;
    }

    /// The next attempt is due then.
    pub(super) fn next_try(&self, at_ms: i64) {
        self.inner.lock().figures.next_try_at = Some(at_ms);
    }

    /// One entry is known to be what the service refuses.
    pub(super) fn stuck(&self, transaction: &FrozenTransaction) {
        self.inner.lock().figures.stuck = Some(stuck(transaction));
    }

    /// Rows after `position` will be counted as they are committed. Called between two commits.
    pub(super) fn count_from(&self, position: StreamPosition) {
        let mut inner = self.inner.lock();
        inner.counted_from = Some(position);
        inner.figures.depth = 0;
        inner.figures.oldest_at = None;
    }

    /// What waited before that.
    pub(super) fn counted(&self, waiting: Waiting) {
        let mut inner = self.inner.lock();
        inner.figures.depth += waiting.entries;
        if waiting.oldest_at.is_some() {
            inner.figures.oldest_at = waiting.oldest_at;
        }
    }

    /// A row for this service was committed.
    pub(super) fn committed(&self, entry: &LogEntry) {
        let mut inner = self.inner.lock();
        if inner.counted_from.is_some_and(|from| entry.pos > from) {
            inner.figures.depth += 1;
            inner.figures.oldest_at.get_or_insert(entry.at_ms);
        }
    }
}

impl Inner {
    fn in_flight(&mut self, frozen: Option<&FrozenTransaction>) {
        let before = self.figures.orders.frozen.as_ref().map(|txn| txn.txn_id);
        if before != frozen.map(|txn| txn.txn_id) {
            self.figures.failed_attempts = 0;
        }
        self.figures.in_flight_bytes = frozen.map_or(0, |txn| txn.body.len() as u64);
        self.figures.stuck = frozen.filter(|txn| txn.stuck_at.is_some()).map(stuck);
        self.figures.orders.frozen = frozen.map(|txn| FrozenTransaction {
            body: Vec::new(),
            ..txn.clone()
        });
    }

    fn bucket(&mut self, now_ms: i64) -> &mut Bucket {
        let number = now_ms / BUCKET_MS;
        while self
            .recent
            .front()
            .is_some_and(|bucket| bucket.number <= number - BUCKETS)
        {
            self.recent.pop_front();
        }
        // A clock that went back writes into the newest bucket.
        if self.recent.back().is_none_or(|last| last.number < number) {
            self.recent.push_back(Bucket {
                number,
                ..Bucket::default()
            });
        }
        self.recent
            .back_mut()
            .expect("a bucket was pushed if there was none")
    }

    fn rates(&self, now_ms: i64) -> Rates {
        let number = now_ms / BUCKET_MS;
        let recent = self
            .recent
            .iter()
            .filter(|bucket| bucket.number > number - BUCKETS);
        let mut rates = Rates::default();
        let mut failed = 0;
        for bucket in recent {
            rates.attempts_last_5_minutes += bucket.attempts;
            failed += bucket.failed;
            if bucket.number > number - MINUTE {
                rates.delivered_last_minute += bucket.delivered;
            }
        }
        if rates.attempts_last_5_minutes > 0 {
            rates.failed_percent = failed as f64 * 100.0 / rates.attempts_last_5_minutes as f64;
        }
        rates
    }
}

/// A service as operators see it.
pub(crate) fn describe(service: &Appservice, now_ms: i64) -> Service {
    let status = &service.delivery.status;
    let (figures, rates) = {
        let inner = status.inner.lock();
        (inner.figures.clone(), inner.rates(now_ms))
    };
    let orders = &figures.orders;
    // It has no url and has never come for anything: it sends only, and nothing is late.
    let sends_only = service.registration.url.is_none()
        && figures.transport == TransportKind::None
        && orders.last_txn_id == 0;
    let dialect = service.delivery.dialect();
    let registration = &service.registration;
    Service {
        id: registration.id.clone(),
        sender: service.sender.to_string(),
        url: registration.url.as_ref().map(|url| url.as_str().to_owned()),
        transport: figures.transport,
        state: figures.state,
        paused: pause(&orders.pauses, now_ms),
        stuck: figures.stuck,
        cursor: orders.cursor.0,
        depth: figures.depth,
        oldest_waiting_ms: figures
            .oldest_at
            .filter(|_| !sends_only)
            .map(|at| u64::try_from(now_ms - at).unwrap_or(0)),
        rates,
        last_success_at_ms: figures.last_success_at,
        last_error: figures.last_error,
        next_try_at_ms: figures.next_try_at,
        in_flight: orders.frozen.as_ref().map(|frozen| InFlight {
            transaction_id: frozen.txn_id.to_string(),
            events: frozen.events,
            bytes: figures.in_flight_bytes,
            failed_attempts: figures.failed_attempts,
            since_ms: frozen.created_at,
        }),
        batch_limit: figures.batch_limit,
        replay: orders.replay.map(replay_progress),
        drain: orders.drain.as_ref().map(|d| drain_progress(d, orders)),
        dialect: Dialect {
            legacy_paths: dialect & crate::appservices::wire::LEGACY_PATHS != 0,
            query_token: dialect & crate::appservices::wire::QUERY_TOKEN != 0,
        },
        revision: 1,
        source: registration.source.file.display().to_string(),
        skipped: orders.skipped,
        skip_stuck_after: orders.skip_after,
    }
}

/// The same right after an order, which the task may not have read yet: `orders` are those in the
/// database.
pub(crate) fn describe_ordered(service: &Appservice, orders: &Orders, now_ms: i64) -> Service {
    let mut view = describe(service, now_ms);
    view.paused = pause(&orders.pauses, now_ms);
    view.cursor = orders.cursor.0;
    view.replay = orders.replay.map(replay_progress);
    view.drain = orders.drain.as_ref().map(|d| drain_progress(d, orders));
    view.skipped = orders.skipped;
    view.skip_stuck_after = orders.skip_after;
    view.state = match (view.state, orders.failed_at) {
        (State::Retrying, Some(_)) => State::Failed,
        (State::Failed, None) => State::Idle,
        // What it was retrying was skipped.
        (State::Retrying, None) if orders.frozen.is_none() => State::Idle,
        (state, _) => state,
    };
    if view.state != State::Retrying {
        view.next_try_at_ms = None;
    }
    if orders.frozen.is_none() {
        view.in_flight = None;
        view.stuck = None;
    }
    view
}

fn replay_progress(replay: ReplayRow) -> Progress {
    Progress {
        from: replay.from.0,
        at: replay.at.0,
        upto: replay.upto.0,
    }
}

fn drain_progress(drain: &DrainRow, orders: &Orders) -> Progress {
    Progress {
        from: drain.from.0,
        at: orders.cursor.0.min(drain.upto.0),
        upto: drain.upto.0,
    }
}

/// The pause that counts: an operator's before the service's own.
fn pause(pauses: &[PauseRow], now_ms: i64) -> Option<Pause> {
    let held = || pauses.iter().filter(|pause| holds(pause, now_ms));
    let pause = held()
        .find(|pause| pause.by == "operator")
        .or_else(|| held().next())?;
    Some(Pause {
        by: if pause.by == "operator" {
            PausedBy::Operator
        } else {
            PausedBy::Service
        },
        since_ms: pause.since,
        reason: pause.reason.clone(),
        until_ms: pause.until,
    })
}

/// Whether a pause is still on.
pub(super) fn holds(pause: &PauseRow, now_ms: i64) -> bool {
    pause.until.is_none_or(|until| until > now_ms)
}

fn head(text: &str) -> String {
    text.chars().take(ANSWER_HEAD).collect()
}

/// What is known of the one entry of a stuck transaction, from its body.
fn stuck(transaction: &FrozenTransaction) -> Stuck {
    #[derive(Deserialize, Default)]
    struct Body {
        #[serde(default)]
        events: Vec<Event>,
        #[serde(default, rename = "de.sorunome.msc2409.to_device")]
        to_device: Vec<Event>,
    }
    #[derive(Deserialize)]
    struct Event {
        event_id: Option<String>,
        room_id: Option<String>,
        sender: Option<String>,
        r#type: Option<String>,
    }
    let body: Body = serde_json::from_slice(&transaction.body).unwrap_or_default();
    let event = body.events.into_iter().chain(body.to_device).next();
    let mut stuck = Stuck {
        transaction_id: transaction.txn_id.to_string(),
        since_ms: transaction.stuck_at.unwrap_or(transaction.created_at),
        position: transaction.upto.0,
        event_id: None,
        room_id: None,
        sender: None,
        event_type: None,
        answer: head(transaction.answer.as_deref().unwrap_or_default()),
    };
    if let Some(event) = event {
        stuck.event_id = event.event_id;
        stuck.room_id = event.room_id;
        stuck.sender = event.sender;
        stuck.event_type = event.r#type;
    }
    stuck
}
