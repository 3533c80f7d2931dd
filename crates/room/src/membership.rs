//! Memberships, and the questions about a room that are answered by looking at its members.

use std::{borrow::Cow, fmt, str::FromStr};

use ruma::{
    MilliSecondsSinceUnixEpoch, OwnedUserId, ServerName, UserId,
    state_res::events::RoomPowerLevelsIntField,
};
use serde::Deserialize;
use serde_json::value::RawValue as RawJsonValue;
use thiserror::Error;

use crate::RoomView;

/// How many users may stand for a room without a name.
const MAX_HEROES: usize = 5;

/// A user's relation to a room. The numbers are stored and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Membership {
    /// Takes part.
    Join = 1,
    /// Was asked to join.
    Invite = 2,
    /// Asked to be invited.
    Knock = 3,
    /// Left, was kicked, or turned an invite down.
    Leave = 4,
    /// Is kept out.
    Ban = 5,
}

/// A text or number that is no membership.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown membership `{0}`")]
pub struct UnknownMembership(String);

impl Membership {
    /// The word used in events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Invite => "invite",
            Self::Knock => "knock",
            Self::Leave => "leave",
            Self::Ban => "ban",
        }
    }

    /// The number used in storage.
    pub fn as_u8(self) -> u8 {
        self as u8
    }

    /// The membership in the content of an `m.room.member` event.
    pub fn from_content(content: &RawJsonValue) -> Option<Self> {
        Self::from_content_text(content.get())
    }

    /// The membership in such a content that is still text.
    pub fn from_content_text(content: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct MemberContent<'a> {
            #[serde(borrow)]
            membership: Cow<'a, str>,
        }
        let content: MemberContent<'_> = serde_json::from_str(content).ok()?;
        content.membership.parse().ok()
    }
}

impl FromStr for Membership {
    type Err = UnknownMembership;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "join" => Self::Join,
            "invite" => Self::Invite,
            "knock" => Self::Knock,
            "leave" => Self::Leave,
            "ban" => Self::Ban,
            other => return Err(UnknownMembership(other.to_owned())),
        })
    }
}

impl TryFrom<u8> for Membership {
    type Error = UnknownMembership;

    fn try_from(number: u8) -> Result<Self, Self::Error> {
        Ok(match number {
            1 => Self::Join,
            2 => Self::Invite,
            3 => Self::Knock,
            4 => Self::Leave,
            5 => Self::Ban,
            other => return Err(UnknownMembership(other.to_string())),
        })
    }
}

impl fmt::Display for Membership {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl RoomView {
    /// The users a client may name a nameless room after: at most five joined or invited ones, the longest
    /// unchanged first, or those who are gone if there are none.
    pub fn heroes(&self, except: &UserId) -> Vec<OwnedUserId> {
        let present = self.first_members(except, &[Membership::Join, Membership::Invite]);
        if present.is_empty() {
            return self.first_members(except, &[Membership::Leave, Membership::Ban]);
        }
        present
    }

    /// A view has no stream positions, so the time of the member event orders the members.
    fn first_members(&self, except: &UserId, wanted: &[Membership]) -> Vec<OwnedUserId> {
        let mut first: Vec<(MilliSecondsSinceUnixEpoch, &UserId)> = Vec::new();
        for (user, membership) in &self.members {
            if !wanted.contains(membership) || user == except.as_str() {
                continue;
            }
            let Ok(user_id) = <&UserId>::try_from(user.as_str()) else {
                continue;
            };
            let Some(event) = self.state_event("m.room.member", user) else {
                continue;
            };
            let entry = (event.origin_server_ts, user_id);
            let place = first.partition_point(|earlier| *earlier < entry);
            if place < MAX_HEROES {
                first.insert(place, entry);
                first.truncate(MAX_HEROES);
            }
        }
        first.into_iter().map(|(_, user)| user.to_owned()).collect()
    }

    /// A joined user of `server` who may invite, to vouch for somebody joining a restricted room.
    pub fn restricted_join_authoriser(&self, server: &ServerName) -> Option<OwnedUserId> {
        let vouches = |user: &UserId| user.server_name() == server && self.can_invite(user);

        // Those with a level of their own come first: they are few, the members may be many.
        let rules = &self.rules.authorization;
        let with_level = self
            .power_levels
            .as_ref()
            .and_then(|levels| levels.users(rules).ok()?);
        let creators = self.creators();
        let candidate = creators
            .iter()
            .chain(with_level.into_iter().flat_map(|users| users.keys()))
            .find(|user| vouches(user));
        if let Some(user) = candidate {
            return Some(user.clone());
        }

        // The rest has the default level: either all may invite or none.
        let invite = self.level(RoomPowerLevelsIntField::Invite);
        if self.level(RoomPowerLevelsIntField::UsersDefault) < invite {
            return None;
        }
        self.members
            .keys()
            .filter_map(|user| <&UserId>::try_from(user.as_str()).ok())
            .find(|user| vouches(user))
            .map(ToOwned::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use ruma::serde::Raw;
    use serde_json::{json, value::to_raw_value};

    use super::*;

    const ALL: [Membership; 5] = [
        Membership::Join,
        Membership::Invite,
        Membership::Knock,
        Membership::Leave,
        Membership::Ban,
    ];

    #[test]
    fn words_and_numbers_lead_back() {
        for membership in ALL {
            assert_eq!(membership.as_str().parse(), Ok(membership));
            assert_eq!(Membership::try_from(membership.as_u8()), Ok(membership));
        }
        assert!("JOIN".parse::<Membership>().is_err());
        assert!(Membership::try_from(0).is_err());
    }

    #[test]
    fn content_is_read_whatever_stands_beside() {
        let check = |content, expected| {
            let content = to_raw_value::<serde_json::Value>(&content).unwrap();
            assert_eq!(Membership::from_content(&content), expected, "{content}");
        };
        check(
            json!({ "membership": "knock", "displayname": { "odd": 1 } }),
            Some(Membership::Knock),
        );
        check(json!({ "membership": "lurk" }), None);
        check(json!({ "membership": 3 }), None);
        check(json!({}), None);
        let escaped: Raw<serde_json::Value> =
            Raw::from_json_string(r#"{"membership":"\u006aoin"}"#.to_owned()).unwrap();
        assert_eq!(
            Membership::from_content(escaped.json()),
            Some(Membership::Join)
        );
    }
}
