//! What belongs to what: remote things and their Matrix sides.

use rusqlite::{OptionalExtension as _, Row, params};

use super::{Result, Unit};

/// A remote thing and its Matrix side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LinkRow {
    pub(crate) remote_id: String,
    pub(crate) matrix_id: String,
    /// JSON.
    pub(crate) data: String,
    pub(crate) linked_ms: i64,
}

const COLUMNS: &str = "remote_id, matrix_id, data, linked_ms";

fn row_of(row: &Row<'_>) -> rusqlite::Result<LinkRow> {
    Ok(LinkRow {
        remote_id: row.get(0)?,
        matrix_id: row.get(1)?,
        data: row.get(2)?,
        linked_ms: row.get(3)?,
    })
}

impl Unit<'_> {
    /// Links a remote thing; what it was linked to before is forgotten.
    pub(crate) fn put_link(&self, kind: &str, link: &LinkRow) -> Result<()> {
        self.connection
            .prepare_cached(
                "INSERT INTO links (kind, remote_id, matrix_id, data, linked_ms) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (kind, remote_id) DO UPDATE SET matrix_id = excluded.matrix_id, data = excluded.data,
                     linked_ms = CASE WHEN matrix_id = excluded.matrix_id THEN linked_ms ELSE excluded.linked_ms END",
            )?
            .execute(params![
                kind,
                link.remote_id,
                link.matrix_id,
                link.data,
                link.linked_ms
            ])?;
        Ok(())
    }

    /// Forgets a link; whether there was one.
    pub(crate) fn delete_link(&self, kind: &str, remote_id: &str) -> Result<bool> {
        let mut statement = self
            .connection
            .prepare_cached("DELETE FROM links WHERE kind = ?1 AND remote_id = ?2")?;
        Ok(statement.execute([kind, remote_id])? > 0)
    }

    /// What a remote thing is linked to.
    pub(crate) fn link_by_remote(&self, kind: &str, remote_id: &str) -> Result<Option<LinkRow>> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM links WHERE kind = ?1 AND remote_id = ?2"
        ))?;
        Ok(statement.query_row([kind, remote_id], row_of).optional()?)
    }

    /// What is linked to a Matrix id, oldest first.
    pub(crate) fn links_by_matrix(
        &self,
        kind: &str,
        matrix_id: &str,
        limit: usize,
    ) -> Result<Vec<LinkRow>> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM links WHERE kind = ?1 AND matrix_id = ?2 ORDER BY linked_ms, remote_id LIMIT ?3"
        ))?;
        let rows = statement.query_map(params![kind, matrix_id, limit as i64], row_of)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Links of a kind with remote ids behind `after`, in their order.
    pub(crate) fn links_page(&self, kind: &str, after: &str, limit: usize) -> Result<Vec<LinkRow>> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM links WHERE kind = ?1 AND remote_id > ?2 ORDER BY remote_id LIMIT ?3"
        ))?;
        let rows = statement.query_map(params![kind, after, limit as i64], row_of)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Links whatever was linked to one Matrix id to another, of all kinds; how many.
    pub(crate) fn move_links(&self, from: &str, to: &str) -> Result<usize> {
        let mut statement = self
            .connection
            .prepare_cached("UPDATE links SET matrix_id = ?2 WHERE matrix_id = ?1")?;
        Ok(statement.execute([from, to])?)
    }
}
