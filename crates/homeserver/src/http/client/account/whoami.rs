//! `GET /_matrix/client/v3/account/whoami`

use axum::Json;
use serde_json::{Value, json};

use crate::http::{auth::Requester, error::ApiResult};

/// Whose token this is, or whom the application service acts as.
pub(crate) async fn whoami(requester: Requester) -> ApiResult<Json<Value>> {
    let mut answer = json!({ "user_id": requester.user_id, "is_guest": requester.is_guest });
    if let Some(device_id) = requester.device_id {
        answer["device_id"] = json!(device_id);
    }
    Ok(Json(answer))
}
