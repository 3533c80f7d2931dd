//! Application services: cursors and frozen transactions.

use rusqlite::OptionalExtension;

use crate::{AppserviceNid, InterestSetId, Result, Snapshot, StreamPosition, Tx};

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

/// A transaction that was attempted or is about to be: id and bytes will not change any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrozenTransaction {
    /// Its id.
    pub txn_id: u64,
    /// The cursor moves here when it is acknowledged.
    pub upto: StreamPosition,
    /// Number of room events in it.
    pub events: u64,
    /// The exact body.
    pub body: Vec<u8>,
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

    /// The service's transaction that awaits its acknowledgement.
    pub fn frozen_transaction(&self, nid: AppserviceNid) -> Result<Option<FrozenTransaction>> {
        Ok(self
            .conn
            .prepare_cached(
                "SELECT txn_id, upto_pos, events, body FROM as_transactions WHERE nid = $1",
            )?
            .query_row([nid.0], |row| {
                Ok(FrozenTransaction {
                    txn_id: u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0),
                    upto: StreamPosition::from_sql(row.get(1)?),
                    events: u64::try_from(row.get::<_, i64>(2)?).unwrap_or(0),
                    body: row.get(3)?,
                })
            })
            .optional()?)
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

    /// Stores a transaction before its first attempt. The service must have none in flight.
    ///
    /// # Errors
    /// [`crate::Error::Conflict`] when one is in flight.
    pub fn freeze_transaction(
        &mut self,
        nid: AppserviceNid,
        transaction: &FrozenTransaction,
        now_ms: i64,
    ) -> Result<()> {
        let added = self
            .conn
            .prepare_cached(
                "INSERT INTO as_transactions (nid, txn_id, upto_pos, events, body, created_at)
                 VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
            )?
            .execute((
                nid.0,
                transaction.txn_id as i64,
                transaction.upto.to_sql(),
                transaction.events as i64,
                &transaction.body,
                now_ms,
            ))?;
        if added == 0 {
            return Err(crate::Error::Conflict {
                table: "as_transactions",
            });
        }
        self.conn
            .prepare_cached("UPDATE appservices SET last_txn_id = $1 WHERE nid = $2")?
            .execute((transaction.txn_id as i64, nid.0))?;
        Ok(())
    }

    /// The service acknowledged the transaction: it is deleted and the cursor moves, together.
    /// To-device messages in it are delivered, so they leave their inbox.
    pub fn complete_transaction(&mut self, nid: AppserviceNid, txn_id: u64) -> Result<bool> {
        let upto: Option<i64> = self
            .conn
            .prepare_cached(
                "DELETE FROM as_transactions WHERE nid = $1 AND txn_id = $2 RETURNING upto_pos",
            )?
            .query_row((nid.0, txn_id as i64), |row| row.get(0))
            .optional()?;
        let Some(upto) = upto else { return Ok(false) };
        self.delete_delivered_to_device(nid, upto)?;
        self.move_cursor(nid, StreamPosition::from_sql(upto))?;
        Ok(true)
    }

    fn delete_delivered_to_device(&mut self, nid: AppserviceNid, upto: i64) -> Result<()> {
        let rows: Vec<(i64, i64)> = self
            .conn
            .prepare_cached(
                "SELECT t.pos, l.interest FROM appservices a
                 JOIN to_device t ON t.pos > a.cursor AND t.pos <= $1
                 JOIN log l ON l.pos = t.pos WHERE a.nid = $2",
            )?
            .query_map((upto, nid.0), |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        for (pos, interest) in rows {
            let told = {
                let sets = self.batch.shared.sets.lock();
                sets.by_id
                    .get(&InterestSetId(interest))
                    .is_some_and(|set| set.contains(&nid))
            };
            if told {
                self.delete_to_device_at(StreamPosition::from_sql(pos))?;
            }
        }
        Ok(())
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
