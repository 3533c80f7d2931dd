//! An event as JSON text for a client or an application service, put together from stored text:
//! no parse, no second serialisation of the content.

use bridgehead_store::TimelineEvent;
use serde_json::value::RawValue;

/// What goes into `unsigned`, and how much of the old format comes along.
#[derive(Default)]
pub(crate) struct Format<'a> {
    /// The time that `age` is measured at; ms.
    pub(crate) now_ms: i64,
    /// Top-level copies as the protocol's first version had them (`user_id`, `age`,
    /// `prev_content` …), beside the standard form.
    pub(crate) legacy: bool,
    /// Leave `room_id` out: `/sync` gives it as the key.
    pub(crate) without_room_id: bool,
    /// The reader's device: it is shown its own transaction id.
    pub(crate) device_id: Option<&'a str>,
    /// The reader: own events of the device are told apart by it.
    pub(crate) reader: Option<&'a str>,
    /// The event that redacted this one, formatted.
    pub(crate) redacted_because: Option<&'a str>,
    /// Stripped state that goes with an invite or knock: (key, JSON array).
    pub(crate) stripped_state: Option<(&'a str, &'a str)>,
    /// The reader's membership at the event (`unsigned.membership`).
    pub(crate) membership: Option<&'a str>,
}

impl Format<'_> {
    /// The event as one JSON object.
    pub(crate) fn event(&self, event: &TimelineEvent) -> String {
        let mut out = Object::with_capacity(event.content.len() + 384);
        match &event.redacts {
            Some(redacts) => out.raw("content", &with_redacts(&event.content, redacts)),
            None => out.raw("content", &event.content),
        }
        out.string("event_id", &event.event_id);
        out.number("origin_server_ts", event.ts);
        if let Some(redacts) = &event.redacts {
            out.string("redacts", redacts);
        }
        if !self.without_room_id {
            out.string("room_id", &event.room_id);
        }
        out.string("sender", &event.sender);
        if let Some(state_key) = &event.state_key {
            out.string("state_key", state_key);
        }
        out.string("type", &event.event_type);
        let unsigned = self.unsigned(event);
        if self.legacy {
            self.legacy_copies(event, &mut out);
        }
        out.raw("unsigned", &unsigned);
        out.finish()
    }

    fn unsigned(&self, event: &TimelineEvent) -> String {
        let mut out = Object::with_capacity(128);
        out.number("age", self.age(event));
        if let Some(prev_content) = &event.prev_content {
            out.raw("prev_content", prev_content);
        }
        if let Some(prev_sender) = &event.prev_sender {
            out.string("prev_sender", prev_sender);
        }
        if let Some(replaces) = &event.replaces {
            out.string("replaces_state", replaces);
        }
        if let Some(by) = &event.redacted_by {
            out.string("redacted_by", by);
        }
        if let Some(because) = self.redacted_because {
            out.raw("redacted_because", because);
        }
        if let Some((key, state)) = self.stripped_state {
            out.raw(key, state);
        }
        if let Some(membership) = self.membership {
            out.string("membership", membership);
        }
        if let (Some(txn), Some(device)) = (&event.client_txn_id, &event.device_id)
            && self.device_id == Some(device)
            && self.reader == Some(&event.sender)
        {
            out.string("transaction_id", txn);
        }
        out.finish()
    }

    fn legacy_copies(&self, event: &TimelineEvent, out: &mut Object) {
        out.string("user_id", &event.sender);
        out.number("age", self.age(event));
        if let Some(prev_content) = &event.prev_content {
            out.raw("prev_content", prev_content);
        }
        if let Some(replaces) = &event.replaces {
            out.string("replaces_state", replaces);
        }
        if let Some(because) = self.redacted_because {
            out.raw("redacted_because", because);
        }
        if let Some((key, state)) = self.stripped_state {
            out.raw(key, state);
        }
    }

    fn age(&self, event: &TimelineEvent) -> i64 {
        (self.now_ms - event.ts).max(0)
    }
}

/// Room version 11 moved `redacts` into the content; readers of both kinds get it in both places.
fn with_redacts(content: &str, redacts: &str) -> String {
    let mut map: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(content).unwrap_or_default();
    map.insert("redacts".to_owned(), redacts.into());
    serde_json::Value::Object(map).to_string()
}

