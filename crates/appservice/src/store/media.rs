//! What was uploaded, and what is linked to no more.

use rusqlite::{OptionalExtension as _, params};

use super::{Result, Unit};

/// An upload: done, or begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UploadRow {
    /// Its `mxc://` URI.
    pub(crate) mxc: String,
    /// Who has asked for the URI: nobody else may upload to it.
    pub(crate) user_id: String,
    /// Whether the homeserver has the content.
    pub(crate) is_done: bool,
    /// When the homeserver gives the URI up, where it has no content.
    pub(crate) expires_ms: Option<i64>,
}

impl Unit<'_> {
    pub(crate) fn upload(&self, digest: &[u8]) -> Result<Option<UploadRow>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT mxc, user_id, is_done, expires_ms FROM uploads WHERE digest = ?1",
        )?;
        let row = statement.query_row([digest], |row| {
            Ok(UploadRow {
                mxc: row.get(0)?,
                user_id: row.get(1)?,
                is_done: row.get(2)?,
                expires_ms: row.get(3)?,
            })
        });
        Ok(row.optional()?)
    }

    pub(crate) fn put_upload(&self, digest: &[u8], row: &UploadRow, now_ms: i64) -> Result<()> {
        self.connection
            .prepare_cached(
                "INSERT OR REPLACE INTO uploads (digest, mxc, user_id, is_done, expires_ms, used_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![digest, row.mxc, row.user_id, row.is_done, row.expires_ms, now_ms])?;
        Ok(())
    }

    pub(crate) fn touch_upload(&self, digest: &[u8], now_ms: i64) -> Result<()> {
        self.connection
            .prepare_cached("UPDATE uploads SET used_ms = ?2 WHERE digest = ?1")?
            .execute(params![digest, now_ms])?;
        Ok(())
    }

    /// Forgets what was uploaded under this URI; `false` when there was nothing.
    pub(crate) fn forget_upload_of(&self, mxc: &str) -> Result<bool> {
        let deleted = self
            .connection
            .prepare_cached("DELETE FROM uploads WHERE mxc = ?1")?
            .execute([mxc])?;
        Ok(deleted > 0)
    }

    /// Forgets what was not asked for the longest, until there are no more than `keep`.
    pub(crate) fn trim_uploads(&self, keep: usize) -> Result<()> {
        self.connection
            .prepare_cached(
                "DELETE FROM uploads WHERE digest IN
                 (SELECT digest FROM uploads ORDER BY used_ms DESC LIMIT -1 OFFSET ?1)",
            )?
            .execute([keep as i64])?;
        Ok(())
    }

    /// Links to this media are followed no more.
    pub(crate) fn revoke_media(&self, mxc: &str, now_ms: i64) -> Result<()> {
        self.connection
            .prepare_cached(
                "INSERT OR IGNORE INTO revoked_media (mxc, revoked_ms) VALUES (?1, ?2)",
            )?
            .execute(params![mxc, now_ms])?;
        Ok(())
    }

    pub(crate) fn is_revoked_media(&self, mxc: &str) -> Result<bool> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT 1 FROM revoked_media WHERE mxc = ?1")?;
        Ok(statement.exists([mxc])?)
    }
}
