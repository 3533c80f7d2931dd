//! `GET /_matrix/client/v3/devices/{deviceId}`

use std::sync::Arc;

use axum::{Json, extract::State};
use serde_json::Value;

use super::device_json;
use crate::{
    app::App,
    http::{
        auth::Requester,
        error::{ApiError, ApiResult},
        extract::Params,
    },
    users::devices,
};

/// One of the user's devices.
pub(crate) async fn get_device(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params(device_id): Params<String>,
) -> ApiResult<Json<Value>> {
    devices::list(&app, &requester.user_id)
        .await?
        .iter()
        .find(|device| device.device_id == device_id)
        .map(|device| Json(device_json(device)))
        .ok_or_else(|| ApiError::not_found("You have no such device"))
}
