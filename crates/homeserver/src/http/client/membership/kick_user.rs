//! `POST /_matrix/client/v3/rooms/{roomId}/kick`

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

/// Takes a user out of the room, or an invite back. A ghost may kick itself: bridges do.
pub(crate) async fn kick_user(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params(room_id): Params<OwnedRoomId>,
    QueryParams(query): QueryParams<TimestampQuery>,
    JsonBody(body): JsonBody<Body>,
) -> ApiResult<Json<Value>> {
    let present = |membership| {
        matches!(
            membership,
            Some(Membership::Join | Membership::Invite | Membership::Knock)
        )
    };
    require(
        &app,
        &requester,
        &room_id,
        &body.user_id,
        present,
        "is not in the room",
    )
    .await?;
    change(&app, requester, room_id, body, Membership::Leave, &query).await
}
