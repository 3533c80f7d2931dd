//! Transactions laid open.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The transaction in flight, with all that is in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TransactionView {
    /// Its id.
    pub transaction_id: String,
    /// The cursor moves here when it is acknowledged.
    pub upto: u64,
    /// When it was made.
    pub created_at_ms: i64,
    /// Failed attempts so far.
    pub failed_attempts: u32,
    /// Size of its body.
    pub bytes: u64,
    /// Its room events, without their content.
    pub events: Vec<TransactionEvent>,
    /// The exact body, as it is sent.
    #[schema(value_type = Object)]
    pub body: serde_json::Value,
}

/// An event of a transaction, for a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TransactionEvent {
    /// Its id.
    pub event_id: String,
    /// Its type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// Its room.
    pub room_id: String,
    /// Its sender.
    pub sender: String,
    /// Size of its JSON.
    pub bytes: u64,
}

/// Transactions that operators skipped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SkipList {
    /// Newest first.
    pub skips: Vec<Skip>,
}

/// A transaction that was skipped: what was in it is kept, and can be replayed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Skip {
    /// Its number, to replay it by.
    pub skip_id: u64,
    /// The transaction's id.
    pub transaction_id: String,
    /// It began after this position.
    pub from: u64,
    /// It went up to here.
    pub upto: u64,
    /// Its room events.
    pub events: Vec<TransactionEvent>,
    /// Who skipped it: an operator's name, or `policy`.
    pub by: String,
    /// When.
    pub at_ms: i64,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the service had answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// When a replay of it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replayed_at_ms: Option<i64>,
}
