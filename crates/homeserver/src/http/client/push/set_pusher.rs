//! `POST /_matrix/client/v3/pushers/set`

use std::sync::Arc;

use axum::{Json, extract::State};
use serde_json::{Map, Value, json};

use crate::{
    app::App,
    http::{auth::Requester, error::ApiResult, extract::JsonBody},
    users::pushers,
};

/// Adds, replaces or (`kind: null`) removes a pusher.
pub(crate) async fn set_pusher(
    State(app): State<Arc<App>>,
    requester: Requester,
    JsonBody(pusher): JsonBody<Map<String, Value>>,
) -> ApiResult<Json<Value>> {
    pushers::set(&app, &requester.user_id, pusher).await?;
    Ok(Json(json!({})))
}
