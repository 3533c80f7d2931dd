//! What application services are brought, and how it goes.

use std::time::Duration;

use bridgehead_admin_api::EventKind;

use super::{
    Metrics,
    catalogue::{
        AS_ALIASES, AS_ATTEMPTS, AS_EVENTS, AS_FAILURES, AS_LATENCY, AS_PUSH, AS_QUERIES,
        AS_RETRIES, AS_TRANSACTIONS, AS_USERS,
    },
};

/// How a transaction came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TransactionOutcome {
    /// The service has it.
    Acknowledged,
    /// It was passed over.
    Skipped,
    /// It was cut into smaller ones.
    Split,
}

impl TransactionOutcome {
    const ALL: [Self; 3] = [Self::Acknowledged, Self::Skipped, Self::Split];

    fn name(self) -> &'static str {
        match self {
            Self::Acknowledged => "acknowledged",
            Self::Skipped => "skipped",
            Self::Split => "split",
        }
    }
}

/// What a service said to the question whether somebody exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QueryOutcome {
    /// It exists.
    Yes,
    /// It does not.
    No,
    /// Nothing that could be used, or nothing in time.
    Unavailable,
}

impl QueryOutcome {
    const ALL: [Self; 3] = [Self::Yes, Self::No, Self::Unavailable];

    fn name(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Unavailable => "unavailable",
        }
    }
}

/// What the label `kind` of queries may be.
const QUERIES: [&str; 2] = ["user", "alias"];

/// What the label `reason` of failures may be.
const REASONS: [&str; 6] = ["connect", "timeout", "broke", "3xx", "4xx", "5xx"];

impl Metrics {
    /// An attempt to bring a transaction begins.
    pub(crate) fn attempt(&self, service_id: &str, is_retry: bool) {
        self.count(&AS_ATTEMPTS, &[service_id], 1);
        if is_retry {
            self.count(&AS_RETRIES, &[service_id], 1);
        }
    }

    /// An attempt ended, with a `reason` if it failed.
    pub(crate) fn attempt_ended(
        &self,
        service_id: &str,
        took: Duration,
        reason: Option<&'static str>,
    ) {
        self.record(&AS_PUSH, &[service_id], took.as_secs_f64());
        if let Some(reason) = reason {
            self.count(&AS_FAILURES, &[service_id, reason], 1);
        }
    }

    /// A transaction came to its end.
    pub(crate) fn transaction(&self, service_id: &str, outcome: TransactionOutcome) {
        self.count(&AS_TRANSACTIONS, &[service_id, outcome.name()], 1);
    }

    /// A transaction was acknowledged, this long after its oldest entry was written.
    pub(crate) fn delivered_after(&self, service_id: &str, latency_ms: u64) {
        let latency = Duration::from_millis(latency_ms);
        self.record(&AS_LATENCY, &[service_id], latency.as_secs_f64());
    }

    /// A service was asked about a user or an alias.
    pub(crate) fn query(&self, service_id: &str, kind: &'static str, outcome: QueryOutcome) {
        self.count(&AS_QUERIES, &[service_id, kind, outcome.name()], 1);
    }

    /// Operators were told of an event.
    pub(crate) fn told(&self, event: &EventKind) {
        let service_id = event.service_id();
        match event {
            EventKind::EventsDelivered { event_count, .. } => {
                self.count(&AS_EVENTS, &[service_id], *event_count);
            }
            EventKind::UserProvisioned { .. } => self.count(&AS_USERS, &[service_id], 1),
            EventKind::AliasProvisioned { .. } => self.count(&AS_ALIASES, &[service_id], 1),
            // Counted with its reason, where the attempt is made.
            EventKind::DeliveryFailed { .. } => {}
        }
    }

    /// Makes all counters of a service appear, so that rates can be told from the first event on.
    pub(super) fn touch_service(&self, service_id: &str) {
        for metric in [
            &AS_EVENTS,
            &AS_ATTEMPTS,
            &AS_RETRIES,
            &AS_USERS,
            &AS_ALIASES,
            &AS_LATENCY,
            &AS_PUSH,
        ] {
            self.touch(metric, &[service_id]);
        }
        for outcome in TransactionOutcome::ALL {
            self.touch(&AS_TRANSACTIONS, &[service_id, outcome.name()]);
        }
        for reason in REASONS {
            self.touch(&AS_FAILURES, &[service_id, reason]);
        }
        for kind in QUERIES {
            for outcome in QueryOutcome::ALL {
                self.touch(&AS_QUERIES, &[service_id, kind, outcome.name()]);
            }
        }
    }
}
