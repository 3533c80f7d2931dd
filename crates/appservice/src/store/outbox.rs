//! What is to be sent, and for a while what was sent.

use rusqlite::{OptionalExtension as _, Row, params};

use super::{Result, Unit};

/// How a send stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OutboxState {
    /// It waits, or is being tried.
    Pending,
    /// The homeserver has taken it, as this event where it makes one.
    Done(Option<String>),
    /// It was given up, for this reason.
    Failed(String),
}

/// A send to be.
#[derive(Clone, Debug)]
pub(crate) struct NewOutboxRow {
    /// Names the effect: the same key is the same send.
    pub(crate) key: String,
    /// What is sent in order: a room's id.
    pub(crate) lane: String,
    pub(crate) urgency: i64,
    /// Who sends; `None` is the service's own user.
    pub(crate) user_id: Option<String>,
    /// Path and transaction id of a `PUT`.
    pub(crate) path: String,
    /// When it was said on the other network, for *timestamp massaging*.
    pub(crate) ts_ms: Option<i64>,
    /// JSON.
    pub(crate) body: String,
    /// The trace that it belongs to.
    pub(crate) trace: Option<String>,
}

/// A send.
#[derive(Clone, Debug)]
pub(crate) struct OutboxRow {
    pub(crate) id: i64,
    pub(crate) send: NewOutboxRow,
    pub(crate) created_ms: i64,
    pub(crate) attempts: u32,
    pub(crate) state: OutboxState,
    pub(crate) tries: Tries,
}

/// A send that was given up.
#[derive(Clone, Debug)]
pub(crate) struct FailedSend {
    pub(crate) row: OutboxRow,
    pub(crate) error: String,
    /// When it was given up.
    pub(crate) done_ms: i64,
}

/// What is known of the attempts of this run of the service. Not stored: days when the service was off do not count,
/// and what was seen to after a no may be seen to once more after a restart.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tries {
    /// When it was first tried.
    pub(crate) first_ms: Option<i64>,
    /// When it last failed.
    pub(crate) failed_ms: Option<i64>,
    /// How often the homeserver has failed over it between other things that it did.
    pub(crate) alone: u32,
    /// After a no, what was missing has been seen to.
    pub(crate) is_mended: bool,
}

const COLUMNS: &str = "id, key, lane, urgency, user_id, path, ts_ms, body, created_ms, attempts, error, state, event_id, trace";

const PENDING: i64 = 0;
const DONE: i64 = 1;
const FAILED: i64 = 2;

fn row_of(row: &Row<'_>) -> rusqlite::Result<OutboxRow> {
    let error: Option<String> = row.get(10)?;
    let state = match row.get::<_, i64>(11)? {
        PENDING => OutboxState::Pending,
        DONE => OutboxState::Done(row.get(12)?),
        _ => OutboxState::Failed(error.clone().unwrap_or_default()),
    };
    Ok(OutboxRow {
        id: row.get(0)?,
        send: NewOutboxRow {
            key: row.get(1)?,
            lane: row.get(2)?,
            urgency: row.get(3)?,
            user_id: row.get(4)?,
            path: row.get(5)?,
            ts_ms: row.get(6)?,
            body: row.get(7)?,
            trace: row.get(13)?,
        },
        created_ms: row.get(8)?,
        attempts: row.get(9)?,
        state,
        tries: Tries::default(),
    })
}

