//! `rooms.invite` and `rooms.knock`: what somebody may know of a room before they are in it.

use bridgehead_store::{MembershipRow, Result, TimelineEvent};
use serde_json::value::RawValue;

use super::{look::Look, response::RawEvents};
use crate::rooms::{format::raw, stripped::stripped_state_at};

/// The stripped state of a room the reader is invited to or has knocked on; `None` when the
/// invite is from somebody the reader ignores.
pub(crate) fn read(look: &Look<'_>, row: &MembershipRow) -> Result<Option<RawEvents>> {
    let Some(member) = look.snapshot.event_at(row.pos)? else {
        return Ok(None);
    };
    if look.ignores(&member.sender) {
        return Ok(None);
    }
    Ok(Some(RawEvents {
        events: raw(stripped_state_at(look.snapshot, &member)?),
    }))
}

/// The reader's member event as the streams of the protocol's first version carry it: with the
/// room's stripped state in it when it is an invite or knock.
pub(crate) fn member_event(look: &Look<'_>, member: &TimelineEvent) -> Result<Box<RawValue>> {
    let key = match crate::rooms::membership_of(member) {
        Some(bridgehead_room::Membership::Invite) => "invite_room_state",
        Some(bridgehead_room::Membership::Knock) => "knock_room_state",
        _ => return look.format(member, true),
    };
    let state = stripped_state_at(look.snapshot, member)?;
    look.format_with(member, true, Some((key, &state)))
}
