//! A device for each user that sends, where the homeserver lets services have some.
//!
//! Synapse keeps the transaction ids of a service in memory, unless the service says which device it acts as: those of
//! devices are in its database, for a day. So each of the service's users gets one device at its first send (MSC4190,
//! `PUT /devices/{id}`) and sends as it (MSC4326, `device_id` in the query). Transaction ids are a device's own: a send
//! keeps the device that it was first tried with, in its row.

use std::sync::{Arc, Weak};

use http::Method;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::Sending;
use crate::{Error, client::Call, core::Core, id::UserId, store::OutboxRow};

/// The id of the device: one for each user, so the same for all.
const DEVICE: &str = "BRIDGEHEAD";

/// Whether the homeserver lets the service act as a device; found out once.
pub(super) type Offered = OnceCell<bool>;

impl Sending {
    /// As which device a row is sent; `None`: as none.
    ///
    /// # Errors
    /// What keeps the device from being made, and the send from going out as well.
    pub(super) async fn device_for(&self, row: &mut OutboxRow) -> Result<Option<String>, Error> {
        // What was tried without a device stays without.
        if row.device.is_some() || row.attempts > 0 || row.tries.is_mended {
            return Ok(row.device.clone());
        }
        let Some(core) = self.core.get().and_then(Weak::upgrade) else {
            return Ok(None);
        };
        let user = row.send.user_id.as_deref().map(UserId::parse).transpose()?;
        let user = user.unwrap_or_else(|| core.bot.clone());
        if !core.sends_by_device || !core.is_own(&user) || !self.offers_devices(&core).await? {
            return Ok(None);
        }
        self.make_device(&user).await?;
        let id = row.id;
        let stored = self
            .store
            .write(move |unit| unit.set_device(id, user.as_str(), DEVICE));
        stored.await?;
        row.device = Some(DEVICE.to_owned());
        Ok(row.device.clone())
    }

    /// Makes a user's device, unless it is there.
    pub(super) async fn make_device(&self, user: &UserId) -> Result<(), Error> {
        let path = format!("/_matrix/client/v3/devices/{DEVICE}");
        let call = Call::put(path, &json!({})).by(Some(user));
        self.client.call::<Value>(&call).await.map(drop)
    }

    async fn offers_devices(&self, core: &Arc<Core>) -> Result<bool, Error> {
        let asked = self.offered.get_or_try_init(|| self.probe(&core.bot)).await;
        match asked {
            Ok(offered) => Ok(*offered),
            // It is away; the send would not arrive either.
            Err(error @ Error::Transport(_)) => Err(error),
            Err(error) => {
                tracing::debug!(%error, "whether services may have devices is not known yet");
                Ok(false)
            }
        }
    }

    /// Whether the homeserver takes the service's own user for its device. Those that know nothing of it answer as if
    /// nothing had been said.
    async fn probe(&self, bot: &UserId) -> Result<bool, Error> {
        let offered = match self.is_taken_for_device(bot).await {
            Err(error) if error.errcode() == Some("M_UNKNOWN_DEVICE") => {
                match self.make_device(bot).await {
                    Ok(()) => self.is_taken_for_device(bot).await,
                    Err(error) => Err(error),
                }
            }
            other => other,
        };
        let offered = match offered {
            Err(error) if !error.may_pass() => false,
            other => other?,
        };
        tracing::debug!(offered, "devices for sends");
        Ok(offered)
    }

    async fn is_taken_for_device(&self, bot: &UserId) -> Result<bool, Error> {
        let call = Call::new(Method::GET, "/_matrix/client/v3/account/whoami")
            .query("device_id", DEVICE)
            .by(Some(bot));
        let answer: Value = self.client.call(&call).await?;
        Ok(answer.get("device_id").and_then(Value::as_str) == Some(DEVICE))
    }
}
