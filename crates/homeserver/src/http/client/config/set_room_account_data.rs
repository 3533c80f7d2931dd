//! `PUT /_matrix/client/v3/user/{userId}/rooms/{roomId}/account_data/{type}`

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

/// Sets a piece of the requester's account data about a room.
pub(crate) async fn set_room_account_data(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params((user_id, room_id, kind)): Params<(OwnedUserId, OwnedRoomId, String)>,
    JsonBody(content): JsonBody<Map<String, Value>>,
) -> ApiResult<Json<Value>> {
    requester.must_be(&user_id)?;
    account_data::set(&app, &user_id, Some(&room_id), kind, content).await?;
    Ok(Json(json!({})))
}
