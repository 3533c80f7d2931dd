//! What a network says of its users and rooms.

use std::fmt;

use serde_json::{Value, json};

use super::Network;
use crate::{
    id::{MxcUri, RoomId, UserId},
    media::Upload,
    state::JoinRule,
};

/// What is known of a user of the network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UserInfo {
    /// What people call them.
    pub name: Option<String>,
    /// Their picture, where the homeserver has it already.
    pub avatar: Option<MxcUri>,
    /// Their picture as the network has it; what counts where both are given. It is uploaded, and only once.
    pub picture: Option<Upload>,
}

impl UserInfo {
    /// Somebody of this name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            name: Some(name.to_owned()),
            ..Self::default()
        }
    }

    /// The same with a picture that the homeserver has already.
    #[must_use]
    pub fn avatar(mut self, uri: &MxcUri) -> Self {
        self.avatar = Some(uri.clone());
        self
    }

    /// The same with a picture that is to be uploaded, unless the same was uploaded before. One that the homeserver
    /// does not take is left out.
    #[must_use]
    pub fn picture(mut self, picture: Upload) -> Self {
        self.picture = Some(picture);
        self
    }
}

/// What is known of a room of the network: what its portal is made with.
#[non_exhaustive]
pub struct RoomInfo<N: Network> {
    /// What people call it.
    pub name: Option<String>,
    /// What it is about.
    pub topic: Option<String>,
    /// Its picture.
    pub avatar: Option<MxcUri>,
    /// Everybody may join: the portal is public, and found by its alias where the bridge has aliases.
    pub is_public: bool,
    /// Who may join, where that is neither everybody nor those who are invited, as `is_public` has it.
    pub join_rule: Option<JoinRule>,
    /// Rooms whose members may join, where the rule is [`JoinRule::Restricted`] or [`JoinRule::KnockRestricted`].
    pub allow: Vec<RoomId>,
    /// The portal stands in the homeserver's directory of rooms.
    pub is_listed: bool,
    /// Only users of the service's own homeserver may ever take part (`m.federate`): that cannot be changed later.
    pub is_local: bool,
    /// The portal's room version; the homeserver's own choice where it is not said.
    pub version: Option<String>,
    /// Other powers than the homeserver's: the content of `m.room.power_levels`, or a part of it.
    pub power_levels: Option<Value>,
    /// The two who talk, where it is the talk of two: the portal is made by the user's ghost, and the person invited.
    pub direct: Option<(UserId, N::User)>,
}

impl<N: Network> RoomInfo<N> {
    /// A room that everybody may join, and that is listed nowhere.
    #[must_use]
    pub fn public(name: &str) -> Self {
        Self {
            is_public: true,
            ..Self::private(name)
        }
    }

    /// A room for those who are invited.
    #[must_use]
    pub fn private(name: &str) -> Self {
        Self {
            name: Some(name.to_owned()),
            ..Self::unnamed()
        }
    }

    /// The talk of two.
    #[must_use]
    pub fn direct(person: &UserId, user: N::User) -> Self {
        Self {
            direct: Some((person.clone(), user)),
            ..Self::unnamed()
        }
    }

    fn unnamed() -> Self {
        Self {
            name: None,
            topic: None,
            avatar: None,
            is_public: false,
            join_rule: None,
            allow: Vec::new(),
            is_listed: false,
            is_local: false,
            version: None,
            power_levels: None,
            direct: None,
        }
    }

    /// The same with a topic.
    #[must_use]
    pub fn about(mut self, topic: &str) -> Self {
        self.topic = Some(topic.to_owned());
        self
    }

    /// The same with a picture.
    #[must_use]
    pub fn avatar(mut self, uri: &MxcUri) -> Self {
        self.avatar = Some(uri.clone());
        self
    }

    /// The same, joined by this rule. By [`JoinRule::Restricted`] only those who are invited join, unless
    /// [`joined_from`](Self::joined_from) names rooms.
    #[must_use]
    pub fn joined_by(mut self, rule: JoinRule) -> Self {
        self.join_rule = Some(rule);
        self
    }

    /// The same, joined by those who are invited, and by the members of these rooms (room version 8 or later).
    #[must_use]
    pub fn joined_from(mut self, rooms: impl IntoIterator<Item = RoomId>) -> Self {
        self.allow = rooms.into_iter().collect();
        self.join_rule = Some(restricted(self.join_rule));
        self
    }

    /// The same, listed in the homeserver's directory of rooms.
    #[must_use]
    pub fn listed(mut self) -> Self {
        self.is_listed = true;
        self
    }

    /// The same, for users of the service's own homeserver alone.
    #[must_use]
    pub fn local(mut self) -> Self {
        self.is_local = true;
        self
    }

    /// The same in this room version.
    #[must_use]
    pub fn version(mut self, version: &str) -> Self {
        self.version = Some(version.to_owned());
        self
    }

    /// The same with other powers than the homeserver's: the content of `m.room.power_levels`, or a part of it.
    #[must_use]
    pub fn power_levels(mut self, content: Value) -> Self {
        self.power_levels = Some(content);
        self
    }
}

/// The rule that names other rooms; where others could ask, they still can.
pub(super) fn restricted(before: Option<JoinRule>) -> JoinRule {
    match before {
        Some(JoinRule::Knock | JoinRule::KnockRestricted) => JoinRule::KnockRestricted,
        _ => JoinRule::Restricted,
    }
}

/// The content of `m.room.join_rules` (specification, *Client-Server API*).
pub(crate) fn join_rules(rule: &JoinRule, allow: &[RoomId]) -> Value {
    let mut content = json!({ "join_rule": rule });
    if matches!(rule, JoinRule::Restricted | JoinRule::KnockRestricted) {
        let member = |room: &RoomId| json!({ "type": "m.room_membership", "room_id": room });
        content["allow"] = allow.iter().map(member).collect();
    }
    content
}

impl<N: Network> Clone for RoomInfo<N> {
    fn clone(&self) -> Self {
        Self {
            name: self.name.clone(),
            topic: self.topic.clone(),
            avatar: self.avatar.clone(),
            is_public: self.is_public,
            join_rule: self.join_rule.clone(),
            allow: self.allow.clone(),
            is_listed: self.is_listed,
            is_local: self.is_local,
            version: self.version.clone(),
            power_levels: self.power_levels.clone(),
            direct: self.direct.clone(),
        }
    }
}

impl<N: Network> fmt::Debug for RoomInfo<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoomInfo")
            .field("name", &self.name)
            .field("is_public", &self.is_public)
            .field("direct", &self.direct)
            .finish_non_exhaustive()
    }
}
