//! `PUT /_matrix/client/v3/devices/{deviceId}`

use std::sync::Arc;

use axum::{Json, extract::State};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    app::App,
    http::{
        auth::Requester,
        error::ApiError,
        extract::{JsonBody, Params},
    },
    users::devices,
};

#[derive(Deserialize)]
pub(crate) struct Body {
    display_name: Option<String>,
}

/// Names a device. For an application service also makes it: 201 then, 200 if it was there.
pub(crate) async fn update_device(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params(device_id): Params<String>,
    JsonBody(body): JsonBody<Body>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let made = devices::update(&app, &requester, device_id, body.display_name).await?;
    let status = if made {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((status, Json(json!({}))))
}
