//! `POST /_matrix/client/v3/rooms/{roomId}/join`

use std::sync::Arc;

use axum::{Json, extract::State};
use ruma::{CanonicalJsonObject, OwnedRoomId};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    app::App,
    config::RateCategory,
    http::{
        auth::Requester,
        error::ApiResult,
        extract::{JsonBody, Params, QueryParams},
        time::TimestampQuery,
    },
    rooms::join,
};

/// Why, for people.
#[derive(Deserialize)]
pub(crate) struct Body {
    pub(crate) reason: Option<String>,
}

/// Joins a room by its id.
pub(crate) async fn join_room_by_id(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params(room_id): Params<OwnedRoomId>,
    QueryParams(query): QueryParams<TimestampQuery>,
    JsonBody(body): JsonBody<Body>,
) -> ApiResult<Json<Value>> {
    let ts = query.of(&app, &requester)?;
    app.limits
        .check_requester(RateCategory::Joins, &requester, app.now_ms())?;
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
