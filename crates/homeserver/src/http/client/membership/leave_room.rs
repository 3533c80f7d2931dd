//! `POST /_matrix/client/v3/rooms/{roomId}/leave`

use std::sync::Arc;

use axum::{Json, extract::State};
use bridgehead_room::Membership;
use ruma::OwnedRoomId;
use serde::Deserialize;
use serde_json::Value;

use super::invite_user::{self, change};
use crate::{
    app::App,
    http::{
        auth::Requester,
        error::ApiResult,
        extract::{JsonBody, Params, QueryParams},
        time::TimestampQuery,
    },
};

#[derive(Deserialize)]
pub(crate) struct Body {
    reason: Option<String>,
}

/// Leaves a room, or declines an invite.
pub(crate) async fn leave_room(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params(room_id): Params<OwnedRoomId>,
    QueryParams(query): QueryParams<TimestampQuery>,
    JsonBody(body): JsonBody<Body>,
) -> ApiResult<Json<Value>> {
    let body = invite_user::Body {
        user_id: requester.user_id.clone(),
        reason: body.reason,
    };
    change(&app, requester, room_id, body, Membership::Leave, &query).await
}
