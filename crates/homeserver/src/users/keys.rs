//! Keys of end-to-end encryption: stored, counted and handed on. The server reads no key and
//! checks no signature; it sees to it that nobody stores keys in another's name and that everybody
//! concerned hears of changes.

mod claim;
mod cross_signing;
mod query;
mod upload;

use std::collections::BTreeMap;

use bridgehead_store::{LogKind, Snapshot, Tx};
use serde_json::{Map, Value};

use super::to_device::services_of_devices;
use crate::{appservices::Registry, http::error::ApiError};

pub(crate) use self::{
    claim::claim,
    cross_signing::{CrossSigningKeys, replaces_keys, set_cross_signing_keys, sign},
    query::{changed_users, query},
    upload::{Upload, upload},
};

/// A JSON object, as keys come and go.
pub(crate) type Object = Map<String, Value>;

/// The algorithm whose count clients want to see even if it is zero: a missing one means "not
/// told" to them.
const USUAL_ALGORITHM: &str = "signed_curve25519";

/// How many one-time keys of each algorithm a device has left.
pub(crate) fn one_time_key_counts(
    snapshot: &Snapshot<'_>,
    user_id: &str,
    device_id: &str,
) -> bridgehead_store::Result<BTreeMap<String, i64>> {
    let mut counts = BTreeMap::from([(USUAL_ALGORITHM.to_owned(), 0)]);
    counts.extend(snapshot.one_time_key_counts(user_id, device_id)?);
    Ok(counts)
}

/// Tells the services that the user's devices belong to that keys came or went.
fn counts_changed(
    tx: &mut Tx<'_>,
    registry: &Registry,
    user_id: &str,
) -> bridgehead_store::Result<()> {
    let told = services_of_devices(tx, registry, user_id)?;
    if !told.is_empty() {
        tx.append_log(LogKind::KeyCounts, None, Some(user_id), &told)?;
    }
    Ok(())
}

/// `ed25519:DEVICE` → (`ed25519`, `DEVICE`).
fn split_key_id(id: &str) -> Result<(&str, &str), ApiError> {
    id.split_once(':')
        .filter(|(algorithm, key_id)| !algorithm.is_empty() && !key_id.is_empty())
        .ok_or_else(|| {
            ApiError::invalid_param(format!("`{id}` is no key id: use `<algorithm>:<id>`"))
        })
}

/// Whether keys are in this user's name.
fn check_owner(keys: &Object, user_id: &str) -> Result<(), ApiError> {
    if keys.get("user_id").and_then(Value::as_str) == Some(user_id) {
        Ok(())
    } else {
        Err(ApiError::invalid_param(format!(
            "`user_id` of the keys must be {user_id}"
        )))
    }
}

/// A stored text as the object it is.
fn parse(table: &'static str, id: &str, text: &str) -> Result<Object, ApiError> {
    serde_json::from_str(text)
        .map_err(|_| ApiError::from(bridgehead_store::Error::corrupt(table, id)))
}

/// The part of an object that is signed.
fn without_signatures(object: &Object) -> Object {
    object
        .iter()
        .filter(|(key, _)| !matches!(key.as_str(), "signatures" | "unsigned"))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// Keys uploaded again come without the signatures that others have added meanwhile: those stay.
fn with_stored_signatures(mut given: Object, stored: &Object) -> Object {
    if without_signatures(&given) != without_signatures(stored) {
        return given;
    }
    if let Some(Value::Object(signers)) = stored.get("signatures") {
        for (signer, signatures) in signers {
            for (key_id, signature) in signatures.as_object().into_iter().flatten() {
                add_signature_of(&mut given, signer, key_id, signature, false);
            }
        }
    }
    given
}

fn add_signature_of(
    object: &mut Object,
    signer: &str,
    key_id: &str,
    signature: &Value,
    replace: bool,
) {
    let all = object_at(object, "signatures");
    let own = object_at(all, signer);
    if replace || !own.contains_key(key_id) {
        own.insert(key_id.to_owned(), signature.clone());
    }
}

/// The object under a key, made (or made one) if need be.
fn object_at<'a>(object: &'a mut Object, key: &str) -> &'a mut Object {
    let value = object.entry(key).or_insert(Value::Null);
    if !value.is_object() {
        *value = Value::Object(Object::new());
    }
    value
        .as_object_mut()
        .expect("invariant: it was just made an object")
}
