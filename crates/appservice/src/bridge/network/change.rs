//! What a network says of a room that has changed.

use serde::{Deserialize, Serialize};

use super::described::restricted;
use crate::{
    id::{MxcUri, RoomId},
    state::JoinRule,
};

/// What has changed about a room of the network; what is `None` is as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RoomChange {
    /// Its name; empty for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it is about; empty for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Its picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar: Option<MxcUri>,
    /// Who may join. Only where the bridge has made the portal: a room that was linked is its owners' own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join_rule: Option<JoinRule>,
    /// Whether everybody may join, whatever the rule is otherwise. Only where the bridge has made the portal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_open: Option<bool>,
    /// Rooms whose members may join, where the rule is [`JoinRule::Restricted`] or [`JoinRule::KnockRestricted`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<RoomId>,
    /// Whether it stands in the homeserver's directory of rooms. Only where the bridge has made the portal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_listed: Option<bool>,
    /// The least power level that it takes to speak; 0: what the room asks for by itself. Only where the bridge has made
    /// the portal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speech_level: Option<i64>,
}

impl RoomChange {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with another name; empty for none.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The same with another topic; empty for none.
    #[must_use]
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.topic = Some(topic.into());
        self
    }

    /// The same with another picture.
    #[must_use]
    pub fn avatar(mut self, uri: &MxcUri) -> Self {
        self.avatar = Some(uri.clone());
        self
    }

    /// The same, joined by this rule from now on. By [`JoinRule::Restricted`] only those who are invited join, unless
    /// [`joined_from`](Self::joined_from) names rooms.
    #[must_use]
    pub fn joined_by(mut self, rule: JoinRule) -> Self {
        self.join_rule = Some(rule);
        self
    }

    /// The same, joined by everybody from now on, or not: where somebody has set another rule by which not everybody joins,
    /// such as by knocking, that stays, and else those join who are invited.
    #[must_use]
    pub fn open(mut self, is_open: bool) -> Self {
        self.is_open = Some(is_open);
        self
    }

    /// The same, joined from now on by those who are invited, and by the members of these rooms (room version 8 or
    /// later).
    #[must_use]
    pub fn joined_from(mut self, rooms: impl IntoIterator<Item = RoomId>) -> Self {
        self.allow = rooms.into_iter().collect();
        self.join_rule = Some(restricted(self.join_rule));
        self
    }

    /// The same, listed in the homeserver's directory of rooms from now on, or no more.
    #[must_use]
    pub fn listed(mut self, is_listed: bool) -> Self {
        self.is_listed = Some(is_listed);
        self
    }

    /// The same, in which it takes at least this power level to speak from now on. With 0 it takes again what it took
    /// before the network has asked for more.
    ///
    /// Users of the network who speak all the same are given that level then, so that nothing of it is lost.
    #[must_use]
    pub fn spoken_from(mut self, level: i64) -> Self {
        self.speech_level = Some(level);
        self
    }
}
