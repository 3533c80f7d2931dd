//! Every metric, once: name, kind, unit, labels, meaning. `docs/metrics.md` is generated from this table, and nothing
//! can be counted that does not stand in it.
//!
//! Labels are bounded: endpoints are route templates, services are the registered ones, everything else is one of a
//! few words.

use metrics::Unit;

/// What a metric does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How many values fell below each of these bounds.
    Histogram(&'static [f64]),
}

/// One metric.
#[derive(Debug)]
pub(super) struct Metric {
    /// Its name, for Prometheus and statsd alike.
    pub(super) name: &'static str,
    /// What it does.
    pub(super) kind: Kind,
    /// What its number counts.
    pub(super) unit: Unit,
    /// Names of its labels, in the order in which values are given.
    pub(super) labels: &'static [&'static str],
    /// What it tells.
    pub(super) help: &'static str,
}

/// From one millisecond to a long poll's minute.
const REQUEST_SECONDS: Kind = Kind::Histogram(&[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
]);
/// From a local bridge that is up to one that was away for a day.
const DELIVERY_SECONDS: Kind = Kind::Histogram(&[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 3600.0, 86400.0,
]);
/// Around what a disk needs to make a commit durable.
const COMMIT_SECONDS: Kind = Kind::Histogram(&[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
]);
/// Up to the largest group.
const UNITS: Kind = Kind::Histogram(&[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0]);

