//! Devices, the tokens that speak for them, stored filters, and the age of idempotency keys.

use rusqlite::{OptionalExtension, Row};

use crate::{Result, Snapshot, Tx};

/// A device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRow {
    /// Whose it is.
    pub user_id: String,
    /// Its id, unique among the user's.
    pub device_id: String,
    /// What the user calls it.
    pub display_name: Option<String>,
    /// Where it last called from.
    pub last_seen_ip: Option<String>,
    /// When it last called (ms).
    pub last_seen_at: Option<i64>,
    /// When it was made (ms).
    pub created_at: i64,
}

/// Whom an access token speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenOwner {
    /// The user.
    pub user_id: String,
    /// The device.
    pub device_id: String,
    /// When the token ends (ms); the caller compares.
    pub expires_at: Option<i64>,
    /// Whether the user is a guest.
    pub is_guest: bool,
    /// Whether the account was closed.
    pub deactivated: bool,
}

/// All that goes when a device goes. The keys are those of (user, device).
const DELETE_DEVICE: [&str; 7] = [
    "DELETE FROM access_tokens WHERE user_id = $1 AND device_id = $2",
    "DELETE FROM refresh_tokens WHERE user_id = $1 AND device_id = $2",
    "DELETE FROM device_keys WHERE user_id = $1 AND device_id = $2",
    "DELETE FROM one_time_keys WHERE user_id = $1 AND device_id = $2",
    "DELETE FROM fallback_keys WHERE user_id = $1 AND device_id = $2",
    "DELETE FROM to_device WHERE user_id = $1 AND device_id = $2",
    "DELETE FROM devices WHERE user_id = $1 AND device_id = $2",
];

impl Snapshot<'_> {
    /// A device.
    pub fn device(&self, user_id: &str, device_id: &str) -> Result<Option<DeviceRow>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT user_id, device_id, display_name, last_seen_ip, last_seen_at, created_at \
             FROM devices WHERE user_id = $1 AND device_id = $2",
        )?;
        Ok(statement
            .query_row((user_id, device_id), read_device)
            .optional()?)
    }

    /// The user's devices, by id.
    pub fn devices(&self, user_id: &str) -> Result<Vec<DeviceRow>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT user_id, device_id, display_name, last_seen_ip, last_seen_at, created_at \
             FROM devices WHERE user_id = $1 ORDER BY device_id",
        )?;
        let rows = statement.query_map([user_id], read_device)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Whom the access token with this hash speaks for; expired tokens included.
    pub fn token_owner(&self, hash: &[u8]) -> Result<Option<TokenOwner>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT t.user_id, t.device_id, t.expires_at, u.is_guest, u.deactivated \
             FROM access_tokens AS t JOIN users AS u ON u.user_id = t.user_id \
             WHERE t.token_hash = $1",
        )?;
        Ok(statement.query_row([hash], read_owner).optional()?)
    }

    /// The refresh token with this hash: user, device, and whether it was used.
    pub fn refresh_token(&self, hash: &[u8]) -> Result<Option<(String, String, bool)>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT user_id, device_id, used FROM refresh_tokens WHERE token_hash = $1",
        )?;
        let token = statement
            .query_row([hash], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        Ok(token)
    }

    /// The OpenID token with this hash: user, and when it ends (ms).
    pub fn openid_token(&self, hash: &[u8]) -> Result<Option<(String, i64)>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT user_id, expires_at FROM openid_tokens WHERE token_hash = $1",
        )?;
        Ok(statement
            .query_row([hash], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?)
    }

    /// A stored filter's text.
    pub fn filter(&self, user_id: &str, filter_id: i64) -> Result<Option<String>> {
        let mut statement = self
            .conn
            .prepare_cached("SELECT filter FROM filters WHERE user_id = $1 AND filter_id = $2")?;
        Ok(statement
            .query_row((user_id, filter_id), |row| row.get(0))
            .optional()?)
    }
}

