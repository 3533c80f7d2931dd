//! Delivery: what is frozen for a service, and what persons have ordered about it.
//!
//! Orders are rows, so they outlast a crash: whoever gives one writes it in one unit of work, and
//! the delivery task reads them all again ([`Snapshot::orders`]).

use rusqlite::{OptionalExtension, Row};

use crate::{AppserviceNid, Error, InterestSetId, Result, Snapshot, StreamPosition, Tx};

/// Replays of one service that may wait.
const MAX_REPLAYS: i64 = 16;

/// A transaction that was attempted or is about to be: id and bytes will not change any more.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FrozenTransaction {
    /// Its id.
    pub txn_id: u64,
    /// It was cut after this position.
    pub from: StreamPosition,
    /// The cursor moves here when it is acknowledged.
    pub upto: StreamPosition,
    /// Number of room events in it.
    pub events: u64,
    /// Rows of the log that are for the service, up to `upto`.
    pub entries: u64,
    /// What of them the body holds, ephemeral data aside.
    pub items: u64,
    /// When the first of them was written, ms since the epoch.
    pub oldest_at: i64,
    /// The replay it belongs to; such a transaction does not move the cursor.
    pub replay_id: Option<i64>,
    /// When it was made, ms since the epoch.
    pub created_at: i64,
    /// Since when it is known that its one entry is what the service refuses.
    pub stuck_at: Option<i64>,
    /// What the service answered when that became known.
    pub answer: Option<String>,
    /// The exact body.
    pub body: Vec<u8>,
}

/// A part of the log that is sent once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplayRow {
    /// Its number.
    pub replay_id: i64,
    /// It began after this position.
    pub from: StreamPosition,
    /// It has come up to here.
    pub at: StreamPosition,
    /// It ends here.
    pub upto: StreamPosition,
}

/// Somebody holds a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PauseRow {
    /// `operator` or `service`.
    pub by: String,
    /// Since when, ms since the epoch.
    pub since: i64,
    /// When it ends by itself, ms since the epoch.
    pub until: Option<i64>,
    /// Why.
    pub reason: Option<String>,
}

/// Deliver up to there, then pause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrainRow {
    /// The cursor when it was ordered.
    pub from: StreamPosition,
    /// The end of the log then.
    pub upto: StreamPosition,
    /// Who has ordered it.
    pub by: String,
}

/// Where a service's delivery stands and what was ordered about it, as one consistent whole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Orders {
    /// The last position acknowledged, or of no interest.
    pub cursor: StreamPosition,
    /// The last transaction id given out.
    pub last_txn_id: u64,
    /// Where the last acknowledged (or skipped) transaction ended.
    pub last_upto: StreamPosition,
    /// A person has given the service up, ms since the epoch.
    pub failed_at: Option<i64>,
    /// Attempts after which a stuck entry is skipped.
    pub skip_after: Option<u32>,
    /// Who holds it.
    pub pauses: Vec<PauseRow>,
    /// A drain that goes on.
    pub drain: Option<DrainRow>,
    /// The replay that is next.
    pub replay: Option<ReplayRow>,
    /// Skipped transactions that were not replayed.
    pub skipped: u64,
    /// The transaction that awaits its acknowledgement.
    pub frozen: Option<FrozenTransaction>,
}

/// A transaction that was passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkipRow {
    /// Its number.
    pub skip_id: i64,
    /// The transaction's id.
    pub txn_id: u64,
    /// It was cut after this position.
    pub from: StreamPosition,
    /// It went up to here.
    pub upto: StreamPosition,
    /// The exact body.
    pub body: Vec<u8>,
    /// Who skipped it.
    pub by: String,
    /// When, ms since the epoch.
    pub at_ms: i64,
    /// Why.
    pub reason: Option<String>,
    /// What the service had answered.
    pub answer: Option<String>,
    /// When a replay was ordered, ms since the epoch.
    pub replayed_at: Option<i64>,
}

