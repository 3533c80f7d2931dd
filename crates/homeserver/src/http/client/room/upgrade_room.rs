//! `POST /_matrix/client/v3/rooms/{roomId}/upgrade`

use std::sync::Arc;

use axum::{Json, extract::State};
use ruma::{OwnedRoomId, OwnedUserId};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    app::App,
    config::RateCategory,
    http::{
        auth::Requester,
        error::ApiResult,
        extract::{JsonBody, Params},
    },
    rooms::upgrade::{Upgrade, upgrade_room as upgrade},
};

#[derive(Deserialize)]
pub(crate) struct Body {
    new_version: String,
    #[serde(default)]
    additional_creators: Vec<OwnedUserId>,
}

/// Replaces a room by one of another version.
pub(crate) async fn upgrade_room(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params(room_id): Params<OwnedRoomId>,
    JsonBody(body): JsonBody<Body>,
) -> ApiResult<Json<Value>> {
    app.limits
        .check_requester(RateCategory::Joins, &requester, app.now_ms())?;
    let request = Upgrade {
        room_id,
        new_version: body.new_version,
        additional_creators: body.additional_creators,
    };
    let replacement = upgrade(&app, &requester, request).await?;
    Ok(Json(json!({ "replacement_room": replacement })))
}
