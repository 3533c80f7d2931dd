//! Events, as handlers see them: parsed leniently, with the raw JSON kept.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use crate::id::{EventId, RoomId, UserId};

/// One event of a room: of its timeline or its state (specification, *Client-Server API*, section *Events*).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Event {
    /// Its id.
    pub id: EventId,
    /// The room.
    pub room_id: RoomId,
    /// Who sent it.
    pub sender: UserId,
    /// Its type, such as `m.room.message`.
    pub kind: String,
    /// The state key; `None` for what is no state.
    pub state_key: Option<String>,
    /// Its content. An object, if the homeserver keeps to the specification.
    pub content: Value,
    /// When the sender's homeserver says it was sent, ms since the Unix epoch.
    pub sent_at_ms: i64,
    /// What the homeserver says about it; `Null` when there is nothing.
    pub unsigned: Value,
    /// The event that this one redacts, wherever the room's version puts it.
    pub redacts: Option<EventId>,
    raw: Arc<str>,
}

/// Why a text is no event that can be handled.
#[derive(Clone, Debug, thiserror::Error)]
#[error("not an event: {0}")]
pub struct BadEvent(String);

#[derive(Deserialize)]
struct Parsed {
    event_id: EventId,
    room_id: RoomId,
    sender: UserId,
    #[serde(rename = "type")]
    kind: String,
    state_key: Option<String>,
    #[serde(default)]
    content: Value,
    #[serde(default)]
    origin_server_ts: Option<Value>,
    #[serde(default)]
    unsigned: Value,
    redacts: Option<EventId>,
}

impl Event {
    /// Reads an event as transactions carry it.
    ///
    /// # Errors
    /// When id, room, sender or type are missing or none.
    pub fn parse(raw: &RawValue) -> Result<Self, BadEvent> {
        Self::from_json(raw.get())
    }

    /// The same from a text.
    pub(crate) fn from_json(text: &str) -> Result<Self, BadEvent> {
        let parsed: Parsed =
            serde_json::from_str(text).map_err(|error| BadEvent(error.to_string()))?;
        // Since room version 11 a redaction says in its content what it redacts.
        let in_content = || {
            let text = parsed.content.get("redacts")?.as_str()?;
            (parsed.kind == "m.room.redaction").then(|| EventId::parse(text).ok())?
        };
        Ok(Self {
            redacts: parsed.redacts.clone().or_else(in_content),
            sent_at_ms: parsed
                .origin_server_ts
                .as_ref()
                .and_then(Value::as_i64)
                .unwrap_or(0),
            id: parsed.event_id,
            room_id: parsed.room_id,
            sender: parsed.sender,
            kind: parsed.kind,
            state_key: parsed.state_key,
            content: parsed.content,
            unsigned: parsed.unsigned,
            raw: text.into(),
        })
    }

    /// The event as it came.
    #[must_use]
    pub fn raw(&self) -> &str {
        &self.raw
    }

    /// Whether it is a part of the room's state.
    #[must_use]
    pub fn is_state(&self) -> bool {
        self.state_key.is_some()
    }

    /// A text in the content, such as `body`.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.content.get(key)?.as_str()
    }

    /// The content, read as the author's own type.
    ///
    /// # Errors
    /// When it does not fit.
    pub fn content_as<C: serde::de::DeserializeOwned>(&self) -> Result<C, BadEvent> {
        C::deserialize(&self.content)
            .map_err(|error| BadEvent(format!("{} of {}: {error}", self.kind, self.id)))
    }

    /// The content that this state event replaced, where the homeserver tells.
    #[must_use]
    pub fn previous_content(&self) -> Option<&Value> {
        self.unsigned.get("prev_content")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(value: &Value) -> Result<Event, BadEvent> {
        Event::parse(&serde_json::value::to_raw_value(value).expect("JSON"))
    }

    #[test]
    fn reads_what_servers_send() {
        let event = parse(&json!({
            "event_id": "$a", "room_id": "!r:x", "sender": "@u:x", "type": "m.room.message",
            "content": { "body": "hi" }, "origin_server_ts": 5, "age": 3, "user_id": "@u:x"
        }))
        .expect("an event");
        assert_eq!(
            (event.text("body"), event.sent_at_ms, event.is_state()),
            (Some("hi"), 5, false)
        );
        assert!(event.raw().contains("\"age\""));
    }

    #[test]
    fn odd_fields_do_not_make_it_unreadable() {
        let event = parse(&json!({
            "event_id": "$a", "room_id": "!r:x", "sender": "@u:x", "type": "m.room.redaction",
            "content": { "redacts": "$b" }, "origin_server_ts": "yesterday"
        }))
        .expect("an event");
        assert_eq!(event.redacts.expect("in the content"), "$b");
        assert_eq!(event.sent_at_ms, 0);
    }

    #[test]
    fn what_is_none_is_told() {
        for (value, said) in [
            (json!([]), "invalid"),
            (json!({}), "missing field `event_id`"),
            (
                json!({ "event_id": "$a", "room_id": "!r:x", "sender": "u", "type": "t" }),
                "no user id",
            ),
        ] {
            let error = parse(&value).expect_err("no event").to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
