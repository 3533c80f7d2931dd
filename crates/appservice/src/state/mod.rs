//! The state of rooms, from the stream: one copy for all of the service's users.

use crate::{
    Event,
    core::Core,
    store::{Result as StoreResult, Tx, Unit},
};
use rusqlite::params;

impl Core {
    /// Takes a state event in: it is stored with the event's consumption.
    pub(crate) async fn observe(&self, event: &Event, tx: &Tx) {
        let Some(state_key) = event.state_key.clone() else {
            return;
        };
        let event = event.clone();
        tx.push(move |unit| unit.put_state(&event, &state_key));
    }
}

impl Unit<'_> {
    fn put_state(&self, event: &Event, state_key: &str) -> StoreResult<()> {
        self.connection
            .prepare_cached(
                "INSERT INTO state (room_id, kind, state_key, event_id, sender, sent_ms, content)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT (room_id, kind, state_key) DO UPDATE
                 SET event_id = excluded.event_id, sender = excluded.sender, sent_ms = excluded.sent_ms,
                     content = excluded.content
                 WHERE excluded.sent_ms >= sent_ms",
            )?
            .execute(params![
                event.room_id.as_str(),
                event.kind,
                state_key,
                event.id.as_str(),
                event.sender.as_str(),
                event.sent_at_ms,
                event.content.to_string()
            ])?;
        Ok(())
    }
}
