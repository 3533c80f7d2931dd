//! The rooms that the users of a lab have been in, in the order in which they were met.

use std::sync::Arc;

use bridgehead_appservice::id::RoomId;
use parking_lot::Mutex;

/// Rooms remembered.
const MAX_ROOMS: usize = 10_000;

/// Clones share the list.
#[derive(Clone, Default)]
pub(super) struct KnownRooms(Arc<Mutex<Vec<RoomId>>>);

impl KnownRooms {
    pub(super) fn note(&self, room: &RoomId) {
        let mut rooms = self.0.lock();
        if rooms.len() < MAX_ROOMS && !rooms.contains(room) {
            rooms.push(room.clone());
        }
    }

    pub(super) fn all(&self) -> Vec<RoomId> {
        self.0.lock().clone()
    }
}
