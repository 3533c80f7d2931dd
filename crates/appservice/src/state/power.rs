//! Who may do what in a room: its power levels, by its version's rules.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::view::Creation;
use crate::id::UserId;

/// How much power somebody has in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Power {
    /// A power level.
    Level(i64),
    /// More than any level: a creator of the room, since room version 12.
    Infinite,
}

impl Power {
    /// Whether it is enough for what needs this level.
    #[must_use]
    pub fn is_at_least(self, level: i64) -> bool {
        self >= Self::Level(level)
    }
}

impl std::fmt::Display for Power {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Level(level) => write!(f, "{level}"),
            Self::Infinite => f.write_str("a creator's"),
        }
    }
}

/// A room's power levels (`m.room.power_levels`), the defaults of what it does not say included.
#[derive(Clone, Debug, PartialEq)]
pub struct PowerLevels {
    users: BTreeMap<UserId, i64>,
    users_default: i64,
    events: BTreeMap<String, i64>,
    events_default: i64,
    state_default: i64,
    ban: i64,
    invite: i64,
    kick: i64,
    redact: i64,
    notify_room: i64,
    /// Those with infinite power.
    creators: BTreeSet<UserId>,
}

/// A level as JSON: a whole number, or in rooms before version 10 also a text or a fraction of one.
fn level(value: &Value) -> Option<i64> {
    value
        .as_i64()
        .or_else(|| value.as_f64().map(|level| level as i64))
        .or_else(|| value.as_str()?.trim().parse().ok())
}

fn levels(value: Option<&Value>) -> impl Iterator<Item = (&String, i64)> {
    let object = value.and_then(Value::as_object).into_iter().flatten();
    object.filter_map(|(key, value)| Some((key, level(value)?)))
}

/// The level that it takes to speak by the content of a room's event (`events_default`), or without one.
pub(crate) fn to_speak(content: Option<&Value>) -> i64 {
    let level_of = |content: &Value| level(content.get("events_default")?);
    content.and_then(level_of).unwrap_or(0)
}

impl PowerLevels {
    /// From the content of the room's event, or what holds in a room without one.
    pub(crate) fn new(content: Option<&Value>, creation: &Creation) -> Self {
        let field = |name: &str, default: i64| {
            content
                .and_then(|content| level(content.get(name)?))
                .unwrap_or(default)
        };
        let part = |name: &str| content.and_then(|content| content.get(name));
        let mut users: BTreeMap<UserId, i64> = levels(part("users"))
            .filter_map(|(user, level)| Some((UserId::parse(user).ok()?, level)))
            .collect();
        let is_privileged = creation.creators_are_privileged();
        if content.is_none() && !is_privileged {
            users.extend(creation.creators.iter().map(|user| (user.clone(), 100)));
        }
        Self {
            users,
            users_default: field("users_default", 0),
            events: levels(part("events"))
                .map(|(kind, level)| (kind.clone(), level))
                .collect(),
            events_default: to_speak(content),
            state_default: field("state_default", 50),
            ban: field("ban", 50),
            invite: field("invite", 0),
            kick: field("kick", 50),
            redact: field("redact", 50),
            notify_room: part("notifications")
                .and_then(|levels| level(levels.get("room")?))
                .unwrap_or(50),
            creators: match is_privileged {
                true => creation.creators.iter().cloned().collect(),
                false => BTreeSet::new(),
            },
        }
    }

    /// The power that somebody has.
    #[must_use]
    pub fn of(&self, user: &UserId) -> Power {
        if self.creators.contains(user) {
            return Power::Infinite;
        }
        Power::Level(self.users.get(user).copied().unwrap_or(self.users_default))
    }

    /// The level that it takes to send events of this type, such as `m.room.message`.
    #[must_use]
    pub fn to_send(&self, kind: &str) -> i64 {
        self.events
            .get(kind)
            .copied()
            .unwrap_or(self.events_default)
    }

    /// The level that it takes to change state of this type, such as `m.room.topic`.
    #[must_use]
    pub fn to_set(&self, kind: &str) -> i64 {
        self.events.get(kind).copied().unwrap_or(self.state_default)
    }

    /// The level that it takes to invite.
    #[must_use]
    pub fn to_invite(&self) -> i64 {
        self.invite
    }

    /// The level that it takes to kick somebody of less power.
    #[must_use]
    pub fn to_kick(&self) -> i64 {
        self.kick
    }

