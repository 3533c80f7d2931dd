//! `GET /_matrix/client/v3/keys/changes`

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    app::App,
    http::{auth::Requester, error::ApiResult, extract::QueryParams},
    users::keys,
};

#[derive(Deserialize)]
pub(crate) struct Range {
    from: String,
    to: String,
}

/// Who has changed devices or keys between two syncs.
pub(crate) async fn get_key_changes(
    State(app): State<Arc<App>>,
    requester: Requester,
    QueryParams(range): QueryParams<Range>,
) -> ApiResult<Json<Value>> {
    let changed = keys::changed_users(&app, &requester.user_id, &range.from, &range.to).await?;
    Ok(Json(json!({ "changed": changed, "left": [] })))
}
