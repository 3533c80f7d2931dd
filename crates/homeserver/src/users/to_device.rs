//! Messages from device to device: left in the recipients' inboxes, unread by the server.
//!
//! A device of a ghost has its messages pushed to its service (MSC4203), and they leave the inbox
//! when the service has acknowledged them. So only a service that takes part in encryption by
//! transactions (`org.matrix.msc3202`) and holds the user for itself is told: messages to a
//! person's device, or to one that its service reads with `/sync`, must not vanish by a push.

use std::{collections::BTreeMap, sync::Arc};

use bridgehead_store::{ClientTxn, Tx};
use ruma::OwnedUserId;
use serde_json::{Map, Value};

use crate::{
    app::App,
    appservices::{Nids, Registry},
    http::{auth::Requester, error::ApiError},
};

/// Messages in one request at most, after `*` is resolved.
const MAX_MESSAGES: usize = 20_000;

/// Contents by user and device.
pub(crate) type Messages = BTreeMap<OwnedUserId, BTreeMap<String, Map<String, Value>>>;

/// Sends messages to devices, once for each transaction id. Unknown devices are passed over.
pub(crate) async fn send(
    app: &Arc<App>,
    requester: &Requester,
    event_type: String,
    client_txn_id: String,
    messages: Messages,
) -> Result<(), ApiError> {
    let txn = ClientTxn {
        user_id: requester.user_id.to_string(),
        scope: requester.txn_scope(),
        // No room has this id, so that no event's transaction id can collide.
        room_id: String::new(),
        event_type: event_type.clone(),
        client_txn_id,
    };
    let (registry, now) = (app.registry(), app.now_ms());
    app.store
        .write(move |tx| {
            if tx.client_txn(&txn)?.is_some() {
                return Ok(());
            }
            let mut sent = 0;
            for (recipient, contents) in &messages {
                let inboxes = inboxes(tx, recipient.as_str(), contents)?;
                sent += inboxes.len();
                if sent > MAX_MESSAGES {
                    return Err(ApiError::too_large(format!(
                        "More than {MAX_MESSAGES} messages; send them in several requests"
                    )));
                }
                let told = services_of_devices(tx, &registry, recipient.as_str())?;
                for (device_id, content) in inboxes {
                    tx.insert_to_device(
                        recipient.as_str(),
                        &device_id,
                        &txn.user_id,
                        &event_type,
                        &content,
                        &told,
                    )?;
                }
            }
            tx.insert_client_txn(&txn, "", now)?;
            Ok(())
        })
        .await
}

/// Which of the recipient's devices get what; `*` stands for all that are not named.
fn inboxes(
    tx: &Tx<'_>,
    recipient: &str,
    contents: &BTreeMap<String, Map<String, Value>>,
) -> bridgehead_store::Result<Vec<(String, String)>> {
    let text = |content: &Map<String, Value>| Value::Object(content.clone()).to_string();
    Ok(tx
        .devices(recipient)?
        .into_iter()
        .filter_map(|device| {
            let content = contents
                .get(&device.device_id)
                .or_else(|| contents.get("*"))?;
            Some((device.device_id, text(content)))
        })
        .collect())
}

/// The services that a user's devices belong to: their acknowledgement empties its inboxes.
pub(crate) fn services_of_devices(
    tx: &Tx<'_>,
    registry: &Registry,
    recipient: &str,
) -> bridgehead_store::Result<Nids> {
    let made_by = tx.user(recipient)?.and_then(|user| user.appservice);
    Ok(registry.nids_of_devices(recipient, made_by.as_deref()))
}
