//! One task per service brings it its share of the log.
//!
//! Strictly one transaction is in flight. It is frozen (id and exact bytes stored) before the
//! first attempt, and the cursor moves when the acknowledgement is stored, so that neither a crash
//! nor a retry can change, lose or reorder anything. The task is fed by the log alone: a wake-up
//! is a hint, and the same path serves normal running and recovery. What persons order (pause,
//! skip, replay, …) are rows of the database, too, which the task reads when it is told that they
//! have changed.

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

    /// A new life: what an earlier one had frozen goes first, unchanged.
    async fn begin(&mut self) {
        let nid = self.handle.nid;
        let given_up = self
            .read(move |snapshot| Ok(snapshot.orders(nid)?.failed_at.is_some()))
            .await;
        self.handle
            .status
            .begin(if given_up { State::Failed } else { State::Idle });
        self.take_orders().await;
        self.count_waiting().await;
        self.begun = true;
    }

    /// Reads what was ordered, and obeys.
    async fn take_orders(&mut self) {
        self.orders_seen = self.handle.orders();
        let nid = self.handle.nid;
        let orders = self.read(move |snapshot| snapshot.orders(nid)).await;
        let same = self.current.as_ref().map(|txn| txn.txn_id)
            == orders.frozen.as_ref().map(|txn| txn.txn_id);
        if !same {
            if self.current.is_some() && self.handle.status.state() == State::Retrying {
                self.count_end(TransactionOutcome::Skipped);
                self.handle.status.step(DeliveryMove::Withdrawn);
                self.limit.trust();
            }
            self.failures = 0;
            self.suspicious = 0;
            self.current.clone_from(&orders.frozen);
        }
        let jumped = self.stored_cursor < orders.cursor;
        self.cursor = self.cursor.max(orders.cursor);
        self.stored_cursor = orders.cursor;
        self.last_txn_id = self.last_txn_id.max(orders.last_txn_id);
        self.more = true;
        self.obey(&orders).await;
        self.tell_pause(&orders);
        self.handle.status.ordered(&orders);
        self.orders = orders;
        if jumped && self.begun {
            self.count_waiting().await;
        }
    }

    /// A person gives the service up, or brings it back.
    async fn obey(&mut self, orders: &Orders) {
        let status = &self.handle.status;
        match (status.state(), orders.failed_at) {
            (State::Retrying, Some(_)) => {
                status.step(DeliveryMove::GiveUp);
                tracing::warn!(appservice.id = %self.name(), "given up by a person; nothing is sent until a person brings it back");
            }
            (State::Failed, None) => {
                status.step(DeliveryMove::Recover);
                self.backoff = Backoff::new(&self.engine.config);
                tracing::info!(appservice.id = %self.name(), "brought back by a person");
            }
            (State::Idle | State::Delivering, Some(_)) => {
                // It has acknowledged before the order came.
                let nid = self.handle.nid;
                self.write(move |tx| tx.recover_delivery(nid)).await;
            }
            (State::Idle | State::Delivering | State::Retrying, None)
            | (State::Failed, Some(_)) => {}
        }
    }

    /// One line when the delivery is paused, and one when it goes on.
    fn tell_pause(&self, orders: &Orders) {
        let pause = orders.pauses.first();
        match (self.orders.pauses.is_empty(), pause) {
            (true, Some(pause)) => tracing::info!(
                appservice.id = %self.name(), by = pause.by, reason = pause.reason, "paused"
            ),
            (false, None) => tracing::info!(appservice.id = %self.name(), "goes on after a pause"),
            (true, None) | (false, Some(_)) => {}
        }
    }

    /// The rows that wait are counted once; from then on commits and acknowledgements are.
    async fn count_waiting(&self) {
        let handle = self.handle.clone();
        // Inside a unit of work no commit can come in between.
        let upto = self
            .write(move |tx| {
                let upto = tx.last_position()?;
                handle.status.count_from(upto);
                Ok(upto)
            })
            .await;
        let (store, nid, cursor) = (
            self.engine.store.clone(),
            self.handle.nid,
            self.stored_cursor,
        );
        let waiting = self
            .read(move |snapshot| {
                snapshot.waiting(cursor, upto, |interest| {
                    store.interest_contains(interest, nid)
                })
            })
            .await;
        self.handle.status.counted(waiting);
    }

    /// Whether nothing may be sent now: paused, or given up.
    async fn is_held(&mut self) -> bool {
        let now_ms = self.engine.clock.now_ms();
        if self.orders.pauses.iter().any(|pause| !holds(pause, now_ms)) {
            let nid = self.handle.nid;
            self.write(move |tx| tx.end_due_pauses(nid, now_ms)).await;
            self.take_orders().await;
        }
        if self.handle.status.state() == State::Failed {
            return true;
        }
        if self.is_drained() {
            self.end_drain().await;
        }
        !self.orders.pauses.is_empty()
    }

    fn is_drained(&self) -> bool {
        let done = self.orders.drain.as_ref();
        self.current.is_none() && done.is_some_and(|drain| self.cursor >= drain.upto)
    }

    async fn end_drain(&mut self) {
        let (nid, now_ms) = (self.handle.nid, self.engine.clock.now_ms());
        self.write(move |tx| {
            if tx.end_drain(nid)? {
                let pause = PauseRow {
                    by: "operator".to_owned(),
                    since: now_ms,
                    until: None,
                    reason: Some("drained".to_owned()),
                };
                tx.pause_delivery(nid, &pause)?;
            }
            Ok(())
        })
        .await;
        tracing::info!(appservice.id = %self.name(), "drained and paused");
        self.take_orders().await;
    }

    /// Waits until the orders change, or a pause's time has come.
    async fn hold(&self) {
        let now_ms = self.engine.clock.now_ms();
        let until = self
            .orders
            .pauses
            .iter()
            .filter_map(|pause| pause.until)
            .min();
        let due = async {
            match until {
                Some(at) => sleep(millis(at - now_ms)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.handle.ordered() => {}
            () = due => {}
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

    /// Cuts the next batch from the log and gives it its id.
    async fn next_transaction(&mut self, service: &Arc<Appservice>) -> Option<FrozenTransaction> {
        let now_ms = self.engine.clock.now_ms();
        let limits = self.limit.now();
        let replay = self.orders.replay;
        let batch = self.cut(service, limits, now_ms).await;
        let lane = self.lane(&batch, limits, now_ms);
        if replay.is_none() {
            self.cursor = batch.upto();
            self.more = batch.has_more();
        } else {
            self.more = true;
        }
        let probed = replay.is_none() && self.handle.take_probe();
        if !batch.has_something() && lane.is_empty() && !probed {
            match replay {
                Some(replay) => self.pass_replay(replay, batch.upto()).await,
                None => self.handle.status.passed(batch.entries()),
            }
            return None;
        }
        self.last_txn_id = self.fresh_txn_id(now_ms);
        let sequence = Sequence {
            prev: replay.map_or(self.orders.last_upto, |replay| replay.at),
            replay: replay.is_some(),
        };
        Some(FrozenTransaction {
            txn_id: self.last_txn_id,
            replay_id: replay.map(|replay| replay.replay_id),
            created_at: now_ms,
            ..batch.freeze(&service.registration, &lane, sequence)
        })
    }

    async fn cut(&self, service: &Arc<Appservice>, limits: Limits, now_ms: i64) -> Batch {
        let service = service.clone();
        let engine = self.engine.clone();
        let replay = self.orders.replay;
        let (from, upto) = match replay {
            Some(replay) => (replay.at, replay.upto),
            None => (self.cursor, StreamPosition(u64::MAX)),
        };
        let ephemeral = replay.is_none() && !self.limit.is_suspicious();
        self.read(move |snapshot| {
            let interested =
                |row: &LogEntry| engine.store.interest_contains(row.interest, service.nid);
            Reader {
                snapshot,
                service: &service,
                registry: &engine.registry.load(),
                interested: &interested,
                limits,
                ephemeral,
                now_ms,
            }
            .collect(from, upto)
        })
        .await
    }

    /// Typing and presence that ride along: not in a replay, not while contents are suspected.
    fn lane(&self, batch: &Batch, limits: Limits, now_ms: i64) -> Vec<String> {
        if self.orders.replay.is_some() || self.limit.is_suspicious() {
            return Vec::new();
        }
        // Alone they may take what they need; each stands under two keys at most.
        let bytes = if batch.has_something() {
            batch.free_bytes(limits) / 2
        } else {
            usize::MAX
        };
        self.handle.lane.take(MAX_LANE, bytes, now_ms)
    }

    /// A stretch of a replay had nothing for the service.
    async fn pass_replay(&mut self, replay: bridgehead_store::ReplayRow, at: StreamPosition) {
        self.write(move |tx| tx.advance_replay(replay.replay_id, at))
            .await;
        self.take_orders().await;
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
    async fn advance(&mut self, done: Option<&FrozenTransaction>, next: Option<FrozenTransaction>) {
        let cursor = match &next {
            // What is in it is not acknowledged yet.
            Some(next) if next.replay_id.is_none() => next.from,
            Some(_) | None => self.cursor,
        };
        let idle_steps = cursor.0.saturating_sub(self.stored_cursor.0);
        if done.is_some() || next.is_some() || idle_steps >= CURSOR_STEP {
            let learnt = self.handle.dialect();
            let step = Step {
                nid: self.handle.nid,
                done: done.map(|transaction| transaction.txn_id),
                cursor,
                next: next.clone(),
                dialect: (learnt != self.dialect).then_some(learnt),
            };
            self.write(move |tx| step.store(tx)).await;
            self.dialect = learnt;
            self.stored_cursor = cursor.max(self.stored_cursor);
        }
        self.handle.status.moved(cursor, next.as_ref());
        self.handle.status.replaying(self.orders.replay);
        self.current = next;
    }

    /// An attempt failed: tells, and splits or gives up what the service keeps refusing.
    async fn failed(&mut self, transaction: &FrozenTransaction, failure: &Failure) {
        let now_ms = self.engine.clock.now_ms();
        self.failures = self.failures.saturating_add(1);
        self.suspicious = match failure.suspicion() {
            Some(_) => self.suspicious.saturating_add(1),
            None => 0,
        };
        self.handle.status.step(DeliveryMove::AttemptFailed);
        self.handle.status.failed(transaction, failure, now_ms);
        self.tell_failure(transaction, failure, now_ms);
        let divisible = transaction.items > 1 || batch::carries_ephemeral(&transaction.body);
        match self
            .limit
            .refused(transaction, divisible, failure, self.suspicious)
        {
            Suspicion::None => {}
            Suspicion::Split => self.split(transaction).await,
            Suspicion::Stuck => self.stuck(transaction, failure, now_ms).await,
        }
    }

    /// One line when a service goes away, not one for each attempt.
    fn tell_failure(&self, transaction: &FrozenTransaction, failure: &Failure, now_ms: i64) {
        if self.failures == 1 {
            tracing::warn!(
                appservice.id = %self.name(), transaction_id = transaction.txn_id, error = %failure.headline(),
                "delivery failed; it is tried again until the service acknowledges"
            );
        }
        self.engine.bus.emit(
            now_ms,
            EventKind::DeliveryFailed {
                service_id: self.name(),
                transaction_id: transaction.txn_id.to_string(),
                retry_count: self.failures,
            },
        );
    }

    /// The transaction is withdrawn; what was in it is cut again, smaller and under a new id.
    async fn split(&mut self, transaction: &FrozenTransaction) {
        let (nid, txn_id) = (self.handle.nid, transaction.txn_id);
        let withdrawn = self
            .write(move |tx| tx.withdraw_transaction(nid, txn_id))
            .await;
        if !withdrawn {
            // Somebody has skipped it in the meantime.
            return self.take_orders().await;
        }
        self.count_end(TransactionOutcome::Split);
        self.handle.status.step(DeliveryMove::Withdrawn);
        tracing::info!(
            appservice.id = %self.name(), transaction_id = txn_id, entries = transaction.entries,
            next_entries = self.limit.now().events, "refused again; it is split"
        );
        if transaction.replay_id.is_none() {
            self.cursor = transaction.from;
        }
        self.failures = 0;
        self.suspicious = 0;
        self.current = None;
        self.more = true;
        self.handle.status.moved(self.stored_cursor, None);
    }

    /// The one entry that is left is what the service refuses.
    async fn stuck(&mut self, transaction: &FrozenTransaction, failure: &Failure, now_ms: i64) {
        let answer = failure.to_string();
        let (nid, txn_id) = (self.handle.nid, transaction.txn_id);
        let (first, text) = (transaction.stuck_at.is_none(), answer.clone());
        self.write(move |tx| tx.set_stuck(nid, txn_id, now_ms, &text))
            .await;
        let current = FrozenTransaction {
            stuck_at: Some(transaction.stuck_at.unwrap_or(now_ms)),
            answer: Some(answer.clone()),
            ..transaction.clone()
        };
        self.handle.status.stuck(&current);
        if first {
            tracing::error!(
                appservice.id = %self.name(), transaction_id = txn_id, error = %failure.headline(),
                "stuck: the service refuses one event, and everything behind it waits; see `bridgehead appservice show`"
            );
        }
        self.current = Some(current);
        if self
            .orders
            .skip_after
            .is_some_and(|after| self.failures >= after)
        {
            self.skip_by_policy(txn_id, now_ms).await;
        }
    }

    async fn skip_by_policy(&mut self, txn_id: u64, now_ms: i64) {
        let nid = self.handle.nid;
        let id = self.name();
        self.write(move |tx| {
            let skipped = tx.skip_transaction(nid, txn_id, "policy", now_ms, None)?;
            if skipped.is_some() {
                let detail = format!("transaction {txn_id}");
                tx.insert_audit(&AuditRow {
                    at_ms: now_ms,
                    who: "policy".to_owned(),
                    action: "skip".to_owned(),
                    service_id: Some(id.clone()),
                    detail: Some(detail),
                    ..AuditRow::default()
                })?;
            }
            Ok(())
        })
        .await;
        self.take_orders().await;
    }

    /// Waits for the backoff's end, a sign of life or new orders, whichever is first.
    async fn wait(&mut self, link: &dyn Transport, failure: &Failure) {
        let wait = self.backoff.next(self.engine.random.as_ref());
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
        tracing::error!(appservice.id = %self.name(), %error, "delivery waits for the store");
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

/// What is stored between two transactions.
#[derive(Clone)]
struct Step {
    nid: bridgehead_store::AppserviceNid,
    done: Option<u64>,
    cursor: StreamPosition,
    next: Option<FrozenTransaction>,
    dialect: Option<u8>,
}

impl Step {
    fn store(&self, tx: &mut Tx<'_>) -> bridgehead_store::Result<()> {
        if let Some(txn_id) = self.done {
            tx.complete_transaction(self.nid, txn_id)?;
        }
        tx.move_cursor(self.nid, self.cursor)?;
        if let Some(next) = &self.next {
            tx.freeze_transaction(self.nid, next)?;
        }
        if let Some(dialect) = self.dialect {
            tx.set_dialect(self.nid, dialect)?;
        }
        Ok(())
    }
}