/// Formatted JSON text as a value that serde passes through untouched.
pub(crate) fn raw(text: String) -> Box<RawValue> {
    RawValue::from_string(text)
        .unwrap_or_else(|_| RawValue::from_string("null".to_owned()).expect("null is JSON"))
}

/// A JSON object being written.
pub(crate) struct Object {
    text: String,
}

impl Object {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        let mut text = String::with_capacity(capacity);
        text.push('{');
        Self { text }
    }

    fn key(&mut self, key: &str) {
        if self.text.len() > 1 {
            self.text.push(',');
        }
        self.text.push('"');
        self.text.push_str(key);
        self.text.push_str("\":");
    }

    /// A member whose value is JSON already. `key` needs no escaping.
    pub(crate) fn raw(&mut self, key: &str, json: &str) {
        self.key(key);
        self.text.push_str(json);
    }

    /// A string member.
    pub(crate) fn string(&mut self, key: &str, value: &str) {
        self.key(key);
        push_string(&mut self.text, value);
    }

    /// An integer member.
    pub(crate) fn number(&mut self, key: &str, value: i64) {
        self.key(key);
        self.text.push_str(&value.to_string());
    }

    /// An array member of JSON texts.
    pub(crate) fn array<'a>(&mut self, key: &str, items: impl IntoIterator<Item = &'a str>) {
        self.key(key);
        self.text.push('[');
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                self.text.push(',');
            }
            self.text.push_str(item);
        }
        self.text.push(']');
    }

    pub(crate) fn finish(mut self) -> String {
        self.text.push('}');
        self.text
    }
}

fn push_string(text: &mut String, value: &str) {
    let plain = value
        .bytes()
        .all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\');
    if plain {
        text.push('"');
        text.push_str(value);
        text.push('"');
    } else {
        text.push_str(&serde_json::Value::from(value).to_string());
    }
}

#[cfg(test)]
mod tests {
    use bridgehead_store::{StreamPosition, TimelineEvent};

    use super::Format;

    fn event() -> TimelineEvent {
        TimelineEvent {
            pos: StreamPosition(1),
            event_id: "$e".to_owned(),
            room_id: "!r:x".to_owned(),
            event_type: "m.room.topic".to_owned(),
            state_key: Some("a\"b".to_owned()),
            sender: "@u:x".to_owned(),
            ts: 90,
            content: r#"{"topic":"t"}"#.to_owned(),
            redacts: None,
            redacted_by: None,
            prev_content: Some("{}".to_owned()),
            prev_sender: Some("@v:x".to_owned()),
            replaces: Some("$d".to_owned()),
            device_id: Some("D".to_owned()),
            client_txn_id: Some("t1".to_owned()),
        }
    }

    #[test]
    fn standard_form() {
        let format = Format {
            now_ms: 100,
            device_id: Some("D"),
            reader: Some("@u:x"),
            ..Format::default()
        };
        assert_eq!(
            format.event(&event()),
            r#"{"content":{"topic":"t"},"event_id":"$e","origin_server_ts":90,"room_id":"!r:x","sender":"@u:x","state_key":"a\"b","type":"m.room.topic","unsigned":{"age":10,"prev_content":{},"prev_sender":"@v:x","replaces_state":"$d","transaction_id":"t1"}}"#
        );
    }

    #[test]
    fn what_is_redacted_stands_at_top_level_and_in_the_content() {
        for content in [r#"{"reason":"r"}"#, r#"{"reason":"r","redacts":"$d"}"#] {
            let redaction = TimelineEvent {
                content: content.to_owned(),
                redacts: Some("$d".to_owned()),
                ..event()
            };
            let text = Format::default().event(&redaction);
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(value["redacts"], "$d");
            assert_eq!(
                value["content"],
                serde_json::json!({ "reason": "r", "redacts": "$d" })
            );
        }
    }

    #[test]
    fn legacy_copies_stand_beside_the_standard_form() {
        let format = Format {
            now_ms: 100,
            legacy: true,
            ..Format::default()
        };
        let value: serde_json::Value = serde_json::from_str(&format.event(&event())).unwrap();
        assert_eq!(value["user_id"], "@u:x");
        assert_eq!(value["age"], 10);
        assert_eq!(value["prev_content"], serde_json::json!({}));
        assert_eq!(value["unsigned"]["age"], 10);
        assert!(value["unsigned"].get("transaction_id").is_none());
    }
}