    /// The level that it takes to ban somebody of less power.
    #[must_use]
    pub fn to_ban(&self) -> i64 {
        self.ban
    }

    /// The level that it takes to lift a ban.
    #[must_use]
    pub fn to_unban(&self) -> i64 {
        self.ban.max(self.kick)
    }

    /// The level that it takes to redact what somebody else has sent.
    #[must_use]
    pub fn to_redact(&self) -> i64 {
        self.redact.max(self.to_send("m.room.redaction"))
    }

    /// The level that it takes to notify all with `@room`.
    #[must_use]
    pub fn to_notify_room(&self) -> i64 {
        self.notify_room
    }

    /// What those have whom the event does not name.
    #[must_use]
    pub fn users_default(&self) -> i64 {
        self.users_default
    }

    /// Those whom the event names, with their levels.
    pub fn users(&self) -> impl Iterator<Item = (&UserId, i64)> {
        self.users.iter().map(|(user, level)| (user, *level))
    }

    /// Those whose power is infinite: the room's creators, since room version 12.
    pub fn creators(&self) -> impl Iterator<Item = &UserId> {
        self.creators.iter()
    }

    /// What is other in `new`, but for users: what it is called, and both levels.
    pub(crate) fn differences(&self, new: &Self) -> Vec<(String, i64, i64)> {
        let fields = [
            ("users_default", self.users_default, new.users_default),
            ("events_default", self.events_default, new.events_default),
            ("state_default", self.state_default, new.state_default),
            ("ban", self.ban, new.ban),
            ("invite", self.invite, new.invite),
            ("kick", self.kick, new.kick),
            ("redact", self.redact, new.redact),
            ("notifications", self.notify_room, new.notify_room),
        ];
        let fields = fields.map(|(name, before, after)| (name.to_owned(), before, after));
        let kinds: BTreeSet<&String> = self.events.keys().chain(new.events.keys()).collect();
        // An entry that is added or goes counts with its own level only.
        let events = kinds.into_iter().map(|kind| {
            let (before, after) = (self.events.get(kind), new.events.get(kind));
            let either = before.or(after).copied().unwrap_or_default();
            let level = |level: Option<&i64>| level.copied().unwrap_or(either);
            let is_same = before == after;
            (
                format!("the level of {kind}"),
                level(before),
                level(after),
                is_same,
            )
        });
        let events = events.filter(|(.., is_same)| !is_same);
        let events = events.map(|(name, before, after, _)| (name, before, after));
        let changed = fields
            .into_iter()
            .filter(|(_, before, after)| before != after);
        changed.chain(events).collect()
    }

    /// The users who are other in `new`, with both levels where they are named.
    pub(crate) fn user_differences(&self, new: &Self) -> Vec<(UserId, Option<i64>, Option<i64>)> {
        let users: BTreeSet<&UserId> = self.users.keys().chain(new.users.keys()).collect();
        let levels = users.into_iter().map(|user| {
            let (before, after) = (self.users.get(user), new.users.get(user));
            (user.clone(), before.copied(), after.copied())
        });
        levels
            .filter(|(_, before, after)| before != after)
            .collect()
    }

    /// Whether a type of events has a level of its own.
    pub(crate) fn names_event(&self, kind: &str) -> bool {
        self.events.contains_key(kind)
    }
}

/// Why power cannot be given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoGrant {
    /// The giver may not change the power levels.
    MayNotChange {
        /// What it takes.
        needs: i64,
        /// What the giver has.
        has: Power,
    },
    /// Nobody may give more than they have.
    MoreThanOwn {
        /// What is wanted.
        wanted: i64,
        /// What the giver has.
        has: Power,
    },
    /// The event would be larger than events may be.
    TooLarge,
}

/// The highest level that events may name (specification, *Canonical JSON*).
const MAX_LEVEL: i64 = (1 << 53) - 1;

/// An event's content may be this long, with room for the rest of the event (specification, *Size limits*).
const MAX_CONTENT_BYTES: usize = 60_000;

