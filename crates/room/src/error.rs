//! What can go wrong in the engine, by what the caller can do about it.

use ruma::{OwnedEventId, RoomVersionId, signatures::JsonError};
use thiserror::Error;

/// The largest canonical PDU, signatures included.
pub(crate) const MAX_PDU_BYTES: usize = 65_535;

/// Why an event was not built.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Rejection {
    /// The room's rules do not let this sender do this; asking again is useless until the room changes.
    #[error("the room does not allow it: {rule}")]
    Forbidden {
        /// The rule that refused, in words.
        rule: String,
    },

    /// A size limit of the specification is exceeded; a smaller event may pass.
    #[error("{what} is too large: {actual} bytes, and at most {limit} are allowed")]
    TooLarge {
        /// What is too large: a field's name or `event`.
        what: &'static str,
        /// The largest allowed size in bytes.
        limit: usize,
        /// The size found, in bytes; for an event refused before signing, a lower bound.
        actual: usize,
    },

    /// The content does not have the form that this kind of event needs.
    #[error("malformed event: {reason}")]
    BadJson {
        /// What is malformed.
        reason: String,
    },

    /// The room version is unknown or not supported here.
    #[error(transparent)]
    UnsupportedVersion(#[from] UnsupportedVersion),
}

impl Rejection {
    pub(crate) fn forbidden(rule: impl Into<String>) -> Self {
        Self::Forbidden { rule: rule.into() }
    }

    pub(crate) fn bad_json(reason: impl Into<String>) -> Self {
        Self::BadJson {
            reason: reason.into(),
        }
    }
}

impl From<JsonError> for Rejection {
    fn from(error: JsonError) -> Self {
        match error {
            JsonError::PduTooLarge => Self::TooLarge {
                what: "event",
                limit: MAX_PDU_BYTES,
                actual: MAX_PDU_BYTES + 1,
            },
            other => Self::bad_json(other.to_string()),
        }
    }
}

/// The room version is unknown, or older than the first one with strict canonical JSON.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("room version {version} is not supported")]
pub struct UnsupportedVersion {
    /// The version asked for.
    pub version: RoomVersionId,
}

/// A stored event's text is not what this engine wrote.
#[derive(Debug, Error)]
#[error("stored event {event_id} is corrupt: `{field}` is not a canonical JSON object")]
pub struct CorruptEvent {
    /// The event concerned.
    pub event_id: OwnedEventId,
    /// The field that does not parse.
    pub field: &'static str,
    /// What the parser said.
    #[source]
    pub source: serde_json::Error,
}

/// Bytes that are no ed25519 signing key, or a key version that is not allowed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("invalid signing key: {reason}")]
pub struct InvalidKey {
    /// What is wrong with it; never the key itself.
    pub reason: String,
}
