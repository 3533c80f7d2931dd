//! What is read when somebody looks.

use super::{
    catalogue::{STORE_DISK_FREE, STORE_POSITION, STORE_QUEUE, STORE_WAL},
    process::disk_free_bytes,
};
use crate::app::App;

/// Reads every gauge anew.
pub(super) async fn refresh(app: &App) {
    let metrics = &app.metrics;
    metrics.refresh_process();
    metrics.refresh_endpoints();
    refresh_store(app);
    for service in app.registry().services() {
        metrics.touch_service(&service.registration.id);
    }
}

fn refresh_store(app: &App) {
    let (metrics, store) = (&app.metrics, &app.store);
    metrics.set(&STORE_QUEUE, &[], store.queued_units() as f64);
    metrics.set(&STORE_POSITION, &[], store.position().borrow().0 as f64);
    metrics.set(&STORE_WAL, &[], store.wal_bytes() as f64);
    if let Some(bytes) = disk_free_bytes(&app.config.data_dir) {
        metrics.set(&STORE_DISK_FREE, &[], bytes as f64);
    }
}
