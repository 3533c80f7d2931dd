//! `GET /_matrix/client/v3/user/{userId}/rooms/{roomId}/tags`

use std::sync::Arc;

use axum::{Json, extract::State};
use ruma::{OwnedRoomId, OwnedUserId};
use serde_json::Value;

use crate::{
    app::App,
    http::{auth::Requester, error::ApiResult, extract::Params},
    users::account_data,
};

/// The requester's tags on a room.
pub(crate) async fn get_tags(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params((user_id, room_id)): Params<(OwnedUserId, OwnedRoomId)>,
) -> ApiResult<Json<Value>> {
    requester.must_be(&user_id)?;
    account_data::tags(&app, &user_id, &room_id).await.map(Json)
}