/// What waits for a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waiting {
    /// Rows of the log.
    pub entries: u64,
    /// When the first of them was written, ms since the epoch.
    pub oldest_at: Option<i64>,
}

impl Snapshot<'_> {
    /// Where the service's delivery stands; the default for a service that is not in the database.
    pub fn orders(&self, nid: AppserviceNid) -> Result<Orders> {
        let orders = self
            .conn
            .prepare_cached(
                "SELECT cursor, last_txn_id, last_upto, failed_at, skip_after,
                        drain_from, drain_upto, drain_by
                 FROM appservices WHERE nid = $1",
            )?
            .query_row([nid.0], read_orders)
            .optional()?
            .unwrap_or_default();
        Ok(Orders {
            pauses: self.pauses(nid)?,
            replay: self.next_replay(nid)?,
            skipped: self.open_skips(nid)?,
            frozen: self.frozen_transaction(nid)?,
            ..orders
        })
    }

    /// The service's transaction that awaits its acknowledgement.
    pub fn frozen_transaction(&self, nid: AppserviceNid) -> Result<Option<FrozenTransaction>> {
        Ok(self
            .conn
            .prepare_cached(
                "SELECT txn_id, from_pos, upto_pos, events, entries, items, oldest_at, replay_id,
                        created_at, stuck_at, answer, body
                 FROM as_transactions WHERE nid = $1",
            )?
            .query_row([nid.0], |row| {
                Ok(FrozenTransaction {
                    txn_id: unsigned(row, 0)?,
                    from: position(row, 1)?,
                    upto: position(row, 2)?,
                    events: unsigned(row, 3)?,
                    entries: unsigned(row, 4)?,
                    items: unsigned(row, 5)?,
                    oldest_at: row.get(6)?,
                    replay_id: row.get(7)?,
                    created_at: row.get(8)?,
                    stuck_at: row.get(9)?,
                    answer: row.get(10)?,
                    body: row.get(11)?,
                })
            })
            .optional()?)
    }

    fn pauses(&self, nid: AppserviceNid) -> Result<Vec<PauseRow>> {
        Ok(self
            .conn
            .prepare_cached("SELECT by, since, until, reason FROM as_pauses WHERE nid = $1")?
            .query_map([nid.0], |row| {
                Ok(PauseRow {
                    by: row.get(0)?,
                    since: row.get(1)?,
                    until: row.get(2)?,
                    reason: row.get(3)?,
                })
            })?
            .collect::<Result<_, _>>()?)
    }

    fn next_replay(&self, nid: AppserviceNid) -> Result<Option<ReplayRow>> {
        Ok(self
            .conn
            .prepare_cached(
                "SELECT replay_id, from_pos, at_pos, upto_pos FROM as_replays
                 WHERE nid = $1 ORDER BY replay_id LIMIT 1",
            )?
            .query_row([nid.0], |row| {
                Ok(ReplayRow {
                    replay_id: row.get(0)?,
                    from: position(row, 1)?,
                    at: position(row, 2)?,
                    upto: position(row, 3)?,
                })
            })
            .optional()?)
    }

    fn open_skips(&self, nid: AppserviceNid) -> Result<u64> {
        Ok(self
            .conn
            .prepare_cached("SELECT COUNT(*) FROM as_skips WHERE nid = $1 AND replayed_at IS NULL")?
            .query_row([nid.0], |row| unsigned(row, 0))?)
    }

    /// Up to `limit` skipped transactions of the service, newest first.
    pub fn skips(&self, nid: AppserviceNid, limit: usize) -> Result<Vec<SkipRow>> {
        Ok(self
            .conn
            .prepare_cached(
                "SELECT skip_id, txn_id, from_pos, upto_pos, body, by, at_ms, reason, answer,
                        replayed_at
                 FROM as_skips WHERE nid = $1 ORDER BY skip_id DESC LIMIT $2",
            )?
            .query_map((nid.0, limit as i64), read_skip)?
            .collect::<Result<_, _>>()?)
    }

    /// A skipped transaction of the service.
    pub fn skip(&self, nid: AppserviceNid, skip_id: i64) -> Result<Option<SkipRow>> {
        Ok(self
            .conn
            .prepare_cached(
                "SELECT skip_id, txn_id, from_pos, upto_pos, body, by, at_ms, reason, answer,
                        replayed_at
                 FROM as_skips WHERE nid = $1 AND skip_id = $2",
            )?
            .query_row((nid.0, skip_id), read_skip)
            .optional()?)
    }

    /// What of the log after `after`, up to `upto`, is for the service. Reads all of it: for a
    /// start and for a change of the cursor, not for each event.
    pub fn waiting(
        &self,
        after: StreamPosition,
        upto: StreamPosition,
        interested: impl Fn(InterestSetId) -> bool,
    ) -> Result<Waiting> {
        let mut waiting = Waiting::default();
        let mut statement = self.conn.prepare_cached(
            "SELECT interest, at_ms FROM log WHERE pos > $1 AND pos <= $2 ORDER BY pos",
        )?;
        let mut rows = statement.query((after.to_sql(), upto.to_sql()))?;
        while let Some(row) = rows.next()? {
            if interested(InterestSetId(row.get(0)?)) {
                waiting.entries += 1;
                waiting.oldest_at.get_or_insert(row.get(1)?);
            }
        }
        Ok(waiting)
    }

    /// The last position written before `at_ms`, ms since the epoch.
    pub fn position_before(&self, at_ms: i64) -> Result<StreamPosition> {
        // Positions and times grow together, so halving finds it without an index on the time.
        let mut statement = self
            .conn
            .prepare_cached("SELECT at_ms FROM log WHERE pos = $1")?;
        let (mut before, mut after) = (0, self.last_position()?.0 + 1);
        while after - before > 1 {
            let middle = before + (after - before) / 2;
            let at: i64 = statement.query_row([middle as i64], |row| row.get(0))?;
            if at < at_ms {
                before = middle;
            } else {
                after = middle;
            }
        }
        Ok(StreamPosition(before))
    }
}

