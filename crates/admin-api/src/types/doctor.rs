//! What keeps a service from being reached.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The steps, in the order they were tried; those after a failure that they depend on are skipped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DoctorReport {
    /// The service.
    pub id: String,
    /// Whether all is well.
    pub healthy: bool,
    /// What was tried.
    pub steps: Vec<DoctorStep>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DoctorStep {
    /// `dns`, `tcp`, `tls`, `path`, `token`, `ping`, `round_trip`.
    pub name: String,
    /// How it went.
    pub outcome: StepOutcome,
    /// How long it took.
    pub took_ms: u64,
    /// What was found, for people.
    pub detail: String,
    /// What to do about it, where it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cure: Option<String>,
}

/// How a step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepOutcome {
    /// As it should.
    Ok,
    /// It works, but something is odd.
    Warning,
    /// It does not work.
    Failed,
    /// It was not tried.
    Skipped,
}
