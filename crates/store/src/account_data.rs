//! Account data: small JSON objects a user's clients keep on the server, push rules included.

use rusqlite::{OptionalExtension, Row};

use crate::{LogKind, Result, Snapshot, StreamPosition, Tx};

/// One piece of account data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountDataRow {
    /// Whose it is.
    pub user_id: String,
    /// The room it is about; empty for global account data.
    pub room_id: String,
    /// Its event type.
    pub kind: String,
    /// Its content, JSON.
    pub content: String,
    /// When it was last set.
    pub pos: StreamPosition,
}

impl Snapshot<'_> {
    /// The content under a type; `room_id` is empty for global account data.
    pub fn account_data(&self, user_id: &str, room_id: &str, kind: &str) -> Result<Option<String>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT content FROM account_data WHERE user_id = $1 AND room_id = $2 AND type = $3",
        )?;
        Ok(statement
            .query_row((user_id, room_id, kind), |row| row.get(0))
            .optional()?)
    }

    /// What was set after `after`, up to and with `upto`, in order.
    pub fn account_data_since(
        &self,
        user_id: &str,
        after: StreamPosition,
        upto: StreamPosition,
    ) -> Result<Vec<AccountDataRow>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT user_id, room_id, type, content, pos FROM account_data \
             WHERE user_id = $1 AND pos > $2 AND pos <= $3 ORDER BY pos",
        )?;
        let rows = statement.query_map((user_id, after.to_sql(), upto.to_sql()), read_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// All account data of a user, global and of rooms, in the order it was last set.
    pub fn all_account_data(&self, user_id: &str) -> Result<Vec<AccountDataRow>> {
        self.account_data_since(user_id, StreamPosition::ZERO, StreamPosition(u64::MAX))
    }
}

impl Tx<'_> {
    /// Sets the content under a type and tells the user's clients; `room_id` is empty for global
    /// account data.
    pub fn set_account_data(
        &mut self,
        user_id: &str,
        room_id: &str,
        kind: &str,
        content: &str,
    ) -> Result<StreamPosition> {
        let log_room = (!room_id.is_empty()).then_some(room_id);
        let pos = self.append_log(LogKind::AccountData, log_room, Some(user_id), &[])?;
        self.conn
            .prepare_cached(
                "INSERT INTO account_data (user_id, room_id, type, content, pos) \
                 VALUES ($1, $2, $3, $4, $5) ON CONFLICT (user_id, room_id, type) \
                 DO UPDATE SET content = excluded.content, pos = excluded.pos",
            )?
            .execute((user_id, room_id, kind, content, pos.to_sql()))?;
        Ok(pos)
    }
}

fn read_row(row: &Row<'_>) -> rusqlite::Result<AccountDataRow> {
    Ok(AccountDataRow {
        user_id: row.get(0)?,
        room_id: row.get(1)?,
        kind: row.get(2)?,
        content: row.get(3)?,
        pos: StreamPosition::from_sql(row.get(4)?),
    })
}
