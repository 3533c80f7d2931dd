//! `POST /_matrix/client/v3/keys/claim`

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
    one_time_keys: BTreeMap<OwnedUserId, BTreeMap<String, String>>,
}

/// Takes one-time keys of other devices.
pub(crate) async fn claim_keys(
    State(app): State<Arc<App>>,
    _requester: Requester,
    JsonBody(body): JsonBody<Body>,
) -> ApiResult<Json<Value>> {
    keys::claim(&app, body.one_time_keys).await.map(Json)
}
