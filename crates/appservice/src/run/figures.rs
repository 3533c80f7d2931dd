//! Gauges: what a running service's figures say at the moment that somebody looks.
//!
//! Depths are known in memory; ages and counts are read from the database every few seconds, and right before a page
//! of figures is made.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicUsize, Ordering},
};

use tokio::time::Instant;

use super::Health;
use crate::{
    core::Core,
    handler::{Context, FromContext, Rejection},
    metrics::{
        Metrics,
        catalogue::{
            INBOX_DEPTH, INBOX_LANES, INBOX_OLDEST, INBOX_PARKED, MEMBERSHIP_PENDING, OUTBOX_DEPTH,
            OUTBOX_OLDEST,
        },
    },
    store::Result as StoreResult,
};

/// Stands for no time at all.
const NEVER: i64 = i64::MIN;

/// What was last read from the database.
#[derive(Debug)]
pub(crate) struct Figures {
    inbox_oldest_ms: AtomicI64,
    parked: AtomicUsize,
    outbox: AtomicUsize,
    outbox_oldest_ms: AtomicI64,
    goals: AtomicUsize,
    /// The last look at the service's health.
    pub(super) health: tokio::sync::Mutex<Option<(Instant, Health)>>,
}

impl Default for Figures {
    fn default() -> Self {
        Self {
            inbox_oldest_ms: AtomicI64::new(NEVER),
            parked: AtomicUsize::new(0),
            outbox: AtomicUsize::new(0),
            goals: AtomicUsize::new(0),
            outbox_oldest_ms: AtomicI64::new(NEVER),
            health: tokio::sync::Mutex::new(None),
        }
    }
}

impl Core {
    /// Reads again what the gauges show.
    pub(crate) async fn read_figures(&self) -> StoreResult<()> {
        let (inbox, parked, goals, (outbox, outbox_oldest)) = self
            .store
            .read(|unit| {
                let inbox = unit.inbox_oldest()?;
                let goals = unit.count_goals()?.open;
                Ok((inbox, unit.parked_count()?, goals, unit.outbox_waiting()?))
            })
            .await?;
        let figures = &self.figures;
        let set = |place: &AtomicI64, ms: Option<i64>| {
            place.store(ms.unwrap_or(NEVER), Ordering::Relaxed);
        };
        set(&figures.inbox_oldest_ms, inbox);
        set(&figures.outbox_oldest_ms, outbox_oldest);
        figures.parked.store(parked, Ordering::Relaxed);
        figures.goals.store(goals, Ordering::Relaxed);
        figures.outbox.store(outbox, Ordering::Relaxed);
        Ok(())
    }

    fn set_gauges(&self, metrics: &Metrics) {
        let figures = &self.figures;
        let age = |place: &AtomicI64| match place.load(Ordering::Relaxed) {
            NEVER => 0.0,
            ms => (self.now_ms() - ms).max(0) as f64 / 1000.0,
        };
        let count = |place: &AtomicUsize| place.load(Ordering::Relaxed) as f64;
        metrics.set(&INBOX_DEPTH, &[], self.inbox.depth() as f64);
        metrics.set(&INBOX_LANES, &[], self.inbox.lanes() as f64);
        metrics.set(&INBOX_OLDEST, &[], age(&figures.inbox_oldest_ms));
        metrics.set(&INBOX_PARKED, &[], count(&figures.parked));
        metrics.set(&MEMBERSHIP_PENDING, &[], count(&figures.goals));
        metrics.set(&OUTBOX_DEPTH, &[], count(&figures.outbox));
        metrics.set(&OUTBOX_OLDEST, &[], age(&figures.outbox_oldest_ms));
    }
}

/// Has the service's gauges set whenever somebody looks at its figures.
pub(super) fn show(core: &Arc<Core>) {
    let weak = Arc::downgrade(core);
    core.metrics.on_look(move |metrics| {
        if let Some(core) = weak.upgrade() {
            core.set_gauges(metrics);
        }
    });
}

/// The service's instruments, for counters of the author's own.
impl FromContext for Metrics {
    async fn from_context(context: &Context) -> Result<Self, Rejection> {
        Ok(context.core.metrics.clone())
    }
}
