//! From a wish to a signed event.
//!
//! One straight line: fields → auth events → content hash and id → authorisation → signature → size.
//! The canonical JSON object of an event is built once and its parts are serialised once for storage.

use std::io;

use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, EventId, MilliSecondsSinceUnixEpoch, OwnedEventId,
    OwnedRoomId, OwnedUserId, RoomId, RoomVersionId, UInt,
    events::TimelineEventType,
    room_version_rules::RoomVersionRules,
    signatures::{add_content_hash_to_event, reference_hash},
};
use serde_json::value::to_raw_value;

use crate::{
    Event, EventGraph, Rejection, RoomView, SigningKey,
    auth::{authorise, authorise_create, select_auth_events},
    error::MAX_PDU_BYTES,
    view::supported_rules,
};

/// The largest `type`, `state_key` or `sender`.
const MAX_FIELD_BYTES: usize = 255;

/// The most events that `prev_events` may name.
const MAX_PREV_EVENTS: usize = 20;

/// What identifiers are before their hash is known. A create event that names its room has it as both, so that
/// its PDU gets no `room_id` even then.
const UNHASHED: &str = "unhashed";

/// The parts of a sealed event, in the order of canonical JSON.
const SEALED_FIELDS: [&str; 5] = [
    "auth_events",
    "depth",
    "hashes",
    "prev_events",
    "signatures",
];

/// An event that somebody wants to send.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// The user who sends it.
    pub sender: OwnedUserId,
    /// The event's type.
    pub event_type: String,
    /// Makes it a state event.
    pub state_key: Option<String>,
    /// The content.
    pub content: CanonicalJsonObject,
    /// For `m.room.redaction`: the event to redact. The engine puts it where the room version wants it;
    /// if absent, `redacts` in the content is taken.
    pub redacts: Option<OwnedEventId>,
    /// The time to write into the event.
    pub origin_server_ts: MilliSecondsSinceUnixEpoch,
}

/// Builds, authorises and signs the room's next event.
pub fn build(view: &RoomView, new: NewEvent, key: &SigningKey) -> Result<Event, Rejection> {
    let rules = &*view.rules;
    let (mut event, content) = draft(rules, view.room_id.clone(), new)?;
    event.graph.auth_events = select_auth_events(view, &event)?;
    event.graph.prev_events = view
        .forward_extremities
        .iter()
        .take(MAX_PREV_EVENTS)
        .cloned()
        .collect();
    event.graph.depth = view.depth.saturating_add(1);

    let mut pdu = unsigned_pdu(&event, rules, content);
    event.event_id = identify(&mut pdu, rules)?;
    authorise(view, &event)?;
    seal(&mut event, pdu, rules, key)?;
    Ok(event)
}

/// Builds, authorises and signs the event that creates a room, and the room's first view.
///
/// `room_id` names the room in the versions where the server chooses the id; in the others the id comes from
/// the event and `room_id` is ignored. `room_version` and, where the version has it, `creator` are
/// written into the content.
pub fn build_create(
    version: &RoomVersionId,
    room_id: Option<OwnedRoomId>,
    mut new: NewEvent,
    key: &SigningKey,
) -> Result<(Event, RoomView), Rejection> {
    let rules = supported_rules(version)?;
    if new.event_type != "m.room.create" || new.state_key.as_deref() != Some("") {
        return Err(Rejection::bad_json(
            "a room starts with `m.room.create` and an empty state key",
        ));
    }
    complete_create_content(&rules, version, &mut new);

    let names_the_room = rules.authorization.room_create_event_id_as_room_id;
    let room_id = if names_the_room { None } else { room_id };
    if room_id.is_none() && !names_the_room {
        return Err(Rejection::bad_json(
            "this room version needs a room id chosen by the server",
        ));
    }

    let unnamed = || room_id_from_hash(UNHASHED);
    let (mut event, content) = draft(&rules, room_id.map_or_else(unnamed, Ok)?, new)?;
    event.graph.depth = 1;

    let mut pdu = unsigned_pdu(&event, &rules, content);
    event.event_id = identify(&mut pdu, &rules)?;
    if names_the_room {
        event.room_id = room_id_from_hash(event.event_id.localpart())?;
    }
    authorise_create(&rules, &event)?;
    seal(&mut event, pdu, &rules, key)?;

    let first_state = std::sync::Arc::new(event.clone());
    let extremities = vec![event.event_id.clone()];
    let room_id = event.room_id.clone();
    let view = RoomView::from_state(room_id, version.clone(), [first_state], extremities, 1)?;
    Ok((event, view))
}

/// Writes what the server and not the client decides about a create event.
fn complete_create_content(rules: &RoomVersionRules, version: &RoomVersionId, new: &mut NewEvent) {
    new.content
        .insert("room_version".to_owned(), version.as_str().into());
    if rules.authorization.use_room_create_sender {
        new.content.remove("creator");
    } else {
        new.content
            .insert("creator".to_owned(), new.sender.as_str().into());
    }
}

