//! Rooms in which nothing succeeds: their events must not wait for each other's attempts for ever, as all rooms share
//! the inbox's room.

use std::num::NonZeroUsize;

use lru::LruCache;
use parking_lot::Mutex;

/// Events of a room parked one after another, all attempts in vain, before the next ones get a single attempt.
const PARKED: u32 = 3;

/// Rooms that are remembered, those of the last failures; one that is forgotten has its attempts again.
const ROOMS: NonZeroUsize = NonZeroUsize::new(10_000).expect("not zero");

/// How many events each room has parked since one succeeded.
pub(super) struct Failing(Mutex<LruCache<String, u32>>);

impl Default for Failing {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(ROOMS)))
    }
}

impl Failing {
    /// An event was parked after its last attempt.
    pub(super) fn parked(&self, lane: &str) {
        let mut rooms = self.0.lock();
        let parked = rooms.get_or_insert_mut(lane.to_owned(), || 0);
        *parked = parked.saturating_add(1);
    }

    /// An event was handled.
    pub(super) fn succeeded(&self, lane: &str) {
        self.0.lock().pop(lane);
    }

    /// How many attempts the room's next event gets, where all others get so many.
    pub(super) fn attempts(&self, lane: &str, usual: u32) -> u32 {
        match self.0.lock().peek(lane) {
            Some(parked) if *parked >= PARKED => 1,
            _ => usual,
        }
    }
}
