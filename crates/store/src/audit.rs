//! The audit log: who did what to which service, when and why.

use crate::{Result, Tx};

/// An act to be written down. Never a token in any of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// When (ms).
    pub at_ms: i64,
    /// An operator's name, `service:<id>`, or `server`.
    pub who: String,
    /// The verb.
    pub action: String,
    /// To which service.
    pub service_id: Option<String>,
    /// The reason given.
    pub reason: Option<String>,
    /// What else there is to say, for people.
    pub detail: Option<String>,
}

impl Tx<'_> {
    /// Writes an act down, in the unit of work that does it.
    pub fn insert_audit(&mut self, act: &AuditRow) -> Result<()> {
        self.conn
            .prepare_cached(
                "INSERT INTO audit (at_ms, who, action, service_id, reason, detail) \
                 VALUES ($1, $2, $3, $4, $5, $6)",
            )?
            .execute((
                act.at_ms,
                &act.who,
                &act.action,
                &act.service_id,
                &act.reason,
                &act.detail,
            ))?;
        Ok(())
    }
}
