//! `GET /_matrix/client/v3/rooms/{roomId}/context/{eventId}`

use std::sync::Arc;

use axum::{Json, extract::State};
use bridgehead_store::{Snapshot, TimelineEvent};
use ruma::OwnedRoomId;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    app::App,
    http::{
        auth::Requester,
        error::{ApiError, ApiResult},
        extract::{Params, QueryParams},
    },
    rooms::{
        Visible,
        filter::EventFilter,
        may_read_state,
        read::{
            PageRequest, Reader, limit, members_of_senders, page, place_past, token, visible_event,
        },
    },
};

/// Events around when the client names no number.
const DEFAULT_LIMIT: u64 = 10;

#[derive(Deserialize)]
pub(crate) struct Query {
    limit: Option<u64>,
    filter: Option<String>,
}

/// An event, what came just before and after it, and the state as of the last of them.
pub(crate) async fn get_context(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params((room_id, event_id)): Params<(OwnedRoomId, String)>,
    QueryParams(query): QueryParams<Query>,
) -> ApiResult<Json<Value>> {
    let visible = may_read_state(&app, &requester.user_id, room_id.as_str()).await?;
    let reader = Reader::new(&app, &requester);
    let body = app
        .store
        .read(move |snapshot| {
            let event = visible_event(snapshot, &visible, &reader, &event_id)?;
            around(snapshot, &visible, &reader, &event, &query)
        })
        .await?;
    Ok(Json(body))
}

fn around(
    snapshot: &Snapshot<'_>,
    visible: &Visible,
    reader: &Reader,
    event: &TimelineEvent,
    query: &Query,
) -> Result<Value, ApiError> {
    let filter = EventFilter::parse(query.filter.as_deref())?;
    // Zero is a legal wish here: the event alone.
    let wanted = match query.limit.or(filter.limit) {
        Some(0) => 0,
        wanted => limit(wanted, DEFAULT_LIMIT),
    };
    let lazy = filter.lazy_load_members;
    let side = |forward, limit| -> Result<Vec<TimelineEvent>, ApiError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let request = PageRequest {
            from: Some(place_past(event, forward)),
            to: None,
            forward,
            limit,
            filter: EventFilter::parse(query.filter.as_deref())?,
        };
        Ok(page(snapshot, visible, reader, &request)?.events)
    };
    let before = side(false, wanted / 2)?;
    let after = side(true, wanted - wanted / 2)?;

    let oldest = before.last().unwrap_or(event);
    let newest = after.last().unwrap_or(event);
    let room = event.room_id.as_str();
    let mut state = snapshot.state_at(room, newest.pos)?;
    if lazy {
        let mut shown: Vec<TimelineEvent> = before.iter().chain(&after).cloned().collect();
        shown.push(event.clone());
        state.retain(|event| event.event_type != "m.room.member");
        state.extend(members_of_senders(snapshot, room, &shown, newest.pos)?);
    }
    Ok(json!({
        "event": reader.event(snapshot, event)?,
        "events_before": reader.events(snapshot, &before)?,
        "events_after": reader.events(snapshot, &after)?,
        "state": reader.events(snapshot, &state)?,
        "start": token(place_past(oldest, false)),
        "end": token(place_past(newest, true)),
    }))
}
