//! One room's state, parsed: what answers and checks need of it.

use std::{collections::HashMap, sync::Arc};

use ruma::{RoomVersionId, room_version_rules::RoomVersionRules};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Fresh, Interest, PowerLevels};
use crate::{
    id::{EventId, MxcUri, RoomAlias, RoomId, UserId},
    store::{RoomRow, StateRow},
};

/// Events of a room's creation come in one burst; so long after its first it is over, ms.
const BURST_MS: i64 = 10_000;

/// The types whose events are held in memory.
pub(crate) const HELD: [&str; 13] = [
    "m.room.create",
    "m.room.member",
    "m.room.power_levels",
    "m.room.join_rules",
    "m.room.name",
    "m.room.topic",
    "m.room.avatar",
    "m.room.canonical_alias",
    "m.room.aliases",
    "m.room.encryption",
    "m.room.history_visibility",
    "m.room.tombstone",
    "m.room.pinned_events",
];

/// What somebody is to a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Membership {
    /// In it.
    Join,
    /// Invited.
    Invite,
    /// Asking to be let in.
    Knock,
    /// Out of it: left, kicked, refused.
    Leave,
    /// Banned.
    Ban,
}

impl Membership {
    pub(crate) fn parse(text: &str) -> Self {
        match text {
            "join" => Self::Join,
            "invite" => Self::Invite,
            "knock" => Self::Knock,
            "ban" => Self::Ban,
            _ => Self::Leave,
        }
    }

    /// As the specification writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Invite => "invite",
            Self::Knock => "knock",
            Self::Leave => "leave",
            Self::Ban => "ban",
        }
    }
}

/// Somebody who is, or was, something to a room.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RoomMember {
    /// Who.
    pub user_id: UserId,
    /// What they are to the room.
    pub membership: Membership,
    /// Their name in the room.
    pub displayname: Option<String>,
    /// Their picture in the room.
    pub avatar_url: Option<MxcUri>,
}

impl RoomMember {
    /// Whether they are in the room.
    #[must_use]
    pub fn is_joined(&self) -> bool {
        self.membership == Membership::Join
    }
}

/// Who may join a room (`m.room.join_rules`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
#[non_exhaustive]
pub enum JoinRule {
    /// Everybody.
    Public,
    /// Those who are invited.
    Invite,
    /// Those who are invited; others may ask.
    Knock,
    /// Those who are invited, and members of certain other rooms.
    Restricted,
    /// The same, and others may ask.
    KnockRestricted,
    /// Nobody but who is invited (`private`, which no room uses), or a rule that is not known.
    Other(String),
}

impl From<String> for JoinRule {
    fn from(text: String) -> Self {
        Self::parse(&text)
    }
}

impl From<JoinRule> for String {
    fn from(rule: JoinRule) -> Self {
        rule.as_str().to_owned()
    }
}

impl JoinRule {
    fn parse(text: &str) -> Self {
        match text {
            "public" => Self::Public,
            "invite" => Self::Invite,
            "knock" => Self::Knock,
            "restricted" => Self::Restricted,
            "knock_restricted" => Self::KnockRestricted,
            other => Self::Other(other.to_owned()),
        }
    }

    /// As the specification writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Public => "public",
            Self::Invite => "invite",
            Self::Knock => "knock",
            Self::Restricted => "restricted",
            Self::KnockRestricted => "knock_restricted",
            Self::Other(other) => other,
        }
    }

    /// Whether those who are not invited may ask to be let in.
    #[must_use]
    pub fn may_knock(&self) -> bool {
        matches!(self, Self::Knock | Self::KnockRestricted)
    }
}

/// A room's first event (`m.room.create`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Creation {
    /// The room's version.
    pub version: String,
    /// Who made it; several may be, since room version 12.
    pub creators: Vec<UserId>,
    /// Whether users of other homeservers may take part.
    pub federates: bool,
    /// The room that this one replaces.
    pub predecessor: Option<RoomId>,
    /// What kind of room it is, such as `m.space`.
    pub kind: Option<String>,
}

impl Creation {
    pub(super) fn new(sender: &str, content: &Value) -> Option<Self> {
        let text = |name: &str| content.get(name).and_then(Value::as_str);
        let version = text("room_version").unwrap_or("1").to_owned();
        let rules = rules_of(&version).map(|rules| rules.authorization);
        let by_sender = rules
            .as_ref()
            .is_none_or(|rules| rules.use_room_create_sender);
        let first = if by_sender {
            sender
        } else {
            text("creator").unwrap_or(sender)
        };
        let mut creators = vec![UserId::parse(first).ok()?];
        if rules.is_some_and(|rules| rules.additional_room_creators) {
            let more = content.get("additional_creators").and_then(Value::as_array);
            let more = more.into_iter().flatten();
            creators.extend(more.filter_map(|user| UserId::parse(user.as_str()?).ok()));
        }
        let predecessor = content
            .pointer("/predecessor/room_id")
            .and_then(Value::as_str);
        Some(Self {
            version,
            creators,
            federates: content
                .get("m.federate")
                .and_then(Value::as_bool)
                .unwrap_or(true),
            predecessor: predecessor.and_then(|id| RoomId::parse(id).ok()),
            kind: text("type").map(str::to_owned),
        })
    }

