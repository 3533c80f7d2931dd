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
            () = shutdown.requested() => return,
        }
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
