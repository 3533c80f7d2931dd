//! `POST /_matrix/client/v3/rooms/{roomId}/ban`

use std::sync::Arc;

use axum::{Json, extract::State};
use bridgehead_room::Membership;
use ruma::OwnedRoomId;
use serde_json::Value;

use super::invite_user::{Body, change};
use crate::{
    app::App,
    http::{
        auth::Requester,
        error::ApiResult,
        extract::{JsonBody, Params, QueryParams},
        time::TimestampQuery,
    },
};

/// Bans a user, who need not be in the room.
pub(crate) async fn ban_user(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params(room_id): Params<OwnedRoomId>,
    QueryParams(query): QueryParams<TimestampQuery>,
    JsonBody(body): JsonBody<Body>,
) -> ApiResult<Json<Value>> {
    change(&app, requester, room_id, body, Membership::Ban, &query).await
}
