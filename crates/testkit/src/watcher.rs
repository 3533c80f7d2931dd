//! Follows one user's `/sync` and keeps everything, so that nothing is missed between two waits.

use crate::client::Client;
use anyhow::{Context as _, bail};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long one `/sync` waits for news.
const POLL: Duration = Duration::from_secs(10);

/// All that one user has been told.
#[derive(Default)]
pub struct Seen {
    /// State and timeline events of joined rooms, in the order told.
    pub events: Vec<SeenEvent>,
    /// The stripped state that came with each invitation.
    pub invitations: BTreeMap<String, Vec<Value>>,
}

/// An event and the room it was told for.
pub struct SeenEvent {
    /// The room's id.
    pub room_id: String,
    /// The event as the client sees it.
    pub event: Value,
}

impl Seen {
    /// The first event of this type in this room whose content satisfies the condition.
    pub fn event(
        &self,
        room_id: &str,
        event_type: &str,
        mut condition: impl FnMut(&Value) -> bool,
    ) -> Option<&Value> {
        self.events
            .iter()
            .filter(|seen| seen.room_id == room_id && seen.event["type"] == event_type)
            .map(|seen| &seen.event)
            .find(|event| condition(event))
    }

    /// A room with this name that the user is in or is invited to.
    pub fn room_named(&self, name: &str) -> Option<&str> {
        let is_name =
            |event: &Value| event["type"] == "m.room.name" && event["content"]["name"] == name;
        let joined = self
            .events
            .iter()
            .find(|seen| is_name(&seen.event))
            .map(|seen| &seen.room_id);
        let invited = self
            .invitations
            .iter()
            .find(|(_, state)| state.iter().any(is_name));
        joined
            .or(invited.map(|(room_id, _)| room_id))
            .map(String::as_str)
    }

    fn take_in(&mut self, answer: &Value) {
        for (room_id, room) in entries(&answer["rooms"]["join"]) {
            let told = items(&room["state"]["events"]).chain(items(&room["timeline"]["events"]));
            self.events.extend(told.map(|event| SeenEvent {
                room_id: room_id.clone(),
                event: event.clone(),
            }));
        }
        for (room_id, room) in entries(&answer["rooms"]["invite"]) {
            let state = items(&room["invite_state"]["events"]).cloned().collect();
            self.invitations.insert(room_id.clone(), state);
        }
    }
}

/// A client together with what its user has seen.
pub struct Watcher {
    client: Client,
    since: Option<String>,
    seen: Seen,
}

impl Watcher {
    /// Starts without having seen anything.
    pub fn new(client: &Client) -> Self {
        Self {
            client: client.clone(),
            since: None,
            seen: Seen::default(),
        }
    }

    /// What has been seen so far.
    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Syncs until the wanted thing can be found in all that was ever seen.
    ///
    /// # Errors
    ///
    /// When it cannot within the time given; the error shows the last events seen.
    pub async fn wait_for<T>(
        &mut self,
        what: &str,
        within: Duration,
        mut find: impl FnMut(&Seen) -> Option<T>,
    ) -> anyhow::Result<T> {
        let started_at = Instant::now();
        loop {
            if let Some(found) = find(&self.seen) {
                return Ok(found);
            }
            let left = within.saturating_sub(started_at.elapsed());
            if left.is_zero() {
                bail!(
                    "{what} was not seen within {within:?}; last events:\n{}",
                    self.last_events()
                );
            }
            let answer = self
                .client
                .sync(self.since.as_deref(), left.min(POLL))
                .await?;
            let next_batch = answer["next_batch"]
                .as_str()
                .context("a sync answer without next_batch")?;
            self.since = Some(next_batch.to_owned());
            self.seen.take_in(&answer);
        }
    }

    fn last_events(&self) -> String {
        let events = &self.seen.events;
        let last = events.iter().skip(events.len().saturating_sub(30));
        last.map(|seen| format!("{} {}\n", seen.room_id, seen.event))
            .collect()
    }
}

fn entries(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
    object.as_object().into_iter().flatten()
}

fn items(array: &Value) -> impl Iterator<Item = &Value> {
    array.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rooms_are_found_by_name_whether_joined_or_invited_to() {
        let name = |name: &str| json!({ "type": "m.room.name", "state_key": "", "content": { "name": name } });
        let mut seen = Seen::default();
        seen.take_in(&json!({ "rooms": {
            "join": { "!joined:localhost": { "timeline": { "events": [name("mine")] } } },
            "invite": { "!invited:localhost": { "invite_state": { "events": [name("theirs")] } } },
        }}));
        assert_eq!(seen.room_named("mine"), Some("!joined:localhost"));
        assert_eq!(seen.room_named("theirs"), Some("!invited:localhost"));
        assert_eq!(seen.room_named("nobody's"), None);
    }

    #[test]
    fn state_and_timeline_are_both_kept() {
        let mut seen = Seen::default();
        seen.take_in(&json!({ "rooms": { "join": { "!r:localhost": {
            "state": { "events": [{ "type": "a", "content": {} }] },
            "timeline": { "events": [{ "type": "b", "content": {} }] },
        }}}}));
        assert!(seen.event("!r:localhost", "a", |_| true).is_some());
        assert!(seen.event("!r:localhost", "b", |_| true).is_some());
        assert!(seen.event("!other:localhost", "b", |_| true).is_none());
    }
}
