//! `GET /_matrix/client/v1/media/config`

use std::sync::Arc;

use axum::{Json, extract::State};
use serde_json::{Value, json};

use crate::{
    app::App,
    http::{auth::Requester, error::ApiResult},
};

/// How large an upload may be.
pub(crate) async fn get_media_config(
    _requester: Requester,
    State(app): State<Arc<App>>,
) -> ApiResult<Json<Value>> {
    Ok(Json(json!({
        "m.upload.size": app.config.limits.max_upload_bytes,
    })))
}
