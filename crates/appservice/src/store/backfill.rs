//! How far histories have been brought.

use rusqlite::{OptionalExtension as _, params};

use super::{Result, Unit};

/// How far a history has been brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct BackfillRow {
    pub(crate) room_id: String,
    pub(crate) name: String,
    /// Where its source goes on; `None` at the start.
    pub(crate) cursor: Option<String>,
    pub(crate) sent: i64,
    pub(crate) failed: i64,
    /// See [`BackfillState`](crate::bridge::backfill::BackfillState).
    pub(crate) state: i64,
    /// The newest event that was made.
    pub(crate) last_event: Option<String>,
    pub(crate) started_ms: i64,
}

impl Unit<'_> {
    pub(crate) fn backfill(&self, room: &str, name: &str) -> Result<Option<BackfillRow>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT room_id, name, cursor, sent, failed, state, last_event, started_ms
             FROM backfills WHERE room_id = ?1 AND name = ?2",
        )?;
        let row = statement.query_row([room, name], |row| {
            Ok(BackfillRow {
                room_id: row.get(0)?,
                name: row.get(1)?,
                cursor: row.get(2)?,
                sent: row.get(3)?,
                failed: row.get(4)?,
                state: row.get(5)?,
                last_event: row.get(6)?,
                started_ms: row.get(7)?,
            })
        });
        Ok(row.optional()?)
    }

    /// Stores how far it is; what was cancelled meanwhile stays so.
    pub(crate) fn put_backfill(&self, row: &BackfillRow) -> Result<()> {
        self.connection
            .prepare_cached(
                "INSERT INTO backfills (room_id, name, cursor, sent, failed, state, last_event, started_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                 ON CONFLICT (room_id, name) DO UPDATE
                 SET cursor = excluded.cursor, sent = excluded.sent, failed = excluded.failed,
                     state = CASE state WHEN 2 THEN 2 ELSE excluded.state END, last_event = excluded.last_event",
            )?
            .execute(params![
                row.room_id,
                row.name,
                row.cursor,
                row.sent,
                row.failed,
                row.state,
                row.last_event,
                row.started_ms
            ])?;
        Ok(())
    }

    /// Cancels one that is not at its end; `false` when there is none.
    pub(crate) fn cancel_backfill(&self, room: &str, name: &str) -> Result<bool> {
        let changed = self
            .connection
            .prepare_cached(
                "UPDATE backfills SET state = 2 WHERE room_id = ?1 AND name = ?2 AND state = 0",
            )?
            .execute([room, name])?;
        Ok(changed > 0)
    }

    /// Forgets one, to begin anew; `false` when there is none.
    pub(crate) fn forget_backfill(&self, room: &str, name: &str) -> Result<bool> {
        let deleted = self
            .connection
            .prepare_cached("DELETE FROM backfills WHERE room_id = ?1 AND name = ?2")?
            .execute([room, name])?;
        Ok(deleted > 0)
    }
}
