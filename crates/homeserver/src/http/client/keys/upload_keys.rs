//! `POST /_matrix/client/v3/keys/upload`

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    app::App,
    http::{auth::Requester, error::ApiResult, extract::JsonBody},
    users::keys::{self, Object, Upload},
};

#[derive(Deserialize)]
pub(crate) struct Body {
    device_keys: Option<Object>,
    #[serde(default)]
    one_time_keys: Object,
    #[serde(default)]
    fallback_keys: Object,
    #[serde(default, rename = "org.matrix.msc2732.fallback_keys")]
    unstable_fallback_keys: Object,
}

/// Stores keys of the requester's device.
pub(crate) async fn upload_keys(
    State(app): State<Arc<App>>,
    requester: Requester,
    JsonBody(body): JsonBody<Body>,
) -> ApiResult<Json<Value>> {
    let mut fallback_keys = body.unstable_fallback_keys;
    fallback_keys.extend(body.fallback_keys);
    let upload = Upload {
        device_keys: body.device_keys,
        one_time_keys: body.one_time_keys,
        fallback_keys,
    };
    let device_id = requester.device()?;
    let counts = keys::upload(&app, &requester.user_id, device_id, upload).await?;
    Ok(Json(json!({ "one_time_key_counts": counts })))
}
