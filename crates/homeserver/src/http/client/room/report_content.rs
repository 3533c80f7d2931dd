//! `POST /_matrix/client/v3/rooms/{roomId}/report[/{eventId}]`

use std::sync::Arc;

use axum::{Json, extract::State};
use ruma::OwnedRoomId;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    app::App,
    http::{
        auth::Requester,
        error::{ApiError, ApiResult},
        extract::{JsonBody, Params},
    },
    rooms::{
        may_read_state,
        read::{Reader, visible_event},
    },
};

/// Bytes of a reason that reach the log.
const MAX_REASON_BYTES: usize = 1_000;

#[derive(Deserialize)]
pub(crate) struct Body {
    reason: Option<String>,
    score: Option<i64>,
}

impl Body {
    fn reason(&self) -> &str {
        let reason = self.reason.as_deref().unwrap_or_default();
        &reason[..reason.floor_char_boundary(MAX_REASON_BYTES)]
    }
}

/// Reports an event to the server's operator: it goes to the log.
pub(crate) async fn report_content(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params((room_id, event_id)): Params<(OwnedRoomId, String)>,
    JsonBody(body): JsonBody<Body>,
) -> ApiResult<Json<Value>> {
    let visible = may_read_state(&app, &requester.user_id, room_id.as_str())
        .await
        .map_err(|_| ApiError::not_found("No such event in a room of yours"))?;
    let reader = Reader::new(&app, &requester);
    let event = app
        .store
        .read(move |snapshot| visible_event(snapshot, &visible, &reader, &event_id))
        .await?;
    tracing::warn!(
        event = "report", room.id = %room_id, event.id = %event.event_id, sender.id = %event.sender,
        reporter.id = %requester.user_id, score = body.score, reason = body.reason(),
        "a user reports an event"
    );
    Ok(Json(json!({})))
}

/// Reports a room, as seen from outside or inside.
pub(crate) async fn report_room(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params(room_id): Params<OwnedRoomId>,
    JsonBody(body): JsonBody<Body>,
) -> ApiResult<Json<Value>> {
    if app.store.room_view(room_id.as_str()).await?.is_none() {
        return Err(ApiError::not_found("No such room"));
    }
    tracing::warn!(
        event = "report", room.id = %room_id, reporter.id = %requester.user_id,
        reason = body.reason(), "a user reports a room"
    );
    Ok(Json(json!({})))
}
