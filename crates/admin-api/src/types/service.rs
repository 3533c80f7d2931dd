//! An application service as an operator sees it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// All services.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ServiceList {
    /// The server's name.
    pub server_name: String,
    /// The server's version.
    pub version: String,
    /// The newest position of the log.
    pub position: u64,
    /// The services, in the order of their registrations.
    pub services: Vec<Service>,
}

/// Where a service's delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nothing is waiting, or nothing may be sent now (see `paused`).
    Idle,
    /// A transaction is on its way.
    Delivering,
    /// The last attempt failed; the next one waits for its time or a sign of life.
    Retrying,
    /// A person has given it up; only a person brings it back.
    Failed,
}

/// How transactions reach the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// Pushed to its url.
    Http,
    /// Pushed over the websocket it has opened.
    Websocket,
    /// It fetches them itself.
    Pull,
    /// It has no url, no websocket is open, and it does not fetch.
    None,
}

/// A service's delivery, as it is now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Service {
    /// Its id, as registered.
    pub id: String,
    /// Its own user.
    pub sender: String,
    /// The url of its registration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// How transactions reach it now.
    pub transport: Transport,
    /// Where its delivery stands.
    pub state: State,
    /// Nothing is sent until this ends; absent while it is not paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<Pause>,
    /// One event keeps everything behind it waiting; absent while none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stuck: Option<Stuck>,
    /// The last position it has acknowledged, or that was of no interest to it.
    pub cursor: u64,
    /// How many entries of the log wait for it, those in flight included.
    pub depth: u64,
    /// For how long the oldest of them has been waiting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_waiting_ms: Option<u64>,
    /// What went through of late.
    pub rates: Rates,
    /// When it last acknowledged a transaction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_success_at_ms: Option<i64>,
    /// The last thing that went wrong, even if it has been mended since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<LastError>,
    /// When the next attempt is due, unless a sign of life comes first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_try_at_ms: Option<i64>,
    /// The transaction that awaits its acknowledgement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<InFlight>,
    /// Entries in a transaction at most, at the moment: fewer than configured after refusals.
    pub batch_limit: u64,
    /// A replay that goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay: Option<Progress>,
    /// A drain that goes on: the service is paused when it has come to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain: Option<Progress>,
    /// Old habits of the service, as the server found them out.
    pub dialect: Dialect,
    /// Grows with each change of the registration; a change names the revision it is based on.
    pub revision: u64,
    /// Where the registration comes from: a file's path, or `api`.
    pub source: String,
    /// How many transactions were skipped and not replayed.
    pub skipped: u64,
    /// The policy: a stuck event is skipped after this many attempts; absent: a person decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skip_stuck_after: Option<u32>,
}

/// Who holds a service's delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PausedBy {
    /// An operator; only an operator resumes it.
    Operator,
    /// The service itself, which went off line.
    Service,
}

/// Why nothing is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pause {
    /// Who has paused it.
    pub by: PausedBy,
    /// Since when.
    pub since_ms: i64,
    /// The reason given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it ends by itself, where that was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<i64>,
}

/// The event that a service refuses, and with it everything behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Stuck {
    /// The transaction that holds nothing else.
    pub transaction_id: String,
    /// Since when the event is known as the one.
    pub since_ms: i64,
    /// The position in the log.
    pub position: u64,
    /// The event's id; absent for a to-device message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    /// Its room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room_id: Option<String>,
    /// Its sender.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    /// Its type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// What the service answered last: status and head of the body, or what went wrong instead.
    pub answer: String,
}

/// What went through in the last minutes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Rates {
    /// Entries acknowledged in the last minute.
    pub delivered_last_minute: u64,
    /// Attempts in the last five minutes.
    pub attempts_last_5_minutes: u64,
    /// The share of them that failed, in percent.
    pub failed_percent: f64,
}

/// The last failed attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LastError {
    /// When.
    pub at_ms: i64,
    /// The transaction that was attempted.
    pub transaction_id: String,
    /// What went wrong, for people.
    pub message: String,
    /// The service's status, where it gave one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The head of its body, where it gave one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

/// The transaction that awaits its acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InFlight {
    /// Its id.
    pub transaction_id: String,
    /// Room events in it.
    pub events: u64,
    /// Size of its body.
    pub bytes: u64,
    /// Failed attempts so far.
    pub failed_attempts: u32,
    /// When it was made.
    pub since_ms: i64,
}

/// How far something long has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Progress {
    /// It began after this position.
    pub from: u64,
    /// It has come up to here.
    pub at: u64,
    /// It ends here.
    pub upto: u64,
}

/// Old habits of a service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Dialect {
    /// It answers only on paths without `/_matrix/app/v1`.
    pub legacy_paths: bool,
    /// It reads its token from the query.
    pub query_token: bool,
}
