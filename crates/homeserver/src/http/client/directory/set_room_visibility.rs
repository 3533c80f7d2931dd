//! `PUT /_matrix/client/v3/directory/list/room/{roomId}`

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
    rooms::directory::{Visibility, set_visibility},
};

#[derive(Deserialize)]
pub(crate) struct Body {
    #[serde(default)]
    pub(crate) visibility: Visibility,
}

/// Publishes a room or takes it out. Whoever may name the room may do that.
pub(crate) async fn set_room_visibility(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params(room_id): Params<OwnedRoomId>,
    JsonBody(body): JsonBody<Body>,
) -> ApiResult<Json<Value>> {
    let view = app
        .store
        .room_view(room_id.as_str())
        .await?
        .ok_or_else(|| ApiError::not_found("No such room"))?;
    if !view.can_send_state(&requester.user_id, "m.room.canonical_alias") {
        return Err(ApiError::forbidden(
            "Publishing a room needs the power to set its canonical alias",
        ));
    }
    set_visibility(&app, String::new(), room_id.as_str(), body.visibility).await?;
    Ok(Json(json!({})))
}
