//! Persons for whom the service acts.

use rusqlite::{OptionalExtension as _, Row, params};

use super::{Result, Unit};

/// A person for whom the service acts.
#[derive(Clone, Debug)]
pub(crate) struct PuppetRow {
    pub(crate) user_id: String,
    /// How: see [`Consent`](crate::bridge::puppets::Consent).
    pub(crate) consent: i64,
    /// Their access token, sealed.
    pub(crate) token: Option<Vec<u8>>,
    pub(crate) since_ms: i64,
    /// Since when the token is no longer good.
    pub(crate) lost_ms: Option<i64>,
}

fn row_of(row: &Row<'_>) -> rusqlite::Result<PuppetRow> {
    Ok(PuppetRow {
        user_id: row.get(0)?,
        consent: row.get(1)?,
        token: row.get(2)?,
        since_ms: row.get(3)?,
        lost_ms: row.get(4)?,
    })
}

const COLUMNS: &str = "user_id, consent, token, since_ms, lost_ms";

impl Unit<'_> {
    /// Adds a person, or replaces what is known of them.
    pub(crate) fn put_puppet(&self, row: &PuppetRow) -> Result<()> {
        self.connection
            .prepare_cached(
                "INSERT OR REPLACE INTO puppets (user_id, consent, token, since_ms, lost_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                row.user_id,
                row.consent,
                row.token,
                row.since_ms,
                row.lost_ms
            ])?;
        Ok(())
    }

    pub(crate) fn puppet(&self, user: &str) -> Result<Option<PuppetRow>> {
        let mut statement = self
            .connection
            .prepare_cached(&format!("SELECT {COLUMNS} FROM puppets WHERE user_id = ?1"))?;
        Ok(statement.query_row([user], row_of).optional()?)
    }

    /// Persons behind `after`, by their ids.
    pub(crate) fn puppets(&self, after: &str, limit: usize) -> Result<Vec<PuppetRow>> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM puppets WHERE user_id > ?1 ORDER BY user_id LIMIT ?2"
        ))?;
        let rows = statement.query_map(params![after, limit as i64], row_of)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    pub(crate) fn count_puppets(&self) -> Result<usize> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT count(*) FROM puppets")?;
        let count: i64 = statement.query_row([], |row| row.get(0))?;
        Ok(usize::try_from(count).unwrap_or(0))
    }

    /// The token is no longer good and goes; `false` when that was known.
    pub(crate) fn lose_puppet(&self, user: &str, now_ms: i64) -> Result<bool> {
        let changed = self
            .connection
            .prepare_cached(
                "UPDATE puppets SET token = NULL, lost_ms = ?2 WHERE user_id = ?1 AND lost_ms IS NULL",
            )?
            .execute(params![user, now_ms])?;
        Ok(changed > 0)
    }

    pub(crate) fn delete_puppet(&self, user: &str) -> Result<bool> {
        let deleted = self
            .connection
            .prepare_cached("DELETE FROM puppets WHERE user_id = ?1")?
            .execute([user])?;
        Ok(deleted > 0)
    }
}
