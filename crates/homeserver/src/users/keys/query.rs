//! Looking up the keys of users and devices, and who has changed theirs.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bridgehead_store::{Snapshot, StreamPosition};
use futures_util::future::try_join_all;
use ruma::{OwnedUserId, UserId};
use serde_json::{Map, Value, json};

use super::{Object, parse};
use crate::{app::App, http::error::ApiError};

/// Users looked for at their services in one request at most.
const MAX_ASKED: usize = 50;

/// The answer of `/keys/query`: for each user the devices asked for, or all when none is named.
pub(crate) async fn query(
    app: &Arc<App>,
    asker: &UserId,
    asked: BTreeMap<OwnedUserId, Vec<String>>,
) -> Result<Value, ApiError> {
    ask_for_unknown(app, asked.keys()).await?;
    let asker = asker.to_string();
    let mut failures = Map::new();
    let mut local = Vec::new();
    for (user_id, devices) in asked {
        if app.is_local(&user_id) {
            local.push((user_id.to_string(), devices));
        } else {
            failures.insert(user_id.server_name().to_string(), no_federation());
        }
    }
    app.store
        .read(move |snapshot| {
            let mut answer = json!({
                "device_keys": {}, "master_keys": {}, "self_signing_keys": {},
                "user_signing_keys": {}, "failures": failures,
            });
            for (user_id, devices) in &local {
                let found = device_keys(snapshot, user_id, devices)?;
                answer["device_keys"][user_id] = Value::Object(found);
                for (kind, text) in snapshot.user_keys(user_id)? {
                    if kind == "user_signing" && *user_id != asker {
                        continue;
                    }
                    let mut keys = parse("user_keys", user_id, &text)?;
                    keep_signatures_of(&mut keys, &[user_id, &asker]);
                    answer[format!("{kind}_keys")][user_id] = Value::Object(keys);
                }
            }
            Ok(answer)
        })
        .await
}

/// Gives the services a chance to make users of theirs that are named here for the first time: they
/// may upload keys while the question is open.
async fn ask_for_unknown(
    app: &Arc<App>,
    users: impl Iterator<Item = &OwnedUserId>,
) -> Result<(), ApiError> {
    let questions = users
        .filter(|user_id| app.is_local(user_id))
        .take(MAX_ASKED)
        .map(|user_id| app.queries.user(app, user_id));
    try_join_all(questions).await?;
    Ok(())
}

/// What stands for a server that cannot be asked.
pub(super) fn no_federation() -> Value {
    json!({ "status": 503, "message": "This server does not federate" })
}

fn device_keys(
    snapshot: &Snapshot<'_>,
    user_id: &str,
    devices: &[String],
) -> Result<Object, ApiError> {
    let mut found = Object::new();
    for row in snapshot.device_keys(user_id, None)? {
        if !devices.is_empty() && !devices.contains(&row.device_id) {
            continue;
        }
        let mut keys = parse("device_keys", &row.device_id, &row.keys)?;
        if let Some(name) = row.display_name {
            keys.insert(
                "unsigned".to_owned(),
                json!({ "device_display_name": name }),
            );
        }
        found.insert(row.device_id, Value::Object(keys));
    }
    Ok(found)
}

/// Whom somebody else has verified is nobody's business but theirs.
fn keep_signatures_of(keys: &mut Object, users: &[&str]) {
    if let Some(Value::Object(signatures)) = keys.get_mut("signatures") {
        signatures.retain(|user_id, _| users.contains(&user_id.as_str()));
    }
}

/// The users that share a room with `user_id` (and itself) whose keys changed between two tokens
/// of `/sync`.
pub(crate) async fn changed_users(
    app: &Arc<App>,
    user_id: &UserId,
    from: &str,
    to: &str,
) -> Result<Vec<String>, ApiError> {
    let (from, to) = (position(from)?, position(to)?);
    let id = user_id.to_string();
    Ok(app
        .store
        .read(move |snapshot| {
            let changed = snapshot.device_list_changes(from, to)?;
            if changed.is_empty() {
                return Ok(changed);
            }
            let seen: BTreeSet<String> = snapshot.users_sharing_rooms(&id)?.into_iter().collect();
            Ok::<_, bridgehead_store::Error>(
                changed
                    .into_iter()
                    .filter(|user| *user == id || seen.contains(user))
                    .collect(),
            )
        })
        .await?)
}

/// The log position in a token of `/sync`: its first number.
fn position(token: &str) -> Result<StreamPosition, ApiError> {
    let digits: String = token
        .chars()
        .skip_while(|c| !c.is_ascii_digit())
        .take_while(char::is_ascii_digit)
        .collect();
    digits
        .parse()
        .map(StreamPosition)
        .map_err(|_| ApiError::invalid_param(format!("`{token}` is no token of /sync")))
}
