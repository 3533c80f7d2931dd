//! `GET /_matrix/client/v3/devices`

use std::sync::Arc;

use axum::{Json, extract::State};
use serde_json::{Value, json};

use super::device_json;
use crate::{
    app::App,
    http::{auth::Requester, error::ApiResult},
    users::devices,
};

/// The user's devices.
pub(crate) async fn get_devices(
    State(app): State<Arc<App>>,
    requester: Requester,
) -> ApiResult<Json<Value>> {
    let devices = devices::list(&app, &requester.user_id).await?;
    let devices: Vec<Value> = devices.iter().map(device_json).collect();
    Ok(Json(json!({ "devices": devices })))
}
