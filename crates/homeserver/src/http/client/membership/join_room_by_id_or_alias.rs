//! `POST /_matrix/client/v3/join/{roomIdOrAlias}`

use std::sync::Arc;

use axum::{Json, extract::State};
use ruma::{CanonicalJsonObject, OwnedRoomOrAliasId};
use serde_json::{Value, json};

use super::join_room_by_id::Body;
use crate::{
    app::App,
    config::RateCategory,
    http::{
        auth::Requester,
        error::ApiResult,
        extract::{JsonBody, Params, QueryParams},
        time::TimestampQuery,
    },
    rooms::{invite_after_lazy_creation, join, resolve_room},
};

/// Joins a room by id or alias. An alias that nobody made yet is asked of the application
/// service that owns it, which may make the room while the question is open.
pub(crate) async fn join_room_by_id_or_alias(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params(target): Params<OwnedRoomOrAliasId>,
    QueryParams(query): QueryParams<TimestampQuery>,
    JsonBody(body): JsonBody<Body>,
) -> ApiResult<Json<Value>> {
    let ts = query.of(&app, &requester)?;
    app.limits
        .check_requester(RateCategory::Joins, &requester, app.now_ms())?;
    let (room_id, just_made) = resolve_room(&app, &target).await?;
    if let Some(alias) = just_made {
        invite_after_lazy_creation(&app, &requester, &alias).await?;
    }
    join(
        &app,
        &requester,
        room_id.clone(),
        body.reason,
        CanonicalJsonObject::new(),
        ts,
    )
    .await?;
    Ok(Json(json!({ "room_id": room_id })))
}
