//! `POST /_matrix/client/v3/account/password`

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    app::App,
    http::{auth::Requester, error::ApiResult, extract::JsonBody},
    users::{
        accounts,
        uia::{self, AuthData},
    },
};

#[derive(Deserialize)]
pub(crate) struct Body {
    new_password: String,
    logout_devices: Option<bool>,
    auth: Option<AuthData>,
}

/// Sets a new password. People confirm with the old one.
pub(crate) async fn change_password(
    State(app): State<Arc<App>>,
    requester: Requester,
    JsonBody(body): JsonBody<Body>,
) -> ApiResult<Json<Value>> {
    uia::confirm(&app, &requester, "password", body.auth.as_ref()).await?;
    let log_out = body.logout_devices.unwrap_or(true);
    accounts::set_password(
        &app,
        &requester.user_id,
        body.new_password,
        log_out,
        requester.device_id,
    )
    .await?;
    Ok(Json(json!({})))
}
