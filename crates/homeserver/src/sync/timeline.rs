//! The newest events of a room that a reader wants and may see.

use bridgehead_store::{MembershipRow, Result, StreamPosition, TimelineEvent};
use ruma::api::client::filter::RoomEventFilter;

use super::{filter::wants_event, look::Look};
use crate::rooms::may_see;

/// Events read at once.
const PAGE: usize = 100;
/// Events looked at for one timeline; a filter that wants fewer of them gets a gap.
const MAX_LOOKED_AT: usize = 1_000;

/// Part of a room's history.
pub(crate) struct Timeline {
    /// Oldest first.
    pub(crate) events: Vec<TimelineEvent>,
    /// There are more between the window's beginning and these.
    pub(crate) limited: bool,
    /// State before this position is state before the timeline.
    pub(crate) start: StreamPosition,
    /// Older events stand at or below this one.
    pub(crate) older: StreamPosition,
}

/// Which part.
#[derive(Clone, Copy)]
pub(crate) struct Window {
    /// Events after this.
    pub(crate) after: StreamPosition,
    /// Up to and with this.
    pub(crate) upto: StreamPosition,
    /// At most so many.
    pub(crate) limit: usize,
}

/// How much of a room the reader may see.
#[derive(Clone, Copy)]
pub(crate) struct Reach {
    /// The reader is joined since this position without a break: everything after it is visible.
    pub(crate) member_since: StreamPosition,
    /// Nothing after this is visible.
    pub(crate) upto: StreamPosition,
    /// The reader never was in the room.
    pub(crate) as_stranger: bool,
}

impl Reach {
    /// What a member may see, whose membership event is this.
    pub(crate) fn of_member(row: &MembershipRow) -> Self {
        Self {
            member_since: row.pos,
            upto: StreamPosition(u64::MAX >> 1),
            as_stranger: false,
        }
    }

    /// What somebody may see whose last stay ended here.
    pub(crate) fn of_former_member(left_at: StreamPosition) -> Self {
        Self {
            member_since: StreamPosition(u64::MAX >> 1),
            upto: left_at,
            as_stranger: false,
        }
    }

    /// What the reader may see of a room, whatever they are to it.
    pub(crate) fn of_anybody(look: &Look<'_>, room_id: &str) -> Result<Self> {
        let row = look.snapshot.membership(room_id, look.user_id())?;
        match row {
            Some(row) if row.membership == "join" => return Ok(Self::of_member(&row)),
            Some(row) if !row.forgotten => {
                if let Some(left_at) = look.snapshot.last_leaving(room_id, look.user_id())? {
                    return Ok(Self::of_former_member(left_at));
                }
            }
            _ => {}
        }
        Ok(Self {
            member_since: StreamPosition(u64::MAX >> 1),
            upto: StreamPosition(u64::MAX >> 1),
            as_stranger: true,
        })
    }
}

/// Reads a timeline.
pub(crate) fn read(
    look: &Look<'_>,
    room_id: &str,
    window: Window,
    filter: &RoomEventFilter,
    reach: Reach,
) -> Result<Timeline> {
    let mut kept = Vec::new();
    let mut limited = false;
    let mut looked_at = 0;
    let mut from = window.upto.min(reach.upto);
    'pages: loop {
        let page = look
            .snapshot
            .events_backward(room_id, from, window.after, PAGE)?;
        let Some(last) = page.last() else { break };
        from = StreamPosition(last.pos.0.saturating_sub(1));
        let is_last_page = page.len() < PAGE;
        looked_at += page.len();
        for event in page {
            if !wanted(look, filter, &event) || !visible(look, reach, &event)? {
                continue;
            }
            if kept.len() == window.limit {
                limited = true;
                break 'pages;
            }
            kept.push(event);
        }
        if is_last_page {
            break;
        }
        if looked_at >= MAX_LOOKED_AT {
            limited = true;
            break;
        }
    }
    kept.reverse();
    let start = kept.first().map_or(
        window.upto.min(reach.upto).next(),
        |event: &TimelineEvent| event.pos,
    );
    Ok(Timeline {
        events: kept,
        limited,
        start,
        older: StreamPosition(start.0.saturating_sub(1)),
    })
}

fn wanted(look: &Look<'_>, filter: &RoomEventFilter, event: &TimelineEvent) -> bool {
    let ignored = event.state_key.is_none() && look.ignores(&event.sender);
    !ignored && wants_event(filter, event)
}

/// Whether the reader may see an event.
pub(crate) fn visible(look: &Look<'_>, reach: Reach, event: &TimelineEvent) -> Result<bool> {
    if event.pos >= reach.member_since && event.pos <= reach.upto {
        return Ok(true);
    }
    may_see(
        look.snapshot,
        &look.reader.user_id,
        event,
        reach.upto,
        reach.as_stranger,
    )
}
