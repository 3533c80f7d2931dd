//! Who did what.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A page of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditPage {
    /// Newest first.
    pub entries: Vec<AuditEntry>,
    /// Pass it as `before` for the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// One act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// Its number, growing.
    pub audit_id: u64,
    /// When.
    pub at_ms: i64,
    /// Who: an operator's name, `service:<id>` for a service that acted for itself, `server` for
    /// what a file or a policy made the server do.
    pub who: String,
    /// What: `pause`, `resume`, `retry`, `skip`, `replay`, `drain`, `fail`, `add`, `change`,
    /// `rotate`, `remove`, `operator_add`, `operator_remove`, …
    pub action: String,
    /// To which service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_id: Option<String>,
    /// The reason given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What else there is to say, for people. Never a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}
