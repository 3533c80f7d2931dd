//! What all parts of a running service share.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    sync::Arc,
    time::Duration,
};

use bridgehead_registration::Registration;
use parking_lot::RwLock;
use tokio::sync::watch;

use crate::{
    actors::Actors,
    bridge::{
        Bridges, Commands, Level, Permissions, Policies, backfill::BackfillShared,
        puppets::PuppetKeeper,
    },
    capabilities::CapabilityCache,
    client::Client,
    handler::{AnyHandler, GhostPlan, Protocols, RoomPlan, Verdict},
    id::UserId,
    inbox::Inbox,
    media::MediaShared,
    metrics::Metrics,
    namespaces::Namespaces,
    outbox::Outbox,
    run::{Figures, Reloads},
    state::Rooms,
    store::Store,
    surroundings::Surroundings,
    web::Web,
    wire::{Pings, WayBack},
};

/// Waits, sizes and counts of a running service.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Events that may wait in the inbox; beyond that the homeserver is told to come back later (503).
    pub inbox_high_water: usize,
    /// Rooms whose events are handled at the same time.
    pub concurrency: usize,
    /// Bytes of a transaction at most.
    pub max_body_bytes: usize,
    /// How long a handler may take with one event.
    pub handler_timeout: Duration,
    /// The wait after a handler's first failure; it doubles each time.
    pub first_retry: Duration,
    /// The longest wait between attempts.
    pub max_retry: Duration,
    /// Attempts before an event is parked. Those that failed for want of the homeserver
    /// ([`Error::may_pass`](crate::Error::may_pass)) do not count for as long as `give_up_after`, unless it answers
    /// everything else meanwhile. Where a room has parked three events in a row, its next ones get one attempt each,
    /// until one is handled: otherwise a room in which nothing succeeds would fill the inbox for all.
    pub attempts: u32,
    /// How long a send is tried before it is given up, from its first attempt on; the time in which the service does
    /// not run does not count, nor do rate limits. And how long an event waits for a homeserver that is away.
    pub give_up_after: Duration,
    /// Rooms that are sent to at the same time: so many with messages, and so many with what is less urgent.
    pub send_concurrency: usize,
    /// Bytes of media at most that the service reads into memory.
    pub max_media_bytes: usize,
    /// How long events are remembered that came already, and sends that went. Whole transactions are remembered for
    /// good.
    pub remember: Duration,
    /// Joins and parts in the background that are under way at the same time.
    pub membership_concurrency: usize,
    /// The time between the beginnings of two of them.
    pub membership_pace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            inbox_high_water: 100_000,
            concurrency: 64,
            max_body_bytes: 64 << 20,
            handler_timeout: Duration::from_secs(300),
            first_retry: Duration::from_secs(1),
            max_retry: Duration::from_secs(60),
            attempts: 10,
            give_up_after: Duration::from_secs(24 * 3600),
            send_concurrency: 32,
            max_media_bytes: 100 << 20,
            remember: Duration::from_secs(30 * 24 * 3600),
            membership_concurrency: 8,
            membership_pace: Duration::from_millis(10),
        }
    }
}

/// The handlers that a service has declared.
#[derive(Clone, Default)]
pub(crate) struct Handlers {
    pub(crate) events: Vec<AnyHandler<Verdict>>,
    pub(crate) start: Vec<AnyHandler<Verdict>>,
    pub(crate) alias: Vec<AnyHandler<Option<RoomPlan>>>,
    pub(crate) user: Vec<AnyHandler<Option<GhostPlan>>>,
}

pub(crate) type States = HashMap<TypeId, Arc<dyn Any + Send + Sync>>;

/// A running service's shared parts.
pub(crate) struct Core {
    /// The service's name, in logs and metrics.
    pub(crate) name: Arc<str>,
    /// The name of the homeserver: the domain of its users.
    pub(crate) server_name: Arc<str>,
    /// The service's own user.
    pub(crate) bot: UserId,
    pub(crate) registration: Registration,
    /// The homeserver's address; of no meaning where there is another transport than HTTP.
    pub(crate) homeserver: Arc<str>,
    pub(crate) pings: Pings,
    pub(crate) way_back: WayBack,
    pub(crate) third_party: Protocols,
    pub(crate) namespaces: Namespaces,
    pub(crate) client: Client,
    pub(crate) store: Store,
    pub(crate) surroundings: Surroundings,
    pub(crate) limits: Limits,
    /// The service's users may have a device to send as.
    pub(crate) sends_by_device: bool,
    pub(crate) inbox: Inbox,
    pub(crate) outbox: Outbox,
    pub(crate) rooms: Rooms,
    pub(crate) actors: Actors,
    pub(crate) handlers: Handlers,
    pub(crate) states: States,
    pub(crate) web: Web,
    pub(crate) capabilities: CapabilityCache,
    pub(crate) media: MediaShared,
    pub(crate) puppets: PuppetKeeper,
    pub(crate) backfills: BackfillShared,
    pub(crate) bridges: Bridges,
    pub(crate) commands: Commands,
    pub(crate) permissions: RwLock<Permissions>,
    pub(crate) reloads: Reloads,
    pub(crate) policies: Arc<Policies>,
    pub(crate) metrics: Metrics,
    pub(crate) figures: Figures,
    pub(crate) stop: watch::Sender<bool>,
}

impl Core {
    /// Whether this is the service's own user or one of its ghosts.
    pub(crate) fn is_own(&self, user: &UserId) -> bool {
        *user == self.bot || self.namespaces.owns_user(user)
    }

    /// What somebody may do.
    pub(crate) fn level(&self, user: &UserId) -> Level {
        let level = self.permissions.read().level(user, &self.server_name);
        match level < Level::Admin && self.policies.bans_user(user, &self.server_name) {
            true => Level::Blocked,
            false => level,
        }
    }

    /// Whether the service has something to say to people who invite it.
    pub(crate) fn answers_invitations(&self) -> bool {
        !self.commands.is_empty() || !self.bridges.is_empty()
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.surroundings.clock.now_ms()
    }

    /// Returns when the service is to end.
    pub(crate) async fn stopping(&self) {
        let mut stop = self.stop.subscribe();
        stop.wait_for(|stop| *stop).await.ok();
    }
}
