//! Where a service that takes its transactions off us meets the task that has them.
//!
//! A service may open a websocket, or fetch; either way it sits down at its [`Outlet`], and the
//! delivery task, which knows the outlet as a [`Transport`], pushes to whoever sits there. The
//! outlet lives as long as the service, across changes of its registration.
//!
//! ```text
//! delivery task ── push ──▶ offer ──▶ Seat::next ──▶ websocket, or the answer to a poll
//!       ▲                     │
//!       └── Ok / Failure ◀────┴── answer(id, …) ◀── the service's acknowledgement
//! ```
//!
//! One sits there at a time: who comes later replaces the earlier one. A transaction counts as
//! delivered when the service has answered it, never because it was written to a socket. It is
//! kept by the delivery task, so whatever breaks here costs a repetition of the same bytes.

mod commands;
mod frame;
mod seat;
mod session;
mod socket_link;

use std::{sync::Arc, time::Duration};

use bridgehead_admin_api::Transport as TransportKind;
use bridgehead_store::FrozenTransaction;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::delivery::transport::{Failure, Transport};

pub(crate) use self::{
    frame::{refusal as refusal_of, with_keys_of as frame_with_keys_of},
    seat::{Handed, Seat},
    session::{MAX_INCOMING as MAX_INCOMING_FRAME, serve as serve_websocket},
    socket_link::{Question, SocketError, SocketLink},
};

/// For how long a transaction waits for somebody to take it when the one who sat there has just
/// gone: between two polls nobody sits there.
const BETWEEN_TWO: Duration = Duration::from_secs(1);
/// Where nothing else was said: how long a transaction may wait for its acknowledgement.
const USUAL_DEADLINE: Duration = Duration::from_secs(60);

/// Why somebody has to leave their seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Somebody else of the same service has come.
    Replaced,
    /// A transaction was not acknowledged in time.
    NotAcknowledged,
    /// The server stops, or the service is no longer registered.
    ServerStops,
}

/// The meeting point of one service.
pub(crate) struct Outlet {
    inner: Mutex<Inner>,
    /// Anything in `inner` has changed.
    changed: watch::Sender<()>,
}

struct Inner {
    /// How long a transaction may wait for its acknowledgement.
    deadline: Duration,
    /// Seats are numbered from one; this is the newest one's number.
    newest_seat: u64,
    taker: Option<Taker>,
    offer: Option<Offer>,
    /// The seat of the last push that failed: it is no reason for another attempt.
    failed_seat: u64,
    /// What was handed out last.
    handed_out: Option<u64>,
    /// Acknowledged while nobody was pushing it.
    late: Option<u64>,
    /// Acknowledged last.
    acknowledged: Option<u64>,
    closed: bool,
}

/// Who sits there.
struct Taker {
    seat: u64,
    end: watch::Sender<Option<Ending>>,
    /// A websocket; one who fetches otherwise.
    socket: Option<Arc<SocketLink>>,
    /// One who fetches has gone away with a transaction.
    leased: bool,
}

/// A transaction that the delivery task wants delivered.
struct Offer {
    txn_id: u64,
    body: Bytes,
    taken_by: Option<u64>,
    outcome: Option<Result<(), Failure>>,
}

impl Outlet {
    pub(crate) fn new() -> Self {
        let inner = Inner {
            deadline: USUAL_DEADLINE,
            newest_seat: 0,
            taker: None,
            offer: None,
            failed_seat: 0,
            handed_out: None,
            late: None,
            acknowledged: None,
            closed: false,
        };
        Self {
            inner: Mutex::new(inner),
            changed: watch::Sender::new(()),
        }
    }

    /// How long a transaction may wait for its acknowledgement.
    pub(crate) fn set_deadline(&self, deadline: Duration) {
        self.inner.lock().deadline = deadline;
    }

    /// Whether somebody is there to take transactions.
    pub(crate) fn has_consumer(&self) -> bool {
        self.inner.lock().has_consumer()
    }

