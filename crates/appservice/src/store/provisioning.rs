//! Sessions of people who have logged in at the provisioning API.

use rusqlite::{OptionalExtension as _, params};

use super::{Result, Unit};

/// A session. Its token is kept as a hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SessionRow {
    pub(crate) digest: [u8; 32],
    pub(crate) user_id: String,
    pub(crate) created_ms: i64,
    pub(crate) expires_ms: i64,
}

impl Unit<'_> {
    /// Whose session this is, and until when.
    pub(crate) fn session(&self, digest: &[u8]) -> Result<Option<(String, i64)>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT user_id, expires_ms FROM provisioning_sessions WHERE digest = ?1",
        )?;
        let row = statement.query_row([digest], |row| Ok((row.get(0)?, row.get(1)?)));
        Ok(row.optional()?)
    }

    /// Adds a session. What has ended long ago goes, and the oldest of those beyond the bounds: `each` of a person, `all`
    /// together.
    pub(crate) fn insert_session(&self, row: &SessionRow, each: usize, all: usize) -> Result<()> {
        self.connection
            .prepare_cached("DELETE FROM provisioning_sessions WHERE expires_ms < ?1")?
            .execute([row.created_ms - KEEP_MS])?;
        self.connection
            .prepare_cached(
                "INSERT INTO provisioning_sessions (digest, user_id, created_ms, expires_ms)
                 VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![
                &row.digest[..],
                row.user_id,
                row.created_ms,
                row.expires_ms
            ])?;
        self.connection
            .prepare_cached(
                "DELETE FROM provisioning_sessions WHERE digest IN
                 (SELECT digest FROM provisioning_sessions WHERE user_id = ?1
                  ORDER BY created_ms DESC, digest LIMIT -1 OFFSET ?2)",
            )?
            .execute(params![row.user_id, each as i64])?;
        self.connection
            .prepare_cached(
                "DELETE FROM provisioning_sessions WHERE digest IN
                 (SELECT digest FROM provisioning_sessions ORDER BY expires_ms DESC LIMIT -1 OFFSET ?1)",
            )?
            .execute([all as i64])?;
        Ok(())
    }

    /// Ends a session; `false` when there was none.
    pub(crate) fn delete_session(&self, digest: &[u8]) -> Result<bool> {
        let deleted = self
            .connection
            .prepare_cached("DELETE FROM provisioning_sessions WHERE digest = ?1")?
            .execute([digest])?;
        Ok(deleted > 0)
    }
}

/// How long an ended session is still known as such, in ms: who comes with it learns that it has ended.
const KEEP_MS: i64 = 24 * 3600 * 1000;
