//! `POST /_matrix/client/v3/join/{roomIdOrAlias}`

use std::sync::Arc;

use axum::{Json, extract::State};
use ruma::{CanonicalJsonObject, OwnedRoomOrAliasId, RoomAliasId};
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
    rooms::{invite_after_lazy_creation, join, resolve_or_ask},
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
    let room_id = match <&RoomAliasId>::try_from(target.as_str()) {
        Ok(alias) => {
            let (row, just_made) = resolve_or_ask(&app, alias).await?;
            if just_made {
                invite_after_lazy_creation(&app, &requester, &row).await?;
            }
            row.room_id
                .try_into()
                .map_err(|e| crate::http::error::ApiError::internal(&e))?
        }
        Err(_) => target
            .as_str()
            .try_into()
            .map_err(|_| crate::http::error::ApiError::invalid_param("Not a room id or alias"))?,
    };
    let room_id: ruma::OwnedRoomId = room_id;
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
