//! What is sent.

use serde_json::{Value, json};

/// The content of an event, with the event's type.
#[derive(Clone, Debug, PartialEq)]
pub struct Content {
    kind: String,
    json: Value,
}

impl Content {
    /// Any content.
    #[must_use]
    pub fn new(kind: &str, json: Value) -> Self {
        Self {
            kind: kind.to_owned(),
            json,
        }
    }

    /// The event's type.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The content as JSON.
    #[must_use]
    pub fn into_json(self) -> Value {
        self.json
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        Self::new(
            "m.room.message",
            json!({ "msgtype": "m.text", "body": text }),
        )
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}
