//! The state a client needs before a room's timeline, and the summary that names the room.

use std::collections::{BTreeMap, BTreeSet};

use bridgehead_store::{Result, StreamPosition, TimelineEvent};
use serde_json::Value;

use super::{
    filter::{wants_event, wants_section},
    look::Look,
    response::Summary,
    timeline::Timeline,
};

/// Users that may stand for a room without a name.
const MAX_HEROES: usize = 5;

/// The wanted state before `timeline`: all of it, or what changed after `changed_since`.
///
/// With lazy loading, of the whole state only the members that matter now: who speaks in the
/// timeline, the reader, and the heroes. Changes of members are always told.
pub(crate) fn before_timeline(
    look: &Look<'_>,
    room_id: &str,
    timeline: &Timeline,
    changed_since: Option<StreamPosition>,
    heroes: &[String],
) -> Result<Vec<TimelineEvent>> {
    let filter = &look.reader.filter.room.state;
    if !wants_section(filter, room_id) {
        return Ok(Vec::new());
    }
    let before = StreamPosition(timeline.start.0.saturating_sub(1));
    let mut events = match changed_since {
        Some(since) if since >= before => Vec::new(),
        Some(since) => look.snapshot.state_changes(room_id, since, before)?,
        None => look.snapshot.state_at(room_id, before)?,
    };
    if is_lazy(look) {
        let needed = needed_members(look, timeline, heroes);
        if changed_since.is_none() {
            events.retain(|event| {
                event.event_type != "m.room.member"
                    || event
                        .state_key
                        .as_deref()
                        .is_some_and(|user| needed.contains(user))
            });
        } else {
            add_members(look, room_id, before, &needed, &mut events)?;
        }
    }
    events.retain(|event| wants_event(filter, event));
    Ok(events)
}

/// Whether the reader asks for members one by one.
pub(crate) fn is_lazy(look: &Look<'_>) -> bool {
    let room = &look.reader.filter.room;
    !room.state.lazy_load_options.is_disabled() || !room.timeline.lazy_load_options.is_disabled()
}

fn needed_members<'a>(
    look: &'a Look<'_>,
    timeline: &'a Timeline,
    heroes: &'a [String],
) -> BTreeSet<&'a str> {
    let mut needed: BTreeSet<&str> = timeline
        .events
        .iter()
        .map(|event| event.sender.as_str())
        .collect();
    needed.extend(heroes.iter().map(String::as_str));
    if timeline.limited {
        needed.insert(look.user_id());
    }
    needed
}

fn add_members(
    look: &Look<'_>,
    room_id: &str,
    before: StreamPosition,
    needed: &BTreeSet<&str>,
    events: &mut Vec<TimelineEvent>,
) -> Result<()> {
    for user_id in needed {
        let told = events.iter().any(|event| {
            event.event_type == "m.room.member" && event.state_key.as_deref() == Some(user_id)
        });
        if !told {
            events.extend(look.snapshot.membership_at(room_id, user_id, before)?);
        }
    }
    Ok(())
}

/// The room's summary: for lazy loading clients, when it changed or the room is new to them.
pub(crate) fn summary(
    look: &Look<'_>,
    room_id: &str,
    timeline: &Timeline,
    changed_since: Option<StreamPosition>,
) -> Result<Summary> {
    if !is_lazy(look) {
        return Ok(Summary::default());
    }
    if let Some(since) = changed_since
        && !names_changed(look, room_id, timeline, since)?
    {
        return Ok(Summary::default());
    }
    let (joined, invited) = look.snapshot.member_counts(room_id)?;
    let heroes = if is_named(look, room_id)? {
        None
    } else {
        Some(look.snapshot.heroes(room_id, look.user_id(), MAX_HEROES)?)
    };
    Ok(Summary {
        heroes,
        joined: Some(joined),
        invited: Some(invited),
    })
}

fn names_changed(
    look: &Look<'_>,
    room_id: &str,
    timeline: &Timeline,
    since: StreamPosition,
) -> Result<bool> {
    let matters = |event: &TimelineEvent| {
        event.state_key.is_some()
            && matches!(
                event.event_type.as_str(),
                "m.room.member" | "m.room.name" | "m.room.canonical_alias"
            )
    };
    if !timeline.limited && look.reader.filter.room.timeline.types.is_none() {
        return Ok(timeline.events.iter().any(matters));
    }
    let changes = look.snapshot.state_changes(room_id, since, look.upto)?;
    Ok(changes.iter().any(matters))
}

fn is_named(look: &Look<'_>, room_id: &str) -> Result<bool> {
    for (event_type, key) in [("m.room.name", "name"), ("m.room.canonical_alias", "alias")] {
        let event = look
            .snapshot
            .state_event_at(room_id, event_type, "", look.upto)?;
        let named = event
            .and_then(|event| serde_json::from_str::<BTreeMap<String, Value>>(&event.content).ok())
            .and_then(|content| Some(!content.get(key)?.as_str()?.is_empty()));
        if named == Some(true) {
            return Ok(true);
        }
    }
    Ok(false)
}
