//! The stream of what happens, as server-sent events: `event:` is the name, `data:` the JSON.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What happened. The names and fields are a promise to scripts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OperatorEvent {
    /// When.
    pub at_ms: i64,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// The kinds of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "event")]
pub enum EventKind {
    /// A transaction was acknowledged.
    #[serde(rename = "appservice.events_delivered")]
    EventsDelivered {
        /// The service.
        service_id: String,
        /// The transaction.
        transaction_id: String,
        /// Room events in it.
        event_count: u64,
    },
    /// A user was made because a service said that it exists.
    #[serde(rename = "appservice.user_provisioned")]
    UserProvisioned {
        /// The service.
        service_id: String,
        /// The user.
        user_id: String,
    },
    /// An alias was made because a service said that it exists.
    #[serde(rename = "appservice.alias_provisioned")]
    AliasProvisioned {
        /// The service.
        service_id: String,
        /// The alias.
        alias: String,
    },
    /// An attempt failed.
    #[serde(rename = "appservice.delivery_failed")]
    DeliveryFailed {
        /// The service.
        service_id: String,
        /// The transaction.
        transaction_id: String,
        /// Attempts of it that failed so far.
        retry_count: u32,
    },
}

impl EventKind {
    /// All names.
    pub const NAMES: [&str; 4] = [
        "appservice.events_delivered",
        "appservice.user_provisioned",
        "appservice.alias_provisioned",
        "appservice.delivery_failed",
    ];

    /// The event's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::EventsDelivered { .. } => "appservice.events_delivered",
            Self::UserProvisioned { .. } => "appservice.user_provisioned",
            Self::AliasProvisioned { .. } => "appservice.alias_provisioned",
            Self::DeliveryFailed { .. } => "appservice.delivery_failed",
        }
    }

    /// The service it is about.
    pub fn service_id(&self) -> &str {
        match self {
            Self::EventsDelivered { service_id, .. }
            | Self::UserProvisioned { service_id, .. }
            | Self::AliasProvisioned { service_id, .. }
            | Self::DeliveryFailed { service_id, .. } => service_id,
        }
    }
}
