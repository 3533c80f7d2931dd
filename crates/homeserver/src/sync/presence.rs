//! Who is online: told, not kept.

use std::collections::{HashMap, HashSet};

use parking_lot::Mutex;
use serde_json::{Value, json};

/// Users whose presence is remembered at most.
const MAX_USERS: usize = 100_000;

/// A user's presence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PresenceState {
    /// `online`, `offline`, `unavailable` or `invisible`.
    pub(crate) presence: String,
    /// What the user says about it.
    pub(crate) status_msg: Option<String>,
    /// When the user was last active, ms.
    pub(crate) last_active_at: i64,
    /// Grows with each change of anybody.
    pub(crate) version: u64,
}

impl PresenceState {
    /// What everybody else may know: an invisible user looks offline.
    pub(crate) fn shown(&self) -> &str {
        match self.presence.as_str() {
            "invisible" => "offline",
            presence => presence,
        }
    }

    /// The content of an `m.presence` event that shows the user as `presence`.
    pub(crate) fn content(&self, now_ms: i64, presence: &str) -> Value {
        let mut content = json!({
            "presence": presence,
            "currently_active": presence == "online",
            "last_active_ago": (now_ms - self.last_active_at).max(0),
        });
        if let Some(status_msg) = &self.status_msg {
            content["status_msg"] = json!(status_msg);
        }
        content
    }
}

/// Everybody's presence.
#[derive(Default)]
pub(crate) struct Presence {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    users: HashMap<String, PresenceState>,
    /// Users whom their application service made offline or invisible: activity does not bring
    /// them back.
    pinned: HashSet<String>,
    version: u64,
}

impl Presence {
    /// Sets a user's presence because somebody said so. What an application service sets to
    /// offline or invisible stays until somebody says otherwise.
    pub(crate) fn set_explicitly(
        &self,
        user_id: &str,
        presence: &str,
        status_msg: Option<String>,
        by_appservice: bool,
        now_ms: i64,
    ) -> Option<PresenceState> {
        let pin = by_appservice && matches!(presence, "offline" | "invisible");
        self.inner.lock().pinned.remove(user_id);
        let changed = self.set(user_id, presence, status_msg, now_ms);
        let mut inner = self.inner.lock();
        if pin && inner.users.contains_key(user_id) {
            inner.pinned.insert(user_id.to_owned());
        }
        changed
    }

    /// Sets a user's presence, by activity; returns it when that changed something others should
    /// hear of.
    pub(crate) fn set(
        &self,
        user_id: &str,
        presence: &str,
        status_msg: Option<String>,
        now_ms: i64,
    ) -> Option<PresenceState> {
        let mut inner = self.inner.lock();
        if inner.pinned.contains(user_id) {
            return None;
        }
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
