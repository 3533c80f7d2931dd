//! `GET /_matrix/client/v3/account/3pid`

use axum::Json;
use serde_json::{Value, json};

use crate::http::{auth::Requester, error::ApiResult};

/// Accounts have no mail addresses and telephone numbers here.
pub(crate) async fn get_3pids(_requester: Requester) -> ApiResult<Json<Value>> {
    Ok(Json(json!({ "threepids": [] })))
}
