//! `PUT /_matrix/client/v3/pushrules/global/{kind}/{ruleId}`

use std::sync::Arc;

use axum::{Json, extract::State};
use ruma::push::{
    Action, NewConditionalPushRule, NewPatternedPushRule, NewPushRule, NewSimplePushRule,
    PushCondition, RuleKind,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    app::App,
    http::{
        auth::Requester,
        error::{ApiError, ApiResult},
        extract::{JsonBody, Params, QueryParams},
    },
    users::push_rules::{self, RuleChange},
};

#[derive(Deserialize)]
pub(crate) struct Place {
    after: Option<String>,
    before: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Body {
    actions: Vec<Action>,
    #[serde(default)]
    conditions: Vec<PushCondition>,
    pattern: Option<String>,
}

/// Adds or replaces a rule, before or after another one if told so.
pub(crate) async fn set_pushrule(
    State(app): State<Arc<App>>,
    requester: Requester,
    Params((kind, rule_id)): Params<(RuleKind, String)>,
    QueryParams(place): QueryParams<Place>,
    JsonBody(body): JsonBody<Body>,
) -> ApiResult<Json<Value>> {
    let change = RuleChange::Insert {
        rule: rule(kind, rule_id, body)?,
        after: place.after,
        before: place.before,
    };
    push_rules::change(&app, requester.user_id, change).await?;
    Ok(Json(json!({})))
}

fn rule(kind: RuleKind, rule_id: String, body: Body) -> Result<NewPushRule, ApiError> {
    let Body {
        actions,
        conditions,
        pattern,
    } = body;
    let no_id = |what| ApiError::invalid_param(format!("The rule id must be a {what} id"));
    Ok(match kind {
        RuleKind::Override => {
            NewPushRule::Override(NewConditionalPushRule::new(rule_id, conditions, actions))
        }
        RuleKind::Underride => {
            NewPushRule::Underride(NewConditionalPushRule::new(rule_id, conditions, actions))
        }
        RuleKind::Content => {
            let pattern = pattern
                .ok_or_else(|| ApiError::missing_param("A content rule needs a `pattern`"))?;
            NewPushRule::Content(NewPatternedPushRule::new(rule_id, pattern, actions))
        }
        RuleKind::Room => {
            let room_id = rule_id.try_into().map_err(|_| no_id("room"))?;
            NewPushRule::Room(NewSimplePushRule::new(room_id, actions))
        }
        RuleKind::Sender => {
            let user_id = rule_id.try_into().map_err(|_| no_id("user"))?;
            NewPushRule::Sender(NewSimplePushRule::new(user_id, actions))
        }
        other => {
            return Err(ApiError::invalid_param(format!(
                "There is no kind of push rules `{other}`"
            )));
        }
    })
}
