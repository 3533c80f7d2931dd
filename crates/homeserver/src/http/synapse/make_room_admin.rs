//! `POST /_synapse/admin/v1/rooms/{roomIdOrAlias}/make_room_admin`

use std::sync::Arc;

use axum::{Json, extract::State};
use ruma::{OwnedRoomOrAliasId, OwnedUserId};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    app::App,
    http::{
        auth::Admin,
        error::ApiResult,
        extract::{JsonBody, Params},
    },
    rooms::make_room_admin as make,
};

#[derive(Deserialize)]
pub(crate) struct Body {
    user_id: Option<OwnedUserId>,
}

/// Gives a user (the administrator, if none is named) the most power that a local member has.
pub(crate) async fn make_room_admin(
    State(app): State<Arc<App>>,
    Admin(requester): Admin,
    Params(room): Params<OwnedRoomOrAliasId>,
    JsonBody(body): JsonBody<Body>,
) -> ApiResult<Json<Value>> {
    let target = body.user_id.unwrap_or(requester.user_id);
    make(&app, room, target).await?;
    Ok(Json(json!({})))
}
