//! What follows from a failed attempt: told, and split or skipped where the contents are at fault.

use super::*;

impl Task<'_> {
    /// An attempt failed: tells, and splits or gives up what the service keeps refusing.
    pub(super) async fn failed(&mut self, transaction: &FrozenTransaction, failure: &Failure) {
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
    pub(super) fn tell_failure(
        &self,
        transaction: &FrozenTransaction,
        failure: &Failure,
        now_ms: i64,
    ) {
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
    pub(super) async fn split(&mut self, transaction: &FrozenTransaction) {
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
    pub(super) async fn stuck(
        &mut self,
        transaction: &FrozenTransaction,
        failure: &Failure,
        now_ms: i64,
    ) {
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

    pub(super) async fn skip_by_policy(&mut self, txn_id: u64, now_ms: i64) {
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
}
