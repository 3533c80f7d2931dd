//! Pushers: where a user's clients want to be notified.
//!
//! They are kept and listed, so that clients find what they set; this server notifies no gateway.

use bridgehead_store::PusherRow;
use ruma::UserId;
use serde_json::{Map, Value};

use crate::{app::App, http::error::ApiError};

/// Keys of a pusher that clients get back.
const KEYS: &[&str] = &[
    "pushkey",
    "kind",
    "app_id",
    "app_display_name",
    "device_display_name",
    "profile_tag",
    "lang",
    "data",
];
/// Pushers of one user at most.
const MAX_PUSHERS: usize = 100;
/// The longest push key, bytes (client-server API, `POST /pushers/set`).
const MAX_PUSHKEY_BYTES: usize = 512;
/// The longest app id, bytes.
const MAX_APP_ID_BYTES: usize = 64;

/// A user's pushers.
pub(crate) async fn list(app: &App, user_id: &UserId) -> Result<Vec<Value>, ApiError> {
    let user = user_id.to_string();
    let pushers = app.store.read(move |s| s.pushers(&user)).await?;
    pushers
        .iter()
        .map(|pusher| serde_json::from_str(pusher).map_err(|error| ApiError::internal(&error)))
        .collect()
}

/// Adds, replaces or removes a pusher.
pub(crate) async fn set(
    app: &App,
    user_id: &UserId,
    mut pusher: Map<String, Value>,
) -> Result<(), ApiError> {
    let mut row = PusherRow {
        user_id: user_id.to_string(),
        app_id: text(&pusher, "app_id", MAX_APP_ID_BYTES)?,
        pushkey: text(&pusher, "pushkey", MAX_PUSHKEY_BYTES)?,
        pusher: String::new(),
    };
    let kind = pusher.get("kind").ok_or_else(|| missing("kind"))?;
    if kind.is_null() {
        return Ok(app.store.write(move |tx| tx.delete_pusher(&row)).await?);
    }
    if !kind.is_string() {
        return Err(ApiError::bad_json("`kind` must be text or null"));
    }
    for key in ["app_display_name", "device_display_name", "lang", "data"] {
        if !pusher.contains_key(key) {
            return Err(missing(key));
        }
    }
    let append = pusher.get("append").and_then(Value::as_bool) == Some(true);
    pusher.retain(|key, _| KEYS.contains(&key.as_str()));
    row.pusher = Value::Object(pusher).to_string();
    app.store
        .write(move |tx| {
            if !append {
                tx.delete_pushers_of_others(&row)?;
            }
            tx.upsert_pusher(&row)?;
            if tx.pushers(&row.user_id)?.len() > MAX_PUSHERS {
                return Err(ApiError::unknown(format!(
                    "A user may have {MAX_PUSHERS} pushers; remove some"
                )));
            }
            Ok(())
        })
        .await
}

fn text(pusher: &Map<String, Value>, key: &str, max_bytes: usize) -> Result<String, ApiError> {
    let text = pusher.get(key).ok_or_else(|| missing(key))?;
    let text = text
        .as_str()
        .ok_or_else(|| ApiError::bad_json(format!("`{key}` must be text")))?;
    if text.len() > max_bytes {
        return Err(ApiError::invalid_param(format!(
            "`{key}` may be {max_bytes} bytes long"
        )));
    }
    Ok(text.to_owned())
}

fn missing(key: &str) -> ApiError {
    ApiError::missing_param(format!("`{key}` is missing"))
}
