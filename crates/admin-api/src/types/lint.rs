//! What is doubtful about registrations.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Asks for a look at a registration before it is added; without `yaml`, at all in force.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LintRequest {
    /// The registration's text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yaml: Option<String>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LintReport {
    /// Worst first.
    pub findings: Vec<Finding>,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The service will not work as it is written.
    Error,
    /// Probably not what is meant.
    Warning,
    /// Good to know.
    Note,
}

/// What is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// The text is no registration.
    Unreadable,
    /// Two services claim the same ids for themselves.
    ExclusiveOverlap,
    /// A pattern can never match, for lack of `@`, `#` or `!` at its start.
    MissingSigil,
    /// A pattern names no domain.
    MissingDomain,
    /// A pattern matches users that the service has not made.
    SwallowsUsers,
    /// The service's own user is not in its namespaces.
    SenderOutside,
    /// A pattern looks around, which other servers refuse and which is slow.
    LookAround,
    /// Tokens and messages go over the network in clear.
    PlainHttp,
    /// Nothing can be sent to the service.
    NoUrl,
    /// Anything else that the reader noticed.
    Other,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// What.
    pub kind: FindingKind,
    /// How bad.
    pub severity: Severity,
    /// The service; absent for a text that names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_id: Option<String>,
    /// The other service, of an overlap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_id: Option<String>,
    /// The pattern.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Ids that show it: one that both match, or users that are swallowed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub witnesses: Vec<String>,
    /// How many there are in all, where that was counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// What is wrong, for people.
    pub message: String,
    /// What to do about it.
    pub cure: String,
}