/// The event without its place in the graph, and its content for the PDU.
fn draft(
    rules: &RoomVersionRules,
    room_id: OwnedRoomId,
    new: NewEvent,
) -> Result<(Event, CanonicalJsonObject), Rejection> {
    check_field_bytes("type", &new.event_type)?;
    check_field_bytes("sender", new.sender.as_str())?;
    check_field_bytes("state_key", new.state_key.as_deref().unwrap_or_default())?;

    let event_type = TimelineEventType::from(new.event_type);
    let mut content = new.content;
    let redacts = redaction_target(&event_type, new.redacts, &content)?;
    if rules.redaction.content_field_redacts
        && let Some(redacts) = &redacts
    {
        content.insert("redacts".to_owned(), redacts.as_str().into());
    }

    let event = Event {
        event_id: event_id_from_hash(UNHASHED)?,
        room_id,
        sender: new.sender,
        event_type,
        state_key: new.state_key,
        origin_server_ts: new.origin_server_ts,
        content: to_raw_value(&content).map_err(|error| Rejection::bad_json(error.to_string()))?,
        redacts,
        graph: EventGraph::default(),
    };
    Ok((event, content))
}

fn check_field_bytes(what: &'static str, value: &str) -> Result<(), Rejection> {
    if value.len() > MAX_FIELD_BYTES {
        return Err(Rejection::TooLarge {
            what,
            limit: MAX_FIELD_BYTES,
            actual: value.len(),
        });
    }
    Ok(())
}

fn redaction_target(
    event_type: &TimelineEventType,
    redacts: Option<OwnedEventId>,
    content: &CanonicalJsonObject,
) -> Result<Option<OwnedEventId>, Rejection> {
    if *event_type != TimelineEventType::RoomRedaction {
        return match redacts {
            Some(_) => Err(Rejection::bad_json(
                "only `m.room.redaction` can redact an event",
            )),
            None => Ok(None),
        };
    }
    if redacts.is_some() {
        return Ok(redacts);
    }
    let target = content
        .get("redacts")
        .and_then(CanonicalJsonValue::as_str)
        .ok_or_else(|| Rejection::bad_json("`m.room.redaction` without `redacts`"))?;
    EventId::parse(target)
        .map(Some)
        .map_err(|error| Rejection::bad_json(format!("invalid `redacts`: {error}")))
}

fn unsigned_pdu(
    event: &Event,
    rules: &RoomVersionRules,
    content: CanonicalJsonObject,
) -> CanonicalJsonObject {
    let ids = |ids: &[OwnedEventId]| {
        CanonicalJsonValue::Array(ids.iter().map(|id| id.as_str().into()).collect())
    };
    // Canonical JSON has no larger integer; a room never gets there.
    let depth = UInt::try_from(event.graph.depth).unwrap_or(UInt::MAX);

    let mut pdu = CanonicalJsonObject::new();
    pdu.insert("auth_events".to_owned(), ids(&event.graph.auth_events));
    pdu.insert("prev_events".to_owned(), ids(&event.graph.prev_events));
    pdu.insert("depth".to_owned(), depth.into());
    event.insert_columns(&mut pdu, rules, content);
    pdu
}

/// Adds the content hash and gives the id that follows from it.
fn identify(
    pdu: &mut CanonicalJsonObject,
    rules: &RoomVersionRules,
) -> Result<OwnedEventId, Rejection> {
    add_content_hash_to_event(pdu)?;
    event_id_from_hash(&reference_hash(pdu, rules)?)
}

fn event_id_from_hash(hash: &str) -> Result<OwnedEventId, Rejection> {
    EventId::new_v2_or_v3(hash).map_err(|error| Rejection::bad_json(error.to_string()))
}

fn room_id_from_hash(hash: &str) -> Result<OwnedRoomId, Rejection> {
    RoomId::new_v2(hash).map_err(|error| Rejection::bad_json(error.to_string()))
}

/// Signs the PDU, checks its size and keeps of it what the event's columns do not hold.
fn seal(
    event: &mut Event,
    mut pdu: CanonicalJsonObject,
    rules: &RoomVersionRules,
    key: &SigningKey,
) -> Result<(), Rejection> {
    key.sign_hashed(&mut pdu, &rules.redaction)?;

    let bytes = canonical_bytes(&pdu)?;
    if bytes > MAX_PDU_BYTES {
        return Err(Rejection::TooLarge {
            what: "event",
            limit: MAX_PDU_BYTES,
            actual: bytes,
        });
    }

    let sealed: CanonicalJsonObject = SEALED_FIELDS
        .iter()
        .filter_map(|field| pdu.remove_entry(*field))
        .collect();
    event.graph.sealed =
        serde_json::to_string(&sealed).map_err(|error| Rejection::bad_json(error.to_string()))?;
    Ok(())
}

/// The length of an object's canonical JSON, without keeping the text.
fn canonical_bytes(object: &CanonicalJsonObject) -> Result<usize, Rejection> {
    struct Counter(usize);

    impl io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let mut counter = Counter(0);
    serde_json::to_writer(&mut counter, object)
        .map_err(|error| Rejection::bad_json(error.to_string()))?;
    Ok(counter.0)
}

#[cfg(test)]
mod tests;
