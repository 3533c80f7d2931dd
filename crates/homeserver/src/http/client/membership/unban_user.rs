//! `POST /_matrix/client/v3/rooms/{roomId}/unban`

use std::sync::Arc;

use axum::{Json, extract::State};
use bridgehead_room::Membership;
use ruma::OwnedRoomId;
use serde_json::Value;

use super::invite_user::{Body, change, require};
use crate::{
    app::App,
    http::{
        auth::Requester,
        error::ApiResult,
        extract::{JsonBody, Params, QueryParams},
        time::TimestampQuery,
    },
};

/// Lifts a ban.
pub(crate) async fn unban_user(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params(room_id): Params<OwnedRoomId>,
    QueryParams(query): QueryParams<TimestampQuery>,
    JsonBody(body): JsonBody<Body>,
) -> ApiResult<Json<Value>> {
    let banned = |membership| membership == Some(Membership::Ban);
    require(
        &app,
        &requester,
        &room_id,
        &body.user_id,
        banned,
        "is not banned",
    )
    .await?;
    change(&app, requester, room_id, body, Membership::Leave, &query).await
}
