//! `rooms.join`: what is new in a room the reader is in.

use bridgehead_room::Membership;
use bridgehead_store::{AccountDataRow, MembershipRow, Result, StreamPosition};

use super::{
    account_data, ephemeral,
    filter::wants_section,
    look::Look,
    response::{Events, JoinedRoom, TimelinePart},
    state,
    timeline::{self, Reach, Timeline, Window},
    unread,
};
use crate::rooms::{membership_of, read};

/// Events in a timeline when the filter does not say.
const DEFAULT_LIMIT: usize = 10;
/// Events in a timeline at most.
const MAX_LIMIT: usize = 1_000;

/// News that were collected for all rooms at once.
pub(crate) struct RoomNews<'a> {
    /// Who types, if that changed.
    pub(crate) typing: Option<&'a [String]>,
    /// The room's account data that changed.
    pub(crate) account_data: &'a [AccountDataRow],
    /// All state is wanted, changed or not.
    pub(crate) full_state: bool,
}

/// The room, or `None` when nothing wanted is new.
pub(crate) fn news(
    look: &Look<'_>,
    row: &MembershipRow,
    news: &RoomNews<'_>,
) -> Result<Option<JoinedRoom>> {
    let room_id = row.room_id.as_str();
    let told_since = told_since(look, row)?;
    let after = told_since.unwrap_or(StreamPosition::ZERO);
    let timeline = read_timeline(look, room_id, after, Reach::of_member(row))?;
    let changed_since = told_since.filter(|_| !news.full_state);

    let summary = state::summary(look, room_id, &timeline, changed_since)?;
    let heroes = summary.heroes.as_deref().unwrap_or_default();
    let state = state::before_timeline(look, room_id, &timeline, changed_since, heroes)?;
    // Nobody who types now was typing when the reader was not here yet.
    let ephemeral = ephemeral::read(look, room_id, news.typing, after)?;
    let account_data = account_data::of_room(look, room_id, news.account_data);
    let nothing_new = state.is_empty()
        && timeline.events.is_empty()
        && !timeline.limited
        && ephemeral.is_empty()
        && account_data.is_empty();
    if nothing_new && changed_since.is_some() {
        return Ok(None);
    }
    Ok(Some(JoinedRoom {
        summary,
        state: Events {
            events: look.format_all(&state, false)?,
        },
        timeline: part(look, &timeline)?,
        ephemeral,
        account_data,
        unread_notifications: unread::count(look, room_id, row.pos)?,
    }))
}

/// Since when the reader was told of the room; `None` for a room that is new to it.
fn told_since(look: &Look<'_>, row: &MembershipRow) -> Result<Option<StreamPosition>> {
    let Some(since) = look.since else {
        return Ok(None);
    };
    if row.pos <= since.position {
        return Ok(Some(since.position));
    }
    let before = look
        .snapshot
        .membership_at(&row.room_id, look.user_id(), since.position)?
        .and_then(|event| membership_of(&event));
    Ok((before == Some(Membership::Join)).then_some(since.position))
}

/// The room's timeline after `after`, as the filter wants it.
pub(crate) fn read_timeline(
    look: &Look<'_>,
    room_id: &str,
    after: StreamPosition,
    reach: Reach,
) -> Result<Timeline> {
    let filter = &look.reader.filter.room.timeline;
    let limit = filter
        .limit
        .and_then(|limit| usize::try_from(u64::from(limit)).ok())
        .unwrap_or(DEFAULT_LIMIT)
        .min(MAX_LIMIT);
    let window = Window {
        // Nothing lies between a position and itself.
        after: if wants_section(filter, room_id) {
            after
        } else {
            look.upto
        },
        upto: look.upto,
        limit,
    };
    timeline::read(look, room_id, window, filter, reach)
}

/// The timeline on the wire.
pub(crate) fn part(look: &Look<'_>, timeline: &Timeline) -> Result<TimelinePart> {
    Ok(TimelinePart {
        events: look.format_all(&timeline.events, false)?,
        limited: timeline.limited,
        prev_batch: read::token(timeline.older),
    })
}
