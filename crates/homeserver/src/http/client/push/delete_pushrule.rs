//! `DELETE /_matrix/client/v3/pushrules/global/{kind}/{ruleId}`

use std::sync::Arc;

use axum::{Json, extract::State};
use ruma::push::RuleKind;
use serde_json::{Value, json};

use crate::{
    app::App,
    http::{auth::Requester, error::ApiResult, extract::Params},
    users::push_rules::{self, RuleChange},
};

/// Removes a rule of the user's own.
pub(crate) async fn delete_pushrule(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params((kind, rule_id)): Params<(RuleKind, String)>,
) -> ApiResult<Json<Value>> {
    let change = RuleChange::Remove(kind, rule_id);
    push_rules::change(&app, requester.user_id, change).await?;
    Ok(Json(json!({})))
}
