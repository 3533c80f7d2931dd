//! `PUT /_matrix/client/v3/user/{userId}/rooms/{roomId}/tags/{tag}`

use std::sync::Arc;

use axum::{Json, extract::State};
use ruma::{OwnedRoomId, OwnedUserId};
use serde_json::{Map, Value, json};

use crate::{
    app::App,
    http::{
        auth::Requester,
        error::ApiResult,
        extract::{JsonBody, Params},
    },
    users::account_data,
};

/// Puts a tag on a room.
pub(crate) async fn create_tag(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params((user_id, room_id, tag)): Params<(OwnedUserId, OwnedRoomId, String)>,
    JsonBody(info): JsonBody<Map<String, Value>>,
) -> ApiResult<Json<Value>> {
    requester.must_be(&user_id)?;
    account_data::change_tag(&app, &user_id, &room_id, tag, Some(info)).await?;
    Ok(Json(json!({})))
}
