//! `POST /_matrix/client/v3/delete_devices`

use std::{collections::BTreeSet, sync::Arc};

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    app::App,
    http::{auth::Requester, error::ApiResult, extract::JsonBody},
    users::{
        devices,
        uia::{self, AuthData},
    },
};

#[derive(Deserialize)]
pub(crate) struct Body {
    devices: BTreeSet<String>,
    auth: Option<AuthData>,
}

/// Removes several devices. People confirm with their password.
pub(crate) async fn delete_devices(
    State(app): State<Arc<App>>,
    requester: Requester,
    JsonBody(body): JsonBody<Body>,
) -> ApiResult<Json<Value>> {
    let operation = format!("delete devices {:?}", body.devices);
    uia::confirm(&app, &requester, &operation, body.auth.as_ref()).await?;
    let devices = body.devices.into_iter().collect();
    devices::delete(&app, &requester.user_id, devices).await?;
    Ok(Json(json!({})))
}
