//! `POST /_matrix/client/v3/knock/{roomIdOrAlias}`

use std::sync::Arc;

use axum::{Json, extract::State};
use bridgehead_room::Membership;
use ruma::{CanonicalJsonObject, OwnedRoomOrAliasId};
use serde_json::{Value, json};

use crate::{
    app::App,
    config::RateCategory,
    http::{
        auth::Requester,
        client::membership::join_room_by_id::Body,
        error::ApiResult,
        extract::{JsonBody, Params},
        time,
    },
    rooms::{MemberChange, change_membership, resolve_room},
};

/// Asks to be let into a room.
pub(crate) async fn knock_room(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params(target): Params<OwnedRoomOrAliasId>,
    JsonBody(body): JsonBody<Body>,
) -> ApiResult<Json<Value>> {
    app.limits
        .check_requester(RateCategory::Joins, &requester, app.now_ms())?;
    let (room_id, _) = resolve_room(&app, &target).await?;
    let change = MemberChange {
        room_id: room_id.clone(),
        sender: requester.user_id.clone(),
        target: requester.user_id,
        membership: Membership::Knock,
        reason: body.reason,
        extra: CanonicalJsonObject::new(),
        ts: time::now(&app),
    };
    change_membership(&app, change).await?;
    Ok(Json(json!({ "room_id": room_id })))
}
