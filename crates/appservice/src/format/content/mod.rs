//! What stands in message events: built and read.
//!
//! A [`Content`] is an event type and its JSON. Builders write what the specification says; readers take whatever JSON comes,
//! and answer `None` where it is not what it should be.
//!
//! ```
//! use bridgehead_appservice::format::{Rich, content::{Content, Kind}};
//! use bridgehead_appservice::id::{EventId, UserId};
//!
//! let (parent, bob) = (EventId::parse("$parent")?, UserId::parse("@bob:example.org")?);
//! let content = Content::message(Kind::Text, &Rich::from_markdown("**hi** all"))
//!     .in_reply_to(&parent, Some(&bob));
//! assert_eq!(content.text(), Some("hi all"));
//! assert_eq!(content.replies_to(), Some(parent));
//! # Ok::<(), bridgehead_appservice::id::InvalidId>(())
//! ```

mod describe;
mod media;
mod poll;
mod profile;
mod read;
mod relate;
#[cfg(test)]
mod tests;

use serde::Serialize;
use serde_json::{Map, Value, json};

pub use self::{
    media::{Media, MediaKind, Thumbnail},
    poll::{Poll, PollAnswer},
    profile::{Avatar, Profile},
};
use super::{Mentions, Rich};
use crate::Event;

const MESSAGE: &str = "m.room.message";
const REACTION: &str = "m.reaction";
const STICKER: &str = "m.sticker";
const HTML: &str = "org.matrix.custom.html";

/// What kind of text a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What somebody says (`m.text`).
    Text,
    /// What a program says (`m.notice`): other programs must not answer it.
    Notice,
    /// What somebody does (`m.emote`).
    Emote,
}

impl Kind {
    fn msgtype(self) -> &'static str {
        match self {
            Self::Text => "m.text",
            Self::Notice => "m.notice",
            Self::Emote => "m.emote",
        }
    }

    fn of(msgtype: &str) -> Option<Self> {
        [Self::Text, Self::Notice, Self::Emote]
            .into_iter()
            .find(|kind| kind.msgtype() == msgtype)
    }
}

/// An event's type and content.
#[derive(Clone, Debug, PartialEq)]
pub struct Content {
    event_type: String,
    fields: Map<String, Value>,
}

impl Content {
    /// Content as it was received. What is no object is taken for an empty one.
    #[must_use]
    pub fn new(event_type: &str, content: Value) -> Self {
        let fields = match content {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        Self {
            event_type: event_type.to_owned(),
            fields,
        }
    }

    /// The content of an event.
    #[must_use]
    pub fn of(event: &Event) -> Self {
        Self::new(&event.kind, event.content.clone())
    }

    /// A message of plain text that mentions nobody.
    #[must_use]
    pub fn plain(kind: Kind, text: &str) -> Self {
        Self::new(
            MESSAGE,
            json!({ "msgtype": kind.msgtype(), "body": text, "m.mentions": {} }),
        )
    }

    /// A message. It gets a `formatted_body` if there is something formatted in it, and always an `m.mentions`, without which
    /// clients look for names in the text.
    #[must_use]
    pub fn message(kind: Kind, rich: &Rich) -> Self {
        Self::plain(kind, "")
            .with_rich(rich)
            .with_mentions(&rich.mentions())
    }

    /// A place on earth, with a `geo:` URI (RFC 5870).
    #[must_use]
    pub fn location(description: &str, geo_uri: &str) -> Self {
        Self::new(
            MESSAGE,
            json!({ "msgtype": "m.location", "body": description, "geo_uri": geo_uri, "m.mentions": {} }),
        )
    }

    fn with_rich(mut self, rich: &Rich) -> Self {
        self.set("body", rich.to_plain());
        if rich.is_plain() {
            self.fields.remove("format");
            self.fields.remove("formatted_body");
        } else {
            self.set("format", HTML);
            self.set("formatted_body", rich.to_html());
        }
        self
    }

    /// Says whom the message notifies (Client-Server API, "User and room mentions").
    #[must_use]
    pub fn with_mentions(mut self, mentions: &Mentions) -> Self {
        self.set("m.mentions", mentions_json(mentions));
        self
    }

    /// Sets a field that has no builder.
    #[must_use]
    pub fn with_field(mut self, name: &str, value: Value) -> Self {
        self.set(name, value);
        self
    }

    fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.fields.insert(name.to_owned(), value.into());
    }

    /// The event's type, such as `m.room.message`.
    #[must_use]
    pub fn event_type(&self) -> &str {
        &self.event_type
    }

    /// The message's type, such as `m.text`.
    #[must_use]
    pub fn msgtype(&self) -> Option<&str> {
        self.string("msgtype")
    }

    /// The content as JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        Value::Object(self.fields.clone())
    }

    /// The content as JSON.
    #[must_use]
    pub fn into_json(self) -> Value {
        Value::Object(self.fields)
    }
}

impl Serialize for Content {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.fields.serialize(serializer)
    }
}

fn mentions_json(mentions: &Mentions) -> Value {
    let mut fields = Map::new();
    if !mentions.users.is_empty() {
        fields.insert("user_ids".to_owned(), json!(mentions.users));
    }
    if mentions.room {
        fields.insert("room".to_owned(), Value::Bool(true));
    }
    Value::Object(fields)
}

/// A text message.
impl From<&str> for Content {
    fn from(text: &str) -> Self {
        Self::plain(Kind::Text, text)
    }
}

/// A text message.
impl From<String> for Content {
    fn from(text: String) -> Self {
        Self::plain(Kind::Text, &text)
    }
}

/// A text message with formatting.
impl From<&Rich> for Content {
    fn from(text: &Rich) -> Self {
        Self::message(Kind::Text, text)
    }
}
