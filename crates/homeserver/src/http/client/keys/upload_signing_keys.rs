//! `POST /_matrix/client/v3/keys/device_signing/upload`

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    app::App,
    http::{auth::Requester, error::ApiResult, extract::JsonBody},
    users::{
        keys::{self, CrossSigningKeys, Object},
        uia::{self, AuthData},
    },
};

#[derive(Deserialize)]
pub(crate) struct Body {
    master_key: Option<Object>,
    self_signing_key: Option<Object>,
    user_signing_key: Option<Object>,
    auth: Option<AuthData>,
}

/// Sets the user's cross-signing keys. People who replace theirs confirm with their password.
pub(crate) async fn upload_signing_keys(
    State(app): State<Arc<App>>,
    requester: Requester,
    JsonBody(body): JsonBody<Body>,
) -> ApiResult<Json<Value>> {
    let keys = CrossSigningKeys {
        master: body.master_key,
        self_signing: body.self_signing_key,
        user_signing: body.user_signing_key,
    };
    if keys::replaces_keys(&app, &requester.user_id, &keys).await? {
        uia::confirm(&app, &requester, "cross-signing keys", body.auth.as_ref()).await?;
    }
    keys::set_cross_signing_keys(&app, &requester.user_id, keys).await?;
    Ok(Json(json!({})))
}
