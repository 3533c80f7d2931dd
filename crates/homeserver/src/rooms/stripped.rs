//! Stripped state: what somebody may know of a room before they are in it.
//!
//! Client-server API, "Stripped state".

use bridgehead_store::{Result, Snapshot, TimelineEvent};

use super::format::Object;

/// State types that go along, in this order.
const TYPES: &[&str] = &[
    "m.room.create",
    "m.room.join_rules",
    "m.room.canonical_alias",
    "m.room.avatar",
    "m.room.name",
    "m.room.topic",
    "m.room.encryption",
];

/// The stripped state that goes with a member event (an invite or a knock), as a JSON array: the
/// room as it was then, the sender's and the target's own member events last.
pub(crate) fn stripped_state_at(snapshot: &Snapshot<'_>, member: &TimelineEvent) -> Result<String> {
    let mut events = Vec::new();
    for event_type in TYPES {
        events.extend(snapshot.state_event_at(&member.room_id, event_type, "", member.pos)?);
    }
    if member.state_key.as_deref() != Some(member.sender.as_str()) {
        let sender = &member.sender;
        events.extend(snapshot.state_event_at(
            &member.room_id,
            "m.room.member",
            sender,
            member.pos,
        )?);
    }
    events.push(member.clone());
    let texts: Vec<String> = events.iter().map(stripped).collect();
    Ok(format!("[{}]", texts.join(",")))
}

/// One event in stripped form.
pub(crate) fn stripped(event: &TimelineEvent) -> String {
    let mut out = Object::with_capacity(event.content.len() + 160);
    out.raw("content", &event.content);
    out.string("sender", &event.sender);
    out.string("state_key", event.state_key.as_deref().unwrap_or_default());
    out.string("type", &event.event_type);
    out.finish()
}
