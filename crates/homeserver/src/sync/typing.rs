//! Who is typing where: told, not kept.

use std::collections::{BTreeMap, HashMap};

use parking_lot::Mutex;

/// Users remembered as typing in one room at most.
const MAX_TYPING: usize = 1_000;
/// Rooms remembered at most; those in which nobody types any more are forgotten first.
const MAX_ROOMS: usize = 10_000;

/// All rooms in which somebody types, or typed a moment ago.
#[derive(Default)]
pub(crate) struct Typing {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    rooms: HashMap<String, Room>,
    /// Grows with each change of any room; `/sync` tokens carry it.
    version: u64,
}

#[derive(Default)]
struct Room {
    /// User → until when, ms.
    users: BTreeMap<String, i64>,
    /// The version of its newest change.
    version: u64,
}

/// What changed in some rooms.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct TypingNews {
    /// Room → who types there now.
    pub(crate) rooms: BTreeMap<String, Vec<String>>,
    /// The version that this brings the reader to.
    pub(crate) version: u64,
    /// When the next of these rooms' users stops by itself, ms.
    pub(crate) next_expiry: Option<i64>,
}

impl Typing {
    /// Versions start at `now_ms`, so that they still grow over a restart.
    pub(crate) fn starting_at(now_ms: i64) -> Self {
        Self {
            inner: Mutex::new(Inner {
                rooms: HashMap::new(),
                version: u64::try_from(now_ms).unwrap_or(0),
            }),
        }
    }

    /// A user types until `until_ms`, or stopped. Returns the users typing now, when that
    /// changed.
    pub(crate) fn set(
        &self,
        room_id: &str,
        user_id: &str,
        until_ms: Option<i64>,
        now_ms: i64,
    ) -> Option<Vec<String>> {
        let mut inner = self.inner.lock();
        if until_ms.is_none() && !inner.rooms.contains_key(room_id) {
            return None;
        }
        if !inner.rooms.contains_key(room_id) && !inner.make_room() {
            return None;
        }
        let next = inner.version + 1;
        let room = inner.rooms.entry(room_id.to_owned()).or_default();
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
            room.version = next;
            inner.version = next;
        }
        changed.then_some(after)
    }

    /// Users typing in a room now and the room's version; expired ones are taken out.
    pub(crate) fn current(&self, room_id: &str, now_ms: i64) -> (Vec<String>, u64) {
        let mut inner = self.inner.lock();
        let next = inner.version + 1;
        let Some(room) = inner.rooms.get_mut(room_id) else {
            return (Vec::new(), 0);
        };
        let expired = room.expire(now_ms, next);
        let current = (room.users.keys().cloned().collect(), room.version);
        if expired {
            inner.version = next;
        }
        current
    }

    /// The rooms among `rooms` that changed after `since`; expired users are taken out.
    pub(crate) fn news<'a>(
        &self,
        rooms: impl IntoIterator<Item = &'a str>,
        since: u64,
        now_ms: i64,
    ) -> TypingNews {
        let mut inner = self.inner.lock();
        let mut news = TypingNews::default();
        if inner.rooms.is_empty() {
            news.version = inner.version;
            return news;
        }
        for room_id in rooms {
            let next = inner.version + 1;
            let Some(room) = inner.rooms.get_mut(room_id) else {
                continue;
            };
            let expired = room.expire(now_ms, next);
            let soonest = room.users.values().min().copied();
            news.next_expiry = [news.next_expiry, soonest].into_iter().flatten().min();
            if room.version > since {
                let users = room.users.keys().cloned().collect();
                news.rooms.insert(room_id.to_owned(), users);
            }
            if expired {
                inner.version = next;
            }
        }
        news.version = inner.version;
        news
    }

    /// The version of the newest change.
    pub(crate) fn version(&self) -> u64 {
        self.inner.lock().version
    }
}

impl Room {
    /// Takes out who fell silent; `true`: that changed the room, which is now at `version`.
    fn expire(&mut self, now_ms: i64, version: u64) -> bool {
        let before = self.users.len();
        self.users.retain(|_, until| *until > now_ms);
        let expired = self.users.len() != before;
        if expired {
            self.version = version;
        }
        expired
    }
}

impl Inner {
    /// Makes place for one more room; `false`: everybody types everywhere.
    fn make_room(&mut self) -> bool {
        if self.rooms.len() >= MAX_ROOMS {
            self.rooms.retain(|_, room| !room.users.is_empty());
        }
        self.rooms.len() < MAX_ROOMS
    }
}

#[cfg(test)]
mod tests {
    use super::Typing;

    #[test]
    fn a_reader_is_told_of_each_change_once() {
        let typing = Typing::starting_at(100);
        let start = typing.version();
        assert_eq!(
            typing.set("!a", "@u", Some(50), 0),
            Some(vec!["@u".to_owned()])
        );
        assert_eq!(typing.set("!a", "@u", Some(60), 0), None);
        let news = typing.news(["!a", "!b"], start, 0);
        assert_eq!(news.rooms["!a"], ["@u"]);
        assert_eq!(news.next_expiry, Some(60));
        let again = typing.news(["!a", "!b"], news.version, 0);
        assert!(again.rooms.is_empty());
        assert!(typing.news(["!b"], start, 0).rooms.is_empty());
    }

    #[test]
    fn who_says_nothing_stops_typing_in_the_end() {
        let typing = Typing::default();
        typing.set("!a", "@u", Some(50), 0);
        let seen = typing.news(["!a"], 0, 0);
        let news = typing.news(["!a"], seen.version, 50);
        assert!(news.rooms["!a"].is_empty());
        assert_eq!(news.next_expiry, None);
        assert!(news.version > seen.version);
        assert_eq!(typing.set("!a", "@u", None, 60), None);
        assert_eq!(typing.set("!never", "@u", None, 60), None);
    }
}
