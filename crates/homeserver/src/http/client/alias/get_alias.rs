//! `GET /_matrix/client/v3/directory/room/{roomAlias}`

use std::sync::Arc;

use axum::{Json, extract::State};
use ruma::OwnedRoomAliasId;
use serde_json::{Value, json};

use crate::{
    app::App,
    http::{error::ApiResult, extract::Params},
    rooms::resolve_or_ask,
};

/// The room behind an alias; on a miss the services that own the alias are asked.
pub(crate) async fn get_alias(
    State(app): State<Arc<App>>,
    Params(alias): Params<OwnedRoomAliasId>,
) -> ApiResult<Json<Value>> {
    let (row, _) = resolve_or_ask(&app, &alias).await?;
    Ok(Json(
        json!({ "room_id": row.room_id, "servers": [app.server_name] }),
    ))
}
