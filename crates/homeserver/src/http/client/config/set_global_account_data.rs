//! `PUT /_matrix/client/v3/user/{userId}/account_data/{type}`

use std::sync::Arc;

use axum::{Json, extract::State};
use ruma::OwnedUserId;
use serde_json::{Map, Value, json};

use crate::{
    app::App,
    http::{
        auth::Requester,
        error::ApiResult,
        extract::{JsonBody, Params},
    },
    users::account_data,
};

/// Sets a piece of the requester's account data.
pub(crate) async fn set_global_account_data(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params((user_id, kind)): Params<(OwnedUserId, String)>,
    JsonBody(content): JsonBody<Map<String, Value>>,
) -> ApiResult<Json<Value>> {
    requester.must_be(&user_id)?;
    account_data::set(&app, &user_id, None, kind, content).await?;
    Ok(Json(json!({})))
}
