//! `/initialSync`, of all rooms or of one: where clients of the protocol's first version start.

use std::sync::Arc;

use bridgehead_store::{MembershipRow, Result, StreamPosition, TimelineEvent};
use ruma::api::client::filter::RoomEventFilter;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    account_data, ephemeral, invited,
    look::{Look, Reader},
    presence_events,
    timeline::{self, Reach, Window},
    token::SyncToken,
};
use crate::{app::App, http::error::ApiResult, rooms::read};

/// Messages of a room at most.
const MAX_LIMIT: usize = 100;

/// Where a client starts.
#[derive(Serialize)]
pub(crate) struct InitialSync {
    end: String,
    rooms: Vec<RoomInfo>,
    presence: Vec<Box<RawValue>>,
    account_data: Vec<Box<RawValue>>,
    receipts: Vec<Box<RawValue>>,
}

/// A room as it is for the reader.
#[derive(Serialize)]
pub(crate) struct RoomInfo {
    room_id: String,
    membership: String,
    visibility: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    inviter: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    invite: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<Messages>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<Vec<Box<RawValue>>>,
    account_data: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence: Option<Vec<Box<RawValue>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipts: Option<Vec<Box<RawValue>>>,
}

#[derive(Serialize)]
struct Messages {
    start: String,
    end: String,
    chunk: Vec<Box<RawValue>>,
}

/// All rooms of the reader, with `limit` messages each; those it has left only when `archived`.
pub(crate) async fn all_rooms(
    app: &Arc<App>,
    reader: Reader,
    limit: usize,
    archived: bool,
) -> ApiResult<InitialSync> {
    let now_ms = app.now_ms();
    let inner = app.clone();
    let answer: Result<InitialSync> = app
        .store
        .read(move |snapshot| {
            let token = current(&inner);
            let look = Look::new(snapshot, &reader, None, now_ms)?;
            let end = token.at(look.upto).to_string();
            let account_data = account_data::read(&look)?;
            let mut answer = InitialSync {
                end: end.clone(),
                rooms: Vec::new(),
                presence: presence_events::read(&inner, &look)?.events,
                account_data: account_data.global.events,
                receipts: Vec::new(),
            };
            for row in snapshot.memberships_of(look.user_id())? {
                let gone = matches!(row.membership.as_str(), "leave" | "ban");
                if row.forgotten || (gone && !archived) {
                    continue;
                }
                if row.membership == "join" {
                    answer.receipts.extend(receipts(&look, &row.room_id)?);
                }
                let mut info = room_info(&look, &row, limit, &end)?;
                if let Some(rows) = account_data.rooms.get(&row.room_id) {
                    info.account_data = account_data::of_room(&look, &row.room_id, rows).events;
                }
                answer.rooms.push(info);
            }
            Ok(answer)
        })
        .await;
    Ok(answer?)
}

/// One room, which the reader may read.
pub(crate) async fn one_room(
    app: &Arc<App>,
    reader: Reader,
    room_id: String,
    limit: usize,
) -> ApiResult<RoomInfo> {
    let now_ms = app.now_ms();
    let inner = app.clone();
    let answer: Result<RoomInfo> = app
        .store
        .read(move |snapshot| {
            let token = current(&inner);
            let look = Look::new(snapshot, &reader, None, now_ms)?;
            let end = token.at(look.upto).to_string();
            let row = snapshot
                .membership(&room_id, look.user_id())?
                .unwrap_or_else(|| stranger(&look, &room_id));
            let mut info = room_info(&look, &row, limit, &end)?;
            let contents = contents(&look, &row, limit, &end)?;
            if let Some(rows) = account_data::read(&look)?.rooms.get(&room_id) {
                info.account_data = account_data::of_room(&look, &room_id, rows).events;
            }
            info.messages = Some(contents.0);
            info.state = Some(contents.1);
            info.presence = Some(presence_events::read(&inner, &look)?.events);
            info.receipts = Some(receipts(&look, &room_id)?.into_iter().collect());
            Ok(info)
        })
        .await;
    Ok(answer?)
}

/// Where the stream goes on: versions are read before contents, so nothing is missed.
fn current(app: &App) -> SyncToken {
    SyncToken {
        position: StreamPosition::ZERO,
        typing: app.typing.version(),
        presence: app.presence.version(),
        to_device: StreamPosition::ZERO,
    }
}

/// The row of somebody who was never in the room and reads it because everybody may.
fn stranger(look: &Look<'_>, room_id: &str) -> MembershipRow {
    MembershipRow {
        room_id: room_id.to_owned(),
        user_id: look.user_id().to_owned(),
        membership: "leave".to_owned(),
        pos: StreamPosition::ZERO,
        event_id: String::new(),
        forgotten: false,
    }
}

fn room_info(look: &Look<'_>, row: &MembershipRow, limit: usize, end: &str) -> Result<RoomInfo> {
    let room_id = row.room_id.as_str();
    let published = look.snapshot.is_published("", room_id)?;
    let mut info = RoomInfo {
        room_id: room_id.to_owned(),
        membership: row.membership.clone(),
        visibility: if published { "public" } else { "private" },
        inviter: None,
        invite: None,
        messages: None,
        state: None,
        account_data: Vec::new(),
        presence: None,
        receipts: None,
    };
    match row.membership.as_str() {
        "invite" | "knock" => {
            if let Some(member) = look.snapshot.event_at(row.pos)? {
                info.invite = Some(invited::member_event(look, &member)?);
                info.inviter = Some(member.sender).filter(|_| row.membership == "invite");
            }
        }
        _ => {
            let (messages, state) = contents(look, row, limit, end)?;
            info.messages = Some(messages);
            info.state = Some(state);
        }
    }
    Ok(info)
}

/// The newest messages that the reader may see, and the state that goes with them.
fn contents(
    look: &Look<'_>,
    row: &MembershipRow,
    limit: usize,
    end: &str,
) -> Result<(Messages, Vec<Box<RawValue>>)> {
    let room_id = row.room_id.as_str();
    let reach = Reach::of_anybody(look, room_id)?;
    let window = Window {
        after: StreamPosition::ZERO,
        upto: look.upto,
        limit: limit.min(MAX_LIMIT),
    };
    let timeline = timeline::read(look, room_id, window, &RoomEventFilter::default(), reach)?;
    let state: Vec<TimelineEvent> = if reach.upto >= look.upto {
        look.snapshot.current_state_events(room_id)?
    } else {
        look.snapshot.state_at(room_id, reach.upto)?
    };
    let messages = Messages {
        start: read::token(timeline.older),
        end: end.to_owned(),
        chunk: look.format_all(&timeline.events, true)?,
    };
    Ok((messages, look.format_all(&state, true)?))
}

/// The room's receipts, as far as the reader may see.
fn receipts(look: &Look<'_>, room_id: &str) -> Result<Option<Box<RawValue>>> {
    let upto = Reach::of_anybody(look, room_id)?.upto.min(look.upto);
    let receipts = look
        .snapshot
        .receipts_since(room_id, StreamPosition::ZERO, upto)?;
    Ok(ephemeral::receipt_event(&receipts, look).map(|mut event| {
        event["room_id"] = room_id.into();
        ephemeral::to_raw(&event)
    }))
}
