//! What operators are told as it happens: the four events of delivery and provisioning.
//!
//! Each goes to the log, to the operator API's stream and into the counters. Nobody waits for a
//! listener: one that is too slow misses events, and is told how many.

use std::sync::Arc;

use bridgehead_admin_api::{EventKind, OperatorEvent};
use tokio::sync::broadcast;

use crate::metrics::Metrics;

/// Events that a slow listener may be behind.
const BUFFER: usize = 1024;

/// The server's events for operators.
pub(crate) struct Bus {
    sender: broadcast::Sender<OperatorEvent>,
    metrics: Option<Arc<Metrics>>,
}

impl Bus {
    pub(crate) fn new() -> Self {
        Self {
            metrics: None,
            sender: broadcast::Sender::new(BUFFER),
        }
    }

    /// The same, and what happens is counted.
    pub(crate) fn counting(self, metrics: Arc<Metrics>) -> Self {
        Self {
            metrics: Some(metrics),
            ..self
        }
    }

    /// Counts something, where there are counters.
    pub(crate) fn count(&self, count: impl FnOnce(&Metrics)) {
        if let Some(metrics) = &self.metrics {
            count(metrics);
        }
    }

    /// Everything from now on.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<OperatorEvent> {
        self.sender.subscribe()
    }

    /// Tells of something that has happened.
    pub(crate) fn emit(&self, at_ms: i64, kind: EventKind) {
        log(&kind);
        self.count(|metrics| metrics.told(&kind));
        // Without listeners there is nothing to do.
        self.sender.send(OperatorEvent { at_ms, kind }).ok();
    }
}

/// One line for what happens once; what happens all the time is for the stream and the counters,
/// and is logged only where somebody asks for it.
fn log(kind: &EventKind) {
    let event = kind.name();
    match kind {
        EventKind::EventsDelivered {
            service_id,
            transaction_id,
            event_count,
        } => {
            tracing::debug!(event, service_id, transaction_id, event_count, "delivered");
        }
        EventKind::UserProvisioned {
            service_id,
            user_id,
        } => {
            tracing::info!(event, service_id, user_id, "user provisioned");
        }
        EventKind::AliasProvisioned { service_id, alias } => {
            tracing::info!(event, service_id, alias, "alias provisioned");
        }
        EventKind::DeliveryFailed {
            service_id,
            transaction_id,
            retry_count,
        } => {
            tracing::debug!(
                event,
                service_id,
                transaction_id,
                retry_count,
                "delivery failed"
            );
        }
    }
}
