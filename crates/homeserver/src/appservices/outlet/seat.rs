//! A place at the outlet.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use super::{Ending, Outlet, SocketLink, Taker};

/// A transaction handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Handed {
    /// Its id.
    pub(crate) txn_id: u64,
    /// The exact body: a JSON object.
    pub(crate) body: Bytes,
}

/// A place at the outlet, left when it is dropped.
pub(crate) struct Seat {
    outlet: Arc<Outlet>,
    number: u64,
    end: watch::Receiver<Option<Ending>>,
    leased: bool,
}

impl Outlet {
    /// Sits down with a websocket; whoever sat there leaves. `None`: the outlet is closed.
    pub(crate) fn sit_with_socket(self: &Arc<Self>, socket: Arc<SocketLink>) -> Option<Seat> {
        self.sit(Some(socket))
    }

    /// Sits down to fetch one transaction; whoever sat there leaves, except for a websocket, which
    /// needs no fetching. `None`: a websocket sits there, or the outlet is closed.
    pub(crate) fn sit_to_fetch(self: &Arc<Self>) -> Option<Seat> {
        self.sit(None)
    }

    fn sit(self: &Arc<Self>, socket: Option<Arc<SocketLink>>) -> Option<Seat> {
        let (end, ended) = watch::channel(None);
        let number = {
            let mut inner = self.inner.lock();
            let earlier_socket = inner.taker.as_ref().is_some_and(|t| t.socket.is_some());
            if inner.closed || earlier_socket && socket.is_none() {
                return None;
            }
            if let Some(earlier) = &inner.taker {
                earlier.end.send_replace(Some(Ending::Replaced));
                let seat = earlier.seat;
                inner.left(seat, "the service came again without having acknowledged");
            }
            inner.newest_seat += 1;
            inner.taker = Some(Taker {
                seat: inner.newest_seat,
                end,
                socket,
                leased: false,
            });
            inner.newest_seat
        };
        self.changed.send_replace(());
        Some(Seat {
            outlet: self.clone(),
            number,
            end: ended,
            leased: false,
        })
    }
}

impl Seat {
    /// The next transaction; each attempt is handed out once.
    pub(crate) async fn next(&self) -> Handed {
        self.outlet.until(|inner| inner.hand_to(self.number)).await
    }

    /// The same if there is one at once.
    pub(crate) fn next_now(&self) -> Option<Handed> {
        self.outlet.inner.lock().hand_to(self.number)
    }

    /// Returns when this seat has to be left.
    pub(crate) async fn ended(&self) -> Ending {
        match self.end.clone().wait_for(Option::is_some).await {
            Ok(why) => why.unwrap_or(Ending::Replaced),
            // The one who sat there is forgotten, so somebody else must have come.
            Err(_) => Ending::Replaced,
        }
    }

    /// Leaves with the transaction handed out: the seat is kept until it is answered, its time is
    /// over, or the service comes again.
    pub(crate) fn leave_with_lease(mut self) {
        self.leased = true;
        let mut inner = self.outlet.inner.lock();
        let number = self.number;
        // An acknowledgement cannot have come yet, but the push may have ended.
        let goes_on = inner
            .offer
            .as_ref()
            .is_some_and(|offer| offer.taken_by == Some(number));
        if !goes_on {
            inner.taker.take_if(|taker| taker.seat == number);
        } else if let Some(taker) = inner.taker.as_mut().filter(|taker| taker.seat == number) {
            taker.leased = true;
        }
    }
}

impl super::Inner {
    fn hand_to(&mut self, seat: u64) -> Option<Handed> {
        if self.closed || self.taker.as_ref()?.seat != seat {
            return None;
        }
        let offer = self
            .offer
            .as_mut()
            .filter(|offer| offer.taken_by.is_none() && offer.outcome.is_none())?;
        offer.taken_by = Some(seat);
        self.handed_out = Some(offer.txn_id);
        Some(Handed {
            txn_id: offer.txn_id,
            body: offer.body.clone(),
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.leased {
            return;
        }
        self.outlet
            .inner
            .lock()
            .left(self.number, "the service has gone away without answering");
        self.outlet.changed.send_replace(());
    }
}