/// Devices.
impl Tx<'_> {
    /// Makes sure that the device is there; `true` if it was made now. The name of one that was
    /// there stays as it is, see [`Tx::rename_device`].
    pub fn upsert_device(
        &mut self,
        user_id: &str,
        device_id: &str,
        display_name: Option<&str>,
        now: i64,
    ) -> Result<bool> {
        let inserted = self
            .conn
            .prepare_cached(
                "INSERT INTO devices (user_id, device_id, display_name, created_at) \
                 VALUES ($1, $2, $3, $4) ON CONFLICT (user_id, device_id) DO NOTHING",
            )?
            .execute((user_id, device_id, display_name, now))?;
        Ok(inserted == 1)
    }

    /// Names a device, or takes its name away. `false`: no such device.
    pub fn rename_device(
        &mut self,
        user_id: &str,
        device_id: &str,
        display_name: Option<&str>,
    ) -> Result<bool> {
        let changed = self
            .conn
            .prepare_cached(
                "UPDATE devices SET display_name = $1 WHERE user_id = $2 AND device_id = $3",
            )?
            .execute((display_name, user_id, device_id))?;
        Ok(changed == 1)
    }

    /// Removes a device with its tokens, keys and waiting messages. `false`: there was no device
    /// row (what else bore its id is gone all the same).
    pub fn delete_device(&mut self, user_id: &str, device_id: &str) -> Result<bool> {
        let mut deleted = 0;
        for sql in DELETE_DEVICE {
            // The last statement's count says whether the device itself was there.
            deleted = self
                .conn
                .prepare_cached(sql)?
                .execute((user_id, device_id))?;
        }
        Ok(deleted == 1)
    }

    /// Removes all devices of the user but one; returns the ids of those that went.
    pub fn delete_all_devices(
        &mut self,
        user_id: &str,
        except: Option<&str>,
    ) -> Result<Vec<String>> {
        let mut gone: Vec<String> = self
            .devices(user_id)?
            .into_iter()
            .map(|device| device.device_id)
            .collect();
        gone.retain(|device_id| Some(device_id.as_str()) != except);
        for device_id in &gone {
            self.delete_device(user_id, device_id)?;
        }
        Ok(gone)
    }

    /// Notes when and from where a device last called. `false`: no such device.
    pub fn touch_device(
        &mut self,
        user_id: &str,
        device_id: &str,
        ip: &str,
        at: i64,
    ) -> Result<bool> {
        let changed = self
            .conn
            .prepare_cached(
                "UPDATE devices SET last_seen_ip = $1, last_seen_at = $2 \
                 WHERE user_id = $3 AND device_id = $4",
            )?
            .execute((ip, at, user_id, device_id))?;
        Ok(changed == 1)
    }
}

