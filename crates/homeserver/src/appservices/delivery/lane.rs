//! The ephemeral lane of one service: typing and presence, told and not kept.
//!
//! Newer news replaces older of the same room or user, so the lane is bounded by what exists, not
//! by how long the service is away; what is too old to matter is dropped when it is taken.

use std::collections::BTreeMap;

use parking_lot::Mutex;

/// Typing older than this says nothing any more, ms.
const TYPING_TTL_MS: i64 = 30_000;
/// Presence older than this is dropped, ms.
const PRESENCE_TTL_MS: i64 = 300_000;
/// Rooms or users remembered at most; beyond that the news is dropped.
const MAX_ENTRIES: usize = 10_000;

/// One service's lane.
#[derive(Default)]
pub(crate) struct EphemeralLane {
    news: Mutex<BTreeMap<Key, (i64, String)>>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Typing(String),
    Presence(String),
}

impl EphemeralLane {
    /// Who types in a room now; `event` is the whole ephemeral event as JSON.
    pub(crate) fn typing(&self, room_id: &str, event: String, now_ms: i64) {
        self.put(Key::Typing(room_id.to_owned()), event, now_ms);
    }

    /// How present a user is now; `event` is the whole ephemeral event as JSON.
    pub(crate) fn presence(&self, user_id: &str, event: String, now_ms: i64) {
        self.put(Key::Presence(user_id.to_owned()), event, now_ms);
    }

    fn put(&self, key: Key, event: String, now_ms: i64) {
        let mut news = self.news.lock();
        if news.len() < MAX_ENTRIES || news.contains_key(&key) {
            news.insert(key, (now_ms, event));
        }
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.news.lock().is_empty()
    }

    /// Takes up to `limit` events of `bytes` bytes together; the old ones are dropped. What does
    /// not fit waits for the next transaction.
    pub(crate) fn take(&self, limit: usize, mut bytes: usize, now_ms: i64) -> Vec<String> {
        let mut news = self.news.lock();
        news.retain(|key, (at, _)| {
            let ttl = match key {
                Key::Typing(_) => TYPING_TTL_MS,
                Key::Presence(_) => PRESENCE_TTL_MS,
            };
            now_ms - *at <= ttl
        });
        let mut taken = Vec::new();
        while taken.len() < limit {
            let Some(first) = news.first_entry() else {
                break;
            };
            let Some(left) = bytes.checked_sub(first.get().1.len() + 1) else {
                break;
            };
            bytes = left;
            taken.push(first.remove().1);
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::EphemeralLane;

    #[test]
    fn newer_news_replaces_older_and_old_news_is_dropped() {
        let lane = EphemeralLane::default();
        lane.typing("!a:x", "first".to_owned(), 0);
        lane.typing("!a:x", "second".to_owned(), 10);
        lane.typing("!b:x", "old".to_owned(), 0);
        lane.presence("@u:x", "here".to_owned(), 0);
        assert_eq!(lane.take(10, 1_000, 30_005), ["second", "here"]);
        assert!(lane.take(10, 1_000, 0).is_empty());
    }

    #[test]
    fn takes_no_more_than_asked() {
        let lane = EphemeralLane::default();
        for room in 0..5 {
            lane.typing(&format!("!{room}:x"), room.to_string(), 0);
        }
        assert_eq!(lane.take(3, 1_000, 0), ["0", "1", "2"]);
        assert_eq!(lane.take(3, 1_000, 0), ["3", "4"]);
    }

    #[test]
    fn what_does_not_fit_stays() {
        let lane = EphemeralLane::default();
        lane.typing("!a:x", "123456".to_owned(), 0);
        lane.typing("!b:x", "12345".to_owned(), 0);
        assert_eq!(lane.take(10, 8, 0), ["123456"]);
        assert_eq!(lane.take(10, 8, 0), ["12345"]);
    }
}
