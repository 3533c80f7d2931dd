//! What a room's own rules say to an action, before the homeserver is asked.
//!
//! The rules are those of the room's version (specification, *Room Versions*, *Authorization rules*), as far as the
//! room's state decides: membership, power levels, who has made the room. Pure: the state is an argument. Whatever
//! needs more than that (restricted joins, signatures) is permitted here and left to the homeserver.

use ruma::room_version_rules::AuthorizationRules;
use serde_json::Value;

use crate::{
    Error,
    id::UserId,
    state::{Creation, JoinRule, Membership, Power, PowerLevels, RoomView},
};

const POWER_LEVELS: &str = "m.room.power_levels";

/// So many people are named who could permit something.
const NAMED: usize = 3;

/// What somebody is about to do in a room.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Action<'a> {
    /// Send an event that is no state.
    Message {
        kind: &'a str,
    },
    /// Change the state.
    State {
        kind: &'a str,
        key: &'a str,
        content: &'a Value,
    },
    Invite {
        target: &'a UserId,
    },
    Kick {
        target: &'a UserId,
    },
    Ban {
        target: &'a UserId,
    },
    Unban {
        target: &'a UserId,
    },
    /// Join, as oneself.
    Join,
    /// Ask to be let in.
    Knock,
}

/// A no, for people: which rule, and what would change it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Who may not do what, and by which rule.
    rule: String,
    /// What would permit it, by whom.
    remedy: String,
    /// The level that is all that is missing.
    pub(crate) missing_level: Option<i64>,
}

impl Refusal {
    fn new(rule: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            rule: rule.into(),
            remedy: remedy.into(),
            missing_level: None,
        }
    }

    /// The same, with the reason why it could not be helped.
    pub(crate) fn because(mut self, why: &str) -> Self {
        self.rule = format!("{}; {why}", self.rule);
        self
    }

    pub(crate) fn into_error(self) -> Error {
        match self.remedy.is_empty() {
            true => Error::Forbidden(self.rule),
            false => Error::Forbidden(format!("{}. {}", self.rule, self.remedy)),
        }
    }
}

/// All that a check needs of a room.
struct Room<'a> {
    view: &'a RoomView,
    creation: &'a Creation,
    levels: &'a PowerLevels,
    rules: AuthorizationRules,
}

/// Whether the room's rules permit it.
///
/// # Errors
/// The rule that does not. A room whose version is not known permits all.
pub(crate) fn check(view: &RoomView, user: &UserId, action: &Action<'_>) -> Result<(), Refusal> {
    let (Some(creation), Some(levels)) = (view.creation(), view.power_levels()) else {
        return Ok(());
    };
    let Some(rules) = creation.rules() else {
        return Ok(());
    };
    let room = Room {
        view,
        creation,
        levels,
        rules: rules.authorization,
    };
    room.check_federation(user)?;
    match *action {
        Action::Join => room.check_join(user),
        Action::Knock => room.check_knock(user),
        Action::Invite { target } => room.check_invite(user, target),
        Action::Kick { target } => room.check_kick(user, target),
        Action::Ban { target } => room.check_ban(user, target),
        Action::Unban { target } => room.check_unban(user, target),
        Action::Message { kind } => {
            room.check_joined(user)?;
            room.check_level(
                user,
                levels.to_send(kind),
                &room.event_rule(kind, "events_default"),
            )
        }
        Action::State { kind, key, content } => room.check_state(user, (kind, key), content),
    }
}

