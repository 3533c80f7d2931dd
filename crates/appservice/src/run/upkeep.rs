//! What a running service does beside its work: figures are kept fresh, and what was remembered for long enough is
//! forgotten, a bite at a time.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use crate::{core::Core, store::Result as StoreResult};

/// How often figures are read and told.
const FIGURES: Duration = Duration::from_secs(10);

/// How often there is something to forget.
const FORGETTING: Duration = Duration::from_secs(3600);

/// Rows that one unit of work forgets.
const BITE: usize = 500;

/// Transactions that are known whatever their age.
const LAST_TRANSACTIONS: usize = 1000;

/// The pause after a bite: work that somebody waits for goes first.
const CHEW: Duration = Duration::from_millis(200);

/// Bites at a time; the rest is left for the next hour.
const BITES: usize = 10_000;

/// Goes on until the service ends.
pub(super) async fn run(core: Weak<Core>) {
    let mut next_forgetting = Instant::now() + FIGURES;
    loop {
        let Some(stopping) = core.upgrade().map(|core| core.stop.subscribe()) else {
            return;
        };
        if !rest(FIGURES, stopping).await {
            return;
        }
        let Some(core) = core.upgrade() else { return };
        if let Err(error) = core.read_figures().await {
            tracing::warn!(service = %core.name, %error, "the figures cannot be read");
        }
        core.metrics.upkeep();
        if Instant::now() >= next_forgetting {
            next_forgetting = Instant::now() + FORGETTING;
            forget(&core).await;
        }
    }
}

/// Waits for so long; `false` when the service ends.
async fn rest(time: Duration, mut stopping: tokio::sync::watch::Receiver<bool>) -> bool {
    tokio::select! {
        () = sleep(time) => true,
        _ = stopping.wait_for(|stop| *stop) => false,
    }
}

/// Forgets what is older than the declared time.
async fn forget(core: &Arc<Core>) {
    let remember = i64::try_from(core.limits.remember.as_millis()).unwrap_or(i64::MAX);
    let before_ms = core.now_ms().saturating_sub(remember);
    let mut forgotten = 0;
    for _ in 0..BITES {
        match forget_some(core, before_ms).await {
            Ok(0) => break,
            Ok(rows) => forgotten += rows,
            Err(error) => {
                tracing::warn!(service = %core.name, %error, "old rows cannot be removed");
                break;
            }
        }
        if !rest(CHEW, core.stop.subscribe()).await {
            break;
        }
    }
    if forgotten > 0 {
        tracing::debug!(service = %core.name, forgotten, "old rows removed");
    }
}

async fn forget_some(core: &Core, before_ms: i64) -> StoreResult<usize> {
    core.store
        .write(move |unit| {
            let seen = unit.forget_seen(before_ms, BITE)?
                + unit.forget_transactions(before_ms, LAST_TRANSACTIONS, BITE)?;
            let rooms = unit.forget_rooms(before_ms, BITE)?;
            Ok(seen + rooms + unit.forget_outbox(before_ms, BITE)?)
        })
        .await
}
