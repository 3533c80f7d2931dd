//! `GET /.well-known/matrix/client`

use std::sync::Arc;

use axum::{Json, extract::State};
use serde_json::{Value, json};

use crate::{
    app::App,
    http::error::{ApiError, ApiResult},
};

/// Where clients that know only the server's name find it.
pub(crate) async fn discover_homeserver(State(app): State<Arc<App>>) -> ApiResult<Json<Value>> {
    let url = app.config.public_base_url.as_ref().ok_or_else(|| {
        ApiError::not_found("This server's operator has not set `public_base_url`")
    })?;
    Ok(Json(json!({
        "m.homeserver": { "base_url": url.as_str().trim_end_matches('/') },
    })))
}
