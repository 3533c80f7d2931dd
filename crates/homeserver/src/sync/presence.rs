//! Who is online: told, not kept.

use std::collections::HashMap;

use parking_lot::Mutex;

/// Users whose presence is remembered at most.
const MAX_USERS: usize = 100_000;

/// A user's presence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PresenceState {
    /// `online`, `offline` or `unavailable`.
    pub(crate) presence: String,
    /// What the user says about it.
    pub(crate) status_msg: Option<String>,
    /// When the user was last active, ms.
    pub(crate) last_active_at: i64,
    /// Grows with each change of anybody.
    pub(crate) version: u64,
}

/// Everybody's presence.
#[derive(Default)]
pub(crate) struct Presence {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    users: HashMap<String, PresenceState>,
    version: u64,
}

impl Presence {
    /// Sets a user's presence; returns it when that changed something others should hear of.
    pub(crate) fn set(
        &self,
        user_id: &str,
        presence: &str,
        status_msg: Option<String>,
        now_ms: i64,
    ) -> Option<PresenceState> {
        let mut inner = self.inner.lock();
        let changed = inner
            .users
            .get(user_id)
            .is_none_or(|before| before.presence != presence || before.status_msg != status_msg);
        if inner.users.len() >= MAX_USERS && !inner.users.contains_key(user_id) {
            return None;
        }
        if changed {
            inner.version += 1;
        }
        let version = match inner.users.get(user_id) {
            Some(before) if !changed => before.version,
            _ => inner.version,
        };
        let state = PresenceState {
            presence: presence.to_owned(),
            status_msg,
            last_active_at: now_ms,
            version,
        };
        inner.users.insert(user_id.to_owned(), state.clone());
        changed.then_some(state)
    }

    /// A user's presence, if it was ever told.
    pub(crate) fn get(&self, user_id: &str) -> Option<PresenceState> {
        self.inner.lock().users.get(user_id).cloned()
    }
}