/// The content that gives these users at least these levels: nobody is lowered, nobody raised who needs it not, and
/// all else stays as it was. `None` when all have what they want.
///
/// # Errors
/// When `giver` may not; nothing is given then.
pub(crate) fn raise(
    content: Option<&Value>,
    creation: &Creation,
    giver: &UserId,
    wants: &BTreeMap<UserId, i64>,
) -> Result<Option<Value>, NoGrant> {
    let levels = PowerLevels::new(content, creation);
    let missing: Vec<(&UserId, i64)> = wants
        .iter()
        .filter(|(user, level)| !levels.of(user).is_at_least(**level))
        .map(|(user, level)| (user, *level))
        .collect();
    if missing.is_empty() {
        return Ok(None);
    }
    let (has, needs) = (levels.of(giver), levels.to_set("m.room.power_levels"));
    if !has.is_at_least(needs) {
        return Err(NoGrant::MayNotChange { needs, has });
    }
    if let Some((_, wanted)) = missing.iter().find(|(_, level)| !has.is_at_least(*level)) {
        return Err(NoGrant::MoreThanOwn {
            wanted: *wanted,
            has,
        });
    }
    with_levels(content, &levels, &missing).map(Some)
}

/// The content that gives these users just these levels, as far as `giver` may: nobody gets more than the giver has,
/// and nobody is changed who has as much. `None` when nobody is to be changed, or can be.
///
/// # Errors
/// When `giver` may not change the levels at all; or the content would be too large.
pub(crate) fn assign(
    content: Option<&Value>,
    creation: &Creation,
    giver: &UserId,
    wants: &BTreeMap<UserId, i64>,
) -> Result<Option<Value>, NoGrant> {
    let levels = PowerLevels::new(content, creation);
    let has = levels.of(giver);
    let most = match has {
        Power::Level(level) => level,
        Power::Infinite => MAX_LEVEL,
    };
    let wanted = wants.iter().map(|(user, level)| (user, *level.min(&most)));
    let changed: Vec<(&UserId, i64)> = wanted
        .filter(|(user, level)| match levels.of(user) {
            Power::Infinite => false,
            Power::Level(now) => now != *level && (has > Power::Level(now) || *user == giver),
        })
        .collect();
    if changed.is_empty() {
        return Ok(None);
    }
    let needs = levels.to_set("m.room.power_levels");
    if !has.is_at_least(needs) {
        return Err(NoGrant::MayNotChange { needs, has });
    }
    with_levels(content, &levels, &changed).map(Some)
}

/// The content by which it takes this level to speak (`events_default`), and all else stays as it was. `None` when it
/// takes that already.
///
/// # Errors
/// When `giver` may not: nobody changes a level that is above their own, or to one that is.
pub(crate) fn let_speak(
    content: Option<&Value>,
    creation: &Creation,
    giver: &UserId,
    level: i64,
) -> Result<Option<Value>, NoGrant> {
    let levels = PowerLevels::new(content, creation);
    let now = levels.events_default;
    if now == level {
        return Ok(None);
    }
    let (has, needs) = (levels.of(giver), levels.to_set("m.room.power_levels"));
    if !has.is_at_least(needs) {
        return Err(NoGrant::MayNotChange { needs, has });
    }
    let wanted = now.max(level);
    if !has.is_at_least(wanted) {
        return Err(NoGrant::MoreThanOwn { wanted, has });
    }
    let mut content = with_levels(content, &levels, &[])?;
    if let Some(fields) = content.as_object_mut() {
        fields.insert("events_default".to_owned(), json!(level));
    }
    Ok(Some(content))
}

/// The content with these levels of users; who has what all have is not named.
fn with_levels(
    content: Option<&Value>,
    levels: &PowerLevels,
    changed: &[(&UserId, i64)],
) -> Result<Value, NoGrant> {
    let mut fields = match content {
        Some(Value::Object(fields)) => fields.clone(),
        _ => Map::new(),
    };
    let mut users = match fields.remove("users") {
        Some(Value::Object(users)) => users,
        // Without an event the creator's power is a default, which the event must keep.
        _ => levels
            .users()
            .map(|(user, level)| (user.to_string(), json!(level)))
            .collect(),
    };
    for (user, level) in changed {
        match *level == levels.users_default() {
            true => users.remove(user.as_str()),
            false => users.insert(user.to_string(), json!(level)),
        };
    }
    fields.insert("users".to_owned(), Value::Object(users));
    let content = Value::Object(fields);
    match content.to_string().len() > MAX_CONTENT_BYTES {
        true => Err(NoGrant::TooLarge),
        false => Ok(content),
    }
}

#[cfg(test)]
mod tests;
