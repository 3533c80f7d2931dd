//! `GET /_matrix/client/v3/rooms/{roomId}/event/{eventId}` (and `…/events/{eventId}` of old)

use std::sync::Arc;

use axum::{Json, extract::State};
use ruma::OwnedRoomId;
use serde_json::value::RawValue;

use crate::{
    app::App,
    http::{
        auth::Requester,
        error::{ApiError, ApiResult},
        extract::Params,
    },
    rooms::{
        may_read_state,
        read::{Reader, visible_event},
    },
};

/// What is not there and what may not be seen.
const HIDDEN: &str = "No such event, or you may not see it";

/// One event.
pub(crate) async fn get_room_event(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params((room_id, event_id)): Params<(OwnedRoomId, String)>,
) -> ApiResult<Json<Box<RawValue>>> {
    read_event(&app, &requester, &room_id, event_id).await
}

/// One event, of whatever room.
pub(crate) async fn get_event(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params(event_id): Params<String>,
) -> ApiResult<Json<Box<RawValue>>> {
    let id = event_id.clone();
    let event = app.store.read(move |s| s.event(&id)).await?;
    let room_id = event
        .and_then(|event| OwnedRoomId::try_from(event.room_id).ok())
        .ok_or_else(|| ApiError::not_found(HIDDEN))?;
    read_event(&app, &requester, &room_id, event_id).await
}

async fn read_event(
    app: &App,
    requester: &Requester,
    room_id: &OwnedRoomId,
    event_id: String,
) -> ApiResult<Json<Box<RawValue>>> {
    let visible = may_read_state(app, &requester.user_id, room_id.as_str())
        .await
        .map_err(|error| hidden(&error))?;
    let reader = Reader::new(app, requester);
    let event = app
        .store
        .read(move |snapshot| {
            let event = visible_event(snapshot, &visible, &reader, &event_id)?;
            Ok::<_, ApiError>(reader.event(snapshot, &event)?)
        })
        .await?;
    Ok(Json(event))
}

/// This endpoint does not tell what may not be seen from what is not there.
fn hidden(error: &ApiError) -> ApiError {
    match error.errcode() {
        "M_FORBIDDEN" => ApiError::not_found(HIDDEN),
        _ => error.clone(),
    }
}
