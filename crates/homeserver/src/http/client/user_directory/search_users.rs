//! `POST /_matrix/client/v3/user_directory/search`

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    app::App,
    http::{auth::Requester, error::ApiResult, extract::JsonBody},
    users::directory,
};

/// Results when the client does not say how many.
const DEFAULT_LIMIT: usize = 10;
/// Results at most.
const MAX_LIMIT: usize = 100;

#[derive(Deserialize)]
pub(crate) struct Body {
    search_term: String,
    limit: Option<usize>,
}

/// Searches users the requester may know of.
pub(crate) async fn search_users(
    State(app): State<Arc<App>>,
    requester: Requester,
    JsonBody(body): JsonBody<Body>,
) -> ApiResult<Json<Value>> {
    let limit = body.limit.unwrap_or(DEFAULT_LIMIT).min(MAX_LIMIT);
    let user_id = &requester.user_id;
    let mut results = directory::search(&app, user_id, body.search_term, limit + 1).await?;
    let limited = results.len() > limit;
    results.truncate(limit);
    Ok(Json(json!({ "results": results, "limited": limited })))
}
