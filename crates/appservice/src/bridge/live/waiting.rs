//! What waits for the network, and goes on when it is back.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::Live;
use crate::{
    bridge::{Network, network::room_of, portal::Portal},
    core::Core,
    metrics::catalogue::REMOTE_UP,
};

/// How long what came long ago waits for the network at the service's start.
const TIME_TO_CONNECT: Duration = Duration::from_secs(300);

impl<N: Network> Live<N> {
    /// The connection stands.
    pub(crate) fn connected(&self) {
        self.failures.store(0, Ordering::Release);
        tracing::info!(network = N::NAME, "connected");
        self.show_connection(N::NAME, true);
        self.tasks.hurry();
        self.hurry_waiting(|_| true);
    }

    /// The connection stands, for some rooms.
    pub(crate) fn connected_in(&self, is_there: impl Fn(&N::Room) -> bool) {
        // The author's own code is called with nothing held.
        for lane in self.tasks.names() {
            if room_of::<N>(&lane).is_some_and(|room| is_there(&room)) {
                self.tasks.hurry_lane(&lane);
            }
        }
        self.hurry_waiting(is_there);
    }

    /// Tries at once what waits for the network in these rooms.
    fn hurry_waiting(&self, is_there: impl Fn(&N::Room) -> bool) {
        let Ok(core) = self.core() else { return };
        let waiting = self.waiting.lock().clone();
        for (lane, _) in waiting.iter().filter(|(_, room)| is_there(room)) {
            core.inbox.hurry_lane(lane);
        }
    }

    /// Something in a lane of a portal is about to be tried: it may have to wait from now on.
    pub(crate) fn may_wait(&self, lane: &Arc<str>, portal: &Portal<N>) {
        self.waiting
            .lock()
            .insert(lane.clone(), portal.remote.clone());
    }

    /// Nothing in a lane waits any more.
    pub(crate) fn waits_no_more(&self, lane: &str) {
        self.waiting.lock().remove(lane);
    }

    /// Whether something that was received then has waited for the network long enough. The time in which the service
    /// does not run counts, but whoever starts it can expect that it connects first.
    pub(crate) fn has_waited(&self, core: &Core, received_ms: i64) -> bool {
        let now_ms = core.now_ms();
        let since = |then: i64| Duration::from_millis(u64::try_from(now_ms - then).unwrap_or(0));
        // The inbox itself waits no longer.
        let patience = self.plan.patience.min(core.limits.give_up_after);
        since(received_ms) >= patience
            && since(self.begun_ms.load(Ordering::Acquire)) >= patience.min(TIME_TO_CONNECT)
    }

    /// Shows in the figures whether there is a connection.
    pub(crate) fn show_connection(&self, remote: &str, is_up: bool) {
        if let Ok(core) = self.core() {
            let up = if is_up { 1.0 } else { 0.0 };
            core.metrics.set(&REMOTE_UP, &[remote], up);
        }
    }
}
