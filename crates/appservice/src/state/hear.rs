//! What the stream of events says of rooms' state.

use ruma::canonical_json::{redact_content_in_place, try_from_json_map};
use serde_json::Value;

use super::{Interest, Rooms, view::Creation};
use crate::{
    Event,
    id::{RoomId, UserId},
    store::{Heard, Result as StoreResult, RoomRow, StateRow, Unit},
};

/// What a transaction has changed in a room's state: to be taken into memory once it is committed.
#[derive(Debug)]
pub(crate) struct Overheard {
    room_id: RoomId,
    change: Change,
    room: Option<RoomRow>,
}

#[derive(Debug)]
enum Change {
    Set(Box<StateRow>),
    /// Only the room as a whole.
    Room,
}

impl Overheard {
    pub(crate) fn room_id(&self) -> &RoomId {
        &self.room_id
    }

    /// The state event that is new; `None` where it is only known that something is.
    pub(crate) fn state(&self) -> Option<&StateRow> {
        match &self.change {
            Change::Set(row) => Some(row),
            Change::Room => None,
        }
    }

    /// Whether it may let in those who were kept out before.
    pub(crate) fn may_open(&self, is_own: impl Fn(&UserId) -> bool) -> bool {
        match &self.change {
            Change::Room => false,
            Change::Set(row) => match row.kind.as_str() {
                "m.room.member" => UserId::parse(&row.state_key).is_ok_and(|user| is_own(&user)),
                kind => matches!(
                    kind,
                    "m.room.join_rules" | "m.room.power_levels" | "m.room.canonical_alias"
                ),
            },
        }
    }

    /// Whom it may let in, or let speak, of those who were kept out before: one of the service's users, or with `None`
    /// any.
    pub(crate) fn lets_in(
        &self,
        is_own: impl Fn(&UserId) -> bool,
        bot: &UserId,
    ) -> Option<Option<UserId>> {
        if !self.may_open(&is_own) {
            return None;
        }
        let Change::Set(row) = &self.change else {
            return None;
        };
        let member = match row.kind.as_str() {
            "m.room.member" => UserId::parse(&row.state_key).ok()?,
            _ => return Some(None),
        };
        // The service's own user may let in others.
        Some((member != *bot).then_some(member))
    }
}

impl Rooms {
    /// Takes an event in that the stream has brought, in the unit of work of its transaction. `None` when it changes
    /// nothing.
    pub(crate) fn hear(
        interest: &Interest,
        unit: &Unit<'_>,
        event: &Event,
        now_ms: i64,
    ) -> StoreResult<Option<Overheard>> {
        let room_id = event.room_id.as_str();
        let change = match (&event.state_key, &event.redacts) {
            (Some(state_key), _) => {
                if unit.hear_state(event, state_key, now_ms)? == Heard::Older {
                    return Ok(None);
                }
                if is_parting(event, state_key, interest) {
                    mark_unfollowed(unit, room_id, interest, now_ms)?;
                }
                match unit.state_row(room_id, &event.kind, state_key)? {
                    Some(row) => Change::Set(Box::new(row)),
                    None => return Ok(None),
                }
            }
            (None, Some(redacted)) => match redact(unit, room_id, redacted.as_str(), now_ms)? {
                Some(change) => change,
                None => return Ok(None),
            },
            (None, None) => return Ok(None),
        };
        Ok(Some(Overheard {
            room_id: event.room_id.clone(),
            change,
            room: unit.room_row(room_id)?,
        }))
    }

    /// Takes into memory what was committed. To be called in the order of the commits.
    pub(crate) fn remember(&self, overheard: &[Overheard]) {
        for news in overheard {
            let mut cache = self.0.cache.lock();
            cache.change(&news.room_id, |view| {
                view.set_row(news.room);
                if let Change::Set(row) = &news.change {
                    view.apply(row, &self.0.interest);
                }
            });
            drop(cache);
            if news.may_open(|user| self.0.interest.user(user)) {
                self.may_be_readable(&news.room_id);
            }
        }
    }
}

/// Whether one of those leaves through whom the service is told of the room.
fn is_parting(event: &Event, state_key: &str, interest: &Interest) -> bool {
    event.kind == "m.room.member"
        && event.text("membership") != Some("join")
        && UserId::parse(state_key).is_ok_and(|user| interest.user(&user))
}

/// Marks a room whose last follower has left: what happens there from now on is missed.
pub(super) fn mark_unfollowed(
    unit: &Unit<'_>,
    room_id: &str,
    interest: &Interest,
    now_ms: i64,
) -> StoreResult<()> {
    if RoomId::parse(room_id).is_ok_and(|id| interest.room(&id))
        || follows_alias(unit, room_id, interest)?
    {
        return Ok(());
    }
    let mut is_followed = false;
    unit.joined_users(room_id, |user| {
        is_followed = UserId::parse(user).is_ok_and(|user| interest.user(&user));
        !is_followed
    })?;
    if is_followed {
        return Ok(());
    }
    unit.set_stale(room_id, now_ms)
}

fn follows_alias(unit: &Unit<'_>, room_id: &str, interest: &Interest) -> StoreResult<bool> {
    let row = unit.state_row(room_id, "m.room.canonical_alias", "")?;
    let Some(row) = row else { return Ok(false) };
    let main = row.content.get("alias").into_iter();
    let further = row.content.get("alt_aliases").and_then(Value::as_array);
    let mut aliases = main.chain(further.into_iter().flatten());
    Ok(aliases.any(|alias| {
        let alias = alias
            .as_str()
            .and_then(|alias| crate::id::RoomAlias::parse(alias).ok());
        alias.is_some_and(|alias| interest.alias(&alias))
    }))
}

/// Takes out of a state event what redacting takes out (specification, *Redactions*, by room version).
fn redact(
    unit: &Unit<'_>,
    room_id: &str,
    event_id: &str,
    now_ms: i64,
) -> StoreResult<Option<Change>> {
    let Some(mut row) = unit.state_of_event(room_id, event_id)? else {
        return Ok(None);
    };
    let creation = unit.state_row(room_id, "m.room.create", "")?;
    let creation = creation.and_then(|row| Creation::new(&row.sender, &row.content));
    let rules = creation.and_then(|creation| creation.rules());
    let content = try_from_json_map(object(&row.content));
    let (Some(rules), Ok(mut content)) = (rules, content) else {
        // What is left of it is not known without the room's version.
        unit.set_stale(room_id, now_ms)?;
        return Ok(Some(Change::Room));
    };
    redact_content_in_place(&mut content, &rules.redaction, &row.kind);
    row.content = serde_json::to_value(content).unwrap_or_default();
    unit.put_state(room_id, &row)?;
    Ok(Some(Change::Set(Box::new(row))))
}

fn object(value: &Value) -> serde_json::Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}
