//! What others may say to a service's delivery task, and what they see of it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use arc_swap::ArcSwap;
use bridgehead_admin_api::Transport as TransportKind;
use bridgehead_store::{AppserviceNid, InterestSetId, LogEntry, Store};
use futures_util::FutureExt as _;
use smallvec::SmallVec;
use tokio::sync::Notify;

use super::{lane::EphemeralLane, status::Status, transport::Transport};
use crate::{
    appservices::{Bus, Outlet, Registry, Reports, Wire},
    clock::Clock,
    config,
    random::Random,
    shutdown::{Shutdown, ShutdownTrigger, shutdown},
};

/// What delivery tasks work with. Clock, randomness and (in each handle) the transport come from
/// outside, so that a simulation can drive the same tasks.
pub(crate) struct Engine {
    /// The database.
    pub(crate) store: Store,
    /// The time.
    pub(crate) clock: Arc<dyn Clock>,
    /// For jitter.
    pub(crate) random: Arc<Random>,
    /// The registrations in force.
    pub(crate) registry: ArcSwap<Registry>,
    /// Waits and sizes.
    pub(crate) config: config::Appservices,
    /// What operators are told.
    pub(crate) bus: Arc<Bus>,
}

/// How a service is reached by its registration; replaced with it.
#[derive(Clone, Default)]
pub(crate) struct Links {
    /// For transactions; `None` when the service has no address.
    pub(crate) push: Option<Arc<dyn Transport>>,
    /// For queries and pings: their own connections, so that they never wait behind a push.
    pub(crate) queries: Option<Arc<Wire>>,
}

/// One service's delivery. Lives as long as the service is registered, across changes of its
/// registration.
pub(crate) struct DeliveryHandle {
    /// The service's number.
    pub(crate) nid: AppserviceNid,
    /// Typing and presence on their way.
    pub(crate) lane: EphemeralLane,
    /// What goes on.
    pub(crate) status: Status,
    /// Where the service takes its transactions itself.
    pub(crate) outlet: Arc<Outlet>,
    /// What the service has reported of itself.
    pub(crate) reports: Reports,
    links: ArcSwap<Links>,
    wake: Notify,
    /// A transaction is wanted, be it empty.
    probe: AtomicBool,
    alive: Notify,
    waiting: AtomicBool,
    /// From an attempt's start until its outcome is stored.
    attempting: AtomicBool,
    ordered: Notify,
    orders: AtomicU64,
    retire: ShutdownTrigger,
    retired: Shutdown,
}

impl DeliveryHandle {
    pub(crate) fn new(nid: AppserviceNid, links: Links, config: &config::Appservices) -> Self {
        let (retire, retired) = shutdown();
        let status = Status::new();
        // Whoever asks before the task has begun is told no other way than after.
        let push = links.push.as_ref();
        let kind = push.map_or(TransportKind::None, |push| push.kind());
        status.way(kind, config.max_transaction_events as usize);
        Self {
            nid,
            lane: EphemeralLane::default(),
            status,
            outlet: Arc::new(Outlet::new()),
            reports: Reports::default(),
            links: ArcSwap::from_pointee(links),
            wake: Notify::new(),
            probe: AtomicBool::new(false),
            alive: Notify::new(),
            waiting: AtomicBool::new(false),
            attempting: AtomicBool::new(false),
            ordered: Notify::new(),
            orders: AtomicU64::new(0),
            retire,
            retired,
        }
    }

    /// How the service is reached.
    pub(crate) fn links(&self) -> Arc<Links> {
        self.links.load_full()
    }

    /// The registration has changed: from the next attempt on it is reached like this.
    pub(crate) fn set_links(&self, links: Links) {
        self.links.store(Arc::new(links));
        self.control_changed();
    }

