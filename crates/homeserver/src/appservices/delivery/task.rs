//! Station 8: one task per service brings it its share of the log.
//!
//! Strictly one transaction is in flight. It is frozen (id and exact bytes stored) before the
//! first attempt, and the cursor moves when the 2xx is stored, so that neither a crash nor a
//! retry can change, lose or reorder anything. The task is fed by the log alone: a wake-up is a
//! hint, and the same path serves normal running and recovery.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bridgehead_store::{AppserviceNid, AppserviceRow, FrozenTransaction, StreamPosition};
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::Method;
use parking_lot::Mutex;
use tokio::{
    net::TcpStream,
    sync::Notify,
    time::{Instant, sleep_until, timeout},
};

use super::{
    batch::{Limits, Reader},
    lane::EphemeralLane,
    state::{DeliveryMove, DeliveryState},
};
use crate::{
    app::App,
    appservices::{
        Appservice, Wire,
        wire::{Call, CallError},
    },
    random,
    shutdown::Shutdown,
};

/// How often a service that refused connections is looked at while its backoff runs.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);
/// The shortest time between attempts that signs of life ask for; doubles while they keep failing.
const SIGN_OF_LIFE_GAP: Duration = Duration::from_millis(100);
/// How long a shutdown waits for the answer to a transaction under way, which would be repeated
/// after the next start otherwise.
const STOP_GRACE: Duration = Duration::from_secs(1);
/// Rows of no interest after which the cursor is stored all the same.
const CURSOR_STEP: u64 = 5_000;
/// Ephemeral news in a transaction at most.
const MAX_LANE: usize = 100;

/// What others may say to a service's delivery task.
pub(crate) struct DeliveryHandle {
    /// For pushes; `None` when the service has no address.
    pub(crate) push: Option<Wire>,
    /// For queries and pings: their own connections, so that they never wait behind a push.
    pub(crate) queries: Option<Wire>,
    /// Typing and presence on their way.
    pub(crate) lane: EphemeralLane,
    wake: Notify,
    alive: Notify,
    waiting: AtomicBool,
    /// From an attempt's start until its outcome is stored.
    attempting: AtomicBool,
    state: Mutex<DeliveryState>,
}

impl DeliveryHandle {
    pub(crate) fn new(push: Option<Wire>, queries: Option<Wire>) -> Self {
        Self {
            push,
            queries,
            lane: EphemeralLane::default(),
            wake: Notify::new(),
            alive: Notify::new(),
            waiting: AtomicBool::new(false),
            attempting: AtomicBool::new(false),
            state: Mutex::new(DeliveryState::Idle),
        }
    }

    /// Something of interest may be in the log or the lane.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// The service is alive: a backoff ends now. Costs nothing when none is running.
    pub(crate) fn sign_of_life(&self) {
        if self.waiting.load(Ordering::Acquire) {
            self.alive.notify_one();
        }
    }

    /// Signs of life count from before the first attempt, so that none is missed between an
    /// attempt's failure and its backoff.
    fn listen_for_life(&self) -> ListeningForLife<'_> {
        // A sign that came for an earlier transaction says nothing about this one.
        self.alive.notified().now_or_never();
        self.waiting.store(true, Ordering::Release);
        ListeningForLife(self)
    }

    fn step(&self, step: DeliveryMove) {
        let mut state = self.state.lock();
        match state.after(step) {
            Some(next) => *state = next,
            None => tracing::error!(state = ?*state, ?step, "illegal delivery move; this is a bug"),
        }
    }
}

struct ListeningForLife<'a>(&'a DeliveryHandle);

impl Drop for ListeningForLife<'_> {
    fn drop(&mut self) {
        self.0.waiting.store(false, Ordering::Release);
    }
}

/// Runs one service's delivery until shutdown.
pub(crate) async fn run(
    app: Arc<App>,
    service: Arc<Appservice>,
    row: AppserviceRow,
    shutdown: Shutdown,
) {
    let Some(wire) = &service.delivery.push else {
        return;
    };
    let mut task = Task {
        app: &app,
        service: &service,
        wire,
        cursor: row.cursor,
        stored_cursor: row.cursor,
        more: false,
        last_txn_id: row.last_txn_id,
        dialect: wire.dialect(),
        shutdown: &shutdown,
    };
    tokio::select! {
        () = task.run() => {}
        () = end(&shutdown, &service.delivery) => {}
    }
}

