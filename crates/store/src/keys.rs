//! Keys of end-to-end encryption, stored and handed on as they are: the server reads none of them.

use rusqlite::OptionalExtension;

use crate::{AppserviceNid, LogKind, Result, Snapshot, StreamPosition, Tx};

/// A device's identity keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceKeysRow {
    /// Whose device it is.
    pub user_id: String,
    /// The device.
    pub device_id: String,
    /// The keys as uploaded, JSON.
    pub keys: String,
    /// What the user calls the device.
    pub display_name: Option<String>,
}

/// A key that was handed out to start a session with a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneTimeKeyRow {
    /// Its id, without the algorithm.
    pub key_id: String,
    /// The key as uploaded, JSON.
    pub key: String,
    /// Whether it is the fallback key, which may be handed out again.
    pub is_fallback: bool,
}

/// What became of an uploaded one-time key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InsertedKey {
    /// It was stored.
    New,
    /// It was there already, the same to the letter.
    Same,
    /// Another key has that id; nothing was changed.
    Different,
}

impl Snapshot<'_> {
    /// The identity keys of one device, or with `None` of all the user's devices that have some.
    pub fn device_keys(
        &self,
        user_id: &str,
        device_id: Option<&str>,
    ) -> Result<Vec<DeviceKeysRow>> {
        let read = |row: &rusqlite::Row<'_>| {
            Ok(DeviceKeysRow {
                user_id: row.get(0)?,
                device_id: row.get(1)?,
                keys: row.get(2)?,
                display_name: row.get(3)?,
            })
        };
        let rows = match device_id {
            Some(device_id) => self
                .conn
                .prepare_cached(
                    "SELECT k.user_id, k.device_id, k.keys, d.display_name FROM device_keys AS k \
                     LEFT JOIN devices AS d ON d.user_id = k.user_id AND d.device_id = k.device_id \
                     WHERE k.user_id = $1 AND k.device_id = $2",
                )?
                .query_map((user_id, device_id), read)?
                .collect::<Result<_, _>>()?,
            None => self
                .conn
                .prepare_cached(
                    "SELECT k.user_id, k.device_id, k.keys, d.display_name FROM device_keys AS k \
                     LEFT JOIN devices AS d ON d.user_id = k.user_id AND d.device_id = k.device_id \
                     WHERE k.user_id = $1 ORDER BY k.device_id",
                )?
                .query_map([user_id], read)?
                .collect::<Result<_, _>>()?,
        };
        Ok(rows)
    }

    /// How many one-time keys of each algorithm the device has left.
    pub fn one_time_key_counts(
        &self,
        user_id: &str,
        device_id: &str,
    ) -> Result<Vec<(String, i64)>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT algorithm, COUNT(*) FROM one_time_keys \
             WHERE user_id = $1 AND device_id = $2 GROUP BY algorithm ORDER BY algorithm",
        )?;
        let rows =
            statement.query_map((user_id, device_id), |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The algorithms of which the device has a fallback key that was not handed out yet.
    pub fn unused_fallback_types(&self, user_id: &str, device_id: &str) -> Result<Vec<String>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT algorithm FROM fallback_keys \
             WHERE user_id = $1 AND device_id = $2 AND used = 0 ORDER BY algorithm",
        )?;
        let rows = statement.query_map((user_id, device_id), |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The users whose devices or keys changed after `after`, up to and with `upto`; each once.
    pub fn device_list_changes(
        &self,
        after: StreamPosition,
        upto: StreamPosition,
    ) -> Result<Vec<String>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT DISTINCT user_id FROM device_list_changes \
             WHERE pos > $1 AND pos <= $2 ORDER BY user_id",
        )?;
        let rows = statement.query_map((after.to_sql(), upto.to_sql()), |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The user's cross-signing keys: kind (`master`, `self_signing`, `user_signing`) and JSON.
    pub fn user_keys(&self, user_id: &str) -> Result<Vec<(String, String)>> {
        let mut statement = self
            .conn
            .prepare_cached("SELECT kind, keys FROM user_keys WHERE user_id = $1 ORDER BY kind")?;
        let rows = statement.query_map([user_id], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

impl Tx<'_> {
    /// Sets a device's identity keys. `false`: they were the same to the letter.
    pub fn set_device_keys(&mut self, user_id: &str, device_id: &str, keys: &str) -> Result<bool> {
        let changed = self
            .conn
            .prepare_cached(
                "INSERT INTO device_keys (user_id, device_id, keys) VALUES ($1, $2, $3) \
                 ON CONFLICT (user_id, device_id) DO UPDATE SET keys = excluded.keys \
                 WHERE device_keys.keys <> excluded.keys",
            )?
            .execute((user_id, device_id, keys))?;
        Ok(changed == 1)
    }

    /// Adds a one-time key, unless its id is taken.
    #[expect(clippy::too_many_arguments, reason = "one per column")]
    pub fn insert_one_time_key(
        &mut self,
        user_id: &str,
        device_id: &str,
        algorithm: &str,
        key_id: &str,
        key: &str,
        now: i64,
    ) -> Result<InsertedKey> {
        let inserted = self
            .conn
            .prepare_cached(
                "INSERT INTO one_time_keys (user_id, device_id, algorithm, key_id, key, uploaded) \
                 VALUES ($1, $2, $3, $4, $5, $6) \
                 ON CONFLICT (user_id, device_id, algorithm, key_id) DO NOTHING",
            )?
            .execute((user_id, device_id, algorithm, key_id, key, now))?;
        if inserted == 1 {
            return Ok(InsertedKey::New);
        }
        let known: String = self
            .conn
            .prepare_cached(
                "SELECT key FROM one_time_keys \
                 WHERE user_id = $1 AND device_id = $2 AND algorithm = $3 AND key_id = $4",
            )?
            .query_row((user_id, device_id, algorithm, key_id), |row| row.get(0))?;
        Ok(if known == key {
            InsertedKey::Same
        } else {
            InsertedKey::Different
        })
    }

    /// Sets the device's fallback key of an algorithm. A new one counts as not handed out yet; the
    /// same one again changes nothing.
    pub fn set_fallback_key(
        &mut self,
        user_id: &str,
        device_id: &str,
        algorithm: &str,
        key_id: &str,
        key: &str,
    ) -> Result<()> {
        self.conn
            .prepare_cached(
                "INSERT INTO fallback_keys (user_id, device_id, algorithm, key_id, key) \
                 VALUES ($1, $2, $3, $4, $5) ON CONFLICT (user_id, device_id, algorithm) \
                 DO UPDATE SET key_id = excluded.key_id, key = excluded.key, used = 0 \
                 WHERE fallback_keys.key_id <> excluded.key_id \
                 OR fallback_keys.key <> excluded.key",
            )?
            .execute((user_id, device_id, algorithm, key_id, key))?;
        Ok(())
    }

    /// Takes the device's oldest one-time key; when there is none left, hands out its fallback key
    /// and marks that used.
    pub fn claim_one_time_key(
        &mut self,
        user_id: &str,
        device_id: &str,
        algorithm: &str,
    ) -> Result<Option<OneTimeKeyRow>> {
        let key = self.take_one_time_key(user_id, device_id, algorithm)?;
        if key.is_some() {
            return Ok(key);
        }
        self.use_fallback_key(user_id, device_id, algorithm)
    }

    fn take_one_time_key(
        &mut self,
        user_id: &str,
        device_id: &str,
        algorithm: &str,
    ) -> Result<Option<OneTimeKeyRow>> {
        let key = self
            .conn
            .prepare_cached(
                "SELECT key_id, key FROM one_time_keys \
                 WHERE user_id = $1 AND device_id = $2 AND algorithm = $3 \
                 ORDER BY uploaded, key_id LIMIT 1",
            )?
            .query_row((user_id, device_id, algorithm), |row| {
                Ok(OneTimeKeyRow {
                    key_id: row.get(0)?,
                    key: row.get(1)?,
                    is_fallback: false,
                })
            })
            .optional()?;
        if let Some(key) = &key {
            self.conn
                .prepare_cached(
                    "DELETE FROM one_time_keys \
                     WHERE user_id = $1 AND device_id = $2 AND algorithm = $3 AND key_id = $4",
                )?
                .execute((user_id, device_id, algorithm, &key.key_id))?;
        }
        Ok(key)
    }

    fn use_fallback_key(
        &mut self,
        user_id: &str,
        device_id: &str,
        algorithm: &str,
    ) -> Result<Option<OneTimeKeyRow>> {
        let mut statement = self.conn.prepare_cached(
            "UPDATE fallback_keys SET used = 1 \
             WHERE user_id = $1 AND device_id = $2 AND algorithm = $3 RETURNING key_id, key",
        )?;
        let key = statement
            .query_row((user_id, device_id, algorithm), |row| {
                Ok(OneTimeKeyRow {
                    key_id: row.get(0)?,
                    key: row.get(1)?,
                    is_fallback: true,
                })
            })
            .optional()?;
        Ok(key)
    }

    /// Notes that the user's devices or keys changed, and tells those who are concerned.
    pub fn device_list_changed(
        &mut self,
        user_id: &str,
        interest: &[AppserviceNid],
    ) -> Result<StreamPosition> {
        let pos = self.append_log(LogKind::DeviceList, None, Some(user_id), interest)?;
        self.conn
            .prepare_cached("INSERT INTO device_list_changes (pos, user_id) VALUES ($1, $2)")?
            .execute((pos.to_sql(), user_id))?;
        Ok(pos)
    }

    /// Sets one of the user's cross-signing keys. `false`: it was the same to the letter.
    pub fn set_user_key(&mut self, user_id: &str, kind: &str, keys: &str) -> Result<bool> {
        let changed = self
            .conn
            .prepare_cached(
                "INSERT INTO user_keys (user_id, kind, keys) VALUES ($1, $2, $3) \
                 ON CONFLICT (user_id, kind) DO UPDATE SET keys = excluded.keys \
                 WHERE user_keys.keys <> excluded.keys",
            )?
            .execute((user_id, kind, keys))?;
        Ok(changed == 1)
    }
}
