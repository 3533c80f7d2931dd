//! How a service's delivery went, for plots.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Which stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Span {
    /// The last hour, in steps of 30 s.
    Hour,
    /// The last day, in steps of 10 minutes.
    Day,
}

/// Samples at regular steps. Kept in memory: it begins with the server's start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct History {
    /// The time between two samples.
    pub step_ms: u64,
    /// Oldest first.
    pub samples: Vec<Sample>,
}

/// One step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Sample {
    /// The step's end.
    pub at_ms: i64,
    /// Entries waiting, at the step's end.
    pub depth: u64,
    /// For how long the oldest of them had been waiting.
    pub lag_ms: u64,
    /// Entries acknowledged in the step.
    pub delivered: u64,
    /// Attempts that failed in the step.
    pub failed: u64,
}
