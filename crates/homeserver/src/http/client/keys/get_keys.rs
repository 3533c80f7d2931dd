//! `POST /_matrix/client/v3/keys/query`

use std::{collections::BTreeMap, sync::Arc};

use axum::{Json, extract::State};
use ruma::OwnedUserId;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    app::App,
    http::{auth::Requester, error::ApiResult, extract::JsonBody},
    users::keys,
};

#[derive(Deserialize)]
pub(crate) struct Body {
    device_keys: BTreeMap<OwnedUserId, Vec<String>>,
}

/// Keys of users and their devices.
pub(crate) async fn get_keys(
    State(app): State<Arc<App>>,
    requester: Requester,
    JsonBody(body): JsonBody<Body>,
) -> ApiResult<Json<Value>> {
    keys::query(&app, &requester.user_id, body.device_keys)
        .await
        .map(Json)
}