    /// Returns once somebody is there to take transactions.
    pub(crate) async fn consumer_arrives(&self) {
        self.until(|inner| inner.has_consumer().then_some(())).await;
    }

    /// Returns once somebody is there, or nobody, and it was not so before.
    pub(crate) async fn consumer_changes(&self, there: bool) {
        self.until(|inner| (inner.has_consumer() != there).then_some(()))
            .await;
    }

    /// The websocket that is open, to ask the service something.
    pub(crate) fn socket(&self) -> Option<Arc<SocketLink>> {
        let inner = self.inner.lock();
        inner.taker.as_ref().and_then(|taker| taker.socket.clone())
    }

    /// The service's answer to a transaction; false: it is not one that waits for an answer.
    pub(crate) fn answer(&self, txn_id: u64, outcome: Result<(), Failure>) -> bool {
        let known = self.inner.lock().answer(txn_id, outcome);
        self.changed.send_replace(());
        known
    }

    /// The acknowledgement of a transaction that an earlier life of the server has handed out:
    /// the caller has seen that it is the one which waits.
    pub(crate) fn acknowledge_late(&self, txn_id: u64) {
        self.inner.lock().late = Some(txn_id);
        self.changed.send_replace(());
    }

    /// Whether this is what was acknowledged last: the service may say it twice.
    pub(crate) fn has_acknowledged(&self, txn_id: u64) -> bool {
        self.inner.lock().acknowledged == Some(txn_id)
    }

    /// Lets the transaction under way be answered for as long as its push is waited for, then
    /// sends everybody away, for good.
    pub(crate) async fn close(&self, within: Duration) {
        let idle = self.until(|inner| inner.offer.is_none().then_some(()));
        tokio::time::timeout(within, idle).await.ok();
        self.shut();
        let empty = self.until(|inner| {
            let gone = inner.taker.as_ref().is_none_or(|taker| taker.leased);
            gone.then_some(())
        });
        tokio::time::timeout(within, empty).await.ok();
    }

    /// Sends everybody away, for good.
    pub(crate) fn shut(&self) {
        {
            let mut inner = self.inner.lock();
            inner.closed = true;
            if let Some(taker) = &inner.taker {
                taker.end.send_replace(Some(Ending::ServerStops));
            }
        }
        self.changed.send_replace(());
    }

    /// Waits until there is something in what is shared.
    async fn until<T>(&self, mut look: impl FnMut(&mut Inner) -> Option<T>) -> T {
        let mut changed = self.changed.subscribe();
        loop {
            if let Some(found) = look(&mut self.inner.lock()) {
                return found;
            }
            changed
                .changed()
                .await
                .expect("the sender is part of what is borrowed here");
        }
    }

