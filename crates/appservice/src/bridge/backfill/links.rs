//! The history of a portal: its messages are linked, so that answers, edits and reactions find them, and what the portal has
//! already is not brought again.

use std::marker::PhantomData;

use super::HistoryMessage;
use crate::{
    bridge::{MessageRef, Network, Portal, RemoteId, network::message_key},
    id::{EventId, RoomId},
    store::{Result, Unit},
};

/// What is known of a message in the room.
pub(super) struct Known {
    pub(super) event: EventId,
}

/// Which remote message is which event, of one room.
pub(super) trait Book: Send + Sync {
    /// What a message's send is called when the network says it now.
    fn key(&self, remote_id: &str) -> String;

    fn known(&self, unit: &Unit<'_>, remote_id: &str) -> Result<Option<Known>>;

    fn link(
        &self,
        unit: &Unit<'_>,
        message: &HistoryMessage,
        event: &EventId,
        now_ms: i64,
    ) -> Result<()>;
}

/// The messages of a portal.
pub(super) struct PortalMessages<N> {
    remote: String,
    room: RoomId,
    network: PhantomData<fn() -> N>,
}

impl<N: Network> PortalMessages<N> {
    pub(super) fn of(portal: &Portal<N>) -> Self {
        Self {
            remote: portal.remote.to_text(),
            room: portal.matrix.clone(),
            network: PhantomData,
        }
    }
}

impl<N: Network> Book for PortalMessages<N> {
    fn key(&self, remote_id: &str) -> String {
        message_key::<N>(&self.remote, remote_id)
    }

    fn known(&self, unit: &Unit<'_>, remote_id: &str) -> Result<Option<Known>> {
        let message = unit.message_by_remote::<N>(&self.remote, remote_id)?;
        Ok(message.and_then(|message| {
            Some(Known {
                event: message.events.last()?.clone(),
            })
        }))
    }

    fn link(
        &self,
        unit: &Unit<'_>,
        message: &HistoryMessage,
        event: &EventId,
        now_ms: i64,
    ) -> Result<()> {
        let ids = vec![message.remote_id.clone()];
        let mut link = MessageRef::new(&self.room, event, &message.sender, ids);
        link.content = Some(message.content.clone());
        unit.link_message::<N>(&self.remote, &link, now_ms)
    }
}
