//! `GET /_matrix/client/v3/pushrules/`

use std::sync::Arc;

use axum::{Json, extract::State};
use serde_json::{Value, json};

use crate::{
    app::App,
    http::{auth::Requester, error::ApiResult},
    users::push_rules,
};

/// All rules of the requester, by scope; there is one scope.
pub(crate) async fn get_pushrules_all(
    State(app): State<Arc<App>>,
    requester: Requester,
) -> ApiResult<Json<Value>> {
    let rules = push_rules::get(&app, &requester.user_id).await?;
    Ok(Json(json!({ "global": rules })))
}
