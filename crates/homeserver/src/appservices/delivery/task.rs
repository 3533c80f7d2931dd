//! One task per service brings it its share of the log.
//!
//! Strictly one transaction is in flight. It is frozen (id and exact bytes stored) before the
//! first attempt, and the cursor moves when the acknowledgement is stored, so that neither a crash
//! nor a retry can change, lose or reorder anything. The task is fed by the log alone: a wake-up
//! is a hint, and the same path serves normal running and recovery. What persons order (pause,
//! skip, replay, …) are rows of the database, too, which the task reads when it is told that they
//! have changed.

mod next;
mod orders;
mod refusals;

use std::{sync::Arc, time::Duration};

use bridgehead_admin_api::{EventKind, State, Transport as TransportKind};
use bridgehead_store::{
    AuditRow, FrozenTransaction, LogEntry, Orders, PauseRow, Snapshot, StreamPosition, Tx,
};
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    backoff::Backoff,
    batch::{self, Batch, Limits, Reader, Sequence},
    handle::{DeliveryHandle, Engine},
    limit::{AdaptiveLimit, Suspicion},
    state::DeliveryMove,
    status::holds,
    transport::{Failure, Transport},
};
use crate::{appservices::Appservice, metrics::TransactionOutcome, shutdown::Shutdown};

/// How long an ending waits for the answer to a transaction under way, which would be repeated
/// after the next start otherwise.
const STOP_GRACE: Duration = Duration::from_secs(1);
/// Rows of no interest after which the cursor is stored all the same.
const CURSOR_STEP: u64 = 5_000;
/// Ephemeral news in a transaction at most.
const MAX_LANE: usize = 100;
/// How long to wait before a failed use of the store is repeated.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// Runs one service's delivery until the server ends or the service is not registered any more.
pub(crate) async fn run(engine: Arc<Engine>, handle: Arc<DeliveryHandle>, shutdown: Shutdown) {
    let mut task = Task {
        engine: &engine,
        handle: &handle,
        shutdown: &shutdown,
        orders: Orders::default(),
        orders_seen: 0,
        begun: false,
        cursor: StreamPosition::ZERO,
        stored_cursor: StreamPosition::ZERO,
        current: None,
        more: true,
        last_txn_id: 0,
        dialect: handle.dialect(),
        failures: 0,
        suspicious: 0,
        backoff: Backoff::new(&engine.config),
        limit: AdaptiveLimit::new(full_limits(&engine)),
    };
    tokio::select! {
        biased;
        () = task.run() => {}
        () = end(&shutdown, &handle) => {}
    }
}

/// Returns when the task is to be dropped, done or not.
async fn end(shutdown: &Shutdown, handle: &DeliveryHandle) {
    handle.end(shutdown).await;
    if handle.is_attempting() {
        sleep(STOP_GRACE).await;
    }
}

fn full_limits(engine: &Engine) -> Limits {
    Limits {
        events: engine.config.max_transaction_events as usize,
        bytes: usize::try_from(engine.config.max_transaction_bytes).unwrap_or(usize::MAX),
    }
}

struct Task<'a> {
    engine: &'a Arc<Engine>,
    handle: &'a Arc<DeliveryHandle>,
    shutdown: &'a Shutdown,
    /// What was ordered, as last read. Of its `frozen` and `cursor`, `current` and `cursor` are
    /// the newer truth.
    orders: Orders,
    /// The handle's count of orders then.
    orders_seen: u64,
    /// What waits has been counted.
    begun: bool,
    /// Read up to here.
    cursor: StreamPosition,
    /// What the database has.
    stored_cursor: StreamPosition,
    /// Frozen, and not acknowledged.
    current: Option<FrozenTransaction>,
    /// The log went on after `cursor` when it was last looked at.
    more: bool,
    last_txn_id: u64,
    dialect: u8,
    /// Failed attempts of `current` in a row.
    failures: u32,
    /// Those of them, the latest in a row, that may be the contents' fault: an outage before them says
    /// nothing about the contents.
    suspicious: u32,
    backoff: Backoff,
    limit: AdaptiveLimit,
}

