//! `POST /_matrix/client/v3/keys/signatures/upload`

use std::{collections::BTreeMap, sync::Arc};

use axum::{Json, extract::State};
use ruma::OwnedUserId;
use serde_json::{Value, json};

use crate::{
    app::App,
    http::{auth::Requester, error::ApiResult, extract::JsonBody},
    users::keys::{self, Object},
};

/// Adds signatures to keys that the server has.
pub(crate) async fn upload_signatures(
    State(app): State<Arc<App>>,
    requester: Requester,
    JsonBody(signed): JsonBody<BTreeMap<OwnedUserId, BTreeMap<String, Object>>>,
) -> ApiResult<Json<Value>> {
    let failures = keys::sign(&app, &requester.user_id, signed).await?;
    Ok(Json(json!({ "failures": failures })))
}
