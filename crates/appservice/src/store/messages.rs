//! Which remote message is which event.

use rusqlite::{Row, params};

use super::{Result, Unit};

/// A remote message, or a part of one, and an event that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MessageRow {
    pub(crate) remote_room: String,
    pub(crate) remote_id: String,
    pub(crate) event_id: String,
    /// The place among the parts.
    pub(crate) part: i64,
    pub(crate) room_id: String,
    /// Who sent the event.
    pub(crate) sender: String,
    /// JSON.
    pub(crate) data: String,
}

const COLUMNS: &str = "remote_room, remote_id, event_id, part, room_id, sender, data";

fn row_of(row: &Row<'_>) -> rusqlite::Result<MessageRow> {
    Ok(MessageRow {
        remote_room: row.get(0)?,
        remote_id: row.get(1)?,
        event_id: row.get(2)?,
        part: row.get(3)?,
        room_id: row.get(4)?,
        sender: row.get(5)?,
        data: row.get(6)?,
    })
}

impl Unit<'_> {
    /// Links a remote message and an event.
    pub(crate) fn put_message(&self, network: &str, row: &MessageRow, now_ms: i64) -> Result<()> {
        self.connection
            .prepare_cached(
                "INSERT INTO messages (network, remote_room, remote_id, event_id, part, room_id, sender, data, linked_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
                 ON CONFLICT (network, remote_room, remote_id, event_id) DO UPDATE
                 SET part = excluded.part, data = excluded.data",
            )?
            .execute(params![
                network,
                row.remote_room,
                row.remote_id,
                row.event_id,
                row.part,
                row.room_id,
                row.sender,
                row.data,
                now_ms
            ])?;
        Ok(())
    }

    /// The rows of an event, in the order of the parts.
    pub(crate) fn messages_by_event(
        &self,
        network: &str,
        event_id: &str,
    ) -> Result<Vec<MessageRow>> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM messages WHERE network = ?1 AND event_id = ?2 ORDER BY part, remote_id"
        ))?;
        let rows = statement.query_map([network, event_id], row_of)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// The rows of a remote message, in the order of the parts.
    pub(crate) fn messages_by_remote(
        &self,
        network: &str,
        remote_room: &str,
        remote_id: &str,
    ) -> Result<Vec<MessageRow>> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM messages WHERE network = ?1 AND remote_room = ?2 AND remote_id = ?3
             ORDER BY part, event_id"
        ))?;
        let rows = statement.query_map([network, remote_room, remote_id], row_of)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Forgets what belongs to an event.
    pub(crate) fn delete_messages_of(&self, network: &str, event_id: &str) -> Result<()> {
        self.connection
            .prepare_cached("DELETE FROM messages WHERE network = ?1 AND event_id = ?2")?
            .execute([network, event_id])?;
        Ok(())
    }

    /// Forgets what was linked before then, and the oldest beyond `keep`; at most `limit` rows of each.
    pub(crate) fn forget_messages(
        &self,
        network: &str,
        before_ms: i64,
        keep: usize,
        limit: usize,
    ) -> Result<usize> {
        let delete = "DELETE FROM messages WHERE (network, remote_room, remote_id, event_id) IN
             (SELECT network, remote_room, remote_id, event_id FROM messages WHERE network = ?1 AND linked_ms < ?2
              ORDER BY linked_ms LIMIT ?3)";
        let mut by_age = self.connection.prepare_cached(delete)?;
        let old = by_age.execute(params![network, before_ms, limit as i64])?;
        let mut newest_kept = self.connection.prepare_cached(
            "SELECT linked_ms FROM messages WHERE network = ?1 ORDER BY linked_ms DESC LIMIT 1 OFFSET ?2",
        )?;
        let mut rows = newest_kept.query(params![network, keep as i64])?;
        let Some(row) = rows.next()? else {
            return Ok(old);
        };
        let bound_ms: i64 = row.get(0)?;
        let surplus = by_age.execute(params![network, bound_ms + 1, limit as i64])?;
        Ok(old + surplus)
    }
}
