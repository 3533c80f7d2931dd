//! Devices: listing, naming, making (application services only), removing.

use std::sync::Arc;

use bridgehead_store::{DeviceRow, StreamPosition, Tx};
use ruma::UserId;

use crate::{
    app::App,
    appservices::{Registry, interest},
    http::{auth::Requester, error::ApiError},
};

/// Longest device id, bytes.
const MAX_ID_BYTES: usize = 255;
/// Longest name of a device, bytes.
const MAX_NAME_BYTES: usize = 1_000;
/// Devices named in one request at most.
pub(crate) const MAX_DEVICES: usize = 10_000;

/// The user's devices.
pub(crate) async fn list(app: &App, user_id: &UserId) -> Result<Vec<DeviceRow>, ApiError> {
    let id = user_id.to_string();
    let mut devices = app.store.read(move |s| s.devices(&id)).await?;
    for seen in app.last_seen.of_user(user_id.as_str()) {
        if let Some(device) = devices.iter_mut().find(|d| d.device_id == seen.device_id) {
            device.last_seen_at = device.last_seen_at.max(Some(seen.at_ms));
            device.last_seen_ip = seen.ip.map(|ip| ip.to_string());
        }
    }
    Ok(devices)
}

/// Names a device. An application service makes it that way if it is not there (MSC4190): true.
pub(crate) async fn update(
    app: &Arc<App>,
    requester: &Requester,
    device_id: String,
    name: Option<String>,
) -> Result<bool, ApiError> {
    if device_id.is_empty() || device_id.len() > MAX_ID_BYTES {
        return Err(ApiError::invalid_param(format!(
            "A device id has 1 to {MAX_ID_BYTES} bytes"
        )));
    }
    check_name(name.as_deref())?;
    let (registry, now) = (app.registry(), app.now_ms());
    let may_make = requester.appservice.is_some();
    let user = requester.user_id.to_string();
    app.store
        .write(move |tx| {
            if tx.device(&user, &device_id)?.is_some() {
                if name.is_some() {
                    tx.rename_device(&user, &device_id, name.as_deref())?;
                    list_changed(tx, &registry, &user)?;
                }
                return Ok(false);
            }
            if !may_make {
                return Err(ApiError::not_found("You have no such device"));
            }
            tx.upsert_device(&user, &device_id, name.as_deref(), now)?;
            list_changed(tx, &registry, &user)?;
            Ok(true)
        })
        .await
}

/// Refuses a name that nobody could read.
pub(crate) fn check_name(name: Option<&str>) -> Result<(), ApiError> {
    if name.is_some_and(|name| name.len() > MAX_NAME_BYTES) {
        return Err(ApiError::invalid_param(format!(
            "A device's name has at most {MAX_NAME_BYTES} bytes"
        )));
    }
    Ok(())
}

/// Removes devices with their tokens, keys and messages; ids of none are passed over.
pub(crate) async fn delete(
    app: &Arc<App>,
    user_id: &UserId,
    device_ids: Vec<String>,
) -> Result<(), ApiError> {
    if device_ids.len() > MAX_DEVICES {
        return Err(ApiError::invalid_param(format!(
            "At most {MAX_DEVICES} devices in one request"
        )));
    }
    let (registry, user) = (app.registry(), user_id.to_string());
    app.store
        .write(move |tx| {
            let mut deleted = false;
            for device_id in &device_ids {
                deleted |= tx.delete_device(&user, device_id)?;
            }
            if deleted {
                list_changed(tx, &registry, &user)?;
            }
            Ok::<_, bridgehead_store::Error>(())
        })
        .await?;
    app.sessions.forget_user(user_id);
    Ok(())
}

/// Removes all the user's devices but one.
pub(crate) async fn delete_all(
    app: &Arc<App>,
    user_id: &UserId,
    except: Option<String>,
) -> Result<(), ApiError> {
    let (registry, user) = (app.registry(), user_id.to_string());
    app.store
        .write(move |tx| {
            if !tx.delete_all_devices(&user, except.as_deref())?.is_empty() {
                list_changed(tx, &registry, &user)?;
            }
            Ok::<_, bridgehead_store::Error>(())
        })
        .await?;
    app.sessions.forget_user(user_id);
    Ok(())
}

/// Tells everybody concerned that the user's devices or keys changed.
pub(crate) fn list_changed(
    tx: &mut Tx<'_>,
    registry: &Registry,
    user_id: &str,
) -> bridgehead_store::Result<StreamPosition> {
    let told = interest::of_device_list(tx, registry, user_id)?;
    tx.device_list_changed(user_id, &told)
}
