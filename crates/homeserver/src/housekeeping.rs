//! Small regular work: forgetting what has run its time.

use std::{sync::Arc, time::Duration};

use crate::{app::App, shutdown::Shutdown};

/// Between two rounds.
const INTERVAL: Duration = Duration::from_secs(60);
/// Transaction ids of clients are remembered this long, ms.
const CLIENT_TXN_TTL_MS: i64 = 7 * 24 * 3600 * 1000;
/// Rows deleted in one unit of work at most.
const STEP: usize = 1_000;

/// Runs until shutdown.
pub(crate) async fn run(app: Arc<App>, shutdown: Shutdown) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = shutdown.requested() => {
                write_last_seen(&app).await;
                return;
            }
        }
        write_last_seen(&app).await;
        let now = app.now_ms();
        let pruned: bridgehead_store::Result<usize> = app
            .store
            .write(move |tx| {
                Ok(tx.prune_client_txns(now - CLIENT_TXN_TTL_MS, STEP)?
                    + tx.prune_openid_tokens(now, STEP)?
                    + tx.prune_pending_media(now, STEP)?)
            })
            .await;
        match pruned {
            Ok(0) => {}
            Ok(rows) => tracing::debug!(rows, "forgot what has run its time"),
            Err(error) => tracing::warn!(%error, "housekeeping failed; it will be tried again"),
        }
    }
}

/// Devices' last calls go to the database here, off the way of requests. A failure loses nothing
/// that matters: the next call of the device is noted again.
async fn write_last_seen(app: &App) {
    let seen = app.last_seen.take();
    if seen.is_empty() {
        return;
    }
    let written: bridgehead_store::Result<()> = app
        .store
        .write(move |tx| {
            for device in &seen {
                let ip = device.ip.map(|ip| ip.to_string()).unwrap_or_default();
                tx.touch_device(&device.user_id, &device.device_id, &ip, device.at_ms)?;
            }
            Ok(())
        })
        .await;
    if let Err(error) = written {
        tracing::warn!(%error, "when devices were last seen could not be written down");
    }
}
