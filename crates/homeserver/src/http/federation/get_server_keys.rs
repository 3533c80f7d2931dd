//! `GET /_matrix/key/v2/server`

use std::sync::Arc;

use axum::{Json, extract::State};
use ruma::{CanonicalJsonObject, CanonicalJsonValue};
use serde_json::json;

use crate::{
    app::App,
    http::error::{ApiError, ApiResult},
};

/// Others may keep the answer for a day, ms.
const VALID_FOR_MS: i64 = 24 * 3600 * 1000;

/// The key that signs this server's events, signed with itself.
pub(crate) async fn get_server_keys(
    State(app): State<Arc<App>>,
) -> ApiResult<Json<CanonicalJsonObject>> {
    let document = json!({
        "server_name": app.server_name,
        "valid_until_ts": app.now_ms() + VALID_FOR_MS,
        "verify_keys": { app.key.key_id(): { "key": app.key.public_key_base64() } },
        "old_verify_keys": {},
    });
    let Ok(CanonicalJsonValue::Object(mut document)) = CanonicalJsonValue::try_from(document)
    else {
        return Err(ApiError::internal(&"the key document is not canonical"));
    };
    app.key
        .sign_json(&mut document)
        .map_err(|error| ApiError::internal(&error))?;
    Ok(Json(document))
}