    /// The rules of the room's version; `None` for a version that is not known.
    pub(crate) fn rules(&self) -> Option<RoomVersionRules> {
        rules_of(&self.version)
    }

    /// Whether the creators' power is infinite.
    pub(crate) fn creators_are_privileged(&self) -> bool {
        let rules = self.rules();
        rules.is_some_and(|rules| rules.authorization.explicitly_privilege_room_creators)
    }
}

fn rules_of(version: &str) -> Option<RoomVersionRules> {
    RoomVersionId::try_from(version).ok()?.rules()
}

/// A room that has been replaced by another (`m.room.tombstone`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tombstone {
    /// Words for people.
    pub body: String,
    /// The room that replaces it.
    pub replacement: Option<RoomId>,
}

/// How far what is held of a room can be relied upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// All of it is so.
    Known,
    /// What is there is so; what is not there is not known.
    Partial,
    /// So it was then.
    Stale(i64),
}

/// A room's state in memory.
#[derive(Clone, Debug)]
pub(crate) struct RoomView {
    pub(crate) room_id: RoomId,
    row: Option<RoomRow>,
    creation: Option<Arc<Creation>>,
    /// Sender and content of the power levels.
    power_content: Option<Arc<Value>>,
    power: Option<Arc<PowerLevels>>,
    members: HashMap<UserId, RoomMember>,
    /// Members through whom the service is told of the room.
    followers: usize,
    /// Contents of the other types, which have no state key.
    facts: HashMap<String, Arc<Value>>,
    /// `m.room.aliases`, of the first room versions, by server.
    old_aliases: HashMap<String, Arc<Value>>,
}

impl RoomView {
    pub(crate) fn new(room_id: RoomId, row: Option<RoomRow>) -> Self {
        Self {
            room_id,
            row,
            creation: None,
            power_content: None,
            power: None,
            members: HashMap::new(),
            followers: 0,
            facts: HashMap::new(),
            old_aliases: HashMap::new(),
        }
    }

    /// How many things it holds, for the bound on memory.
    pub(crate) fn weight(&self) -> usize {
        self.members.len() + self.facts.len() + 4
    }

    pub(crate) fn set_row(&mut self, row: Option<RoomRow>) {
        self.row = row;
    }

    /// Takes an event of the state in.
    pub(crate) fn apply(&mut self, row: &StateRow, interest: &Interest) {
        let content = || Arc::new(row.content.clone());
        match (row.kind.as_str(), row.state_key.as_str()) {
            ("m.room.member", user) => self.apply_member(user, &row.content, interest),
            ("m.room.create", "") => {
                self.creation = Creation::new(&row.sender, &row.content).map(Arc::new);
                self.work_out_power();
            }
            ("m.room.power_levels", "") => {
                self.power_content = Some(content());
                self.work_out_power();
            }
            ("m.room.aliases", server) => {
                self.old_aliases.insert(server.to_owned(), content());
            }
            (kind, "") if HELD.contains(&kind) => {
                self.facts.insert(kind.to_owned(), content());
            }
            _ => {}
        }
    }

    fn work_out_power(&mut self) {
        self.power = self.creation.as_ref().and_then(|creation| {
            // Nobody knows what counts in a version that is not known.
            creation.rules()?;
            Some(Arc::new(PowerLevels::new(
                self.power_content.as_deref(),
                creation,
            )))
        });
    }

    fn apply_member(&mut self, user: &str, content: &Value, interest: &Interest) {
        let (Ok(user_id), Some(membership)) = (
            UserId::parse(user),
            content.get("membership").and_then(Value::as_str),
        ) else {
            return;
        };
        let text = |name: &str| content.get(name).and_then(Value::as_str);
        let member = RoomMember {
            user_id: user_id.clone(),
            membership: Membership::parse(membership),
            displayname: text("displayname").map(str::to_owned),
            avatar_url: text("avatar_url").and_then(|uri| MxcUri::parse(uri).ok()),
        };
        let is_in = member.membership == Membership::Join;
        let before = self.members.insert(user_id.clone(), member);
        let was_in = before.is_some_and(|member| member.membership == Membership::Join);
        if is_in != was_in && interest.user(&user_id) {
            self.followers = match is_in {
                true => self.followers + 1,
                false => self.followers.saturating_sub(1),
            };
        }
    }

    /// Whether the homeserver tells the service what happens in the room.
    pub(crate) fn is_followed(&self, interest: &Interest) -> bool {
        self.followers > 0
            || interest.room(&self.room_id)
            || self.aliases().iter().any(|alias| interest.alias(alias))
    }

