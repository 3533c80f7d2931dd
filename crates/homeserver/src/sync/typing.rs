//! Who is typing where: told, not kept.

use std::collections::{BTreeMap, HashMap};

use parking_lot::Mutex;

/// Users remembered as typing in one room at most.
const MAX_TYPING: usize = 1_000;

/// All rooms in which somebody types, or typed a moment ago.
#[derive(Default)]
pub(crate) struct Typing {
    rooms: Mutex<HashMap<String, Room>>,
}

#[derive(Default)]
struct Room {
    /// User → until when, ms.
    users: BTreeMap<String, i64>,
    /// Grows with each change; `/sync` tokens carry the sum of what they have seen.
    version: u64,
}

impl Typing {
    /// A user types until `until_ms`, or stopped. Returns the users typing now, when that
    /// changed.
    pub(crate) fn set(
        &self,
        room_id: &str,
        user_id: &str,
        until_ms: Option<i64>,
        now_ms: i64,
    ) -> Option<Vec<String>> {
        let mut rooms = self.rooms.lock();
        let room = rooms.entry(room_id.to_owned()).or_default();
        let before: Vec<String> = room.users.keys().cloned().collect();
        room.users.retain(|_, until| *until > now_ms);
        match until_ms {
            Some(until) if room.users.len() < MAX_TYPING => {
                room.users.insert(user_id.to_owned(), until);
            }
            Some(_) => {}
            None => {
                room.users.remove(user_id);
            }
        }
        let after: Vec<String> = room.users.keys().cloned().collect();
        let changed = before != after;
        if changed {
            room.version += 1;
        }
        changed.then_some(after)
    }

    /// Users typing in a room now and the room's version; expired ones are taken out.
    pub(crate) fn current(&self, room_id: &str, now_ms: i64) -> (Vec<String>, u64) {
        let mut rooms = self.rooms.lock();
        let Some(room) = rooms.get_mut(room_id) else {
            return (Vec::new(), 0);
        };
        let before = room.users.len();
        room.users.retain(|_, until| *until > now_ms);
        if room.users.len() != before {
            room.version += 1;
        }
        (room.users.keys().cloned().collect(), room.version)
    }

    /// When the next user of a room stops by itself, ms.
    pub(crate) fn next_expiry(&self, room_id: &str) -> Option<i64> {
        self.rooms
            .lock()
            .get(room_id)?
            .users
            .values()
            .min()
            .copied()
    }
}
