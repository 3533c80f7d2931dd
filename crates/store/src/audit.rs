//! Who did what, when and why. Written in the same unit of work as the act itself.

use rusqlite::Row;

use crate::{Result, Snapshot, Tx};

/// One act.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditRow {
    /// Its number, growing; ignored when it is written.
    pub audit_id: u64,
    /// When (ms).
    pub at_ms: i64,
    /// Who.
    pub who: String,
    /// What.
    pub action: String,
    /// To which application service.
    pub service_id: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// What else there is to say.
    pub detail: Option<String>,
}

impl Snapshot<'_> {
    /// Up to `limit` acts before that number (the newest, without one), newest first; of one
    /// service, where one is named.
    pub fn audit_page(
        &self,
        before: Option<u64>,
        service_id: Option<&str>,
        limit: usize,
    ) -> Result<Vec<AuditRow>> {
        let before = before.map_or(i64::MAX, |id| i64::try_from(id).unwrap_or(i64::MAX));
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = match service_id {
            None => self
                .conn
                .prepare_cached(
                    "SELECT audit_id, at_ms, who, action, service_id, reason, detail FROM audit \
                     WHERE audit_id < $1 ORDER BY audit_id DESC LIMIT $2",
                )?
                .query_map((before, limit), read_row)?
                .collect::<Result<_, _>>()?,
            Some(service_id) => self
                .conn
                .prepare_cached(
                    "SELECT audit_id, at_ms, who, action, service_id, reason, detail FROM audit \
                     WHERE service_id = $1 AND audit_id < $2 ORDER BY audit_id DESC LIMIT $3",
                )?
                .query_map((service_id, before, limit), read_row)?
                .collect::<Result<_, _>>()?,
        };
        Ok(rows)
    }
}

impl Tx<'_> {
    /// Writes an act down.
    pub fn insert_audit(&mut self, row: &AuditRow) -> Result<()> {
        self.conn
            .prepare_cached(
                "INSERT INTO audit (at_ms, who, action, service_id, reason, detail) \
                 VALUES ($1, $2, $3, $4, $5, $6)",
            )?
            .execute((
                row.at_ms,
                &row.who,
                &row.action,
                &row.service_id,
                &row.reason,
                &row.detail,
            ))?;
        Ok(())
    }
}

fn read_row(row: &Row<'_>) -> rusqlite::Result<AuditRow> {
    Ok(AuditRow {
        audit_id: u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0),
        at_ms: row.get(1)?,
        who: row.get(2)?,
        action: row.get(3)?,
        service_id: row.get(4)?,
        reason: row.get(5)?,
        detail: row.get(6)?,
    })
}
