//! Something to be sent, and the outbox's row of it.

use percent_encoding::percent_decode_str;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::{
    Urgency,
    client::escape,
    id::{EventId, RoomId, UserId},
    store::{NewOutboxRow, OutboxRow},
    trace::Trace,
};

/// Something to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    /// Names the effect.
    pub(crate) key: String,
    pub(crate) room_id: RoomId,
    /// Who sends.
    pub(crate) user: UserId,
    pub(crate) what: What,
    pub(crate) content: Value,
    /// When it was said, ms since the Unix epoch, if that is not now.
    pub(crate) ts_ms: Option<i64>,
    pub(crate) urgency: Urgency,
}

/// What kind of thing is sent.
#[derive(Clone, Debug)]
pub(crate) enum What {
    /// An event of this type.
    Event(String),
    /// A state event of this type and key.
    State(String, String),
    /// A redaction of this event.
    Redaction(EventId),
}

impl Outgoing {
    pub(super) fn row(&self) -> NewOutboxRow {
        let room = escape(self.room_id.as_str());
        let txn = txn_id(&self.key);
        let path = match &self.what {
            What::Event(kind) => format!(
                "/_matrix/client/v3/rooms/{room}/send/{}/{txn}",
                escape(kind)
            ),
            What::State(kind, key) => {
                format!(
                    "/_matrix/client/v3/rooms/{room}/state/{}/{}",
                    escape(kind),
                    escape(key)
                )
            }
            What::Redaction(event) => {
                format!(
                    "/_matrix/client/v3/rooms/{room}/redact/{}/{txn}",
                    escape(event.as_str())
                )
            }
        };
        NewOutboxRow {
            key: self.key.clone(),
            lane: self.room_id.to_string(),
            urgency: urgency_number(self.urgency),
            user_id: Some(self.user.to_string()),
            path,
            ts_ms: self.ts_ms,
            body: self.content.to_string(),
            trace: Trace::current().map(|trace| trace.as_str().to_owned()),
        }
    }

    /// What a row of the outbox was made of; `None` for what is sent elsewhere than into a room.
    pub(super) fn of(row: &OutboxRow) -> Option<Self> {
        let path = row.send.path.strip_prefix("/_matrix/client/v3/rooms/")?;
        let parts: Vec<String> = path
            .split('/')
            .map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned())
            .collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let what = match parts[..] {
            [_, "send", kind, _] => What::Event(kind.to_owned()),
            [_, "state", kind, key] => What::State(kind.to_owned(), key.to_owned()),
            [_, "redact", event, _] => What::Redaction(EventId::parse(event).ok()?),
            _ => return None,
        };
        Some(Self {
            key: row.send.key.clone(),
            room_id: RoomId::parse(parts.first()?).ok()?,
            user: UserId::parse(row.send.user_id.as_deref()?).ok()?,
            what,
            content: serde_json::from_str(&row.send.body).unwrap_or_default(),
            ts_ms: row.send.ts_ms,
            urgency: urgency_of(row.send.urgency),
        })
    }
}

/// The client's transaction id of a send: the same for the same key, whenever.
pub(super) fn txn_id(key: &str) -> String {
    let hash = Sha256::digest(key.as_bytes());
    hash[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn urgency_number(urgency: Urgency) -> i64 {
    match urgency {
        Urgency::Message => 0,
        Urgency::Membership => 1,
        Urgency::Profile => 2,
        Urgency::Backfill => 3,
    }
}

pub(super) fn urgency_of(number: i64) -> Urgency {
    match number {
        0 => Urgency::Message,
        1 => Urgency::Membership,
        2 => Urgency::Profile,
        _ => Urgency::Backfill,
    }
}
