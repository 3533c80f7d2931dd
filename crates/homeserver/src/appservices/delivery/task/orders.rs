//! What persons have ordered about a delivery, and how the task obeys.

use super::*;

impl Task<'_> {
    /// A new life: what an earlier one had frozen goes first, unchanged.
    pub(super) async fn begin(&mut self) {
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
    pub(super) async fn take_orders(&mut self) {
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
    pub(super) async fn obey(&mut self, orders: &Orders) {
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
    pub(super) fn tell_pause(&self, orders: &Orders) {
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
    pub(super) async fn count_waiting(&self) {
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
    pub(super) async fn is_held(&mut self) -> bool {
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

    pub(super) fn is_drained(&self) -> bool {
        let done = self.orders.drain.as_ref();
        self.current.is_none() && done.is_some_and(|drain| self.cursor >= drain.upto)
    }

    pub(super) async fn end_drain(&mut self) {
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
    pub(super) async fn hold(&self) {
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
}
