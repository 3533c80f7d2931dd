//! The answer of `/sync`, as it goes over the wire.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;

/// A list of events under the key `events`.
#[derive(Serialize, Default)]
pub(crate) struct Events {
    pub(crate) events: Vec<Box<RawValue>>,
}

impl Events {
    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}

/// The whole answer.
#[derive(Serialize, Default)]
pub(crate) struct SyncResponse {
    pub(crate) next_batch: String,
    #[serde(skip_serializing_if = "Rooms::is_empty")]
    pub(crate) rooms: Rooms,
    #[serde(skip_serializing_if = "Events::is_empty")]
    pub(crate) account_data: Events,
    #[serde(skip_serializing_if = "Events::is_empty")]
    pub(crate) presence: Events,
    #[serde(skip_serializing_if = "Events::is_empty")]
    pub(crate) to_device: Events,
    #[serde(skip_serializing_if = "DeviceLists::is_empty")]
    pub(crate) device_lists: DeviceLists,
    pub(crate) device_one_time_keys_count: BTreeMap<String, i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) device_unused_fallback_key_types: Option<Vec<String>>,
    /// The name before it was specified; some clients look only for this one.
    #[serde(
        rename = "org.matrix.msc2732.device_unused_fallback_key_types",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) msc2732_unused_fallback_key_types: Option<Vec<String>>,
}

impl SyncResponse {
    /// Whether there is nothing to tell.
    pub(crate) fn is_empty(&self) -> bool {
        self.rooms.is_empty()
            && self.account_data.is_empty()
            && self.presence.is_empty()
            && self.to_device.is_empty()
            && self.device_lists.is_empty()
    }
}

/// Rooms by the reader's membership.
#[derive(Serialize, Default)]
pub(crate) struct Rooms {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) join: BTreeMap<String, JoinedRoom>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) invite: BTreeMap<String, InvitedRoom>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) knock: BTreeMap<String, KnockedRoom>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) leave: BTreeMap<String, LeftRoom>,
}

impl Rooms {
    pub(crate) fn is_empty(&self) -> bool {
        self.join.is_empty()
            && self.invite.is_empty()
            && self.knock.is_empty()
            && self.leave.is_empty()
    }
}

/// A room the reader is in. Clients of all ages expect every part, empty or not.
#[derive(Serialize)]
pub(crate) struct JoinedRoom {
    pub(crate) summary: Summary,
    pub(crate) state: Events,
    pub(crate) timeline: TimelinePart,
    pub(crate) ephemeral: Events,
    pub(crate) account_data: Events,
    pub(crate) unread_notifications: UnreadCounts,
}

/// A room the reader has left, or was never let into.
#[derive(Serialize)]
pub(crate) struct LeftRoom {
    pub(crate) state: Events,
    pub(crate) timeline: TimelinePart,
    pub(crate) account_data: Events,
}

/// A room the reader is invited to.
#[derive(Serialize)]
pub(crate) struct InvitedRoom {
    pub(crate) invite_state: RawEvents,
}

/// A room the reader has knocked on.
#[derive(Serialize)]
pub(crate) struct KnockedRoom {
    pub(crate) knock_state: RawEvents,
}

/// A JSON array of events under the key `events`.
#[derive(Serialize)]
pub(crate) struct RawEvents {
    pub(crate) events: Box<RawValue>,
}

/// A stretch of a room's history.
#[derive(Serialize)]
pub(crate) struct TimelinePart {
    pub(crate) events: Vec<Box<RawValue>>,
    pub(crate) limited: bool,
    pub(crate) prev_batch: String,
}

/// What a client needs to name a room whose members it does not know.
#[derive(Serialize, Default)]
pub(crate) struct Summary {
    #[serde(rename = "m.heroes", skip_serializing_if = "Option::is_none")]
    pub(crate) heroes: Option<Vec<String>>,
    #[serde(
        rename = "m.joined_member_count",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) joined: Option<u64>,
    #[serde(
        rename = "m.invited_member_count",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) invited: Option<u64>,
}

/// Events that the reader's push rules tell of, since the reader's receipt.
#[derive(Serialize, Default, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct UnreadCounts {
    pub(crate) highlight_count: u64,
    pub(crate) notification_count: u64,
}

/// Users whose devices or keys the reader should ask for again, or need not any more.
#[derive(Serialize, Default)]
pub(crate) struct DeviceLists {
    pub(crate) changed: Vec<String>,
    pub(crate) left: Vec<String>,
}

impl DeviceLists {
    pub(crate) fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.left.is_empty()
    }
}
