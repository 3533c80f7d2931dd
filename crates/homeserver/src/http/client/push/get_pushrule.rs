//! `GET /_matrix/client/v3/pushrules/global/{kind}/{ruleId}`

use std::sync::Arc;

use axum::{Json, extract::State};
use ruma::push::{AnyPushRuleRef, RuleKind};
use serde_json::{Value, to_value};

use crate::{
    app::App,
    http::{
        auth::Requester,
        error::{ApiError, ApiResult},
        extract::Params,
    },
    users::push_rules,
};

/// One rule.
pub(crate) async fn get_pushrule(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params((kind, rule_id)): Params<(RuleKind, String)>,
) -> ApiResult<Json<Value>> {
    let rules = push_rules::get(&app, &requester.user_id).await?;
    let rule = rules.get(kind, rule_id).ok_or_else(push_rules::not_found)?;
    let rule = match rule {
        AnyPushRuleRef::Override(rule) | AnyPushRuleRef::Underride(rule) => to_value(rule),
        AnyPushRuleRef::Content(rule) => to_value(rule),
        AnyPushRuleRef::Room(rule) => to_value(rule),
        AnyPushRuleRef::Sender(rule) => to_value(rule),
        _ => return Err(push_rules::not_found()),
    };
    rule.map(Json).map_err(|error| ApiError::internal(&error))
}