impl Tx<'_> {
    /// Stores a transaction before its first attempt. The service must have none in flight.
    ///
    /// # Errors
    /// [`Error::Conflict`] when one is in flight.
    pub fn freeze_transaction(
        &mut self,
        nid: AppserviceNid,
        transaction: &FrozenTransaction,
    ) -> Result<()> {
        let added = self
            .conn
            .prepare_cached(
                "INSERT INTO as_transactions (nid, txn_id, from_pos, upto_pos, events, entries,
                                              items, oldest_at, replay_id, created_at, body)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING",
            )?
            .execute((
                nid.0,
                transaction.txn_id as i64,
                transaction.from.to_sql(),
                transaction.upto.to_sql(),
                transaction.events as i64,
                transaction.entries as i64,
                transaction.items as i64,
                transaction.oldest_at,
                transaction.replay_id,
                transaction.created_at,
                &transaction.body,
            ))?;
        if added == 0 {
            return Err(Error::Conflict {
                table: "as_transactions",
            });
        }
        self.conn
            .prepare_cached("UPDATE appservices SET last_txn_id = $1 WHERE nid = $2")?
            .execute((transaction.txn_id as i64, nid.0))?;
        Ok(())
    }

    /// The service acknowledged the transaction: it is deleted and the cursor (or the replay)
    /// moves, together. To-device messages in it are delivered, so they leave their inbox. False:
    /// it is not in flight any more, for somebody has skipped it.
    pub fn complete_transaction(&mut self, nid: AppserviceNid, txn_id: u64) -> Result<bool> {
        let Some((replay, upto)) = self.take_transaction(nid, txn_id)? else {
            return Ok(false);
        };
        match replay {
            Some(replay_id) => self.advance_replay(replay_id, upto)?,
            None => {
                self.delete_delivered_to_device(nid, upto.to_sql())?;
                self.pass(nid, upto)?;
            }
        }
        Ok(true)
    }

    /// Withdraws a transaction that the service has not acknowledged, to send what is in it in
    /// another form. The cursor stays.
    pub fn withdraw_transaction(&mut self, nid: AppserviceNid, txn_id: u64) -> Result<bool> {
        Ok(self.take_transaction(nid, txn_id)?.is_some())
    }

    fn take_transaction(
        &mut self,
        nid: AppserviceNid,
        txn_id: u64,
    ) -> Result<Option<(Option<i64>, StreamPosition)>> {
        Ok(self
            .conn
            .prepare_cached(
                "DELETE FROM as_transactions WHERE nid = $1 AND txn_id = $2
                 RETURNING replay_id, upto_pos",
            )?
            .query_row((nid.0, txn_id as i64), |row| {
                Ok((row.get(0)?, position(row, 1)?))
            })
            .optional()?)
    }

    /// The cursor moves to the end of a transaction that is done with.
    fn pass(&mut self, nid: AppserviceNid, upto: StreamPosition) -> Result<()> {
        self.conn
            .prepare_cached(
                "UPDATE appservices SET cursor = max(cursor, $1), last_upto = $1 WHERE nid = $2",
            )?
            .execute((upto.to_sql(), nid.0))?;
        Ok(())
    }

    /// The replay has come to `at`; at its end it goes.
    pub fn advance_replay(&mut self, replay_id: i64, at: StreamPosition) -> Result<()> {
        self.conn
            .prepare_cached("UPDATE as_replays SET at_pos = $1 WHERE replay_id = $2")?
            .execute((at.to_sql(), replay_id))?;
        self.conn
            .prepare_cached("DELETE FROM as_replays WHERE replay_id = $1 AND at_pos >= upto_pos")?
            .execute([replay_id])?;
        Ok(())
    }

    /// It is known that the transaction's one entry is what the service refuses.
    pub fn set_stuck(
        &mut self,
        nid: AppserviceNid,
        txn_id: u64,
        at_ms: i64,
        answer: &str,
    ) -> Result<()> {
        self.conn
            .prepare_cached(
                "UPDATE as_transactions SET stuck_at = COALESCE(stuck_at, $1), answer = $2
                 WHERE nid = $3 AND txn_id = $4",
            )?
            .execute((at_ms, answer, nid.0, txn_id as i64))?;
        Ok(())
    }

    /// Holds the delivery; an earlier pause by the same is replaced. `by`: `operator` or
    /// `service`.
    pub fn pause_delivery(&mut self, nid: AppserviceNid, pause: &PauseRow) -> Result<()> {
        self.conn
            .prepare_cached(
                "INSERT INTO as_pauses (nid, by, since, until, reason) VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (nid, by) DO UPDATE SET until = excluded.until, reason = excluded.reason",
            )?
            .execute((nid.0, &pause.by, pause.since, pause.until, &pause.reason))?;
        Ok(())
    }

    /// Ends the pause that `by` has made; false when there was none. A drain of an operator's
    /// ends, too.
    pub fn resume_delivery(&mut self, nid: AppserviceNid, by: &str) -> Result<bool> {
        let ended = self
            .conn
            .prepare_cached("DELETE FROM as_pauses WHERE nid = $1 AND by = $2")?
            .execute((nid.0, by))?;
        let drained = by == "operator" && self.end_drain(nid)?;
        Ok(ended > 0 || drained)
    }

    /// Ends the pauses whose time has come.
    pub fn end_due_pauses(&mut self, nid: AppserviceNid, now_ms: i64) -> Result<()> {
        self.conn
            .prepare_cached("DELETE FROM as_pauses WHERE nid = $1 AND until <= $2")?
            .execute((nid.0, now_ms))?;
        Ok(())
    }

    /// A person gives the service up.
    pub fn fail_delivery(&mut self, nid: AppserviceNid, now_ms: i64) -> Result<()> {
        self.conn
            .prepare_cached("UPDATE appservices SET failed_at = $1 WHERE nid = $2")?
            .execute((now_ms, nid.0))?;
        Ok(())
    }

    /// A person brings the service back; false when it was not given up.
    pub fn recover_delivery(&mut self, nid: AppserviceNid) -> Result<bool> {
        Ok(self
            .conn
            .prepare_cached(
                "UPDATE appservices SET failed_at = NULL WHERE nid = $1 AND failed_at IS NOT NULL",
            )?
            .execute([nid.0])?
            == 1)
    }

    /// Passes over the transaction in flight; what was in it is kept. `None`: that transaction is
    /// not in flight.
    pub fn skip_transaction(
        &mut self,
        nid: AppserviceNid,
        txn_id: u64,
        by: &str,
        at_ms: i64,
        reason: Option<&str>,
    ) -> Result<Option<SkipRow>> {
        let Some(frozen) = self
            .frozen_transaction(nid)?
            .filter(|frozen| frozen.txn_id == txn_id)
        else {
            return Ok(None);
        };
        self.take_transaction(nid, txn_id)?;
        match frozen.replay_id {
            Some(replay_id) => self.advance_replay(replay_id, frozen.upto)?,
            None => self.pass(nid, frozen.upto)?,
        }
        let skip_id = self
            .conn
            .prepare_cached(
                "INSERT INTO as_skips (nid, txn_id, from_pos, upto_pos, body, by, at_ms, reason, answer)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING skip_id",
            )?
            .query_row(
                (
                    nid.0,
                    txn_id as i64,
                    frozen.from.to_sql(),
                    frozen.upto.to_sql(),
                    &frozen.body,
                    by,
                    at_ms,
                    reason,
                    &frozen.answer,
                ),
                |row| row.get(0),
            )?;
        self.skip(nid, skip_id)
    }

    /// Orders what lies after `after`, up to `upto`, to be sent once more. Of the cursor's side,
    /// only what was acknowledged or skipped: `upto` is cut there. `None`: nothing lies between.
    ///
    /// # Errors
    /// [`Error::Conflict`] when too many replays wait already.
    pub fn replay(
        &mut self,
        nid: AppserviceNid,
        after: StreamPosition,
        upto: StreamPosition,
        by: &str,
        at_ms: i64,
    ) -> Result<Option<ReplayRow>> {
        let upto = upto.min(self.orders(nid)?.cursor);
        if after >= upto {
            return Ok(None);
        }
        let queued: i64 = self
            .conn
            .prepare_cached("SELECT COUNT(*) FROM as_replays WHERE nid = $1")?
            .query_row([nid.0], |row| row.get(0))?;
        if queued >= MAX_REPLAYS {
            return Err(Error::Conflict {
                table: "as_replays",
            });
        }
        let replay_id = self
            .conn
            .prepare_cached(
                "INSERT INTO as_replays (nid, from_pos, at_pos, upto_pos, by, at_ms)
                 VALUES ($1, $2, $2, $3, $4, $5) RETURNING replay_id",
            )?
            .query_row((nid.0, after.to_sql(), upto.to_sql(), by, at_ms), |row| {
                row.get(0)
            })?;
        Ok(Some(ReplayRow {
            replay_id,
            from: after,
            at: after,
            upto,
        }))
    }

    /// A replay of a skipped transaction was ordered.
    pub fn set_replayed(&mut self, nid: AppserviceNid, skip_id: i64, at_ms: i64) -> Result<()> {
        self.conn
            .prepare_cached("UPDATE as_skips SET replayed_at = $1 WHERE nid = $2 AND skip_id = $3")?
            .execute((at_ms, nid.0, skip_id))?;
        Ok(())
    }

    /// Orders the delivery to go on to the end that the log has now, and to be paused there.
    pub fn drain_delivery(&mut self, nid: AppserviceNid, by: &str) -> Result<()> {
        let end = StreamPosition(self.batch.next_position.0 - 1);
        self.conn
            .prepare_cached(
                "UPDATE appservices SET drain_from = cursor, drain_upto = $1, drain_by = $2
                 WHERE nid = $3",
            )?
            .execute((end.to_sql(), by, nid.0))?;
        Ok(())
    }

    /// Ends a drain; false when there was none.
    pub fn end_drain(&mut self, nid: AppserviceNid) -> Result<bool> {
        Ok(self
            .conn
            .prepare_cached(
                "UPDATE appservices SET drain_from = NULL, drain_upto = NULL, drain_by = NULL
                 WHERE nid = $1 AND drain_upto IS NOT NULL",
            )?
            .execute([nid.0])?
            == 1)
    }

    /// Attempts after which a stuck entry is skipped without a person; `None`: never.
    pub fn set_policy(&mut self, nid: AppserviceNid, skip_after: Option<u32>) -> Result<()> {
        self.conn
            .prepare_cached("UPDATE appservices SET skip_after = $1 WHERE nid = $2")?
            .execute((skip_after, nid.0))?;
        Ok(())
    }

    /// Whether another service that a message was for has it already.
    fn has_passed(&self, nid: AppserviceNid, pos: i64) -> Result<bool> {
        let cursor: Option<i64> = self
            .conn
            .prepare_cached("SELECT cursor FROM appservices WHERE nid = $1")?
            .query_row([nid.0], |row| row.get(0))
            .optional()?;
        Ok(cursor.is_none_or(|cursor| cursor >= pos))
    }

    /// To-device messages leave their inbox when all services they were for have them.
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
            let services = {
                let sets = self.batch.shared.sets.lock();
                sets.by_id.get(&InterestSetId(interest)).cloned()
            };
            let Some(services) = services.filter(|set| set.contains(&nid)) else {
                continue;
            };
            let mut others = services.iter().filter(|other| **other != nid);
            if others.try_fold(true, |all, other| {
                Ok::<_, Error>(all && self.has_passed(*other, pos)?)
            })? {
                self.delete_to_device_at(StreamPosition::from_sql(pos))?;
            }
        }
        Ok(())
    }
}