impl Unit<'_> {
    /// Adds a send, unless its key is known; gives back what is stored under the key, and whether it waits anew. One
    /// that was given up waits again, behind all others: whoever asks has a reason to think that it may succeed now.
    pub(crate) fn insert_outbox(
        &self,
        send: &NewOutboxRow,
        now_ms: i64,
    ) -> Result<(OutboxRow, bool)> {
        self.connection
            .prepare_cached("DELETE FROM outbox WHERE key = ?1 AND state = ?2")?
            .execute(params![send.key, FAILED])?;
        let new = self
            .connection
            .prepare_cached(
                "INSERT OR IGNORE INTO outbox (key, lane, urgency, user_id, path, ts_ms, body, created_ms, trace)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![
                send.key,
                send.lane,
                send.urgency,
                send.user_id,
                send.path,
                send.ts_ms,
                send.body,
                now_ms,
                send.trace
            ])?;
        let mut statement = self
            .connection
            .prepare_cached(&format!("SELECT {COLUMNS} FROM outbox WHERE key = ?1"))?;
        Ok((statement.query_row([&send.key], row_of)?, new == 1))
    }

    /// The next sends of a lane behind `after`, in order.
    pub(crate) fn outbox_lane(
        &self,
        lane: &str,
        after: i64,
        limit: usize,
    ) -> Result<Vec<OutboxRow>> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM outbox WHERE state = 0 AND lane = ?1 AND id > ?2 ORDER BY id LIMIT ?3"
        ))?;
        let rows = statement.query_map(params![lane, after, limit as i64], row_of)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// The lanes that wait, and how many sends each has.
    pub(crate) fn outbox_lanes(&self) -> Result<Vec<(String, usize)>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT lane, count(*) FROM outbox WHERE state = 0 GROUP BY lane ORDER BY min(id)",
        )?;
        let rows =
            statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as usize)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// How the send with this key stands.
    pub(crate) fn outbox_by_key(&self, key: &str) -> Result<Option<OutboxRow>> {
        let mut statement = self
            .connection
            .prepare_cached(&format!("SELECT {COLUMNS} FROM outbox WHERE key = ?1"))?;
        Ok(statement.query_row([key], row_of).optional()?)
    }

    /// The key of the send that became this event: an echo of our own.
    pub(crate) fn outbox_key_of_event(&self, event_id: &str) -> Result<Option<String>> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT key FROM outbox WHERE event_id = ?1")?;
        Ok(statement
            .query_row([event_id], |row| row.get(0))
            .optional()?)
    }

    /// The homeserver has taken it.
    pub(crate) fn complete_outbox(
        &self,
        id: i64,
        event_id: Option<&str>,
        now_ms: i64,
    ) -> Result<()> {
        self.connection
            .prepare_cached(
                "UPDATE outbox SET state = 1, event_id = ?2, done_ms = ?3, body = '' WHERE id = ?1",
            )?
            .execute(params![id, event_id, now_ms])?;
        Ok(())
    }

    /// An attempt has failed, and there will be another.
    pub(crate) fn fail_outbox(&self, id: i64, attempts: u32, error: &str) -> Result<()> {
        self.connection
            .prepare_cached("UPDATE outbox SET attempts = ?2, error = ?3 WHERE id = ?1")?
            .execute(params![id, attempts, error])?;
        Ok(())
    }

    /// It is given up.
    pub(crate) fn give_up_outbox(
        &self,
        id: i64,
        attempts: u32,
        error: &str,
        now_ms: i64,
    ) -> Result<()> {
        self.connection
            .prepare_cached("UPDATE outbox SET state = 2, attempts = ?2, error = ?3, done_ms = ?4 WHERE id = ?1")?
            .execute(params![id, attempts, error, now_ms])?;
        Ok(())
    }

    /// Forgets a send.
    pub(crate) fn delete_outbox(&self, id: i64) -> Result<()> {
        self.connection
            .prepare_cached("DELETE FROM outbox WHERE id = ?1")?
            .execute([id])?;
        Ok(())
    }

    /// Forgets what was given up of the sends whose keys begin so.
    pub(crate) fn forget_failed_outbox(&self, prefix: &str) -> Result<usize> {
        let mut statement = self.connection.prepare_cached(
            "DELETE FROM outbox WHERE state = 2 AND key >= ?1 AND key < ?1 || char(1114111)",
        )?;
        Ok(statement.execute([prefix])?)
    }

    /// Sends that were given up, with ids above `after`, oldest first.
    pub(crate) fn failed_outbox(&self, after: i64, limit: usize) -> Result<Vec<FailedSend>> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {COLUMNS}, done_ms FROM outbox WHERE state = 2 AND id > ?1 ORDER BY id LIMIT ?2"
        ))?;
        let rows = statement.query_map(params![after, limit as i64], |row| {
            let error: Option<String> = row.get(10)?;
            Ok(FailedSend {
                row: row_of(row)?,
                error: error.unwrap_or_default(),
                done_ms: row.get::<_, Option<i64>>(14)?.unwrap_or(0),
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Forgets a send that was given up; whether there was one.
    pub(crate) fn drop_failed_outbox(&self, id: i64) -> Result<bool> {
        let mut statement = self
            .connection
            .prepare_cached("DELETE FROM outbox WHERE id = ?1 AND state = 2")?;
        Ok(statement.execute([id])? > 0)
    }

    /// How many sends wait, and since when the oldest of them does.
    pub(crate) fn outbox_waiting(&self) -> Result<(usize, Option<i64>)> {
        let mut statement = self.connection.prepare_cached(
            "SELECT waiting, (SELECT created_ms FROM outbox WHERE id = first)
             FROM (SELECT count(*) AS waiting, min(id) AS first FROM outbox WHERE state = 0)",
        )?;
        let waiting =
            statement.query_row([], |row| Ok((row.get::<_, i64>(0)? as usize, row.get(1)?)))?;
        Ok(waiting)
    }

    /// Forgets what was sent, or given up, before then.
    pub(crate) fn forget_outbox(&self, before_ms: i64, limit: usize) -> Result<usize> {
        let mut statement = self.connection.prepare_cached(
            "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE state <> 0 AND done_ms < ?1 LIMIT ?2)",
        )?;
        Ok(statement.execute(params![before_ms, limit as i64])?)
    }
}
