//! `rooms.leave`: rooms the reader has left, was kicked or banned from, or was never let into.

use bridgehead_room::Membership;
use bridgehead_store::{AccountDataRow, MembershipRow, Result, StreamPosition};

use super::{
    account_data, joined,
    look::Look,
    response::{Events, LeftRoom},
    state,
    timeline::{Reach, Timeline},
};
use crate::rooms::membership_of;

/// The room up to the reader's leaving, or `None` when it is not to be told.
pub(crate) fn read(
    look: &Look<'_>,
    row: &MembershipRow,
    account_data: &[AccountDataRow],
    full_state: bool,
) -> Result<Option<LeftRoom>> {
    let first = look.since.is_none();
    if row.forgotten || (first && !look.reader.filter.room.include_leave) {
        return Ok(None);
    }
    let since = look.since_position();
    let was_told = membership_at(look, row, since)? == Some(Membership::Join);
    let left_at = look
        .snapshot
        .last_leaving(&row.room_id, look.user_id())?
        .filter(|left_at| *left_at > since);
    let (timeline, state) = match left_at {
        Some(left_at) => {
            let changed_since = was_told.then_some(since);
            let after = changed_since.unwrap_or(StreamPosition::ZERO);
            let reach = Reach::of_former_member(left_at);
            let mut timeline = joined::read_timeline(look, &row.room_id, after, reach)?;
            let changed_since = changed_since.filter(|_| !full_state);
            let state = state::before_timeline(look, &row.room_id, &timeline, changed_since, &[])?;
            if row.pos > left_at {
                // A ban after the leaving, say: it is news, what was said in between is not.
                timeline.events.extend(look.snapshot.event_at(row.pos)?);
            }
            (timeline, state)
        }
        None => (only_the_leaving(look, row)?, Vec::new()),
    };
    Ok(Some(LeftRoom {
        state: Events {
            events: look.format_all(&state, false)?,
        },
        timeline: joined::part(look, &timeline)?,
        account_data: account_data::of_room(look, &row.room_id, account_data),
    }))
}

fn membership_at(
    look: &Look<'_>,
    row: &MembershipRow,
    at: StreamPosition,
) -> Result<Option<Membership>> {
    let event = look
        .snapshot
        .membership_at(&row.room_id, look.user_id(), at)?;
    Ok(event.and_then(|event| membership_of(&event)))
}

/// A stranger is told what became of its invite or knock, and nothing of the room.
fn only_the_leaving(look: &Look<'_>, row: &MembershipRow) -> Result<Timeline> {
    Ok(Timeline {
        events: look.snapshot.event_at(row.pos)?.into_iter().collect(),
        limited: false,
        start: row.pos,
        older: StreamPosition(row.pos.0.saturating_sub(1)),
    })
}