/// Returns when the task is to be dropped, done or not.
async fn end(shutdown: &Shutdown, handle: &DeliveryHandle) {
    shutdown.requested().await;
    if handle.attempting.load(Ordering::Acquire) {
        tokio::time::sleep(STOP_GRACE).await;
    }
}

struct Task<'a> {
    app: &'a Arc<App>,
    service: &'a Arc<Appservice>,
    wire: &'a Wire,
    /// Read up to here.
    cursor: StreamPosition,
    /// What the database has.
    stored_cursor: StreamPosition,
    /// The log went on after `cursor` when it was last looked at.
    more: bool,
    last_txn_id: u64,
    dialect: u8,
    shutdown: &'a Shutdown,
}

impl Task<'_> {
    async fn run(&mut self) {
        let nid = self.service.nid;
        // What an earlier life had frozen goes first, unchanged.
        let mut current = self.persist(move |s| s.frozen_transaction(nid)).await;
        loop {
            if let Some(transaction) = &current {
                self.service.delivery.step(DeliveryMove::BatchReady);
                if !self.deliver(transaction).await {
                    return;
                }
                self.cursor = transaction.upto.max(self.cursor);
            }
            let next = self.next_transaction().await;
            self.advance(current.as_ref(), next.as_ref()).await;
            let handle = &self.service.delivery;
            handle.attempting.store(false, Ordering::Release);
            if self.shutdown.is_requested() {
                return;
            }
            current = next;
            if current.is_none() && !self.more {
                self.service.delivery.wake.notified().await;
            }
        }
    }

    /// Reads from the store, for as long as it takes: without it there is nothing to do.
    async fn persist<T: Send + 'static>(
        &self,
        read: impl Fn(&bridgehead_store::Snapshot<'_>) -> bridgehead_store::Result<T>
        + Clone
        + Send
        + 'static,
    ) -> T {
        loop {
            match self.app.store.read_for_delivery(read.clone()).await {
                Ok(value) => return value,
                Err(error) => self.store_failed(&error).await,
            }
        }
    }

    async fn store_failed(&self, error: &bridgehead_store::Error) {
        tracing::error!(appservice.id = %self.service.registration.id, %error, "delivery waits for the store");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }

    /// Cuts the next batch from the log and gives it its id.
    async fn next_transaction(&mut self) -> Option<FrozenTransaction> {
        let app = self.app.clone();
        let service = self.service.clone();
        let (cursor, now_ms) = (self.cursor, self.app.now_ms());
        let store = self.app.store.clone();
        let config = &self.app.config.appservices;
        let limits = Limits {
            events: config.max_transaction_events as usize,
            bytes: usize::try_from(config.max_transaction_bytes).unwrap_or(usize::MAX),
        };
        let batch = self
            .persist(move |snapshot| {
                let interested = |row: &bridgehead_store::LogEntry| {
                    store.interest_contains(row.interest, service.nid)
                };
                Reader {
                    snapshot,
                    service: &service,
                    registry: &app.registry(),
                    interested: &interested,
                    limits,
                    now_ms,
                }
                .collect(cursor)
            })
            .await;
        // Alone they may take what they need; each stands under two keys at most.
        let lane_bytes = if batch.has_something() {
            batch.free_bytes(limits) / 2
        } else {
            usize::MAX
        };
        let lane = self
            .service
            .delivery
            .lane
            .take(MAX_LANE, lane_bytes, now_ms);
        self.cursor = batch.upto();
        self.more = batch.has_more();
        if !batch.has_something() && lane.is_empty() {
            return None;
        }
        self.last_txn_id = self.fresh_txn_id(now_ms);
        Some(batch.freeze(&self.service.registration, &lane, self.last_txn_id))
    }

    /// Ids are increasing decimal numbers that no restart and no restored backup repeats: the
    /// time in microseconds, or one more than the last.
    fn fresh_txn_id(&self, now_ms: i64) -> u64 {
        let now_us = u64::try_from(now_ms).unwrap_or(0).saturating_mul(1000);
        now_us.max(self.last_txn_id + 1)
    }

    /// One unit of work: remembers the acknowledgement of `done`, moves the cursor, and freezes
    /// `next` before its first attempt. A crash before it repeats `done`, with the same id and
    /// bytes; a crash after it begins with `next`.
    async fn advance(
        &mut self,
        done: Option<&FrozenTransaction>,
        next: Option<&FrozenTransaction>,
    ) {
        let idle_steps = self.cursor.0 - self.stored_cursor.0;
        if done.is_none() && next.is_none() && idle_steps < CURSOR_STEP {
            return;
        }
        let learnt = self.wire.dialect();
        let step = Step {
            nid: self.service.nid,
            done: done.map(|transaction| transaction.txn_id),
            // What is in `next` is not acknowledged yet.
            cursor: if next.is_none() {
                self.cursor
            } else {
                self.stored_cursor
            },
            next: next.cloned(),
            dialect: (learnt != self.dialect).then_some(learnt),
            now_ms: self.app.now_ms(),
        };
        loop {
            let step = step.clone();
            let stored: bridgehead_store::Result<()> =
                self.app.store.write(move |tx| step.store(tx)).await;
            match stored {
                Ok(()) => break,
                Err(error) => self.store_failed(&error).await,
            }
        }
        self.dialect = learnt;
        if next.is_none() {
            self.stored_cursor = self.cursor;
        } else if let Some(done) = done {
            self.stored_cursor = done.upto.max(self.stored_cursor);
        }
        if let Some(done) = done {
            tracing::debug!(
                event = "appservice.events_delivered",
                service_id = %self.service.registration.id,
                transaction_id = done.txn_id,
                event_count = done.events,
                "delivered"
            );
        }
    }

    /// Attempts until the service acknowledges; false: the server ends before it has.
    async fn deliver(&self, transaction: &FrozenTransaction) -> bool {
        let body = Bytes::from(transaction.body.clone());
        let id = transaction.txn_id.to_string();
        let mut backoff = Backoff::new(self.app);
        let _listening = self.service.delivery.listen_for_life();
        loop {
            self.service
                .delivery
                .attempting
                .store(true, Ordering::Release);
            let failure = match self.attempt(&id, body.clone()).await {
                Ok(()) => {
                    self.acknowledged(transaction, backoff.attempts);
                    return true;
                }
                Err(failure) => failure,
            };
            self.service.delivery.step(DeliveryMove::AttemptFailed);
            if self.shutdown.is_requested() {
                return false;
            }
            let wait = backoff.next();
            self.log_failure(transaction, backoff.attempts, &failure, wait);
            let refused = failure.is_connect();
            if !refused {
                backoff.probe_failed = false;
            }
            self.wait(&mut backoff, wait, refused).await;
            self.service.delivery.step(DeliveryMove::TryAgain);
        }
    }

    async fn attempt(&self, id: &str, body: Bytes) -> Result<(), Failure> {
        let path = format!("/transactions/{id}");
        let call = Call {
            method: Method::PUT,
            path: &path,
            legacy_path: Some(&path),
            query: &[],
            body: Some(body),
        };
        let answer = self
            .wire
            .call(&call, self.app.now_ms())
            .await
            .map_err(Failure::Call)?;
        // Any 2xx is success, whatever the body: a service that answers with a page of HTML has
        // taken the events all the same.
        if answer.status.is_success() {
            Ok(())
        } else {
            Err(Failure::Status(answer.status.as_u16(), answer.head()))
        }
    }

    fn acknowledged(&self, transaction: &FrozenTransaction, failed_attempts: u32) {
        self.service.delivery.step(DeliveryMove::Acknowledged);
        if failed_attempts > 0 {
            tracing::info!(
                appservice.id = %self.service.registration.id,
                transaction_id = transaction.txn_id,
                failed_attempts,
                "the application service is back"
            );
        }
    }

    /// One line when a service goes away, not one for each attempt.
    fn log_failure(
        &self,
        transaction: &FrozenTransaction,
        attempts: u32,
        failure: &Failure,
        wait: Duration,
    ) {
        let id = &self.service.registration.id;
        let retry_in_ms = wait.as_millis();
        if attempts == 1 {
            tracing::warn!(
                event = "appservice.delivery_failed", service_id = %id,
                transaction_id = transaction.txn_id, retry_count = attempts, retry_in_ms,
                error = %failure, "delivery failed; it is tried again until the service answers 2xx"
            );
        } else {
            tracing::debug!(
                event = "appservice.delivery_failed", service_id = %id,
                transaction_id = transaction.txn_id, retry_count = attempts, retry_in_ms,
                error = %failure, "delivery failed again"
            );
        }
    }

    /// Waits for the backoff's end or a sign of life, whichever is first.
    async fn wait(&self, backoff: &mut Backoff, wait: Duration, refused: bool) {
        let handle = &self.service.delivery;
        handle.attempting.store(false, Ordering::Release);
        let started = Instant::now();
        tokio::select! {
            () = sleep_until(started + wait) => backoff.sign_failed = false,
            () = handle.alive.notified() => {
                let gap = backoff.sign_of_life_gap();
                sleep_until((started + gap).min(started + wait)).await;
            }
            () = self.listens_again(backoff.probe_failed), if refused => backoff.probe_failed = true,
        }
    }

    /// Returns when somebody accepts connections at the service's address. Where that has misled us
    /// (TLS refused, for example), somebody has to go away first.
    async fn listens_again(&self, mut closed_first: bool) {
        let Some((host, port)) = self.wire.authority() else {
            return std::future::pending().await;
        };
        loop {
            tokio::time::sleep(PROBE_INTERVAL).await;
            let probe = TcpStream::connect((host.as_str(), port));
            match timeout(PROBE_INTERVAL, probe).await {
                Ok(Ok(_)) if !closed_first => return,
                Ok(Ok(_)) => {}
                Ok(Err(_)) | Err(_) => closed_first = false,
            }
        }
    }
}

