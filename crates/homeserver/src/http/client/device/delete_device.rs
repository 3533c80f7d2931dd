//! `DELETE /_matrix/client/v3/devices/{deviceId}`

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    app::App,
    http::{
        auth::Requester,
        error::ApiResult,
        extract::{JsonBody, Params},
    },
    users::{
        devices,
        uia::{self, AuthData},
    },
};

#[derive(Deserialize)]
pub(crate) struct Body {
    auth: Option<AuthData>,
}

/// Removes a device. People confirm with their password.
pub(crate) async fn delete_device(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params(device_id): Params<String>,
    JsonBody(body): JsonBody<Body>,
) -> ApiResult<Json<Value>> {
    let operation = format!("delete device {device_id}");
    uia::confirm(&app, &requester, &operation, body.auth.as_ref()).await?;
    devices::delete(&app, &requester.user_id, vec![device_id]).await?;
    Ok(Json(json!({})))
}
