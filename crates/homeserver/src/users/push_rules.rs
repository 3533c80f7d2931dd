//! Push rules: what a user's clients notify of.
//!
//! Client-server API, "Push Rules". Kept as the account data `m.push_rules`, so that `/sync` tells
//! of changes. The server's own rules are brought up to date whenever the set is read; a user who
//! changed nothing has nothing stored.

use bridgehead_store::Snapshot;
use ruma::{
    OwnedUserId, UserId,
    push::{Action, InsertPushRuleError, NewPushRule, RemovePushRuleError, RuleKind, Ruleset},
};
use serde::{Deserialize, Serialize};

use crate::{app::App, http::error::ApiError};

const KIND: &str = "m.push_rules";
/// Rules of one user at most.
const MAX_RULES: usize = 2_000;

/// The content of `m.push_rules`.
#[derive(Serialize, Deserialize)]
struct Content {
    global: Ruleset,
}

/// A change of one rule.
pub(crate) enum RuleChange {
    /// Adds or replaces it, at a place relative to others.
    Insert {
        rule: NewPushRule,
        after: Option<String>,
        before: Option<String>,
    },
    /// Removes it.
    Remove(RuleKind, String),
    /// Switches it on or off.
    Enable(RuleKind, String, bool),
    /// Replaces its actions.
    Actions(RuleKind, String, Vec<Action>),
}

/// A user's rules.
pub(crate) async fn get(app: &App, user_id: &UserId) -> bridgehead_store::Result<Ruleset> {
    let user_id = user_id.to_owned();
    app.store.read(move |s| read(s, &user_id)).await
}

/// A user's rules within a snapshot: what is stored, with the server's own brought up to date.
pub(crate) fn read(snapshot: &Snapshot<'_>, user_id: &UserId) -> bridgehead_store::Result<Ruleset> {
    let defaults = Ruleset::server_default(user_id);
    let Some(stored) = snapshot.account_data(user_id.as_str(), "", KIND)? else {
        return Ok(defaults);
    };
    let mut content: Content = serde_json::from_str(&stored).map_err(|_| {
        bridgehead_store::Error::corrupt("account_data", format!("{user_id} {KIND}"))
    })?;
    content.global.update_with_server_default(defaults);
    Ok(content.global)
}

/// Changes a user's rules.
pub(crate) async fn change(
    app: &App,
    user_id: OwnedUserId,
    change: RuleChange,
) -> Result<(), ApiError> {
    app.store
        .write(move |tx| {
            let mut rules = read(tx, &user_id)?;
            apply(&mut rules, change)?;
            if rules.iter().count() > MAX_RULES {
                return Err(ApiError::unknown(format!(
                    "A user may have {MAX_RULES} push rules; delete some"
                )));
            }
            let content = serde_json::to_string(&Content { global: rules })
                .map_err(|error| ApiError::internal(&error))?;
            tx.set_account_data(user_id.as_str(), "", KIND, &content)?;
            Ok(())
        })
        .await
}

fn apply(rules: &mut Ruleset, change: RuleChange) -> Result<(), ApiError> {
    match change {
        RuleChange::Insert {
            rule,
            after,
            before,
        } => rules
            .insert(rule, after.as_deref(), before.as_deref())
            .map_err(|error| match error {
                InsertPushRuleError::UnknownRuleId | InsertPushRuleError::BeforeHigherThanAfter => {
                    ApiError::unknown(error.to_string())
                }
                _ => ApiError::invalid_param(error.to_string()),
            }),
        RuleChange::Remove(kind, rule_id) => {
            rules.remove(kind, rule_id).map_err(|error| match error {
                RemovePushRuleError::NotFound => not_found(),
                _ => ApiError::invalid_param(error.to_string()),
            })
        }
        RuleChange::Enable(kind, rule_id, enabled) => rules
            .set_enabled(kind, rule_id, enabled)
            .map_err(|_| not_found()),
        RuleChange::Actions(kind, rule_id, actions) => rules
            .set_actions(kind, rule_id, actions)
            .map_err(|_| not_found()),
    }
}

/// There is no such rule.
pub(crate) fn not_found() -> ApiError {
    ApiError::not_found("The push rule was not found")
}
