//! What is to be handled: rows of the inbox, and what was taken already.

use rusqlite::{OptionalExtension as _, Row, params};

use super::{Result, Unit};
use crate::inbox::{Outage, Waiting};

/// What an inbox row holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum InboxKind {
    /// An event of a room.
    Event,
    /// A to-device message.
    ToDevice,
    /// Whose devices changed, and how many keys are left.
    Devices,
}

impl InboxKind {
    fn number(self) -> i64 {
        match self {
            Self::Event => 0,
            Self::ToDevice => 1,
            Self::Devices => 2,
        }
    }

    fn from_number(number: i64) -> Self {
        match number {
            1 => Self::ToDevice,
            2 => Self::Devices,
            _ => Self::Event,
        }
    }
}

/// A row to be.
#[derive(Clone, Debug)]
pub(crate) struct NewInboxRow {
    /// What is handled in order: a room's id, for events.
    pub(crate) lane: String,
    pub(crate) kind: InboxKind,
    /// JSON.
    pub(crate) body: String,
    /// What recognises the event in another transaction; `None` for what has no id.
    pub(crate) digest: Option<[u8; 16]>,
    /// The event, where it says something of a room's state.
    pub(crate) state: Option<std::sync::Arc<crate::Event>>,
    /// The trace that it belongs to.
    pub(crate) trace: Option<String>,
    /// What names the row's effects; `None` for an event, whose id does.
    pub(crate) name: Option<String>,
}

/// A row that waits.
#[derive(Clone, Debug)]
pub(crate) struct InboxRow {
    pub(crate) id: i64,
    pub(crate) lane: String,
    pub(crate) kind: InboxKind,
    pub(crate) body: String,
    pub(crate) txn_id: String,
    pub(crate) received_ms: i64,
    pub(crate) trace: Option<String>,
    /// What names its effects, unless its event does: the same however often it is parked and comes back.
    pub(crate) name: Option<String>,
    /// Attempts that count.
    pub(crate) attempts: u32,
    /// Those that do not; not stored.
    pub(crate) outage: Outage,
    /// Those that wait for something else; not stored.
    pub(crate) waiting: Waiting,
}

/// A row that nobody tries any more, until a person says so.
#[derive(Clone, Debug)]
pub(crate) struct ParkedRow {
    pub(crate) row: InboxRow,
    pub(crate) error: String,
    pub(crate) parked_ms: i64,
}

const COLUMNS: &str = "id, lane, kind, body, txn_id, received_ms, trace, name, attempts";

fn row_of(row: &Row<'_>) -> rusqlite::Result<InboxRow> {
    Ok(InboxRow {
        id: row.get(0)?,
        lane: row.get(1)?,
        kind: InboxKind::from_number(row.get(2)?),
        body: row.get(3)?,
        txn_id: row.get(4)?,
        received_ms: row.get(5)?,
        trace: row.get(6)?,
        name: row.get(7)?,
        attempts: row.get(8)?,
        outage: Outage::default(),
        waiting: Waiting::default(),
    })
}

