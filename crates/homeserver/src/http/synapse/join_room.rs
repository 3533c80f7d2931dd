//! `POST /_synapse/admin/v1/join/{roomIdOrAlias}`

use std::sync::Arc;

use axum::{Json, extract::State};
use ruma::{OwnedRoomOrAliasId, OwnedUserId};
use serde::Deserialize;
use serde_json::{Value, json};

use super::user::local_user;
use crate::{
    app::App,
    http::{
        auth::Admin,
        error::{ApiError, ApiResult},
        extract::{JsonBody, Params},
    },
    rooms::join_by_admin,
};

#[derive(Deserialize)]
pub(crate) struct Body {
    user_id: OwnedUserId,
}

/// Joins a local user to a room. If it takes an invite, the administrator (who must be in the
/// room then) gives it.
pub(crate) async fn join_room(
    State(app): State<Arc<App>>,
    Admin(requester): Admin,
    Params(room): Params<OwnedRoomOrAliasId>,
    JsonBody(body): JsonBody<Body>,
) -> ApiResult<Json<Value>> {
    local_user(&app, &body.user_id)
        .await?
        .ok_or_else(|| ApiError::not_found("User not found"))?;
    let room_id = join_by_admin(&app, &requester, room, body.user_id).await?;
    Ok(Json(json!({ "room_id": room_id })))
}
