//! Registrations at run time.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::lint::Finding;

/// Where a registration comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Source {
    /// A file that the server watches; whoever changes the file changes the registration.
    File {
        /// Its path on the server.
        path: String,
    },
    /// The operator API.
    Api,
}

/// Adds a service.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddRegistration {
    /// The registration, in the usual YAML.
    pub yaml: String,
    /// Check it and say what would happen; change nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// For the audit log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Changes a service.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplaceRegistration {
    /// The registration, in the usual YAML, with the same id. A token that reads `***` stays as
    /// it is.
    pub yaml: String,
    /// The revision that the change is based on; with another in force it is refused (409).
    pub revision: u64,
    /// Check it and say what would happen; change nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// For the audit log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A registration is in force (or would be, in a dry run).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Registered {
    /// The service.
    pub id: String,
    /// The revision in force.
    pub revision: u64,
    /// What the linter says.
    pub findings: Vec<Finding>,
}

/// A registration as it is in force, tokens hidden.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RegistrationText {
    /// The service.
    pub id: String,
    /// The YAML; tokens read `***`.
    pub yaml: String,
    /// The revision in force.
    pub revision: u64,
    /// Where it comes from.
    pub source: Source,
}

/// Gives a service new tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateRequest {
    /// For how long the old ones are good, too; 0 ends them at once. One hour without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap_ms: Option<u64>,
    /// For the audit log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The new tokens, shown once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Rotated {
    /// The service.
    pub id: String,
    /// What the service has to show.
    pub as_token: String,
    /// What the server shows.
    pub hs_token: String,
    /// The revision in force.
    pub revision: u64,
    /// Until when the old ones are good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overlap_until_ms: Option<i64>,
}
