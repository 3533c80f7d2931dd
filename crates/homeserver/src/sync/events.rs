//! `/events`: the event stream of the protocol's first version, which bots of its age still read.
//!
//! One flat list in the server's order, each event with its room, ephemeral ones last.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bridgehead_room::Membership;
use bridgehead_store::{MembershipRow, Result, Snapshot, StreamPosition, TimelineEvent};
use serde::Serialize;
use serde_json::{json, value::RawValue};

use super::{
    ephemeral::{receipt_event, to_raw, typing_event},
    invited,
    look::{Look, Reader},
    poll::{self, Found, Seen},
    presence_events,
    timeline::{Reach, visible},
    token::SyncToken,
    typing::TypingNews,
};
use crate::{app::App, http::error::ApiResult, rooms::membership_of};

/// Room events in one chunk at most.
const MAX_EVENTS: usize = 100;

/// A request.
pub(crate) struct StreamRequest {
    /// Who listens.
    pub(crate) reader: Reader,
    /// From where; `None` from now on.
    pub(crate) from: Option<SyncToken>,
    /// Only this room, which the reader may read.
    pub(crate) room_id: Option<String>,
    /// How long to wait.
    pub(crate) timeout: Duration,
}

/// What happened between two tokens.
#[derive(Serialize)]
pub(crate) struct StreamChunk {
    start: String,
    end: String,
    chunk: Vec<Box<RawValue>>,
}

/// Answers with what happened, as soon as something has.
pub(crate) async fn listen(app: &Arc<App>, request: StreamRequest) -> ApiResult<StreamChunk> {
    let last = *app.store.position().borrow();
    let from = match request.from {
        Some(from) => from.check(&app.store).await?,
        None => SyncToken {
            position: last,
            typing: app.typing.version(),
            presence: app.presence.version(),
            to_device: StreamPosition::ZERO,
        },
    };
    let user_id = request.reader.user_id.clone();
    let timeout = request.timeout;
    let request = Arc::new(request);
    let chunk = poll::wait_for_news(app, &user_id, timeout, || {
        let (inner, request) = (app.clone(), request.clone());
        let now_ms = app.now_ms();
        app.store
            .read(move |snapshot| look(&inner, snapshot, &request, from, now_ms))
    })
    .await?;
    Ok(chunk)
}

fn look(
    app: &App,
    snapshot: &Snapshot<'_>,
    request: &StreamRequest,
    from: SyncToken,
    now_ms: i64,
) -> Result<Found<StreamChunk>> {
    let presence_version = app.presence.version();
    let look = Look::new(snapshot, &request.reader, Some(from), now_ms)?;
    let (rooms, listened_to) = match &request.room_id {
        Some(room_id) => {
            let reach = Reach::of_anybody(&look, room_id)?;
            (vec![(room_id.clone(), reach)], vec![room_id.clone()])
        }
        None => (
            changed_rooms(&look)?,
            snapshot.joined_rooms(look.user_id())?,
        ),
    };
    let (events, position) = room_events(&look, &rooms)?;
    let typing = app
        .typing
        .news(listened_to.iter().map(String::as_str), from.typing, now_ms);
    let mut chunk = events;
    chunk.extend(ephemeral(&look, &rooms, &typing, position)?);
    chunk.extend(presence_events::read(app, &look)?.events);
    let end = SyncToken {
        position,
        typing: typing.version,
        presence: presence_version,
        to_device: from.to_device,
    };
    Ok(Found {
        is_news: !chunk.is_empty(),
        answer: StreamChunk {
            start: from.to_string(),
            end: end.to_string(),
            chunk,
        },
        rooms: listened_to,
        seen: Seen {
            position: look.upto,
            typing: typing.version,
            presence: presence_version,
        },
        next_expiry: typing.next_expiry,
    })
}

/// Rooms with news, and how much of each the reader may see.
fn changed_rooms(look: &Look<'_>) -> Result<Vec<(String, Reach)>> {
    let rows = look
        .snapshot
        .rooms_changed_since(look.user_id(), look.since_position())?;
    rows.iter()
        .filter(|row| !row.forgotten)
        .map(|row| Ok((row.room_id.clone(), reach(look, row)?)))
        .collect()
}

fn reach(look: &Look<'_>, row: &MembershipRow) -> Result<Reach> {
    let since = look.since_position();
    if row.membership == "join" {
        return Ok(Reach::of_member(row));
    }
    let before = look
        .snapshot
        .membership_at(&row.room_id, look.user_id(), since)?
        .and_then(|event| membership_of(&event));
    let left_at = look
        .snapshot
        .last_leaving(&row.room_id, look.user_id())?
        .filter(|_| before == Some(Membership::Join));
    // Whoever was not in the room before sees only what happens to its own membership.
    Ok(Reach::of_former_member(left_at.unwrap_or(since)))
}

/// The next events of these rooms in order, and up to where they go.
fn room_events(
    look: &Look<'_>,
    rooms: &[(String, Reach)],
) -> Result<(Vec<Box<RawValue>>, StreamPosition)> {
    let since = look.since_position();
    let mut upto = look.upto;
    let mut found: BTreeMap<StreamPosition, TimelineEvent> = BTreeMap::new();
    for (room_id, reach) in rooms {
        let page = look
            .snapshot
            .events_forward(room_id, since, look.upto, MAX_EVENTS)?;
        if page.len() == MAX_EVENTS {
            upto = page.last().map_or(upto, |last| upto.min(last.pos));
        }
        for event in page {
            if wanted(look, *reach, &event)? {
                found.insert(event.pos, event);
            }
        }
    }
    if let Some((first_left_out, _)) = found.iter().nth(MAX_EVENTS) {
        upto = upto.min(StreamPosition(first_left_out.0.saturating_sub(1)));
    }
    let events = found
        .range(..=upto)
        .map(|(_, event)| match is_own(look, event) {
            true => invited::member_event(look, event),
            false => look.format(event, true),
        })
        .collect::<Result<_>>()?;
    Ok((events, upto))
}

fn wanted(look: &Look<'_>, reach: Reach, event: &TimelineEvent) -> Result<bool> {
    if is_own(look, event) {
        return Ok(true);
    }
    let ignored = event.state_key.is_none() && look.ignores(&event.sender);
    Ok(!ignored && visible(look, reach, event)?)
}

fn is_own(look: &Look<'_>, event: &TimelineEvent) -> bool {
    event.event_type == "m.room.member" && event.state_key.as_deref() == Some(look.user_id())
}

/// Typing and receipts, with their rooms.
fn ephemeral(
    look: &Look<'_>,
    rooms: &[(String, Reach)],
    typing: &TypingNews,
    upto: StreamPosition,
) -> Result<Vec<Box<RawValue>>> {
    let mut events = Vec::new();
    for (room_id, users) in &typing.rooms {
        let gone = |(room, reach): &(String, Reach)| room == room_id && reach.upto < look.upto;
        if rooms.iter().any(gone) {
            continue;
        }
        let mut event = typing_event(users);
        event["room_id"] = json!(room_id);
        events.push(to_raw(&event));
    }
    for (room_id, reach) in rooms {
        let upto = upto.min(reach.upto);
        let receipts = look
            .snapshot
            .receipts_since(room_id, look.since_position(), upto)?;
        if let Some(mut event) = receipt_event(&receipts, look) {
            event["room_id"] = json!(room_id);
            events.push(to_raw(&event));
        }
    }
    Ok(events)
}
