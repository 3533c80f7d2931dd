//! Endpoints of the chapter; one file each.

pub(crate) mod delete_device;
pub(crate) mod delete_devices;
pub(crate) mod get_device;
pub(crate) mod get_devices;
pub(crate) mod update_device;

use bridgehead_store::DeviceRow;
use serde_json::{Value, json};

/// A device as its owner sees it.
fn device_json(device: &DeviceRow) -> Value {
    let mut answer = json!({ "device_id": device.device_id });
    if let Some(name) = &device.display_name {
        answer["display_name"] = json!(name);
    }
    if let Some(ip) = device.last_seen_ip.as_deref().filter(|ip| !ip.is_empty()) {
        answer["last_seen_ip"] = json!(ip);
    }
    if let Some(at) = device.last_seen_at {
        answer["last_seen_ts"] = json!(at);
    }
    answer
}
