//! `GET /_matrix/client/v3/user/{userId}/rooms/{roomId}/account_data/{type}`

use std::sync::Arc;

use axum::{Json, extract::State};
use ruma::{OwnedRoomId, OwnedUserId};
use serde_json::Value;

use crate::{
    app::App,
    http::{auth::Requester, error::ApiResult, extract::Params},
    users::account_data,
};

/// A piece of the requester's account data about a room.
pub(crate) async fn get_room_account_data(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params((user_id, room_id, kind)): Params<(OwnedUserId, OwnedRoomId, String)>,
) -> ApiResult<Json<Value>> {
    requester.must_be(&user_id)?;
    account_data::get(&app, &user_id, Some(&room_id), &kind)
        .await
        .map(Json)
}
