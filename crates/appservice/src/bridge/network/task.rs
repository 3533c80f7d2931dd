//! What a bridge has to do, as it stands in the database.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Network, Receipt, Rejected, RemoteMessage, RoomChange, intake};
use crate::{
    bridge::RemoteId as _,
    id::{EventId, MxcUri, RoomId, UserId},
    store::NewTask,
};

/// Something to be done, as it stands in the database. Its lane says where.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "snake_case")]
pub(crate) enum Task {
    Message {
        id: String,
        said: Said,
        reply_to: Option<String>,
    },
    Edit {
        target: String,
        said: Said,
    },
    Redact {
        target: String,
        sender: Option<String>,
        reason: Option<String>,
    },
    React {
        target: String,
        sender: String,
        key: String,
    },
    Unreact {
        target: String,
        sender: String,
        key: String,
    },
    Join {
        user: String,
    },
    Part {
        user: String,
        reason: Option<String>,
    },
    Swap {
        from: String,
        to: String,
    },
    Members {
        users: Vec<String>,
    },
    Change {
        sender: Option<String>,
        change: RoomChange,
    },
    Profile {
        user: String,
        name: Option<String>,
        avatar: Option<MxcUri>,
    },
    Gone {
        reason: String,
    },
    Back,
    Echo {
        event: EventId,
        receipt: Receipt,
    },
    Failed {
        event: EventId,
        no: Rejected,
    },
    Notice {
        content: Value,
    },
    /// What somebody lacks whose lines are held.
    Missing {
        text: String,
    },
    /// A line of somebody's that is not shown.
    Unshown {
        user: String,
    },
    Tell {
        person: UserId,
        content: Value,
    },
    Power {
        users: Vec<(String, i64)>,
        people: Vec<(UserId, i64)>,
    },
    Moderate(Moderation),
    Bans {
        banned: BTreeSet<UserId>,
    },
    Upgrade {
        from: RoomId,
        to: RoomId,
        /// A server that is in the new room.
        #[serde(default)]
        via: Option<String>,
    },
    Unbridge {
        reason: Option<String>,
        /// Which link: when it was made.
        #[serde(default)]
        linked_ms: Option<i64>,
    },
}

/// What is done to a person of Matrix or a ghost, as it stands in the database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Moderation {
    pub(crate) act: ModerationAct,
    pub(crate) person: UserId,
    pub(crate) by: Option<String>,
    pub(crate) reason: Option<String>,
}

/// What is done to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ModerationAct {
    Kick,
    Ban,
    Unban,
}

/// What somebody said, as it stands in the database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Said {
    pub(crate) sender: String,
    pub(crate) kind: String,
    pub(crate) content: Value,
    pub(crate) ts_ms: Option<i64>,
}

impl Said {
    pub(super) fn of<N: Network>(message: &RemoteMessage<N>) -> Self {
        Self {
            sender: message.sender.to_text(),
            kind: message.content.event_type().to_owned(),
            content: message.content.to_json(),
            ts_ms: message.ts_ms,
        }
    }
}

impl Task {
    /// As it stands in the database, in a room's lane.
    pub(crate) fn in_room<N: Network>(&self, room: &N::Room, key: Option<String>) -> NewTask {
        self.row(intake::room_lane::<N>(room), key)
    }

    pub(super) fn row(&self, lane: String, key: Option<String>) -> NewTask {
        NewTask {
            key,
            lane,
            body: serde_json::to_string(self).expect("texts and JSON are JSON"),
        }
    }
}
