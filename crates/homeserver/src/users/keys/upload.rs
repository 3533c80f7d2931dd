//! A device's own keys, and those that others use up.

use std::sync::Arc;

use bridgehead_store::{InsertedKey, Snapshot, Tx};
use ruma::UserId;
use serde_json::{Value, json};

use super::{Object, check_owner, parse, split_key_id, with_stored_signatures};
use crate::{app::App, http::error::ApiError, users::devices};

/// One-time keys that a device may have at the server.
const MAX_ONE_TIME_KEYS: i64 = 10_000;

/// What a device uploads.
#[derive(Default)]
pub(crate) struct Upload {
    /// Its identity.
    pub(crate) device_keys: Option<Object>,
    /// Keys to be used once, by `<algorithm>:<id>`.
    pub(crate) one_time_keys: Object,
    /// Keys for when those are used up.
    pub(crate) fallback_keys: Object,
}

/// Stores what was uploaded, all or nothing; answers how many one-time keys the device has.
pub(crate) async fn upload(
    app: &Arc<App>,
    user_id: &UserId,
    device_id: &str,
    upload: Upload,
) -> Result<Value, ApiError> {
    if let Some(keys) = &upload.device_keys {
        check_owner(keys, user_id.as_str())?;
        if keys.get("device_id").and_then(Value::as_str) != Some(device_id) {
            return Err(ApiError::invalid_param(format!(
                "`device_id` of the device keys must be {device_id}"
            )));
        }
    }
    let (registry, now) = (app.registry(), app.now_ms());
    let (user, device) = (user_id.to_string(), device_id.to_owned());
    app.store
        .write(move |tx| {
            if let Some(mut keys) = upload.device_keys {
                if let Some(row) = tx.device_keys(&user, Some(&device))?.first() {
                    let stored = parse("device_keys", &device, &row.keys)?;
                    keys = with_stored_signatures(keys, &stored);
                }
                if tx.set_device_keys(&user, &device, &Value::Object(keys).to_string())? {
                    devices::list_changed(tx, &registry, &user)?;
                }
            }
            insert_one_time_keys(tx, &user, &device, &upload.one_time_keys, now)?;
            if !(upload.one_time_keys.is_empty() && upload.fallback_keys.is_empty()) {
                super::counts_changed(tx, &registry, &user)?;
            }
            for (id, key) in &upload.fallback_keys {
                let (algorithm, key_id) = split_key_id(id)?;
                tx.set_fallback_key(&user, &device, algorithm, key_id, &key.to_string())?;
            }
            counts(tx, &user, &device)
        })
        .await
}

fn insert_one_time_keys(
    tx: &mut Tx<'_>,
    user: &str,
    device: &str,
    keys: &Object,
    now: i64,
) -> Result<(), ApiError> {
    for (id, key) in keys {
        let (algorithm, key_id) = split_key_id(id)?;
        match tx.insert_one_time_key(user, device, algorithm, key_id, &key.to_string(), now)? {
            InsertedKey::New | InsertedKey::Same => {}
            InsertedKey::Different => {
                return Err(ApiError::invalid_param(format!(
                    "The device has another one-time key `{id}`; use a new id for a new key"
                )));
            }
        }
    }
    let all: i64 = tx
        .one_time_key_counts(user, device)?
        .iter()
        .map(|(_, count)| count)
        .sum();
    if all > MAX_ONE_TIME_KEYS {
        return Err(ApiError::invalid_param(format!(
            "A device may have at most {MAX_ONE_TIME_KEYS} one-time keys"
        )));
    }
    Ok(())
}

fn counts(snapshot: &Snapshot<'_>, user: &str, device: &str) -> Result<Value, ApiError> {
    let counts = super::one_time_key_counts(snapshot, user, device)?;
    Ok(json!(counts))
}
