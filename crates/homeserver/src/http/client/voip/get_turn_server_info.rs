//! `GET /_matrix/client/v3/voip/turnServer`

use axum::Json;
use serde_json::{Value, json};

use crate::http::{auth::Requester, error::ApiResult};

/// There is no TURN server; clients then connect calls directly or not at all.
pub(crate) async fn get_turn_server_info(_requester: Requester) -> ApiResult<Json<Value>> {
    Ok(Json(json!({})))
}
