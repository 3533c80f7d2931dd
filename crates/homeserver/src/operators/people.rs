//! Making and removing operators.

use bridgehead_admin_api::{NewOperatorToken, Operator as OperatorView, Role};
use bridgehead_store::OperatorRow;

use super::{Act, Operator, role_of, token_file::LOCAL};
use crate::{app::App, http::auth::hash, http::error::ApiError};

/// More of them is a mistake in a script.
const MAX_OPERATORS: usize = 1_000;

/// All operators, by name.
pub(crate) async fn list(app: &App) -> bridgehead_store::Result<Vec<OperatorView>> {
    let rows = app.store.read(|s| s.operators(MAX_OPERATORS)).await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let last_use = app.operators.last_use(&row.name);
            view(row, last_use)
        })
        .collect())
}

fn view(row: OperatorRow, last_use: Option<i64>) -> OperatorView {
    OperatorView {
        role: role_of(&row),
        last_used_at_ms: row.last_used_at.max(last_use),
        name: row.name,
        created_at_ms: row.created_at,
    }
}

/// Makes an operator; the answer has the token, which nobody can read later.
pub(crate) async fn add(
    app: &App,
    by: &Operator,
    name: String,
    role: Role,
) -> Result<NewOperatorToken, ApiError> {
    if !is_name(&name) {
        return Err(ApiError::invalid_param(
            "An operator's name is 1 to 64 letters, digits, `.`, `_` or `-`",
        ));
    }
    let token = app.random.token();
    let token_hash = hash(&token);
    let now_ms = app.now_ms();
    let act = Act {
        who: by.name.clone(),
        action: "operator_add",
        service_id: None,
        reason: None,
        at_ms: now_ms,
    };
    let row = OperatorRow {
        name,
        may_act: role == Role::Act,
        created_at: now_ms,
        last_used_at: None,
    };
    let inserted = row.clone();
    app.store
        .write(move |tx| {
            if tx.operators(MAX_OPERATORS)?.len() >= MAX_OPERATORS {
                return Err(ApiError::conflict(format!(
                    "There are {MAX_OPERATORS} operators; remove some first"
                )));
            }
            if !tx.insert_operator(&inserted, &token_hash)? {
                return Err(ApiError::conflict(format!(
                    "There is an operator `{}`; take another name, or remove that one first",
                    inserted.name
                )));
            }
            let detail = format!("{}, role {}", inserted.name, role_name(&inserted));
            Ok(act.record(tx, Some(detail))?)
        })
        .await?;
    Ok(NewOperatorToken {
        operator: view(row, None),
        token,
    })
}

/// Removes an operator: the token, its sessions and its event streams end at once.
pub(crate) async fn remove(app: &App, by: &Operator, name: String) -> Result<(), ApiError> {
    if name == LOCAL {
        return Err(ApiError::conflict(
            "The operator `local` belongs to the file operator.token in the data folder; to end \
             its token, delete the file and restart the server, which makes another",
        ));
    }
    let act = Act {
        who: by.name.clone(),
        action: "operator_remove",
        service_id: None,
        reason: None,
        at_ms: app.now_ms(),
    };
    app.store
        .write(move |tx| {
            if !tx.delete_operator(&name)? {
                return Err(ApiError::not_found(format!(
                    "There is no operator `{name}`"
                )));
            }
            Ok(act.record(tx, Some(name))?)
        })
        .await?;
    app.operators.access_ended();
    Ok(())
}

fn role_name(row: &OperatorRow) -> &'static str {
    if row.may_act { "act" } else { "read" }
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

#[cfg(test)]
mod tests {
    #[test]
    fn names() {
        let long = "a".repeat(64);
        for name in ["a", "Ann.B_c-9", &long] {
            assert!(super::is_name(name), "{name}");
        }
        for name in ["", "a b", "ä", "service:irc", "a\n", &format!("{long}a")] {
            assert!(!super::is_name(name), "{name}");
        }
    }
}
