//! `GET /_matrix/client/v3/pushrules/global/`

use std::sync::Arc;

use axum::{Json, extract::State};
use ruma::push::Ruleset;

use crate::{
    app::App,
    http::{auth::Requester, error::ApiResult},
    users::push_rules,
};

/// All rules of the requester.
pub(crate) async fn get_pushrules_global_scope(
    State(app): State<Arc<App>>,
    requester: Requester,
) -> ApiResult<Json<Ruleset>> {
    Ok(Json(push_rules::get(&app, &requester.user_id).await?))
}
