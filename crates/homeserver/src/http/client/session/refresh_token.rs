//! `POST /_matrix/client/v3/refresh`

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    app::App,
    http::{error::ApiResult, extract::JsonBody},
    users::register::refresh_session,
};

#[derive(Deserialize)]
pub(crate) struct Body {
    refresh_token: String,
}

/// New tokens for a refresh token, which is good once.
pub(crate) async fn refresh_token(
    State(app): State<Arc<App>>,
    JsonBody(body): JsonBody<Body>,
) -> ApiResult<Json<Value>> {
    let session = refresh_session(&app, &body.refresh_token).await?;
    Ok(Json(json!({
        "access_token": session.access_token,
        "refresh_token": session.refresh_token,
        "expires_in_ms": session.expires_in_ms,
    })))
}
