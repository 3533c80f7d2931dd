//! Removing a service and what it left behind.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Query of a removal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Purge {
    /// Also deactivate its ghosts (which leave their rooms), delete its aliases and directory
    /// entries, and drop its queue. Without it, only the registration goes.
    #[serde(default)]
    pub purge: bool,
    /// Only say what would happen.
    #[serde(default)]
    pub dry_run: bool,
    /// For the audit log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What a removal did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RemovalReport {
    /// The service.
    pub id: String,
    /// Nothing was done.
    pub dry_run: bool,
    /// Everything is done; with a large purge it goes on for a while, and the same request tells
    /// how far it has come.
    pub finished: bool,
    /// Its users.
    pub ghosts: u64,
    /// Rooms that they leave.
    pub memberships: u64,
    /// Aliases.
    pub aliases: u64,
    /// Entries of the room directory.
    pub directory_entries: u64,
    /// Entries of the log that nobody will deliver.
    pub queued: u64,
    /// Some of each, for people.
    pub examples: Vec<String>,
}
