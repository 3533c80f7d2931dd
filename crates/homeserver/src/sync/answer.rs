//! `/sync`: one answer out of one look.

use std::{collections::BTreeMap, sync::Arc};

use bridgehead_store::{Result, Snapshot};

use super::{
    account_data::{self, AccountDataNews},
    device_lists,
    filter::wants_room,
    invited,
    joined::{self, RoomNews},
    left,
    look::{Look, Reader},
    poll::{self, Found, Seen},
    presence_events,
    response::{InvitedRoom, KnockedRoom, Rooms, SyncResponse},
    to_device,
    token::SyncToken,
    typing::TypingNews,
};
use crate::{app::App, http::error::ApiResult};

/// A request.
pub(crate) struct SyncRequest {
    /// Who asks.
    pub(crate) reader: Reader,
    /// What they have seen; `None` for everything.
    pub(crate) since: Option<SyncToken>,
    /// All state of all rooms, changed or not.
    pub(crate) full_state: bool,
    /// How long to wait for news.
    pub(crate) timeout: std::time::Duration,
}

/// Answers with what is new, as soon as something is.
pub(crate) async fn sync(app: &Arc<App>, request: SyncRequest) -> ApiResult<SyncResponse> {
    if let Some(since) = request.since {
        since.check(&app.store).await?;
        to_device::forget_received(app, &request.reader, since).await?;
    }
    // Who has seen nothing yet, or asks for everything, gets it without waiting.
    let waits = request.since.is_some() && !request.full_state;
    let timeout = if waits {
        request.timeout
    } else {
        std::time::Duration::ZERO
    };
    let request = Arc::new(request);
    let user_id = request.reader.user_id.clone();
    let response = poll::wait_for_news(app, &user_id, timeout, || {
        let (inner, request) = (app.clone(), request.clone());
        let now_ms = app.now_ms();
        app.store
            .read(move |snapshot| look(&inner, snapshot, &request, now_ms))
    })
    .await?;
    Ok(response)
}

fn look(
    app: &App,
    snapshot: &Snapshot<'_>,
    request: &SyncRequest,
    now_ms: i64,
) -> Result<Found<SyncResponse>> {
    // Versions before contents: news in between is told twice rather than never.
    let (presence_version, typing_version) = (app.presence.version(), app.typing.version());
    let look = Look::new(snapshot, &request.reader, request.since, now_ms)?;
    let joined_rooms = snapshot.joined_rooms(look.user_id())?;
    let mut typing = app.typing.news(
        joined_rooms.iter().map(String::as_str),
        request.since.map_or(0, |since| since.typing),
        now_ms,
    );
    if request.since.is_none() {
        // There is no need to say that nobody types.
        typing.rooms.retain(|_, users| !users.is_empty());
    }
    let account_data = account_data::read(&look)?;
    let rows = match request.since {
        Some(since) if !request.full_state => {
            snapshot.rooms_changed_since(look.user_id(), since.position)?
        }
        _ => snapshot.memberships_of(look.user_id())?,
    };
    let device_lists = device_lists::read(&look, &rows)?;
    let rooms = rooms(&look, rows, &typing, &account_data, request.full_state)?;
    let (to_device_events, to_device_upto) = to_device::read(&look)?;
    let mut response = SyncResponse {
        rooms,
        account_data: account_data.global,
        presence: presence_events::read(app, &look)?,
        to_device: to_device_events,
        device_lists,
        ..SyncResponse::default()
    };
    add_key_counts(&look, &mut response)?;
    response.next_batch = SyncToken {
        position: look.upto,
        typing: typing.version,
        presence: presence_version,
        to_device: to_device_upto,
    }
    .to_string();
    Ok(Found {
        is_news: !response.is_empty(),
        answer: response,
        rooms: joined_rooms,
        seen: Seen {
            position: look.upto,
            typing: typing.version.max(typing_version),
            presence: presence_version,
        },
        next_expiry: typing.next_expiry,
    })
}

fn rooms(
    look: &Look<'_>,
    mut rows: Vec<bridgehead_store::MembershipRow>,
    typing: &TypingNews,
    account_data: &AccountDataNews,
    full_state: bool,
) -> Result<Rooms> {
    add_rooms_with_other_news(look, &mut rows, typing, account_data)?;
    let mut rooms = Rooms::default();
    let nothing = Vec::new();
    for row in rows {
        let room_id = row.room_id.clone();
        if !wants_room(&look.reader.filter.room, &room_id) {
            continue;
        }
        let own_data = account_data.rooms.get(&room_id).unwrap_or(&nothing);
        let is_new = look.since.is_none() || full_state || row.pos > look.since_position();
        match row.membership.as_str() {
            "join" => {
                let news = RoomNews {
                    typing: typing.rooms.get(&room_id).map(Vec::as_slice),
                    account_data: own_data,
                    full_state,
                };
                if let Some(room) = joined::news(look, &row, &news)? {
                    rooms.join.insert(room_id, room);
                }
            }
            "invite" if is_new => {
                if let Some(invite_state) = invited::read(look, &row)? {
                    rooms.invite.insert(room_id, InvitedRoom { invite_state });
                }
            }
            "knock" if is_new => {
                if let Some(knock_state) = invited::read(look, &row)? {
                    rooms.knock.insert(room_id, KnockedRoom { knock_state });
                }
            }
            "leave" | "ban" if look.since.is_none() || row.pos > look.since_position() => {
                if let Some(room) = left::read(look, &row, own_data, full_state)? {
                    rooms.leave.insert(room_id, room);
                }
            }
            _ => {}
        }
    }
    Ok(rooms)
}

/// Joined rooms that have no new event or receipt, but typing or account data.
fn add_rooms_with_other_news(
    look: &Look<'_>,
    rows: &mut Vec<bridgehead_store::MembershipRow>,
    typing: &TypingNews,
    account_data: &AccountDataNews,
) -> Result<()> {
    if look.since.is_none() {
        return Ok(());
    }
    let known: BTreeMap<String, ()> = rows.iter().map(|row| (row.room_id.clone(), ())).collect();
    let mut others: Vec<&String> = typing
        .rooms
        .keys()
        .chain(account_data.rooms.keys())
        .collect();
    others.sort();
    others.dedup();
    for room_id in others {
        if known.contains_key(room_id) {
            continue;
        }
        let row = look.snapshot.membership(room_id, look.user_id())?;
        rows.extend(row.filter(|row| row.membership == "join"));
    }
    Ok(())
}

/// What the device has left on the server of its own keys: told each time.
fn add_key_counts(look: &Look<'_>, response: &mut SyncResponse) -> Result<()> {
    let Some(device_id) = &look.reader.device_id else {
        return Ok(());
    };
    let counts = look
        .snapshot
        .one_time_key_counts(look.user_id(), device_id)?;
    response.device_one_time_keys_count = counts.into_iter().collect();
    // Clients take a missing algorithm for "not told", not for "none left".
    response
        .device_one_time_keys_count
        .entry("signed_curve25519".to_owned())
        .or_insert(0);
    let unused = look
        .snapshot
        .unused_fallback_types(look.user_id(), device_id)?;
    response.msc2732_unused_fallback_key_types = Some(unused.clone());
    response.device_unused_fallback_key_types = Some(unused);
    Ok(())
}