/// What is stored between two transactions.
#[derive(Clone)]
struct Step {
    nid: AppserviceNid,
    done: Option<u64>,
    cursor: StreamPosition,
    next: Option<FrozenTransaction>,
    dialect: Option<u8>,
    now_ms: i64,
}

impl Step {
    fn store(&self, tx: &mut bridgehead_store::Tx<'_>) -> bridgehead_store::Result<()> {
        if let Some(txn_id) = self.done {
            tx.complete_transaction(self.nid, txn_id)?;
        }
        tx.move_cursor(self.nid, self.cursor)?;
        if let Some(next) = &self.next {
            tx.freeze_transaction(self.nid, next, self.now_ms)?;
        }
        if let Some(dialect) = self.dialect {
            tx.set_dialect(self.nid, dialect)?;
        }
        Ok(())
    }
}

enum Failure {
    Call(CallError),
    Status(u16, String),
}

impl Failure {
    fn is_connect(&self) -> bool {
        matches!(self, Self::Call(CallError::Connect(_)))
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Call(error) => error.fmt(f),
            Self::Status(status, head) => {
                let head: String = head.chars().take(200).collect();
                write!(f, "the service answered {status}: {head}")
            }
        }
    }
}

/// Exponential with jitter between the configured bounds.
struct Backoff {
    min: Duration,
    max: Duration,
    attempts: u32,
    sign_failed: bool,
    signs: u32,
    /// An open port ended a wait, and the attempt found no connection all the same.
    probe_failed: bool,
}

