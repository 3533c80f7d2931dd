//! Every act of an operator is written down, in one unit of work with the act itself.

use bridgehead_store::{AuditRow, Tx};

use crate::http::error::ApiError;

/// The longest reason, in characters.
const MAX_REASON: usize = 1_000;

/// What somebody wants to do.
#[derive(Debug, Clone)]
pub(crate) struct Act {
    /// Who: an operator's name, `service:<id>` or `server`.
    pub(crate) who: String,
    /// What.
    pub(crate) action: &'static str,
    /// To which service.
    pub(crate) service_id: Option<String>,
    /// Why.
    pub(crate) reason: Option<String>,
    /// When (ms).
    pub(crate) at_ms: i64,
}

impl Act {
    /// Writes it down; the caller does it in the same unit. `detail` never holds a token.
    pub(crate) fn record(
        self,
        tx: &mut Tx<'_>,
        detail: Option<String>,
    ) -> bridgehead_store::Result<()> {
        tx.insert_audit(&AuditRow {
            at_ms: self.at_ms,
            who: self.who,
            action: self.action.to_owned(),
            service_id: self.service_id,
            reason: self.reason,
            detail,
            ..AuditRow::default()
        })
    }
}

/// A reason as it is kept: without blanks around it, and not without end.
pub(crate) fn checked_reason(reason: Option<String>) -> Result<Option<String>, ApiError> {
    let Some(reason) = reason else {
        return Ok(None);
    };
    let reason = reason.trim();
    if reason.chars().count() > MAX_REASON {
        return Err(ApiError::invalid_param(format!(
            "The reason is longer than {MAX_REASON} characters"
        )));
    }
    Ok((!reason.is_empty()).then(|| reason.to_owned()))
}
