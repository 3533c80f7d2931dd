//! What every handler and task shares.

use std::sync::Arc;

use bridgehead_room::SigningKey;
use bridgehead_store::Store;
use ruma::{OwnedServerName, UserId};

use crate::{
    appservices::{Bus, Engine, Histories, Protocols, Queries, Registrar, Registry, Teller},
    blocking::Blocking,
    clock::Clock,
    config::Config,
    limits::RateLimits,
    media::Media,
    metrics::Metrics,
    operators::Operators,
    random::Random,
    rooms::AppendContext,
    surroundings::Outgoing,
    sync::{Notifier, Presence, Typing},
    users::{LastSeen, Nonces, ProfileFanout, Sessions, UiaSessions},
};

/// The server's shared parts. Handlers get it as axum state.
pub(crate) struct App {
    /// The configuration, fixed for the process's life.
    pub(crate) config: Config,
    /// The server's name: the domain of its users and rooms.
    pub(crate) server_name: OwnedServerName,
    /// The database.
    pub(crate) store: Store,
    /// Signs events.
    pub(crate) key: Arc<SigningKey>,
    /// The time, from outside so that tests can move it.
    pub(crate) clock: Arc<dyn Clock>,
    /// Ids, tokens and chances, from outside so that tests can repeat them.
    pub(crate) random: Arc<Random>,
    /// Where work that takes its time is done.
    pub(crate) blocking: Blocking,
    /// Carries requests to services, where they do not go by HTTP.
    pub(crate) outgoing: Option<Arc<dyn Outgoing>>,
    /// What operators are told as it happens.
    pub(crate) bus: Arc<Bus>,
    /// Figures for Prometheus and statsd.
    pub(crate) metrics: Arc<Metrics>,
    /// What the delivery tasks work with; it holds the registrations in force.
    pub(crate) engine: Arc<Engine>,
    /// How services' deliveries went.
    pub(crate) histories: Arc<Histories>,
    /// Changes what is registered.
    pub(crate) registrar: Registrar,
    /// User and alias queries to application services.
    pub(crate) queries: Queries,
    /// Tells application services who types and who is online.
    pub(crate) teller: Teller,
    /// What application services say of the third-party protocols they speak.
    pub(crate) protocols: Protocols,
    /// Accounts and tokens remembered.
    pub(crate) sessions: Sessions,
    /// Profiles on their way into rooms.
    pub(crate) profile_fanout: ProfileFanout,
    /// When devices last called, until it is written down.
    pub(crate) last_seen: LastSeen,
    /// Nonces of the shared-secret registration.
    pub(crate) nonces: Nonces,
    /// User-interactive authentication in progress.
    pub(crate) uia: UiaSessions,
    /// Wakes long polls.
    pub(crate) notifier: Notifier,
    /// Who is typing where.
    pub(crate) typing: Typing,
    /// Who is online.
    pub(crate) presence: Presence,
    /// Sessions and limits of operators.
    pub(crate) operators: Operators,
    /// Rate limits of ordinary users.
    pub(crate) limits: RateLimits,
    /// Media files and thumbnails.
    pub(crate) media: Media,
}

impl App {
    /// Milliseconds since the Unix epoch.
    pub(crate) fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// The registrations in force, as one consistent whole.
    pub(crate) fn registry(&self) -> Arc<Registry> {
        self.engine.registry.load_full()
    }

    /// What a unit of work needs to append events.
    pub(crate) fn append_context(&self) -> AppendContext {
        AppendContext {
            registry: self.registry(),
            key: self.key.clone(),
            random: self.random.clone(),
            now_ms: self.now_ms(),
        }
    }

    /// Whether the user is one of this server's.
    pub(crate) fn is_local(&self, user_id: &UserId) -> bool {
        user_id.server_name() == self.server_name
    }
}