/// Tokens. Only their hashes are ever seen here.
impl Tx<'_> {
    /// Adds an access token.
    pub fn insert_access_token(
        &mut self,
        hash: &[u8],
        user_id: &str,
        device_id: &str,
        expires_at: Option<i64>,
    ) -> Result<()> {
        self.conn
            .prepare_cached(
                "INSERT INTO access_tokens (token_hash, user_id, device_id, expires_at) \
                 VALUES ($1, $2, $3, $4)",
            )?
            .execute((hash, user_id, device_id, expires_at))?;
        Ok(())
    }

    /// Adds a refresh token.
    pub fn insert_refresh_token(
        &mut self,
        hash: &[u8],
        user_id: &str,
        device_id: &str,
    ) -> Result<()> {
        self.conn
            .prepare_cached(
                "INSERT INTO refresh_tokens (token_hash, user_id, device_id) VALUES ($1, $2, $3)",
            )?
            .execute((hash, user_id, device_id))?;
        Ok(())
    }

    /// Marks a refresh token as used. `false`: there is none, or it was used before.
    pub fn mark_refresh_token_used(&mut self, hash: &[u8]) -> Result<bool> {
        let changed = self
            .conn
            .prepare_cached(
                "UPDATE refresh_tokens SET used = 1 WHERE token_hash = $1 AND used = 0",
            )?
            .execute([hash])?;
        Ok(changed == 1)
    }

    /// Removes an access token; returns whom it spoke for.
    pub fn delete_access_token(&mut self, hash: &[u8]) -> Result<Option<TokenOwner>> {
        let owner = self.token_owner(hash)?;
        self.conn
            .prepare_cached("DELETE FROM access_tokens WHERE token_hash = $1")?
            .execute([hash])?;
        Ok(owner)
    }

    /// Removes the device's access tokens, and leaves its refresh tokens; returns how many.
    pub fn delete_access_tokens_of_device(
        &mut self,
        user_id: &str,
        device_id: &str,
    ) -> Result<usize> {
        let deleted = self
            .conn
            .prepare_cached("DELETE FROM access_tokens WHERE user_id = $1 AND device_id = $2")?
            .execute((user_id, device_id))?;
        Ok(deleted)
    }

    /// Removes the device's refresh tokens; returns how many.
    pub fn delete_refresh_tokens_of_device(
        &mut self,
        user_id: &str,
        device_id: &str,
    ) -> Result<usize> {
        let deleted = self
            .conn
            .prepare_cached("DELETE FROM refresh_tokens WHERE user_id = $1 AND device_id = $2")?
            .execute((user_id, device_id))?;
        Ok(deleted)
    }

    /// Removes the device's used refresh tokens, which would pile up otherwise; returns how many.
    pub fn delete_used_refresh_tokens(&mut self, user_id: &str, device_id: &str) -> Result<usize> {
        let deleted = self
            .conn
            .prepare_cached(
                "DELETE FROM refresh_tokens WHERE user_id = $1 AND device_id = $2 AND used = 1",
            )?
            .execute((user_id, device_id))?;
        Ok(deleted)
    }

    /// Adds an OpenID token.
    pub fn insert_openid_token(
        &mut self,
        hash: &[u8],
        user_id: &str,
        expires_at: i64,
    ) -> Result<()> {
        self.conn
            .prepare_cached(
                "INSERT INTO openid_tokens (token_hash, user_id, expires_at) VALUES ($1, $2, $3)",
            )?
            .execute((hash, user_id, expires_at))?;
        Ok(())
    }

    /// Removes up to `limit` OpenID tokens that ended before `now`; returns how many.
    pub fn prune_openid_tokens(&mut self, now: i64, limit: usize) -> Result<usize> {
        let deleted = self
            .conn
            .prepare_cached(
                "DELETE FROM openid_tokens WHERE token_hash IN (SELECT token_hash \
                 FROM openid_tokens WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)",
            )?
            .execute((now, limit as i64))?;
        Ok(deleted)
    }
}

/// Filters and idempotency keys.
impl Tx<'_> {
    /// Stores a filter and returns its id; the same text has the same id.
    pub fn insert_filter(&mut self, user_id: &str, text: &str) -> Result<i64> {
        let known: Option<i64> = self
            .conn
            .prepare_cached("SELECT filter_id FROM filters WHERE user_id = $1 AND filter = $2")?
            .query_row((user_id, text), |row| row.get(0))
            .optional()?;
        if let Some(filter_id) = known {
            return Ok(filter_id);
        }
        let filter_id: i64 = self
            .conn
            .prepare_cached(
                "SELECT COALESCE(MAX(filter_id), 0) + 1 FROM filters WHERE user_id = $1",
            )?
            .query_row([user_id], |row| row.get(0))?;
        self.conn
            .prepare_cached("INSERT INTO filters (user_id, filter_id, filter) VALUES ($1, $2, $3)")?
            .execute((user_id, filter_id, text))?;
        Ok(filter_id)
    }

    /// Forgets up to `limit` client transaction ids older than `before_ms`; returns how many.
    pub fn prune_client_txns(&mut self, before_ms: i64, limit: usize) -> Result<usize> {
        let deleted = self
            .conn
            .prepare_cached(
                "DELETE FROM client_txns \
                 WHERE (user_id, scope, room_id, type, client_txn_id) IN ( \
                 SELECT user_id, scope, room_id, type, client_txn_id FROM client_txns \
                 WHERE at_ms < $1 ORDER BY at_ms LIMIT $2)",
            )?
            .execute((before_ms, limit as i64))?;
        Ok(deleted)
    }
}

fn read_device(row: &Row<'_>) -> rusqlite::Result<DeviceRow> {
    Ok(DeviceRow {
        user_id: row.get(0)?,
        device_id: row.get(1)?,
        display_name: row.get(2)?,
        last_seen_ip: row.get(3)?,
        last_seen_at: row.get(4)?,
        created_at: row.get(5)?,
    })
}

fn read_owner(row: &Row<'_>) -> rusqlite::Result<TokenOwner> {
    Ok(TokenOwner {
        user_id: row.get(0)?,
        device_id: row.get(1)?,
        expires_at: row.get(2)?,
        is_guest: row.get(3)?,
        deactivated: row.get(4)?,
    })
}