fn read_orders(row: &Row<'_>) -> rusqlite::Result<Orders> {
    let drain = match (row.get::<_, Option<i64>>(5)?, row.get::<_, Option<i64>>(6)?) {
        (Some(from), Some(upto)) => Some(DrainRow {
            from: StreamPosition::from_sql(from),
            upto: StreamPosition::from_sql(upto),
            by: row.get::<_, Option<String>>(7)?.unwrap_or_default(),
        }),
        _ => None,
    };
    Ok(Orders {
        cursor: position(row, 0)?,
        last_txn_id: unsigned(row, 1)?,
        last_upto: position(row, 2)?,
        failed_at: row.get(3)?,
        skip_after: row.get(4)?,
        drain,
        ..Orders::default()
    })
}

fn read_skip(row: &Row<'_>) -> rusqlite::Result<SkipRow> {
    Ok(SkipRow {
        skip_id: row.get(0)?,
        txn_id: unsigned(row, 1)?,
        from: position(row, 2)?,
        upto: position(row, 3)?,
        body: row.get(4)?,
        by: row.get(5)?,
        at_ms: row.get(6)?,
        reason: row.get(7)?,
        answer: row.get(8)?,
        replayed_at: row.get(9)?,
    })
}

fn position(row: &Row<'_>, column: usize) -> rusqlite::Result<StreamPosition> {
    Ok(StreamPosition::from_sql(row.get(column)?))
}

fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0))
}