    /// How far the whole can be relied upon.
    pub(crate) fn standing(&self, interest: &Interest, now_ms: i64) -> Standing {
        let Some(row) = &self.row else {
            return Standing::Partial;
        };
        if let Some(since_ms) = row.stale_ms {
            return Standing::Stale(since_ms);
        }
        if !self.is_followed(interest) {
            return Standing::Stale(row.heard_ms);
        }
        let from_the_start = row.created_ms.is_some_and(|ms| now_ms - ms >= BURST_MS);
        match row.fetched_ms.is_some() || from_the_start {
            true => Standing::Known,
            false => Standing::Partial,
        }
    }

    /// When all of it was last read, if it was.
    pub(crate) fn fetched_ms(&self) -> Option<i64> {
        self.row.and_then(|row| row.fetched_ms)
    }

    /// A part of it, as fresh as the whole. `None` is what is known not to be there, if the whole is known.
    pub(crate) fn part<T>(&self, standing: Standing, part: Option<T>) -> Fresh<Option<T>> {
        match (standing, part) {
            (Standing::Known, part) => Fresh::Known(part),
            // Changes of it would have been heard.
            (Standing::Partial, Some(part)) => Fresh::Known(Some(part)),
            (Standing::Partial, None) => Fresh::Unknown,
            (Standing::Stale(_), None) if !self.was_complete() => Fresh::Unknown,
            (Standing::Stale(since_ms), part) => Fresh::Stale(part, since_ms),
        }
    }

    /// What needs the whole of it.
    pub(crate) fn whole<T>(&self, standing: Standing, whole: T) -> Fresh<T> {
        match standing {
            Standing::Known => Fresh::Known(whole),
            Standing::Stale(since_ms) if self.was_complete() => Fresh::Stale(whole, since_ms),
            Standing::Stale(_) | Standing::Partial => Fresh::Unknown,
        }
    }

    fn was_complete(&self) -> bool {
        self.row
            .is_some_and(|row| row.fetched_ms.is_some() || row.created_ms.is_some())
    }

    pub(crate) fn creation(&self) -> Option<&Arc<Creation>> {
        self.creation.as_ref()
    }

    /// What holds now: also without an event of its own, once it is known who has made the room.
    pub(crate) fn power_levels(&self) -> Option<&Arc<PowerLevels>> {
        self.power.as_ref()
    }

    /// Whether the room has an event of power levels.
    pub(crate) fn has_power_levels(&self) -> bool {
        self.power_content.is_some()
    }

    pub(crate) fn member(&self, user: &UserId) -> Option<&RoomMember> {
        self.members.get(user)
    }

    pub(crate) fn membership(&self, user: &UserId) -> Option<Membership> {
        self.members.get(user).map(|member| member.membership)
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = &RoomMember> {
        self.members.values()
    }

    pub(crate) fn join_rule(&self) -> Option<JoinRule> {
        self.text("m.room.join_rules", "join_rule")
            .map(JoinRule::parse)
    }

    /// A text of an event without state key.
    pub(crate) fn text(&self, kind: &str, field: &str) -> Option<&str> {
        self.facts.get(kind)?.get(field)?.as_str()
    }

    /// The content of an event without state key.
    pub(crate) fn fact(&self, kind: &str) -> Option<&Arc<Value>> {
        self.facts.get(kind)
    }

    pub(crate) fn canonical_alias(&self) -> Option<RoomAlias> {
        RoomAlias::parse(self.text("m.room.canonical_alias", "alias")?).ok()
    }

    /// All aliases that the room's state names, the main one first.
    pub(crate) fn aliases(&self) -> Vec<RoomAlias> {
        let alternative = self.fact("m.room.canonical_alias");
        let alternative = alternative.and_then(|content| content.get("alt_aliases")?.as_array());
        let old = self.old_aliases.values();
        let old = old
            .filter_map(|content| content.get("aliases")?.as_array())
            .flatten();
        let further = alternative.into_iter().flatten().chain(old);
        let further = further.filter_map(|alias| RoomAlias::parse(alias.as_str()?).ok());
        let mut all: Vec<RoomAlias> = self.canonical_alias().into_iter().collect();
        for alias in further {
            if !all.contains(&alias) {
                all.push(alias);
            }
        }
        all
    }

    pub(crate) fn tombstone(&self) -> Option<Tombstone> {
        let content = self.fact("m.room.tombstone")?;
        let replacement = content.get("replacement_room").and_then(Value::as_str);
        Some(Tombstone {
            body: content
                .get("body")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            replacement: replacement.and_then(|id| RoomId::parse(id).ok()),
        })
    }

    pub(crate) fn pinned(&self) -> Vec<EventId> {
        let list = self.fact("m.room.pinned_events");
        let list = list.and_then(|content| content.get("pinned")?.as_array());
        let ids = list.into_iter().flatten();
        ids.filter_map(|id| EventId::parse(id.as_str()?).ok())
            .collect()
    }
}

#[cfg(test)]
mod tests;
