//! `PUT /_matrix/client/v3/pushrules/global/{kind}/{ruleId}/enabled`

use std::sync::Arc;

use axum::{Json, extract::State};
use ruma::push::RuleKind;
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
    enabled: bool,
}

/// Switches a rule on or off.
pub(crate) async fn set_pushrule_enabled(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params((kind, rule_id)): Params<(RuleKind, String)>,
    JsonBody(body): JsonBody<Body>,
) -> ApiResult<Json<Value>> {
    let change = RuleChange::Enable(kind, rule_id, body.enabled);
    push_rules::change(&app, requester.user_id, change).await?;
    Ok(Json(json!({})))
}
