//! Telling the sender how an event fared on its way to the other network.

use serde_json::json;

use crate::{
    Error, Event, Urgency,
    core::Core,
    handler::Scope,
    outbox::{Outgoing, What},
    store::Tx,
};

impl Core {
    /// Tells the sender of an event that it cannot be done, and why. Sent with the event's consumption.
    pub(crate) fn tell_rejected(&self, event: &Event, reason: &str, tx: &Tx) -> Result<(), Error> {
        let content = json!({
            "network": &*self.name,
            "m.relates_to": { "rel_type": "m.reference", "event_id": event.id },
            "status": "FAIL_PERMANENT",
            "reason": "m.event_not_handled",
            "message": reason,
        });
        let outgoing = Outgoing {
            key: Scope::new(format!("{}/status", event.id)).next_key(),
            room_id: event.room_id.clone(),
            user: self.bot.clone(),
            what: What::Event("com.beeper.message_send_status".to_owned()),
            content,
            ts_ms: None,
            urgency: Urgency::Message,
        };
        self.outbox.enqueue_with(tx, &outgoing);
        Ok(())
    }
}