    /// `None`: it has been acknowledged already.
    fn offer(&self, transaction: &FrozenTransaction) -> Option<Offered<'_>> {
        {
            let mut inner = self.inner.lock();
            if inner.late.take() == Some(transaction.txn_id) {
                inner.acknowledged = Some(transaction.txn_id);
                return None;
            }
            inner.offer = Some(Offer {
                txn_id: transaction.txn_id,
                body: Bytes::copy_from_slice(&transaction.body),
                taken_by: None,
                outcome: None,
            });
        }
        self.changed.send_replace(());
        Some(Offered(self))
    }

    async fn bring(&self, transaction: &FrozenTransaction) -> Result<(), Failure> {
        let Some(_offered) = self.offer(transaction) else {
            return Ok(());
        };
        let deadline = self.inner.lock().deadline;
        let outcome = self.until(|inner| inner.offer.as_mut()?.outcome.take());
        let outcome = tokio::select! {
            outcome = tokio::time::timeout(deadline, outcome) => {
                outcome.unwrap_or_else(|_| Err(self.not_acknowledged(deadline)))
            }
            () = self.abandoned() => Err(Failure::Unreachable(
                "the service has neither a websocket open nor a poll".to_owned(),
            )),
        };
        if outcome.is_err() {
            let mut inner = self.inner.lock();
            let taken_by = inner.offer.as_ref().and_then(|offer| offer.taken_by);
            let sits_there = inner.taker.as_ref().map(|taker| taker.seat);
            inner.failed_seat = taken_by.or(sits_there).unwrap_or(inner.newest_seat);
        }
        outcome
    }

    /// Returns when nobody has come for a while to take what is offered.
    async fn abandoned(&self) {
        loop {
            self.until(|inner| {
                let untaken = inner.offer.as_ref()?.taken_by.is_none();
                (untaken && inner.taker.is_none()).then_some(())
            })
            .await;
            let somebody = self.until(|inner| inner.taker.as_ref().map(|_| ()));
            if tokio::time::timeout(BETWEEN_TWO, somebody).await.is_err() {
                return;
            }
        }
    }

    /// A websocket that goes on without acknowledging is of no use; the service may come back.
    fn not_acknowledged(&self, deadline: Duration) -> Failure {
        let inner = self.inner.lock();
        if let Some(taker) = &inner.taker {
            taker.end.send_replace(Some(Ending::NotAcknowledged));
        }
        Failure::Timeout(u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX))
    }
}

impl Transport for Outlet {
    fn kind(&self) -> TransportKind {
        match &self.inner.lock().taker {
            Some(Taker {
                socket: Some(_), ..
            }) => TransportKind::Websocket,
            Some(Taker { socket: None, .. }) => TransportKind::Pull,
            None => TransportKind::None,
        }
    }

    fn push<'a>(
        &'a self,
        transaction: &'a FrozenTransaction,
    ) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(self.bring(transaction))
    }

    /// Whoever sat there when an attempt failed is no new reason, misled or not; who has come
    /// since then is one.
    fn reachable_again(&self, _: bool) -> BoxFuture<'_, ()> {
        Box::pin(self.until(|inner| {
            let seat = inner.taker.as_ref().map_or(0, |taker| taker.seat);
            (seat > inner.failed_seat || inner.late.is_some()).then_some(())
        }))
    }
}

impl Inner {
    fn has_consumer(&self) -> bool {
        !self.closed && (self.taker.is_some() || self.late.is_some())
    }

    fn answer(&mut self, txn_id: u64, outcome: Result<(), Failure>) -> bool {
        let waits = self
            .offer
            .as_mut()
            .filter(|offer| offer.txn_id == txn_id && offer.outcome.is_none());
        match waits {
            Some(offer) => {
                if outcome.is_ok() {
                    self.acknowledged = Some(txn_id);
                }
                offer.outcome = Some(outcome);
                true
            }
            None if outcome.is_ok() && self.handed_out == Some(txn_id) => {
                if self.acknowledged != Some(txn_id) {
                    self.late = Some(txn_id);
                }
                true
            }
            None => false,
        }
    }

    /// Whoever sat there has gone.
    fn left(&mut self, seat: u64, why: &str) {
        if self.taker.as_ref().is_some_and(|taker| taker.seat == seat) {
            self.taker = None;
        }
        if let Some(offer) = &mut self.offer
            && offer.taken_by == Some(seat)
            && offer.outcome.is_none()
        {
            offer.outcome = Some(Err(Failure::Broken(why.to_owned())));
        }
    }
}

/// Takes the offer back when the push ends, be it that nobody waits for it any more.
struct Offered<'a>(&'a Outlet);

impl Drop for Offered<'_> {
    fn drop(&mut self) {
        {
            let mut inner = self.0.inner.lock();
            inner.offer = None;
            // One who fetches comes again for the next one.
            inner.taker.take_if(|taker| taker.leased);
        }
        self.0.changed.send_replace(());
    }
}

#[cfg(test)]
mod tests;
