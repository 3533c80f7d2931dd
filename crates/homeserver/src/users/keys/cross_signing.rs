//! Cross-signing: a user's own keys, and the signatures by which keys vouch for each other.

use std::{collections::BTreeMap, sync::Arc};

use bridgehead_store::Tx;
use ruma::{OwnedUserId, UserId};
use serde_json::{Map, Value, json};

use super::{
    Object, add_signature_of, check_owner, parse, with_stored_signatures, without_signatures,
};
use crate::{app::App, http::error::ApiError, users::devices};

/// The keys of a user, as far as given.
#[derive(Default)]
pub(crate) struct CrossSigningKeys {
    /// Signs the other two.
    pub(crate) master: Option<Object>,
    /// Signs the user's devices.
    pub(crate) self_signing: Option<Object>,
    /// Signs other users' master keys.
    pub(crate) user_signing: Option<Object>,
}

impl CrossSigningKeys {
    fn named(&self) -> impl Iterator<Item = (&'static str, &Object)> {
        [
            ("master", &self.master),
            ("self_signing", &self.self_signing),
            ("user_signing", &self.user_signing),
        ]
        .into_iter()
        .filter_map(|(kind, keys)| keys.as_ref().map(|keys| (kind, keys)))
    }
}

/// Whether the upload would take the place of other keys: then a person has to confirm it. The
/// first keys, and the same keys again, need no confirmation (MSC3967).
pub(crate) async fn replaces_keys(
    app: &App,
    user_id: &UserId,
    keys: &CrossSigningKeys,
) -> Result<bool, ApiError> {
    let id = user_id.to_string();
    let stored = app.store.read(move |s| s.user_keys(&id)).await?;
    for (kind, given) in keys.named() {
        if let Some((_, text)) = stored.iter().find(|(stored, _)| stored == kind)
            && parse("user_keys", kind, text)?.get("keys") != given.get("keys")
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Stores the user's keys.
pub(crate) async fn set_cross_signing_keys(
    app: &Arc<App>,
    user_id: &UserId,
    keys: CrossSigningKeys,
) -> Result<(), ApiError> {
    for (kind, given) in keys.named() {
        check_owner(given, user_id.as_str())?;
        if given.get("keys").and_then(Value::as_object).map(Map::len) != Some(1) {
            return Err(ApiError::invalid_param(format!(
                "`keys` of the {kind} key must hold exactly one key"
            )));
        }
    }
    let (registry, user) = (app.registry(), user_id.to_string());
    app.store
        .write(move |tx| {
            let stored: BTreeMap<String, String> = tx.user_keys(&user)?.into_iter().collect();
            let has_master = keys.master.is_some() || stored.contains_key("master");
            if !has_master && keys.named().next().is_some() {
                return Err(ApiError::invalid_param(
                    "Upload a master key first, or together with the others",
                ));
            }
            let mut changed = false;
            for (kind, given) in keys.named() {
                let given = match stored.get(kind) {
                    Some(text) => {
                        with_stored_signatures(given.clone(), &parse("user_keys", kind, text)?)
                    }
                    None => given.clone(),
                };
                changed |= tx.set_user_key(&user, kind, &Value::Object(given).to_string())?;
            }
            if changed {
                devices::list_changed(tx, &registry, &user)?;
            }
            Ok(())
        })
        .await
}

/// Signed objects by user and by device id or public key.
pub(crate) type Signed = BTreeMap<OwnedUserId, BTreeMap<String, Object>>;

/// Adds the signer's signatures to stored keys; answers what could not be signed, and why.
pub(crate) async fn sign(
    app: &Arc<App>,
    signer: &UserId,
    signed: Signed,
) -> Result<Value, ApiError> {
    let (registry, signer) = (app.registry(), signer.to_string());
    app.store
        .write(move |tx| {
            let mut failures = json!({});
            for (user_id, objects) in &signed {
                let mut changed = false;
                for (id, object) in objects {
                    match add_signature(tx, &signer, user_id.as_str(), id, object)? {
                        Ok(added) => changed |= added,
                        Err((errcode, error)) => {
                            failures[user_id.as_str()][id] =
                                json!({ "errcode": errcode, "error": error });
                        }
                    }
                }
                if changed {
                    devices::list_changed(tx, &registry, user_id.as_str())?;
                }
            }
            Ok(failures)
        })
        .await
}

type Failure = (&'static str, &'static str);

/// Whether a signature was added, or why not.
fn add_signature(
    tx: &mut Tx<'_>,
    signer: &str,
    user_id: &str,
    id: &str,
    given: &Object,
) -> Result<Result<bool, Failure>, ApiError> {
    let Some((kind, text)) = stored(tx, signer, user_id, id)? else {
        return Ok(Err((
            "M_NOT_FOUND",
            "No such device of your own, and no such master key",
        )));
    };
    let mut known = parse("user_keys", id, &text)?;
    if without_signatures(&known) != without_signatures(given) {
        return Ok(Err((
            "M_INVALID_SIGNATURE",
            "The signed object is not the one the server has",
        )));
    }
    let Some(Value::Object(new)) = given.get("signatures").and_then(|all| all.get(signer)) else {
        return Ok(Err((
            "M_INVALID_SIGNATURE",
            "There is no signature of yours",
        )));
    };
    for (key_id, signature) in new {
        add_signature_of(&mut known, signer, key_id, signature, true);
    }
    let text = Value::Object(known).to_string();
    Ok(Ok(match kind {
        Some(kind) => tx.set_user_key(user_id, &kind, &text)?,
        None => tx.set_device_keys(user_id, id, &text)?,
    }))
}

/// What `id` names: one of the signer's devices (no kind), or a user's cross-signing key.
fn stored(
    tx: &Tx<'_>,
    signer: &str,
    user_id: &str,
    id: &str,
) -> Result<Option<(Option<String>, String)>, ApiError> {
    let own = signer == user_id;
    for (kind, text) in tx.user_keys(user_id)? {
        if !own && kind != "master" {
            continue;
        }
        let keys = parse("user_keys", user_id, &text)?;
        let is_it = keys
            .get("keys")
            .and_then(Value::as_object)
            .is_some_and(|keys| keys.values().any(|key| key == id));
        if is_it {
            return Ok(Some((Some(kind), text)));
        }
    }
    if !own {
        return Ok(None);
    }
    let device = tx.device_keys(user_id, Some(id))?.into_iter().next();
    Ok(device.map(|row| (None, row.keys)))
}
