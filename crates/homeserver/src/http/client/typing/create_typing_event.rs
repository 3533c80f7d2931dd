//! `PUT /_matrix/client/v3/rooms/{roomId}/typing/{userId}`

use std::sync::Arc;

use axum::{Json, extract::State};
use bridgehead_room::Membership;
use ruma::{OwnedRoomId, OwnedUserId};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    app::App,
    appservices::typing_changed,
    http::{
        auth::Requester,
        error::{ApiError, ApiResult},
        extract::{JsonBody, Params},
    },
};

/// How long a user types who does not say how long, ms.
const DEFAULT_TIMEOUT_MS: i64 = 30_000;
/// How long a user types at most without saying so again, ms.
const MAX_TIMEOUT_MS: i64 = 120_000;

#[derive(Deserialize)]
pub(crate) struct Body {
    typing: bool,
    timeout: Option<i64>,
}

/// The user types, or stopped.
pub(crate) async fn create_typing_event(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params((room_id, user_id)): Params<(OwnedRoomId, OwnedUserId)>,
    JsonBody(body): JsonBody<Body>,
) -> ApiResult<Json<Value>> {
    requester.must_be(&user_id)?;
    let joined = app
        .store
        .room_view(room_id.as_str())
        .await?
        .is_some_and(|view| view.membership(&user_id) == Some(Membership::Join));
    if !joined {
        return Err(ApiError::forbidden(format!(
            "{user_id} is not in this room"
        )));
    }
    let now_ms = app.now_ms();
    let until = body.typing.then(|| {
        let timeout = body.timeout.unwrap_or(DEFAULT_TIMEOUT_MS);
        now_ms + timeout.clamp(0, MAX_TIMEOUT_MS)
    });
    let changed = app
        .typing
        .set(room_id.as_str(), user_id.as_str(), until, now_ms);
    if changed.is_some() {
        typing_changed(&app, room_id.as_str()).await?;
    }
    Ok(Json(json!({})))
}
