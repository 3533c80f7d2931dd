//! What is known of uploaded media. The bytes are files named by content hash, kept elsewhere.

use rusqlite::{OptionalExtension, Row};

use crate::{Result, Snapshot, Tx};

/// A media id and what is behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaRow {
    /// The part of the `mxc://` URI after the server name.
    pub media_id: String,
    /// The hash of the bytes, which names their file; `None` until they are uploaded.
    pub sha256: Option<String>,
    /// The type the uploader gave.
    pub content_type: Option<String>,
    /// The file name the uploader gave.
    pub filename: Option<String>,
    /// How many bytes there are; `None` until they are uploaded.
    pub size_bytes: Option<i64>,
    /// Who made the id.
    pub user_id: String,
    /// When the id was made (ms).
    pub created_at: i64,
    /// Until when the bytes may still be uploaded (ms); `None` once they are.
    pub expires_at: Option<i64>,
}

impl Snapshot<'_> {
    /// What is behind a media id.
    pub fn media(&self, media_id: &str) -> Result<Option<MediaRow>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT media_id, sha256, content_type, filename, size_bytes, user_id, created_at, \
             expires_at FROM media WHERE media_id = $1",
        )?;
        Ok(statement.query_row([media_id], read_row).optional()?)
    }

    /// How many ids the user has made without uploading the bytes, expired ones that were not
    /// pruned yet included.
    pub fn pending_media_count(&self, user_id: &str) -> Result<i64> {
        let mut statement = self
            .conn
            .prepare_cached("SELECT COUNT(*) FROM media WHERE user_id = $1 AND sha256 IS NULL")?;
        Ok(statement.query_row([user_id], |row| row.get(0))?)
    }
}

impl Tx<'_> {
    /// Adds a media id. `false`, and nothing changed, if it is taken.
    pub fn insert_media(&mut self, media: &MediaRow) -> Result<bool> {
        let inserted = self
            .conn
            .prepare_cached(
                "INSERT INTO media (media_id, sha256, content_type, filename, size_bytes, \
                 user_id, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
                 ON CONFLICT (media_id) DO NOTHING",
            )?
            .execute((
                &media.media_id,
                &media.sha256,
                &media.content_type,
                &media.filename,
                media.size_bytes,
                &media.user_id,
                media.created_at,
                media.expires_at,
            ))?;
        Ok(inserted == 1)
    }

    /// Says which bytes are behind an id made earlier. `false`, and nothing changed, if there is
    /// no such id or it has its bytes already.
    pub fn complete_media(
        &mut self,
        media_id: &str,
        sha256: &str,
        content_type: Option<&str>,
        filename: Option<&str>,
        size_bytes: i64,
    ) -> Result<bool> {
        let changed = self
            .conn
            .prepare_cached(
                "UPDATE media SET sha256 = $1, content_type = $2, filename = $3, \
                 size_bytes = $4, expires_at = NULL WHERE media_id = $5 AND sha256 IS NULL",
            )?
            .execute((sha256, content_type, filename, size_bytes, media_id))?;
        Ok(changed == 1)
    }

    /// Removes up to `limit` ids whose bytes were not uploaded before `now`; returns how many.
    pub fn prune_pending_media(&mut self, now: i64, limit: usize) -> Result<usize> {
        let deleted = self
            .conn
            .prepare_cached(
                "DELETE FROM media WHERE media_id IN (SELECT media_id FROM media \
                 WHERE sha256 IS NULL AND expires_at < $1 ORDER BY expires_at LIMIT $2)",
            )?
            .execute((now, limit as i64))?;
        Ok(deleted)
    }
}

fn read_row(row: &Row<'_>) -> rusqlite::Result<MediaRow> {
    Ok(MediaRow {
        media_id: row.get(0)?,
        sha256: row.get(1)?,
        content_type: row.get(2)?,
        filename: row.get(3)?,
        size_bytes: row.get(4)?,
        user_id: row.get(5)?,
        created_at: row.get(6)?,
        expires_at: row.get(7)?,
    })
}
