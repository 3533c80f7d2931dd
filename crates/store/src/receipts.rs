//! Read receipts: the newest of each user, type and thread in a room.

use rusqlite::{OptionalExtension, Row};

use crate::{AppserviceNid, LogKind, Result, Snapshot, StreamPosition, Tx};

/// A receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptRow {
    /// The room.
    pub room_id: String,
    /// Who read.
    pub user_id: String,
    /// The receipt type, such as `m.read`.
    pub kind: String,
    /// The thread it is for; empty for an unthreaded receipt.
    pub thread_id: String,
    /// The event that was read.
    pub event_id: String,
    /// When it was read (ms).
    pub ts: i64,
    /// When it was set.
    pub pos: StreamPosition,
}

impl Snapshot<'_> {
    /// The room's receipts set after `after`, up to and with `upto`, in order.
    pub fn receipts_since(
        &self,
        room_id: &str,
        after: StreamPosition,
        upto: StreamPosition,
    ) -> Result<Vec<ReceiptRow>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT room_id, user_id, type, thread_id, event_id, ts, pos FROM receipts \
             WHERE room_id = $1 AND pos > $2 AND pos <= $3 ORDER BY pos",
        )?;
        let rows = statement.query_map((room_id, after.to_sql(), upto.to_sql()), read_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The receipt that was set at `pos`, unless a newer one has replaced it.
    pub fn receipt_at(&self, pos: StreamPosition) -> Result<Option<ReceiptRow>> {
        // By way of the log, which knows the room, the index on (room, position) will do.
        let mut statement = self.conn.prepare_cached(
            "SELECT r.room_id, r.user_id, r.type, r.thread_id, r.event_id, r.ts, r.pos \
             FROM log AS l JOIN receipts AS r ON r.room_id = l.room_id AND r.pos = l.pos \
             WHERE l.pos = $1",
        )?;
        Ok(statement.query_row([pos.to_sql()], read_row).optional()?)
    }

    /// A user's receipt; `thread_id` is empty for the unthreaded one.
    pub fn receipt(
        &self,
        room_id: &str,
        user_id: &str,
        kind: &str,
        thread_id: &str,
    ) -> Result<Option<ReceiptRow>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT room_id, user_id, type, thread_id, event_id, ts, pos FROM receipts \
             WHERE room_id = $1 AND user_id = $2 AND type = $3 AND thread_id = $4",
        )?;
        Ok(statement
            .query_row((room_id, user_id, kind, thread_id), read_row)
            .optional()?)
    }
}

impl Tx<'_> {
    /// Sets a user's receipt and tells the room; `thread_id` is empty for the unthreaded one.
    #[expect(
        clippy::too_many_arguments,
        reason = "one per column, and who is interested"
    )]
    pub fn set_receipt(
        &mut self,
        room_id: &str,
        user_id: &str,
        kind: &str,
        thread_id: &str,
        event_id: &str,
        ts: i64,
        interest: &[AppserviceNid],
    ) -> Result<StreamPosition> {
        let pos = self.append_log(LogKind::Receipt, Some(room_id), Some(user_id), interest)?;
        self.conn
            .prepare_cached(
                "INSERT INTO receipts (room_id, user_id, type, thread_id, event_id, ts, pos) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7) \
                 ON CONFLICT (room_id, user_id, type, thread_id) DO UPDATE \
                 SET event_id = excluded.event_id, ts = excluded.ts, pos = excluded.pos",
            )?
            .execute((
                room_id,
                user_id,
                kind,
                thread_id,
                event_id,
                ts,
                pos.to_sql(),
            ))?;
        Ok(pos)
    }
}

fn read_row(row: &Row<'_>) -> rusqlite::Result<ReceiptRow> {
    Ok(ReceiptRow {
        room_id: row.get(0)?,
        user_id: row.get(1)?,
        kind: row.get(2)?,
        thread_id: row.get(3)?,
        event_id: row.get(4)?,
        ts: row.get(5)?,
        pos: StreamPosition::from_sql(row.get(6)?),
    })
}
