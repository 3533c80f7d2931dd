//! `GET /_matrix/client/v3/pushrules/global/{kind}/{ruleId}/actions`

use std::sync::Arc;

use axum::{Json, extract::State};
use ruma::push::RuleKind;
use serde_json::{Value, json};

use crate::{
    app::App,
    http::{auth::Requester, error::ApiResult, extract::Params},
    users::push_rules,
};

/// What a rule does.
pub(crate) async fn get_pushrule_actions(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params((kind, rule_id)): Params<(RuleKind, String)>,
) -> ApiResult<Json<Value>> {
    let rules = push_rules::get(&app, &requester.user_id).await?;
    let rule = rules.get(kind, rule_id).ok_or_else(push_rules::not_found)?;
    Ok(Json(json!({ "actions": rule.actions() })))
}
