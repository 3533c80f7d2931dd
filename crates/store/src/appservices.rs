//! Application services: their numbers and cursors.

use crate::{AppserviceNid, Result, Snapshot, StreamPosition, Tx};

/// A service's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppserviceRow {
    /// Its number.
    pub nid: AppserviceNid,
    /// Its id, as registered.
    pub id: String,
    /// The last position it has acknowledged or that was of no interest to it.
    pub cursor: StreamPosition,
    /// The last transaction id it was sent.
    pub last_txn_id: u64,
    /// Which old habits it has, as the server found out; see the homeserver's `wire`.
    pub dialect: u8,
}

impl Snapshot<'_> {
    /// All services that were ever registered.
    pub fn appservices(&self) -> Result<Vec<AppserviceRow>> {
        Ok(self
            .conn
            .prepare_cached(
                "SELECT nid, id, cursor, last_txn_id, dialect FROM appservices ORDER BY nid",
            )?
            .query_map([], |row| {
                Ok(AppserviceRow {
                    nid: AppserviceNid(row.get(0)?),
                    id: row.get(1)?,
                    cursor: StreamPosition::from_sql(row.get(2)?),
                    last_txn_id: u64::try_from(row.get::<_, i64>(3)?).unwrap_or(0),
                    dialect: row.get(4)?,
                })
            })?
            .collect::<Result<_, _>>()?)
    }
}

impl Tx<'_> {
    /// The service's row; made on first sight, with the cursor at the end of the log: a new
    /// service is told what happens from now on.
    pub fn ensure_appservice(&mut self, id: &str) -> Result<AppserviceRow> {
        let end = StreamPosition(self.batch.next_position.0 - 1);
        self.conn
            .prepare_cached(
                "INSERT INTO appservices (id, cursor) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING",
            )?
            .execute((id, end.to_sql()))?;
        self.appservices()?
            .into_iter()
            .find(|row| row.id == id)
            .ok_or_else(|| crate::Error::corrupt("appservices", id))
    }

    /// Moves the cursor over rows that need no acknowledgement. It never goes back.
    pub fn move_cursor(&mut self, nid: AppserviceNid, to: StreamPosition) -> Result<()> {
        self.conn
            .prepare_cached("UPDATE appservices SET cursor = $1 WHERE nid = $2 AND cursor < $1")?
            .execute((to.to_sql(), nid.0))?;
        Ok(())
    }

    /// Remembers the service's dialect.
    pub fn set_dialect(&mut self, nid: AppserviceNid, dialect: u8) -> Result<()> {
        self.conn
            .prepare_cached("UPDATE appservices SET dialect = $1 WHERE nid = $2")?
            .execute((dialect, nid.0))?;
        Ok(())
    }

    /// Drops everything that waits for a service that has no address.
    pub fn skip_to_end(&mut self, nid: AppserviceNid) -> Result<()> {
        let end = StreamPosition(self.batch.next_position.0 - 1);
        self.conn
            .prepare_cached("DELETE FROM as_transactions WHERE nid = $1")?
            .execute([nid.0])?;
        self.move_cursor(nid, end)
    }
}
