//! How events fared on their way to other networks.

use rusqlite::{OptionalExtension as _, Row, params};

use super::{Result, Unit};

/// The numbers in the database.
pub(crate) const RETRYING: i64 = 0;
pub(crate) const DELIVERED: i64 = 1;
pub(crate) const REJECTED: i64 = 2;
/// It is told together with the event that the reason names.
pub(crate) const FOLDED: i64 = 3;

/// How an event fared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FateRow {
    pub(crate) event_id: String,
    pub(crate) room_id: String,
    pub(crate) sender: String,
    pub(crate) fate: i64,
    pub(crate) reason: Option<String>,
    /// The event as it came, while it may be tried again.
    pub(crate) body: String,
}

const COLUMNS: &str = "event_id, room_id, sender, fate, reason, body";

fn row_of(row: &Row<'_>) -> rusqlite::Result<FateRow> {
    Ok(FateRow {
        event_id: row.get(0)?,
        room_id: row.get(1)?,
        sender: row.get(2)?,
        fate: row.get(3)?,
        reason: row.get(4)?,
        body: row.get(5)?,
    })
}

impl Unit<'_> {
    /// Notes how an event fared.
    pub(crate) fn put_fate(&self, network: &str, row: &FateRow, now_ms: i64) -> Result<()> {
        self.connection
            .prepare_cached(
                "INSERT INTO fates (network, event_id, room_id, sender, fate, reason, body, decided_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                 ON CONFLICT (network, event_id) DO UPDATE
                 SET fate = excluded.fate, reason = excluded.reason, body = excluded.body, decided_ms = excluded.decided_ms",
            )?
            .execute(params![
                network,
                row.event_id,
                row.room_id,
                row.sender,
                row.fate,
                row.reason,
                row.body,
                now_ms
            ])?;
        Ok(())
    }

    /// How an event fared.
    pub(crate) fn fate(&self, network: &str, event_id: &str) -> Result<Option<FateRow>> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM fates WHERE network = ?1 AND event_id = ?2"
        ))?;
        Ok(statement
            .query_row([network, event_id], row_of)
            .optional()?)
    }

    /// Forgets an event of a room, but not how it fared: it cannot be tried again.
    pub(crate) fn forget_fate_body(
        &self,
        network: &str,
        room_id: &str,
        event_id: &str,
    ) -> Result<()> {
        self.connection
            .prepare_cached(
                "UPDATE fates SET body = '' WHERE network = ?1 AND event_id = ?2 AND room_id = ?3",
            )?
            .execute([network, event_id, room_id])?;
        Ok(())
    }

    /// What somebody's events in a room were refused since then and may be tried again, oldest first.
    pub(crate) fn rejected(
        &self,
        network: &str,
        (room_id, sender): (&str, &str),
        since_ms: i64,
        limit: usize,
    ) -> Result<Vec<FateRow>> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM fates
             WHERE network = ?1 AND room_id = ?2 AND sender = ?3 AND fate = 2 AND decided_ms >= ?4 AND body <> ''
             ORDER BY decided_ms, event_id LIMIT ?5"
        ))?;
        let values = params![network, room_id, sender, since_ms, limit as i64];
        let rows = statement.query_map(values, row_of)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Events that are told together with others are told with this one, and those no more.
    pub(crate) fn fold_fates(
        &self,
        network: &str,
        (folded, unfolded): (&[FateRow], &[String]),
        now_ms: i64,
    ) -> Result<()> {
        for event in unfolded {
            self.connection
                .prepare_cached(
                    "DELETE FROM fates WHERE network = ?1 AND event_id = ?2 AND fate = ?3",
                )?
                .execute(params![network, event, FOLDED])?;
        }
        folded
            .iter()
            .try_for_each(|row| self.put_fate(network, row, now_ms))
    }

    /// Forgets what was decided before then.
    pub(crate) fn forget_fates(&self, before_ms: i64, limit: usize) -> Result<usize> {
        let mut statement = self.connection.prepare_cached(
            "DELETE FROM fates WHERE (network, event_id) IN
             (SELECT network, event_id FROM fates WHERE decided_ms < ?1 LIMIT ?2)",
        )?;
        Ok(statement.execute(params![before_ms, limit as i64])?)
    }
}
