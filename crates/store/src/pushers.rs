//! Pushers: what clients said about where they want to be notified.

use crate::{Result, Snapshot, Tx};

/// A pusher; its key is (user, app id, push key).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PusherRow {
    /// Whose it is.
    pub user_id: String,
    /// The app.
    pub app_id: String,
    /// What the gateway knows the device by.
    pub pushkey: String,
    /// All that the client said, a JSON object.
    pub pusher: String,
}

impl Snapshot<'_> {
    /// A user's pushers, as JSON objects.
    pub fn pushers(&self, user_id: &str) -> Result<Vec<String>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT pusher FROM pushers WHERE user_id = $1 ORDER BY app_id, pushkey",
        )?;
        let rows = statement.query_map([user_id], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

impl Tx<'_> {
    /// Adds a pusher, or replaces the one with its key.
    pub fn upsert_pusher(&mut self, row: &PusherRow) -> Result<()> {
        self.conn
            .prepare_cached(
                "INSERT INTO pushers (user_id, app_id, pushkey, pusher) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (user_id, app_id, pushkey) DO UPDATE SET pusher = excluded.pusher",
            )?
            .execute((&row.user_id, &row.app_id, &row.pushkey, &row.pusher))?;
        Ok(())
    }

    /// Removes the pusher with this key, if there is one.
    pub fn delete_pusher(&mut self, row: &PusherRow) -> Result<()> {
        self.conn
            .prepare_cached(
                "DELETE FROM pushers WHERE user_id = $1 AND app_id = $2 AND pushkey = $3",
            )?
            .execute((&row.user_id, &row.app_id, &row.pushkey))?;
        Ok(())
    }

    /// Removes other users' pushers with this app id and push key: the device is another's now.
    pub fn delete_pushers_of_others(&mut self, row: &PusherRow) -> Result<()> {
        self.conn
            .prepare_cached(
                "DELETE FROM pushers WHERE app_id = $1 AND pushkey = $2 AND user_id <> $3",
            )?
            .execute((&row.app_id, &row.pushkey, &row.user_id))?;
        Ok(())
    }
}
