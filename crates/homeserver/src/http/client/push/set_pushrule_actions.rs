//! `PUT /_matrix/client/v3/pushrules/global/{kind}/{ruleId}/actions`

use std::sync::Arc;

use axum::{Json, extract::State};
use ruma::push::{Action, RuleKind};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    app::App,
    http::{
        auth::Requester,
        error::ApiResult,
        extract::{JsonBody, Params},
    },
    users::push_rules::{self, RuleChange},
};

#[derive(Deserialize)]
pub(crate) struct Body {
    actions: Vec<Action>,
}

/// Sets what a rule does.
pub(crate) async fn set_pushrule_actions(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params((kind, rule_id)): Params<(RuleKind, String)>,
    JsonBody(body): JsonBody<Body>,
) -> ApiResult<Json<Value>> {
    let change = RuleChange::Actions(kind, rule_id, body.actions);
    push_rules::change(&app, requester.user_id, change).await?;
    Ok(Json(json!({})))
}
