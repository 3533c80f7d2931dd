//! `POST /_matrix/client/v3/createRoom` (and `PUT …/createRoom/{txnId}` of the first version)

use std::sync::Arc;

use axum::{Json, extract::State};
use serde_json::{Value, json};

use crate::{
    app::App,
    config::RateCategory,
    http::{
        auth::Requester,
        error::ApiResult,
        extract::{JsonBody, Params},
    },
    rooms::{CreateRoom, create_room as create},
};

/// Makes a room.
pub(crate) async fn create_room(
    State(app): State<Arc<App>>,
    requester: Requester,
    JsonBody(body): JsonBody<CreateRoom>,
) -> ApiResult<Json<Value>> {
    make(&app, &requester, body, None).await
}

/// Makes a room; the same transaction id again answers the same room.
pub(crate) async fn create_room_once(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params(txn_id): Params<String>,
    JsonBody(body): JsonBody<CreateRoom>,
) -> ApiResult<Json<Value>> {
    make(&app, &requester, body, Some(txn_id)).await
}

async fn make(
    app: &Arc<App>,
    requester: &Requester,
    body: CreateRoom,
    txn_id: Option<String>,
) -> ApiResult<Json<Value>> {
    // Whoever makes a room joins it.
    app.limits
        .check_requester(RateCategory::Joins, requester, app.now_ms())?;
    let alias = body.room_alias_name.clone();
    let room_id = create(app, requester, body, txn_id).await?;
    let mut answer = json!({ "room_id": room_id });
    if let Some(alias) = alias {
        // The first version answered with the alias too.
        answer["room_alias"] = json!(format!("#{alias}:{}", app.server_name));
    }
    Ok(Json(answer))
}
