//! What is read when somebody looks.

use bridgehead_admin_api::{Service, State};

use super::{
    Metrics,
    catalogue::{
        AS_BATCH_LIMIT, AS_OLDEST, AS_PAUSED, AS_SKIPPED, AS_STATE, AS_STUCK, AS_WAITING,
        STORE_COMMIT, STORE_DISK_FREE, STORE_FAILED, STORE_POSITION, STORE_QUEUE, STORE_UNITS,
        STORE_WAL,
    },
    process::disk_free_bytes,
};
use crate::{app::App, appservices::describe};

/// The states that a delivery may be in, as the label `state` calls them.
const STATES: [(State, &str); 4] = [
    (State::Idle, "idle"),
    (State::Delivering, "delivering"),
    (State::Retrying, "retrying"),
    (State::Failed, "failed"),
];

/// Reads every gauge anew.
pub(super) fn refresh(app: &App) {
    let metrics = &app.metrics;
    metrics.refresh_process();
    metrics.refresh_endpoints();
    refresh_store(app);
    for service in app.registry().services() {
        metrics.touch_service(&service.registration.id);
        refresh_service(metrics, &describe(service, app.now_ms()));
    }
}

fn refresh_service(metrics: &Metrics, service: &Service) {
    let id = [service.id.as_str()];
    let one_if = |is_so: bool| if is_so { 1.0 } else { 0.0 };
    for (state, name) in STATES {
        metrics.set(
            &AS_STATE,
            &[&service.id, name],
            one_if(service.state == state),
        );
    }
    let oldest_ms = service.oldest_waiting_ms.unwrap_or(0);
    metrics.set(&AS_WAITING, &id, service.depth as f64);
    metrics.set(&AS_OLDEST, &id, oldest_ms as f64 / 1000.0);
    metrics.set(&AS_PAUSED, &id, one_if(service.paused.is_some()));
    metrics.set(&AS_STUCK, &id, one_if(service.stuck.is_some()));
    metrics.set(&AS_BATCH_LIMIT, &id, service.batch_limit as f64);
    metrics.set(&AS_SKIPPED, &id, service.skipped as f64);
}

fn refresh_store(app: &App) {
    let (metrics, store) = (&app.metrics, &app.store);
    for metric in [&STORE_COMMIT, &STORE_UNITS, &STORE_FAILED] {
        metrics.touch(metric, &[]);
    }
    metrics.set(&STORE_QUEUE, &[], store.queued_units() as f64);
    metrics.set(&STORE_POSITION, &[], store.position().borrow().0 as f64);
    metrics.set(&STORE_WAL, &[], store.wal_bytes() as f64);
    if let Some(bytes) = disk_free_bytes(&app.config.data_dir) {
        metrics.set(&STORE_DISK_FREE, &[], bytes as f64);
    }
}
