//! `DELETE /_matrix/client/v3/user/{userId}/rooms/{roomId}/tags/{tag}`

use std::sync::Arc;

use axum::{Json, extract::State};
use ruma::{OwnedRoomId, OwnedUserId};
use serde_json::{Value, json};

use crate::{
    app::App,
    http::{auth::Requester, error::ApiResult, extract::Params},
    users::account_data,
};

/// Takes a tag off a room.
pub(crate) async fn delete_tag(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params((user_id, room_id, tag)): Params<(OwnedUserId, OwnedRoomId, String)>,
) -> ApiResult<Json<Value>> {
    requester.must_be(&user_id)?;
    account_data::change_tag(&app, &user_id, &room_id, tag, None).await?;
    Ok(Json(json!({})))
}
