//! Small regular work: forgetting what has run its time.

use std::{sync::Arc, time::Duration};

use crate::{app::App, appservices::presence_changed, operators, shutdown::Shutdown};

/// Between two rounds.
const INTERVAL: Duration = Duration::from_secs(60);
/// Transaction ids of clients are remembered this long, ms.
const CLIENT_TXN_TTL_MS: i64 = 7 * 24 * 3600 * 1000;
/// Who has not synced for as long is offline, ms. Longer than a poll may wait by default.
const SILENT_AFTER_MS: i64 = 120_000;
/// Rows deleted in one unit of work at most.
const STEP: usize = 1_000;

/// Runs until shutdown.
pub(crate) async fn run(app: Arc<App>, shutdown: Shutdown) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = shutdown.requested() => {
                write_last_seen(&app).await;
                operators::write_last_use(&app).await;
                return;
            }
        }
        write_last_seen(&app).await;
        operators::write_last_use(&app).await;
        let now = app.now_ms();
        show_silent_users_offline(&app, now).await;
        let pruned: bridgehead_store::Result<usize> = app
            .store
            .write(move |tx| {
                Ok(tx.prune_client_txns(now - CLIENT_TXN_TTL_MS, STEP)?
                    + tx.prune_openid_tokens(now, STEP)?
                    + tx.prune_old_tokens(now)?
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

async fn show_silent_users_offline(app: &App, now: i64) {
    let longest_poll = i64::try_from(app.config.limits.sync_timeout_max.as_millis());
    let silent_after = SILENT_AFTER_MS.max(longest_poll.unwrap_or(i64::MAX).saturating_mul(2));
    for (user_id, state) in app.presence.silent_since(now - silent_after, now) {
        if let Err(error) = presence_changed(app, &user_id, &state).await {
            tracing::warn!(%error, user.id = %user_id, "telling of a user's going failed");
        }
    }
}
