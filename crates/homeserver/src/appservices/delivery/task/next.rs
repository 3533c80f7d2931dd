//! The next transaction: cut from the log, frozen in one unit of work with what is done.

use super::*;

impl Task<'_> {
    /// Cuts the next batch from the log and gives it its id.
    pub(super) async fn next_transaction(
        &mut self,
        service: &Arc<Appservice>,
    ) -> Option<FrozenTransaction> {
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

    pub(super) async fn cut(
        &self,
        service: &Arc<Appservice>,
        limits: Limits,
        now_ms: i64,
    ) -> Batch {
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
    pub(super) fn lane(&self, batch: &Batch, limits: Limits, now_ms: i64) -> Vec<String> {
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
    pub(super) async fn pass_replay(
        &mut self,
        replay: bridgehead_store::ReplayRow,
        at: StreamPosition,
    ) {
        self.write(move |tx| tx.advance_replay(replay.replay_id, at))
            .await;
        self.take_orders().await;
    }

    /// Ids are increasing decimal numbers that no restart and no restored backup repeats: the
    /// time in microseconds, or one more than the last.
    pub(super) fn fresh_txn_id(&self, now_ms: i64) -> u64 {
        let now_us = u64::try_from(now_ms).unwrap_or(0).saturating_mul(1000);
        now_us.max(self.last_txn_id + 1)
    }

    /// One unit of work: remembers the acknowledgement of `done`, moves the cursor, and freezes
    /// `next` before its first attempt. A crash before it repeats `done`, with the same id and
    /// bytes; a crash after it begins with `next`.
    pub(super) async fn advance(
        &mut self,
        done: Option<&FrozenTransaction>,
        next: Option<FrozenTransaction>,
    ) {
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
