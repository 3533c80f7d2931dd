//! `GET /_matrix/client/v3/rooms/{roomId}/event/{eventId}`

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

/// One event.
pub(crate) async fn get_room_event(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params((room_id, event_id)): Params<(OwnedRoomId, String)>,
) -> ApiResult<Json<Box<RawValue>>> {
    let visible = may_read_state(&app, &requester.user_id, room_id.as_str())
        .await
        .map_err(|error| hidden(&error))?;
    let reader = Reader::new(&app, &requester);
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
        "M_FORBIDDEN" => ApiError::not_found("No such event in this room, or you may not see it"),
        _ => error.clone(),
    }
}
