//! Taking one-time keys, to begin encrypted sessions with devices.

use std::{collections::BTreeMap, sync::Arc};

use ruma::OwnedUserId;
use serde_json::{Map, Value, json};

use super::query::no_federation;
use crate::{app::App, http::error::ApiError};

/// Keys in one request at most.
const MAX_KEYS: usize = 20_000;

/// The algorithm wanted, by user and device.
pub(crate) type Wanted = BTreeMap<OwnedUserId, BTreeMap<String, String>>;

/// The answer of `/keys/claim`. Devices that have no key left are missing in it.
pub(crate) async fn claim(app: &Arc<App>, wanted: Wanted) -> Result<Value, ApiError> {
    if wanted.values().map(BTreeMap::len).sum::<usize>() > MAX_KEYS {
        return Err(ApiError::too_large(format!(
            "More than {MAX_KEYS} keys; claim them in several requests"
        )));
    }
    let mut failures = Map::new();
    let mut local = Vec::new();
    for (user_id, devices) in wanted {
        if app.is_local(&user_id) {
            local.push((user_id.to_string(), devices));
        } else {
            failures.insert(user_id.server_name().to_string(), no_federation());
        }
    }
    let registry = app.registry();
    app.store
        .write(move |tx| {
            let mut keys = json!({});
            for (user_id, devices) in &local {
                for (device_id, algorithm) in devices {
                    let Some(row) = tx.claim_one_time_key(user_id, device_id, algorithm)? else {
                        continue;
                    };
                    let key: Value = serde_json::from_str(&row.key).map_err(|_| {
                        bridgehead_store::Error::corrupt("one_time_keys", device_id.as_str())
                    })?;
                    keys[user_id][device_id] =
                        json!({ format!("{algorithm}:{}", row.key_id): key });
                }
                if !keys[user_id].is_null() {
                    super::counts_changed(tx, &registry, user_id)?;
                }
            }
            Ok(json!({ "one_time_keys": keys, "failures": failures }))
        })
        .await
}