    /// Whether the service has all that it is to be told, or nobody delivers to it now.
    pub(crate) fn is_settled(&self, now_ms: i64) -> bool {
        let has_way = self.outlet.has_consumer() || self.links().push.is_some();
        !has_way
            || self.status.is_held(now_ms)
            || !self.is_attempting() && self.status.is_drained() && self.lane.is_empty()
    }

    /// The service's habits, as far as they are known.
    pub(crate) fn dialect(&self) -> u8 {
        self.links()
            .queries
            .as_ref()
            .map_or(0, |wire| wire.dialect())
    }

    /// Something of interest may be in the log or the lane.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Somebody wants to see a transaction acknowledged: if there is nothing to send, an empty one
    /// goes its usual way.
    pub(crate) fn request_probe(&self) {
        self.probe.store(true, Ordering::Release);
        self.wake();
    }

    pub(super) fn take_probe(&self) -> bool {
        self.probe.swap(false, Ordering::AcqRel)
    }

    /// Somebody has changed what is ordered about this delivery: the task reads it again.
    pub(crate) fn control_changed(&self) {
        self.orders.fetch_add(1, Ordering::AcqRel);
        self.ordered.notify_one();
    }

    /// The service is alive: a backoff ends now. Costs nothing when none is running.
    pub(crate) fn sign_of_life(&self) {
        if self.waiting.load(Ordering::Acquire) {
            self.alive.notify_one();
        }
    }

    /// The service is not registered any more: its task ends, and nobody takes anything off it.
    pub(crate) fn retire(&self) {
        self.retire.request();
        self.outlet.shut();
    }

    /// Returns when the task is to be dropped: the server ends, or the service is gone.
    pub(super) async fn end(&self, shutdown: &Shutdown) {
        tokio::select! {
            biased;
            () = shutdown.requested() => {}
            () = self.retired.requested() => {}
        }
    }

    pub(super) fn is_ending(&self, shutdown: &Shutdown) -> bool {
        shutdown.is_requested() || self.retired.is_requested()
    }

    /// Grows with each order.
    pub(super) fn orders(&self) -> u64 {
        self.orders.load(Ordering::Acquire)
    }

    /// Returns when an order may have come.
    pub(super) async fn ordered(&self) {
        self.ordered.notified().await;
    }

    /// Returns when there may be something to send.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Returns at a sign of life.
    pub(super) async fn alive(&self) {
        self.alive.notified().await;
    }

    pub(super) fn set_attempting(&self, attempting: bool) {
        self.attempting.store(attempting, Ordering::Release);
    }

    pub(super) fn is_attempting(&self) -> bool {
        self.attempting.load(Ordering::Acquire)
    }

    /// Signs of life count from before an attempt, so that none is missed between its failure
    /// and the backoff; one that came before says nothing about it.
    pub(super) fn listen_for_life(&self) -> ListeningForLife<'_> {
        self.alive.notified().now_or_never();
        self.waiting.store(true, Ordering::Release);
        ListeningForLife(self)
    }
}

pub(super) struct ListeningForLife<'a>(&'a DeliveryHandle);

impl Drop for ListeningForLife<'_> {
    fn drop(&mut self) {
        self.0.waiting.store(false, Ordering::Release);
    }
}

/// Counts a commit's rows for the services that they are for, and wakes those.
pub(crate) fn wake_interested(engine: &Engine, entries: &[LogEntry]) {
    let registry = engine.registry.load();
    let mut woken: SmallVec<[InterestSetId; 8]> = SmallVec::new();
    for entry in entries {
        if entry.interest == InterestSetId::EMPTY {
            continue;
        }
        for nid in engine.store.interest_set(entry.interest) {
            if let Some(service) = registry.by_nid(nid) {
                service.delivery.status.committed(entry);
            }
        }
        if !woken.contains(&entry.interest) {
            woken.push(entry.interest);
        }
    }
    for interest in woken {
        for nid in engine.store.interest_set(interest) {
            if let Some(service) = registry.by_nid(nid) {
                service.delivery.wake();
            }
        }
    }
}
