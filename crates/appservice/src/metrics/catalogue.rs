//! Every instrument of the kit, once: name, kind, unit, labels, meaning. The reference is made from this table.
//!
//! Labels are bounded: most are one of a few words; of the others only so many values are told apart.

/// What an instrument does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How many values fell below each of these bounds.
    Histogram(&'static [f64]),
}

/// What an instrument's number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Things.
    Count,
    /// Seconds.
    Seconds,
}

/// A label beside `service`, which every instrument has.
#[derive(Debug, Clone, Copy)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// What it may be; empty where that is not known in advance.
    pub values: &'static [&'static str],
}

/// One instrument.
#[derive(Debug)]
pub struct Metric {
    /// Its name, for Prometheus and statsd alike.
    pub name: &'static str,
    /// What it does.
    pub kind: Kind,
    /// What its number counts.
    pub unit: Unit,
    /// Its labels beside `service`, in the order in which values are given.
    pub labels: &'static [Label],
    /// What it tells.
    pub help: &'static str,
}

/// From a handler that only counts to one that asks somebody far away.
pub(super) const SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];
/// Around what a busy homeserver needs, and up to a day without one.
const LONG_SECONDS: &[f64] = &[
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 3600.0, 86400.0,
];

/// Declares the instruments and the table of them all.
macro_rules! catalogue {
    ($($(#[doc = $doc:literal])* $constant:ident = $name:literal, $kind:expr, $unit:ident,
        [$($label:ident: [$($value:literal),*]),*];)*) => {
        $(
            $(#[doc = $doc])*
            pub static $constant: Metric = Metric {
                name: $name,
                kind: $kind,
                unit: Unit::$unit,
                labels: &[$(Label { name: stringify!($label), values: &[$($value),*] }),*],
                help: concat!($($doc),*),
            };
        )*

        /// All of them, in the order of the reference.
        pub static CATALOGUE: &[&Metric] = &[$(&$constant),*];
    };
}

catalogue! {
    /// Transactions from the homeserver: `received` and stored, `repeated` and so already known, `refused` as malformed or with a wrong token, or `deferred` with a 503 because the inbox was full.
    TRANSACTIONS = "appservice_transactions_total", Kind::Counter, Count, [outcome: ["received", "repeated", "refused", "deferred"]];
    /// Events stored in the inbox.
    EVENTS_RECEIVED = "appservice_events_received_total", Kind::Counter, Count, [];
    /// Events that are done with: every handler has ended well, or one has refused the event and its sender was told.
    EVENTS_HANDLED = "appservice_events_handled_total", Kind::Counter, Count, [];
    /// Attempts of handlers that ended with an error or a panic.
    EVENTS_FAILED = "appservice_events_failed_total", Kind::Counter, Count, [handler: []];
    /// Attempts of handlers for an event that had failed before.
    EVENTS_RETRIED = "appservice_events_retried_total", Kind::Counter, Count, [handler: []];
    /// Events set aside, with their error, for a person to look at.
    EVENTS_PARKED = "appservice_events_parked_total", Kind::Counter, Count, [handler: []];
    /// Time that one attempt of a handler took, however it ended; by handler and type of event.
    HANDLER_SECONDS = "appservice_handler_duration_seconds", Kind::Histogram(SECONDS), Seconds, [handler: [], kind: []];
    /// Events in the inbox that wait or are being handled.
    INBOX_DEPTH = "appservice_inbox_events", Kind::Gauge, Count, [];
    /// For how long the oldest of them has been there; 0 while there is none.
    INBOX_OLDEST = "appservice_inbox_oldest_seconds", Kind::Gauge, Seconds, [];
    /// Rooms with events in the inbox: each is a lane, in which one event waits for the other.
    INBOX_LANES = "appservice_inbox_lanes", Kind::Gauge, Count, [];
    /// Events that are parked now.
    INBOX_PARKED = "appservice_inbox_parked_events", Kind::Gauge, Count, [];
    /// Typing notices, receipts and presence that nobody handled in time, and that were dropped.
    EPHEMERAL_DROPPED = "appservice_ephemeral_dropped_total", Kind::Counter, Count, [];

    /// Events to be sent that wait or are under way.
    OUTBOX_DEPTH = "appservice_outbox_sends", Kind::Gauge, Count, [];
    /// For how long the oldest of them has been there; 0 while there is none.
    OUTBOX_OLDEST = "appservice_outbox_oldest_seconds", Kind::Gauge, Seconds, [];
    /// Events that left the outbox: `sent`, or `given_up` after the time that the configuration allows or a refusal that will not change.
    SENDS = "appservice_sends_total", Kind::Counter, Count, [outcome: ["sent", "given_up"]];
    /// Attempts to send that have to be repeated: the homeserver asked to wait (`limited`), was `unreachable`, gave no answer in time (`timeout`), or failed (`5xx`).
    SEND_RETRIES = "appservice_send_retries_total", Kind::Counter, Count, [cause: ["limited", "unreachable", "timeout", "5xx", "other"]];
    /// Time from putting an event into the outbox to the homeserver's yes.
    SEND_SECONDS = "appservice_send_duration_seconds", Kind::Histogram(LONG_SECONDS), Seconds, [];
    /// Waits before a call because of the homeserver's rate limits.
    LIMIT_WAIT_SECONDS = "appservice_rate_limit_wait_seconds", Kind::Histogram(LONG_SECONDS), Seconds, [];

    /// Ghosts that were registered.
    GHOSTS_REGISTERED = "appservice_ghosts_registered_total", Kind::Counter, Count, [];
    /// Joins of the bot and of ghosts.
    JOINS = "appservice_joins_total", Kind::Counter, Count, [outcome: ["joined", "failed"]];
    /// Memberships that are not yet what they should be.
    MEMBERSHIP_PENDING = "appservice_membership_goals_pending", Kind::Gauge, Count, [];

    /// 1 while the websocket to the homeserver is open.
    WEBSOCKET_CONNECTED = "appservice_websocket_connected", Kind::Gauge, Count, [];
    /// 1 while the connection to the other network, or to one of them, is up.
    REMOTE_UP = "appservice_remote_up", Kind::Gauge, Count, [remote: []];
    /// Attempts to bring an event to the other network: it was `delivered`, is to be `retried`, is `waiting` for the network to come back, or was `rejected` and its sender told.
    BRIDGE_EVENTS = "appservice_bridge_events_total", Kind::Counter, Count, [remote: [], fate: ["delivered", "retried", "waiting", "rejected"]];
    /// What the other network said: brought to Matrix (`done`); `held` until its speaker is let into the room; `banned`: dropped because its speaker is banned there; `unshown`: given up, and the room told so; `dropped`: it had no place there.
    BRIDGE_TASKS = "appservice_bridge_tasks_total", Kind::Counter, Count, [remote: [], outcome: ["done", "held", "banned", "unshown", "dropped"]];
    /// Rules of ban lists that the service follows, and that count.
    POLICY_RULES = "appservice_policy_rules", Kind::Gauge, Count, [];
    /// Rooms with ban lists: `read`, or `unread` since they could not be.
    POLICY_ROOMS = "appservice_policy_rooms", Kind::Gauge, Count, [state: ["read", "unread"]];

    /// 1; the label says which version of the kit runs.
    BUILD_INFO = "appservice_build_info", Kind::Gauge, Count, [version: []];
    /// Time since the service started.
    UPTIME = "appservice_uptime_seconds", Kind::Gauge, Seconds, [];
}