impl Room<'_> {
    fn check_federation(&self, user: &UserId) -> Result<(), Refusal> {
        let home = self
            .creation
            .creators
            .first()
            .map_or("", |creator| creator.server());
        if self.creation.federates || user.server() == home {
            return Ok(());
        }
        Err(Refusal::new(
            format!(
                "{user} may do nothing in {}: the room is for users of {home} only (m.federate)",
                self.view.room_id
            ),
            "That was decided when the room was made; another room would have to be made",
        ))
    }

    fn check_joined(&self, user: &UserId) -> Result<(), Refusal> {
        if self.view.membership(user) == Some(Membership::Join) {
            return Ok(());
        }
        Err(Refusal::new(
            format!("{user} is not in {}", self.view.room_id),
            "It has to join first",
        ))
    }

    fn check_level(&self, user: &UserId, level: i64, rule: &str) -> Result<(), Refusal> {
        let has = self.levels.of(user);
        if has.is_at_least(level) {
            return Ok(());
        }
        let remedy = match self.who_may_raise_to(level) {
            who if who.is_empty() => "Nobody in the room can change that".to_owned(),
            who => format!("{who} could give {user} power level {level}"),
        };
        Err(Refusal {
            rule: format!(
                "{user} may not do that in {}: {rule} needs power level {level}, and the user has {has}",
                self.view.room_id
            ),
            remedy,
            missing_level: Some(level),
        })
    }

    fn event_rule(&self, kind: &str, default: &str) -> String {
        match self.levels.names_event(kind) {
            true => format!("sending {kind} (events)"),
            false => format!("sending {kind} ({default})"),
        }
    }

    /// Those in the room who could give a level, the most powerful first.
    fn who_may_raise_to(&self, level: i64) -> String {
        let needs = level.max(self.levels.to_set(POWER_LEVELS));
        self.named(|power| power.is_at_least(needs))
    }

    /// Those in the room whose power is enough, the most powerful first.
    fn named(&self, enough: impl Fn(Power) -> bool) -> String {
        let joined = self.view.members().filter(|member| member.is_joined());
        let mut able: Vec<(Power, &UserId)> = joined
            .map(|member| (self.levels.of(&member.user_id), &member.user_id))
            .filter(|(power, _)| enough(*power))
            .collect();
        able.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
        let names: Vec<&str> = able
            .iter()
            .take(NAMED)
            .map(|(_, user)| user.as_str())
            .collect();
        names.join(" or ")
    }

    fn check_join(&self, user: &UserId) -> Result<(), Refusal> {
        let membership = self.view.membership(user);
        if membership == Some(Membership::Ban) {
            return Err(self.is_banned(user));
        }
        if matches!(membership, Some(Membership::Join | Membership::Invite)) {
            return Ok(());
        }
        let rule = self.view.join_rule().unwrap_or(JoinRule::Invite);
        let is_open = match &rule {
            JoinRule::Public => true,
            JoinRule::Restricted => self.rules.restricted_join_rule,
            JoinRule::KnockRestricted => self.rules.knock_restricted_join_rule,
            JoinRule::Invite | JoinRule::Knock | JoinRule::Other(_) => false,
        };
        // Whether somebody is in one of the other rooms is for the homeserver to say.
        if is_open {
            return Ok(());
        }
        let who = self.named(|power| power.is_at_least(self.levels.to_invite()));
        Err(Refusal::new(
            format!(
                "{user} may not join {}: it is open only to who is invited (join rule `{}`)",
                self.view.room_id,
                rule.as_str()
            ),
            remedy(&who, "could invite it"),
        ))
    }

    fn is_banned(&self, user: &UserId) -> Refusal {
        let needs = self.levels.to_unban();
        let target = self.levels.of(user);
        let who = self.named(|power| power.is_at_least(needs) && power > target);
        Refusal::new(
            format!("{user} is banned from {}", self.view.room_id),
            remedy(&who, "could lift the ban"),
        )
    }

    fn check_knock(&self, user: &UserId) -> Result<(), Refusal> {
        let rule = self.view.join_rule().unwrap_or(JoinRule::Invite);
        let is_offered = match rule {
            JoinRule::Knock => self.rules.knocking,
            JoinRule::KnockRestricted => self.rules.knock_restricted_join_rule,
            JoinRule::Public | JoinRule::Invite | JoinRule::Restricted | JoinRule::Other(_) => {
                false
            }
        };
        match self.view.membership(user) {
            Some(Membership::Ban) => Err(self.is_banned(user)),
            _ if !is_offered => Err(Refusal::new(
                format!(
                    "nobody can ask to be let into {} (join rule `{}`)",
                    self.view.room_id,
                    rule.as_str()
                ),
                "",
            )),
            _ => Ok(()),
        }
    }

    fn check_invite(&self, user: &UserId, target: &UserId) -> Result<(), Refusal> {
        self.check_joined(user)?;
        self.check_federation(target)?;
        match self.view.membership(target) {
            Some(Membership::Ban) => Err(self.is_banned(target)),
            Some(Membership::Join) => Err(Refusal::new(
                format!("{target} is in {} already", self.view.room_id),
                "",
            )),
            _ => self.check_level(user, self.levels.to_invite(), "inviting (invite)"),
        }
    }

    fn check_kick(&self, user: &UserId, target: &UserId) -> Result<(), Refusal> {
        self.check_joined(user)?;
        if self.view.membership(target) == Some(Membership::Ban) {
            return self.check_unban(user, target);
        }
        self.check_level(user, self.levels.to_kick(), "kicking (kick)")?;
        self.check_above(user, target)
    }

    fn check_ban(&self, user: &UserId, target: &UserId) -> Result<(), Refusal> {
        self.check_joined(user)?;
        self.check_level(user, self.levels.to_ban(), "banning (ban)")?;
        self.check_above(user, target)
    }

    fn check_unban(&self, user: &UserId, target: &UserId) -> Result<(), Refusal> {
        self.check_joined(user)?;
        self.check_level(user, self.levels.to_unban(), "lifting a ban (ban and kick)")?;
        self.check_above(user, target)
    }

    /// Nobody acts against somebody of their own power or more.
    fn check_above(&self, user: &UserId, target: &UserId) -> Result<(), Refusal> {
        let (has, targets) = (self.levels.of(user), self.levels.of(target));
        if user == target || has > targets {
            return Ok(());
        }
        let rule = format!(
            "{user} ({has}) may not act against {target} ({targets}) in {}: that needs more power than the other has",
            self.view.room_id
        );
        match targets {
            Power::Infinite => Err(Refusal::new(rule, "Nobody can: it has made the room")),
            Power::Level(level) => {
                let needs = level.saturating_add(1);
                let who = self.who_may_raise_to(needs);
                Err(Refusal {
                    rule,
                    remedy: remedy(&who, &format!("could give {user} power level {needs}")),
                    missing_level: Some(needs),
                })
            }
        }
    }

    fn check_state(
        &self,
        user: &UserId,
        (kind, key): (&str, &str),
        content: &Value,
    ) -> Result<(), Refusal> {
        if kind == "m.room.create" {
            return Err(Refusal::new(
                format!(
                    "{} has been made: m.room.create is never changed",
                    self.view.room_id
                ),
                "",
            ));
        }
        if kind == "m.room.member" {
            return self.check_member(user, key, content);
        }
        self.check_joined(user)?;
        if kind == "m.room.aliases" && self.rules.special_case_room_aliases {
            return match key == user.server() {
                true => Ok(()),
                false => Err(Refusal::new(
                    format!("{user} may set m.room.aliases of {} only", user.server()),
                    "",
                )),
            };
        }
        let level = match kind {
            "m.room.third_party_invite" => self.levels.to_invite(),
            kind => self.levels.to_set(kind),
        };
        self.check_level(user, level, &self.event_rule(kind, "state_default"))?;
        if key.starts_with('@') && key != user.as_str() {
            return Err(Refusal::new(
                format!("{user} may not set {kind} under the key {key}: that is {key}'s own"),
                "",
            ));
        }
        match kind == POWER_LEVELS && self.view.has_power_levels() {
            true => self.check_new_levels(user, content),
            false => Ok(()),
        }
    }

    fn check_member(&self, user: &UserId, key: &str, content: &Value) -> Result<(), Refusal> {
        let Ok(target) = UserId::parse(key) else {
            return Err(Refusal::new(
                format!("`{key}` is no user id, as m.room.member needs"),
                "",
            ));
        };
        let membership = content
            .get("membership")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let is_self = *user == target;
        match Membership::parse(membership) {
            Membership::Join if is_self => self.check_join(user),
            Membership::Knock if is_self => self.check_knock(user),
            Membership::Join | Membership::Knock => Err(Refusal::new(
                format!("{user} may not do that for {target}: everybody joins for themselves"),
                "It could be invited",
            )),
            Membership::Invite => self.check_invite(user, &target),
            Membership::Ban => self.check_ban(user, &target),
            Membership::Leave if is_self => match self.view.membership(user) {
                Some(Membership::Ban) => Err(self.is_banned(user)),
                _ => Ok(()),
            },
            Membership::Leave => self.check_kick(user, &target),
        }
    }

    /// What may be changed in the power levels: nothing above one's own, and nobody else's of one's own.
    fn check_new_levels(&self, user: &UserId, content: &Value) -> Result<(), Refusal> {
        let has = self.levels.of(user);
        let new = PowerLevels::new(Some(content), self.creation);
        if let Some(creator) = self
            .levels
            .creators()
            .find(|creator| names(content, creator))
        {
            return Err(Refusal::new(
                format!(
                    "{creator} has made {} and must not be named in its power levels",
                    self.view.room_id
                ),
                "Leave it out: its power is above all levels",
            ));
        }
        for (what, before, after) in self.levels.differences(&new) {
            let highest = before.max(after);
            if !has.is_at_least(highest) {
                return Err(self.above_own(user, &what, highest));
            }
        }
        for (target, before, after) in self.levels.user_differences(&new) {
            let is_above = after.is_some_and(|level| !has.is_at_least(level));
            let is_others =
                before.is_some_and(|level| has <= Power::Level(level)) && target != *user;
            if is_above || is_others {
                let highest = before.max(after).unwrap_or_default();
                return Err(self.above_own(user, &format!("the level of {target}"), highest));
            }
        }
        Ok(())
    }

    fn above_own(&self, user: &UserId, what: &str, level: i64) -> Refusal {
        let has = self.levels.of(user);
        let who = self.named(|power| power > Power::Level(level));
        Refusal::new(
            format!(
                "{user} ({has}) may not change {what} ({level}) in {}: it is not below the user's own level",
                self.view.room_id
            ),
            remedy(&who, "could"),
        )
    }
}

fn names(content: &Value, user: &UserId) -> bool {
    let users = content.get("users").and_then(Value::as_object);
    users.is_some_and(|users| users.contains_key(user.as_str()))
}

fn remedy(who: &str, could: &str) -> String {
    match who.is_empty() {
        true => "Nobody in the room can change that".to_owned(),
        false => format!("{who} {could}"),
    }
}

#[cfg(test)]
mod tests;