impl Task<'_> {
    async fn run(&mut self) {
        self.begin().await;
        loop {
            if self.handle.orders() != self.orders_seen {
                self.take_orders().await;
            }
            if self.handle.is_ending(self.shutdown) {
                return;
            }
            if self.is_held().await {
                self.hold().await;
                continue;
            }
            let Some(service) = self.engine.registry.load().by_nid(self.handle.nid) else {
                // Being registered or retired: either is told.
                self.handle.ordered().await;
                continue;
            };
            let Some(link) = self.link() else {
                tokio::select! {
                    biased;
                    () = self.handle.ordered() => {}
                    () = self.handle.outlet.consumer_arrives() => {}
                }
                continue;
            };
            if self.current.is_none() {
                let next = self.next_transaction(&service).await;
                self.advance(None, next).await;
            }
            if self.handle.orders() != self.orders_seen {
                // While it was cut and stored, somebody may have held the delivery.
                continue;
            }
            if self.current.is_some() {
                self.attempt(&service, link.as_ref()).await;
            } else if !self.more && !self.is_drained() {
                self.rest().await;
            }
        }
    }

    /// How the service is reached now: by what it has come for itself, else at its url.
    fn link(&self) -> Option<Arc<dyn Transport>> {
        let link = if self.handle.outlet.has_consumer() {
            Some(self.handle.outlet.clone() as Arc<dyn Transport>)
        } else {
            self.handle.links().push.clone()
        };
        let kind = link
            .as_ref()
            .map_or(TransportKind::None, |link| link.kind());
        self.handle.status.way(kind, self.limit.now().events);
        link
    }

    /// Nothing to send: waits until there may be something.
    async fn rest(&self) {
        let there = self.handle.status.way_is_outlet();
        tokio::select! {
            biased;
            () = self.handle.ordered() => {}
            () = self.handle.woken() => {}
            () = self.handle.outlet.consumer_changes(there) => {}
        }
    }

    /// One attempt of the current transaction, and what follows from its outcome.
    async fn attempt(&mut self, service: &Arc<Appservice>, link: &dyn Transport) {
        let Some(transaction) = self.current.take() else {
            return;
        };
        let handle = self.handle.clone();
        let _listening = handle.listen_for_life();
        handle.set_attempting(true);
        handle.status.step(match handle.status.state() {
            State::Retrying => DeliveryMove::TryAgain,
            State::Idle | State::Delivering | State::Failed => DeliveryMove::BatchReady,
        });
        let (id, is_retry) = (&service.registration.id, self.failures > 0);
        self.engine.bus.count(|m| m.attempt(id, is_retry));
        let started = Instant::now();
        let outcome = link.push(&transaction).await;
        let reason = outcome.as_ref().err().map(Failure::reason);
        self.engine
            .bus
            .count(|m| m.attempt_ended(id, started.elapsed(), reason));
        match outcome {
            Ok(()) => {
                self.acknowledged(service, transaction).await;
                handle.set_attempting(false);
            }
            Err(failure) => {
                handle.set_attempting(false);
                self.current = Some(transaction.clone());
                self.failed(&transaction, &failure).await;
                if self.current.is_some() && !handle.is_ending(self.shutdown) {
                    self.wait(link, &failure).await;
                }
            }
        }
    }

    /// The service has it: that is stored, together with the next transaction if one is ready.
    async fn acknowledged(&mut self, service: &Arc<Appservice>, done: FrozenTransaction) {
        let now_ms = self.engine.clock.now_ms();
        self.handle.status.step(DeliveryMove::Acknowledged);
        if self.failures > 0 {
            tracing::info!(
                appservice.id = %self.name(), transaction_id = done.txn_id,
                failed_attempts = self.failures, "the application service is back"
            );
        }
        self.failures = 0;
        self.suspicious = 0;
        self.backoff = Backoff::new(&self.engine.config);
        self.limit.acknowledged();
        if done.replay_id.is_none() {
            self.cursor = done.upto.max(self.cursor);
        }
        self.orders.replay = self.orders.replay.and_then(|replay| {
            let at = if done.replay_id == Some(replay.replay_id) {
                done.upto
            } else {
                replay.at
            };
            (at < replay.upto).then_some(bridgehead_store::ReplayRow { at, ..replay })
        });
        let may_go_on = self.handle.orders() == self.orders_seen
            && !self.handle.is_ending(self.shutdown)
            && self.orders.drain.is_none()
            // Going on with it may read the orders again, for which this must be stored first.
            && self.orders.replay.is_none();
        if done.replay_id.is_none() {
            self.orders.last_upto = done.upto;
        }
        let next = if may_go_on {
            self.next_transaction(service).await
        } else {
            None
        };
        self.handle.status.acknowledged(&done, now_ms);
        self.advance(Some(&done), next).await;
        self.count_end(TransactionOutcome::Acknowledged);
        if done.replay_id.is_none() && done.oldest_at > 0 {
            let latency_ms = u64::try_from(now_ms - done.oldest_at).unwrap_or(0);
            self.engine
                .bus
                .count(|m| m.delivered_after(&service.registration.id, latency_ms));
        }
        if done.replay_id.is_some() && self.orders.replay.is_none() {
            // The next one, if any, is read from the database.
            self.take_orders().await;
        }
        self.engine.bus.emit(
            now_ms,
            EventKind::EventsDelivered {
                service_id: service.registration.id.clone(),
                transaction_id: done.txn_id.to_string(),
                event_count: done.events,
            },
        );
    }

    /// Waits for the backoff's end, a sign of life or new orders, whichever is first.
    async fn wait(&mut self, link: &dyn Transport, failure: &Failure) {
        let wait = self.backoff.next(&self.engine.random);
        let now_ms = self.engine.clock.now_ms();
        let wait_ms = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
        self.handle.status.next_try(now_ms.saturating_add(wait_ms));
        let started = Instant::now();
        let refused = matches!(failure, Failure::Unreachable(_));
        if !refused {
            self.backoff.misled = false;
        }
        let orders = self.orders_seen;
        let ordered = async {
            while self.handle.orders() == orders {
                self.handle.ordered().await;
            }
        };
        let (mut until, mut sign) = (started + wait, false);
        let mut reachable = link.reachable_again(self.backoff.misled);
        tokio::pin!(ordered);
        loop {
            tokio::select! {
                biased;
                () = &mut ordered => return,
                // A sign of life shortens the wait; the port is looked at all the while, for a
                // service may call before it listens.
                () = self.handle.alive(), if !sign => {
                    sign = true;
                    until = until.min(started + self.backoff.sign_of_life_gap());
                }
                () = &mut reachable, if refused => {
                    self.backoff.misled = true;
                    return;
                }
                () = sleep_until(until) => {
                    if !sign {
                        self.backoff.ran_out();
                    }
                    return;
                }
            }
        }
    }

    /// Reads from the store, for as long as it takes: without it there is nothing to do.
    async fn read<T: Send + 'static>(
        &self,
        read: impl Fn(&Snapshot<'_>) -> bridgehead_store::Result<T> + Clone + Send + 'static,
    ) -> T {
        loop {
            match self.engine.store.read_for_delivery(read.clone()).await {
                Ok(value) => return value,
                Err(error) => self.store_failed(&error).await,
            }
        }
    }

    /// Writes to the store, for as long as it takes.
    async fn write<T: Send + 'static>(
        &self,
        write: impl Fn(&mut Tx<'_>) -> bridgehead_store::Result<T> + Clone + Send + 'static,
    ) -> T {
        loop {
            let write = write.clone();
            match self.engine.store.write(move |tx| write(tx)).await {
                Ok(value) => return value,
                Err(error) => self.store_failed(&error).await,
            }
        }
    }

    async fn store_failed(&self, error: &bridgehead_store::Error) {
        // That the disk is full the store has said, once.
        if matches!(error, bridgehead_store::Error::Full { .. }) {
            tracing::debug!(appservice.id = %self.name(), "delivery waits for room on the disk");
        } else {
            tracing::error!(appservice.id = %self.name(), %error, "delivery waits for the store");
        }
        sleep(STORE_PAUSE).await;
    }

    /// A transaction came to its end.
    fn count_end(&self, outcome: TransactionOutcome) {
        self.engine
            .bus
            .count(|metrics| metrics.transaction(&self.name(), outcome));
    }

    /// The service's id, for people.
    fn name(&self) -> String {
        let registry = self.engine.registry.load();
        registry.by_nid(self.handle.nid).map_or_else(
            || format!("#{}", self.handle.nid.0),
            |service| service.registration.id.clone(),
        )
    }
}

fn millis(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}
