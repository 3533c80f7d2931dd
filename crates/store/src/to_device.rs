//! To-device messages: kept until the device, or the application service that owns it, has
//! acknowledged them.

use rusqlite::Row;

use crate::{AppserviceNid, LogKind, Result, Snapshot, StreamPosition, Tx};

/// A message waiting for a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToDeviceRow {
    /// When it was sent.
    pub pos: StreamPosition,
    /// Whose device it is for.
    pub user_id: String,
    /// The device it is for.
    pub device_id: String,
    /// Who sent it.
    pub sender: String,
    /// Its event type.
    pub kind: String,
    /// Its content, JSON.
    pub content: String,
}

impl Snapshot<'_> {
    /// Up to `limit` messages to a device, sent after `after`, up to and with `upto`, in order.
    pub fn to_device_for(
        &self,
        user_id: &str,
        device_id: &str,
        after: StreamPosition,
        upto: StreamPosition,
        limit: usize,
    ) -> Result<Vec<ToDeviceRow>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT pos, user_id, device_id, sender, type, content FROM to_device \
             WHERE user_id = $1 AND device_id = $2 AND pos > $3 AND pos <= $4 \
             ORDER BY pos LIMIT $5",
        )?;
        let parameters = (
            user_id,
            device_id,
            after.to_sql(),
            upto.to_sql(),
            limit as i64,
        );
        let rows = statement.query_map(parameters, read_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The message sent at `pos`, unless it was acknowledged (then none).
    pub fn to_device_at(&self, pos: StreamPosition) -> Result<Vec<ToDeviceRow>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT pos, user_id, device_id, sender, type, content FROM to_device WHERE pos = $1",
        )?;
        let rows = statement.query_map([pos.to_sql()], read_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

impl Tx<'_> {
    /// Leaves a message for one device and tells it.
    #[expect(
        clippy::too_many_arguments,
        reason = "one per column, and who is interested"
    )]
    pub fn insert_to_device(
        &mut self,
        user_id: &str,
        device_id: &str,
        sender: &str,
        kind: &str,
        content: &str,
        interest: &[AppserviceNid],
    ) -> Result<StreamPosition> {
        let pos = self.append_log(LogKind::ToDevice, None, Some(user_id), interest)?;
        self.conn
            .prepare_cached(
                "INSERT INTO to_device (pos, user_id, device_id, sender, type, content) \
                 VALUES ($1, $2, $3, $4, $5, $6)",
            )?
            .execute((pos.to_sql(), user_id, device_id, sender, kind, content))?;
        Ok(pos)
    }

    /// Removes the device's messages up to and with `upto`; returns how many.
    pub fn delete_to_device(
        &mut self,
        user_id: &str,
        device_id: &str,
        upto: StreamPosition,
    ) -> Result<usize> {
        let deleted = self
            .conn
            .prepare_cached(
                "DELETE FROM to_device WHERE user_id = $1 AND device_id = $2 AND pos <= $3",
            )?
            .execute((user_id, device_id, upto.to_sql()))?;
        Ok(deleted)
    }

    /// Removes the message sent at `pos`. `false`: there was none.
    pub fn delete_to_device_at(&mut self, pos: StreamPosition) -> Result<bool> {
        let deleted = self
            .conn
            .prepare_cached("DELETE FROM to_device WHERE pos = $1")?
            .execute([pos.to_sql()])?;
        Ok(deleted == 1)
    }
}

fn read_row(row: &Row<'_>) -> rusqlite::Result<ToDeviceRow> {
    Ok(ToDeviceRow {
        pos: StreamPosition::from_sql(row.get(0)?),
        user_id: row.get(1)?,
        device_id: row.get(2)?,
        sender: row.get(3)?,
        kind: row.get(4)?,
        content: row.get(5)?,
    })
}