/// Declares the metrics and the table of them all.
macro_rules! catalogue {
    ($($(#[doc = $doc:literal])* $constant:ident = $name:literal, $kind:expr, $unit:ident, [$($label:literal),*];)*) => {
        $(
            $(#[doc = $doc])*
            pub(super) static $constant: Metric = Metric {
                name: $name,
                kind: $kind,
                unit: Unit::$unit,
                labels: &[$($label),*],
                help: concat!($($doc),*),
            };
        )*

        /// All of them, in the order of the reference.
        pub(super) static CATALOGUE: &[&Metric] = &[$(&$constant),*];
    };
}

catalogue! {
    /// Requests answered, by route template, method and class of status. `status` is `none` where the client went away first; every path without a route is one endpoint, `unmatched`, and a version of the client-server API is written `*`.
    HTTP_REQUESTS = "bridgehead_http_requests_total", Kind::Counter, Count, ["endpoint", "method", "status"];
    /// Time until a request was answered, the wait of long polls included.
    HTTP_DURATION = "bridgehead_http_request_duration_seconds", REQUEST_SECONDS, Seconds, ["endpoint", "method"];
    /// Requests that are being worked on or wait for news.
    HTTP_IN_FLIGHT = "bridgehead_http_requests_in_flight", Kind::Gauge, Count, ["endpoint"];

    /// Room events that the service has acknowledged.
    AS_EVENTS = "bridgehead_appservice_events_delivered_total", Kind::Counter, Count, ["appservice"];
    /// Transactions that came to an end: `acknowledged` by the service, `skipped` (by an operator or a policy), or `split` because the service kept refusing them.
    AS_TRANSACTIONS = "bridgehead_appservice_transactions_total", Kind::Counter, Count, ["appservice", "outcome"];
    /// Attempts to bring a transaction, failed ones included.
    AS_ATTEMPTS = "bridgehead_appservice_delivery_attempts_total", Kind::Counter, Count, ["appservice"];
    /// Attempts for a transaction that had failed before.
    AS_RETRIES = "bridgehead_appservice_delivery_retries_total", Kind::Counter, Count, ["appservice"];
    /// Attempts that failed: no `connect`ion, a `timeout`, a connection that `broke`, or a status `3xx`, `4xx` or `5xx`.
    AS_FAILURES = "bridgehead_appservice_delivery_failures_total", Kind::Counter, Count, ["appservice", "reason"];
    /// Time from the writing of a transaction's oldest entry to the acknowledgement.
    AS_LATENCY = "bridgehead_appservice_delivery_latency_seconds", DELIVERY_SECONDS, Seconds, ["appservice"];
    /// Time that one attempt took, whatever came of it.
    AS_PUSH = "bridgehead_appservice_push_duration_seconds", REQUEST_SECONDS, Seconds, ["appservice"];
    /// Entries of the log that wait for the service, those in flight included.
    AS_WAITING = "bridgehead_appservice_waiting_entries", Kind::Gauge, Count, ["appservice"];
    /// For how long the oldest of them has been waiting; 0 while none does.
    AS_OLDEST = "bridgehead_appservice_oldest_waiting_seconds", Kind::Gauge, Seconds, ["appservice"];
    /// 1 for the state that the delivery is in: `idle`, `delivering`, `retrying` or `failed`; 0 for the others.
    AS_STATE = "bridgehead_appservice_state", Kind::Gauge, Count, ["appservice", "state"];
    /// 1 while an operator or the service itself has paused the delivery.
    AS_PAUSED = "bridgehead_appservice_paused", Kind::Gauge, Count, ["appservice"];
    /// 1 while one event that the service refuses keeps everything behind it waiting.
    AS_STUCK = "bridgehead_appservice_stuck", Kind::Gauge, Count, ["appservice"];
    /// Entries in a transaction at most, at the moment: fewer than configured after refusals.
    AS_BATCH_LIMIT = "bridgehead_appservice_batch_limit_entries", Kind::Gauge, Count, ["appservice"];
    /// Transactions that were skipped and not replayed.
    AS_SKIPPED = "bridgehead_appservice_skipped_transactions", Kind::Gauge, Count, ["appservice"];
    /// Questions to the service whether a `user` or an `alias` exists: `yes`, `no`, or `unavailable` where no usable answer came in time.
    AS_QUERIES = "bridgehead_appservice_queries_total", Kind::Counter, Count, ["appservice", "kind", "outcome"];
    /// Users that the service made because it was asked for them.
    AS_USERS = "bridgehead_appservice_users_provisioned_total", Kind::Counter, Count, ["appservice"];
    /// Aliases that the service made because it was asked for them.
    AS_ALIASES = "bridgehead_appservice_aliases_provisioned_total", Kind::Counter, Count, ["appservice"];

    /// Time of a commit of the database, from its first unit of work to its being on disk.
    STORE_COMMIT = "bridgehead_store_commit_duration_seconds", COMMIT_SECONDS, Seconds, [];
    /// Units of work that shared one commit.
    STORE_UNITS = "bridgehead_store_commit_units", UNITS, Count, [];
    /// Commits that failed, for instance because the disk is full; every client in them was told.
    STORE_FAILED = "bridgehead_store_commits_failed_total", Kind::Counter, Count, [];
    /// Units of work that wait for a commit.
    STORE_QUEUE = "bridgehead_store_queued_units", Kind::Gauge, Count, [];
    /// Size of the database's write-ahead log.
    STORE_WAL = "bridgehead_store_wal_bytes", Kind::Gauge, Bytes, [];
    /// Space left for the server on the disk of its data folder.
    STORE_DISK_FREE = "bridgehead_store_disk_free_bytes", Kind::Gauge, Bytes, [];
    /// The newest position of the log.
    STORE_POSITION = "bridgehead_store_log_position", Kind::Gauge, Count, [];

    /// 1; the labels say which version runs.
    BUILD_INFO = "bridgehead_build_info", Kind::Gauge, Count, ["version"];
    /// Time since the server started.
    UPTIME = "bridgehead_uptime_seconds", Kind::Gauge, Seconds, [];
    /// Memory of the process that is in use and not swapped out (Linux).
    PROCESS_MEMORY = "process_resident_memory_bytes", Kind::Gauge, Bytes, [];
    /// Processor time of the process, in whole seconds.
    PROCESS_CPU = "process_cpu_seconds_total", Kind::Counter, Seconds, [];
    /// Files and sockets that the process has open (Linux).
    PROCESS_FDS = "process_open_fds", Kind::Gauge, Count, [];
}