impl Unit<'_> {
    /// Whether the transaction was taken before; if not, it is now.
    pub(crate) fn take_transaction(&self, digest: &[u8; 16], now_ms: i64) -> Result<bool> {
        let taken = self
            .connection
            .prepare_cached(
                "INSERT OR IGNORE INTO transactions (digest, received_ms) VALUES (?1, ?2)",
            )?
            .execute(params![digest, now_ms])?;
        Ok(taken == 1)
    }

    /// Adds a row; `None` when the same event was taken before.
    pub(crate) fn insert_inbox(
        &self,
        row: &NewInboxRow,
        txn_id: &str,
        now_ms: i64,
    ) -> Result<Option<InboxRow>> {
        if let Some(digest) = &row.digest {
            let is_new = self
                .connection
                .prepare_cached("INSERT OR IGNORE INTO seen (digest, received_ms) VALUES (?1, ?2)")?
                .execute(params![digest, now_ms])?;
            if is_new == 0 {
                return Ok(None);
            }
        }
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO inbox (lane, kind, body, txn_id, received_ms, trace, name) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?;
        let id = statement.insert(params![
            row.lane,
            row.kind.number(),
            row.body,
            txn_id,
            now_ms,
            row.trace,
            row.name
        ])?;
        Ok(Some(InboxRow {
            id,
            lane: row.lane.clone(),
            kind: row.kind,
            body: row.body.clone(),
            txn_id: txn_id.to_owned(),
            received_ms: now_ms,
            trace: row.trace.clone(),
            name: row.name.clone(),
            attempts: 0,
            outage: Outage::default(),
            waiting: Waiting::default(),
        }))
    }

    /// The next rows of a lane, in order: those behind the first id, up to the second.
    pub(crate) fn inbox_lane(
        &self,
        lane: &str,
        (after, to): (i64, i64),
        limit: usize,
    ) -> Result<Vec<InboxRow>> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM inbox
             WHERE parked_ms IS NULL AND lane = ?1 AND id > ?2 AND id <= ?3 ORDER BY id LIMIT ?4"
        ))?;
        let rows = statement.query_map(params![lane, after, to, limit as i64], row_of)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// The lanes that wait, the longest first, and how many rows each has.
    pub(crate) fn inbox_lanes(&self) -> Result<Vec<(String, usize)>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT lane, count(*) FROM inbox WHERE parked_ms IS NULL GROUP BY lane ORDER BY min(id)",
        )?;
        let rows =
            statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as usize)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Waiting rows of a lane behind one of them that name this event, or may be redactions; oldest first. What else
    /// they are is for the caller to see.
    pub(crate) fn inbox_behind(
        &self,
        (lane, after): (&str, i64),
        event_id: &str,
        limit: usize,
    ) -> Result<Vec<String>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT body FROM inbox
             WHERE parked_ms IS NULL AND lane = ?1 AND id > ?2 AND kind = 0
             AND (instr(body, ?3) > 0 OR instr(body, 'm.room.redaction') > 0) ORDER BY id LIMIT ?4",
        )?;
        let bodies = statement.query_map(params![lane, after, event_id, limit as i64], |row| {
            row.get(0)
        })?;
        Ok(bodies.collect::<rusqlite::Result<_>>()?)
    }

    /// What was put aside in a room and names this event, with its lane; oldest first.
    pub(crate) fn inbox_aside(
        &self,
        (from, to): (&str, &str),
        event_id: &str,
        limit: usize,
    ) -> Result<Vec<(String, String)>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT lane, body FROM inbox
             WHERE parked_ms IS NULL AND lane > ?1 AND lane < ?2 AND instr(body, ?3) > 0
             ORDER BY lane, id LIMIT ?4",
        )?;
        let rows = statement.query_map(params![from, to, event_id, limit as i64], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// A row goes to another lane, behind those with smaller ids.
    pub(crate) fn move_inbox(&self, id: i64, lane: &str) -> Result<()> {
        self.connection
            .prepare_cached("UPDATE inbox SET lane = ?2 WHERE id = ?1")?
            .execute(params![id, lane])?;
        Ok(())
    }

    /// The last row's id; 0 when there is none.
    pub(crate) fn inbox_last(&self) -> Result<i64> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT coalesce(max(id), 0) FROM inbox")?;
        Ok(statement.query_row([], |row| row.get(0))?)
    }

    /// When the oldest waiting row was received.
    pub(crate) fn inbox_oldest(&self) -> Result<Option<i64>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT received_ms FROM inbox WHERE parked_ms IS NULL ORDER BY id LIMIT 1",
        )?;
        Ok(statement.query_row([], |row| row.get(0)).optional()?)
    }

    /// A row has been handled. Gives back whether it was there: one that was not has been handled before.
    pub(crate) fn consume_inbox(&self, id: i64) -> Result<bool> {
        let deleted = self
            .connection
            .prepare_cached("DELETE FROM inbox WHERE id = ?1")?
            .execute([id])?;
        Ok(deleted == 1)
    }

    /// An attempt at a row has failed.
    pub(crate) fn fail_inbox(&self, id: i64, attempts: u32, error: &str) -> Result<()> {
        self.connection
            .prepare_cached("UPDATE inbox SET attempts = ?2, error = ?3 WHERE id = ?1")?
            .execute(params![id, attempts, error])?;
        Ok(())
    }

    /// A row is set aside.
    pub(crate) fn park_inbox(
        &self,
        id: i64,
        attempts: u32,
        error: &str,
        now_ms: i64,
    ) -> Result<()> {
        self.connection
            .prepare_cached(
                "UPDATE inbox SET attempts = ?2, error = ?3, parked_ms = ?4 WHERE id = ?1",
            )?
            .execute(params![id, attempts, error, now_ms])?;
        Ok(())
    }

    /// The rows set aside with ids above `after`, oldest first.
    pub(crate) fn parked(&self, after: i64, limit: usize) -> Result<Vec<ParkedRow>> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {COLUMNS}, error, parked_ms FROM inbox
             WHERE parked_ms IS NOT NULL AND id > ?1 ORDER BY id LIMIT ?2"
        ))?;
        let rows = statement.query_map(params![after, limit as i64], |row| {
            Ok(ParkedRow {
                row: row_of(row)?,
                error: row.get::<_, Option<String>>(9)?.unwrap_or_default(),
                parked_ms: row.get(10)?,
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// How many rows are set aside.
    pub(crate) fn parked_count(&self) -> Result<usize> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT count(*) FROM inbox WHERE parked_ms IS NOT NULL")?;
        Ok(statement.query_row([], |row| row.get::<_, i64>(0))? as usize)
    }

    /// A parked row waits again, behind all others and from its first attempt; `None` when there is no such row.
    /// What was put aside in a room comes back to the room, and is put aside anew: rows come to a line of what is aside
    /// in the order of their ids.
    pub(crate) fn unpark(&self, id: i64) -> Result<Option<InboxRow>> {
        // A new id, so that ids stay in the order in which rows are worked off.
        let mut statement = self.connection.prepare_cached(&format!(
            "INSERT INTO inbox (lane, kind, body, txn_id, received_ms, trace, name)
             SELECT substr(lane, 1, instr(lane || ' ', ' ') - 1), kind, body, txn_id, received_ms, trace, name
             FROM inbox WHERE id = ?1 AND parked_ms IS NOT NULL
             RETURNING {COLUMNS}"
        ))?;
        let row = statement.query_row([id], row_of).optional()?;
        if row.is_some() {
            self.consume_inbox(id)?;
        }
        Ok(row)
    }

    /// A parked row is given up for good. Gives back whether there was one.
    pub(crate) fn drop_parked(&self, id: i64) -> Result<bool> {
        let mut statement = self
            .connection
            .prepare_cached("DELETE FROM inbox WHERE id = ?1 AND parked_ms IS NOT NULL")?;
        Ok(statement.execute([id])? == 1)
    }

    /// Forgets transactions that were taken before then, but never the last `keep`: a homeserver repeats what it was not
    /// answered for, however long it was off.
    pub(crate) fn forget_transactions(
        &self,
        before_ms: i64,
        keep: usize,
        limit: usize,
    ) -> Result<usize> {
        let mut statement = self.connection.prepare_cached(
            "DELETE FROM transactions WHERE digest IN (
                 SELECT digest FROM transactions
                 WHERE received_ms < min(?1, (
                     SELECT received_ms FROM transactions ORDER BY received_ms DESC LIMIT 1 OFFSET ?2
                 )) ORDER BY received_ms LIMIT ?3)",
        )?;
        let offset = keep.saturating_sub(1) as i64;
        Ok(statement.execute(params![before_ms, offset, limit as i64])?)
    }

    /// Forgets events that were taken before then; the last transactions that brought them stay known.
    pub(crate) fn forget_seen(&self, before_ms: i64, limit: usize) -> Result<usize> {
        let mut statement = self.connection.prepare_cached(
            "DELETE FROM seen WHERE digest IN (SELECT digest FROM seen WHERE received_ms < ?1 LIMIT ?2)",
        )?;
        Ok(statement.execute(params![before_ms, limit as i64])?)
    }
}
