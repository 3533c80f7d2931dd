//! Who is online: told, not kept.

use std::collections::{BTreeMap, HashMap, HashSet};

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
    /// Newest change of each user.
    changes: BTreeMap<u64, String>,
    /// Users whom their application service made offline or invisible: activity does not bring
    /// them back.
    pinned: HashSet<String>,
    /// Users who are as present as they sync, and when they last did, ms.
    syncing: HashMap<String, i64>,
    version: u64,
}

impl Presence {
    /// Versions start at `now_ms`, so that they still grow over a restart.
    pub(crate) fn starting_at(now_ms: i64) -> Self {
        Self {
            inner: Mutex::new(Inner {
                version: u64::try_from(now_ms).unwrap_or(0),
                ..Inner::default()
            }),
        }
    }

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
        let before = inner.users.get(user_id);
        if before.is_none() && inner.users.len() >= MAX_USERS {
            return None;
        }
        let old_version = before.map(|before| before.version);
        let changed = before
            .is_none_or(|before| before.presence != presence || before.status_msg != status_msg);
        if changed {
            inner.version += 1;
        }
        let version = match old_version {
            Some(version) if !changed => version,
            _ => inner.version,
        };
        let state = PresenceState {
            presence: presence.to_owned(),
            status_msg,
            last_active_at: now_ms,
            version,
        };
        inner.users.insert(user_id.to_owned(), state.clone());
        if changed {
            if let Some(old) = old_version {
                inner.changes.remove(&old);
            }
            inner.changes.insert(version, user_id.to_owned());
        }
        changed.then_some(state)
    }

    /// Sets a user's presence because it syncs; what it says about itself stays.
    pub(crate) fn set_by_sync(
        &self,
        user_id: &str,
        presence: &str,
        now_ms: i64,
    ) -> Option<PresenceState> {
        let status_msg = self.get(user_id).and_then(|state| state.status_msg);
        let changed = self.set(user_id, presence, status_msg, now_ms);
        let mut inner = self.inner.lock();
        if inner.users.contains_key(user_id) {
            inner.syncing.insert(user_id.to_owned(), now_ms);
        }
        changed
    }

    /// Those who synced, but not after `before_ms`: they are offline from now on.
    pub(crate) fn silent_since(&self, before_ms: i64, now_ms: i64) -> Vec<(String, PresenceState)> {
        let silent: Vec<String> = {
            let mut inner = self.inner.lock();
            let silent = inner
                .syncing
                .iter()
                .filter(|(_, at)| **at <= before_ms)
                .map(|(user_id, _)| user_id.clone())
                .collect();
            inner.syncing.retain(|_, at| *at > before_ms);
            silent
        };
        silent
            .into_iter()
            .filter_map(|user_id| {
                let status_msg = self.get(&user_id)?.status_msg;
                let state = self.set(&user_id, "offline", status_msg, now_ms)?;
                Some((user_id, state))
            })
            .collect()
    }

    /// A user's presence, if it was ever told.
    pub(crate) fn get(&self, user_id: &str) -> Option<PresenceState> {
        self.inner.lock().users.get(user_id).cloned()
    }

    /// Whose presence changed after `since`, oldest change first, and the version this brings the
    /// reader to.
    pub(crate) fn news(&self, since: u64) -> (Vec<(String, PresenceState)>, u64) {
        let inner = self.inner.lock();
        let news = inner
            .changes
            .range(since.saturating_add(1)..)
            .filter_map(|(_, user_id)| Some((user_id.clone(), inner.users.get(user_id)?.clone())))
            .collect();
        (news, inner.version)
    }

    /// The version of the newest change.
    pub(crate) fn version(&self) -> u64 {
        self.inner.lock().version
    }
}

#[cfg(test)]
mod tests {
    use super::Presence;

    #[test]
    fn only_changes_are_news_and_each_user_is_told_once() {
        let presence = Presence::starting_at(10);
        let start = presence.version();
        assert!(presence.set("@u", "online", None, 1).is_some());
        assert!(presence.set("@u", "online", None, 2).is_none());
        assert!(presence.set("@u", "offline", None, 3).is_some());
        let (news, version) = presence.news(start);
        assert_eq!(news.len(), 1);
        assert_eq!(news[0].1.presence, "offline");
        assert!(presence.news(version).0.is_empty());
    }

    #[test]
    fn who_syncs_no_more_goes_offline_and_who_said_otherwise_stays() {
        let presence = Presence::starting_at(0);
        presence.set_explicitly("@said", "online", None, true, 0);
        presence.set_by_sync("@synced", "online", 0);
        presence.set_by_sync("@syncs", "online", 50);
        let gone = presence.silent_since(10, 60);
        assert_eq!(gone.len(), 1);
        assert_eq!(gone[0].0, "@synced");
        assert_eq!(gone[0].1.presence, "offline");
        assert!(presence.silent_since(10, 60).is_empty());
        assert_eq!(presence.get("@said").unwrap().presence, "online");
    }
}