impl Backoff {
    fn new(app: &App) -> Self {
        let config = &app.config.appservices;
        Self {
            min: config.backoff_min,
            max: config.backoff_max,
            attempts: 0,
            sign_failed: false,
            signs: 0,
            probe_failed: false,
        }
    }

    fn next(&mut self) -> Duration {
        let full = self
            .min
            .saturating_mul(1 << self.attempts.min(16))
            .min(self.max);
        self.attempts = self.attempts.saturating_add(1);
        // Between half and all of it, so that services which failed together do not return
        // together.
        let half_ms = u64::try_from(full.as_millis() / 2)
            .unwrap_or(u64::MAX)
            .max(1);
        Duration::from_millis(half_ms + random::below(half_ms + 1))
    }

    /// A service that talks to us and yet refuses its transactions must not make us hammer it.
    fn sign_of_life_gap(&mut self) -> Duration {
        self.signs = if self.sign_failed {
            (self.signs + 1).min(8)
        } else {
            0
        };
        self.sign_failed = true;
        SIGN_OF_LIFE_GAP.saturating_mul(1 << self.signs)
    }
}

/// Which services a commit wakes.
pub(crate) fn wake_interested(app: &App, entries: &[bridgehead_store::LogEntry]) {
    let mut woken: smallvec::SmallVec<[bridgehead_store::InterestSetId; 8]> =
        smallvec::SmallVec::new();
    let registry = app.registry();
    for entry in entries {
        if woken.contains(&entry.interest) {
            continue;
        }
        woken.push(entry.interest);
        for nid in app.store.interest_set(entry.interest) {
            wake(&registry, nid);
        }
    }
}

fn wake(registry: &crate::appservices::Registry, nid: AppserviceNid) {
    if let Some(service) = registry.by_nid(nid) {
        service.delivery.wake();
    }
}
