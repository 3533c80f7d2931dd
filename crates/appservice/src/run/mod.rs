//! A running service: started from a declaration and a setup, stopped in order.

mod begin;
mod figures;
mod handle;
mod health;
mod parts;
mod reload;
mod still;
mod upkeep;

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use axum::body::{Body, to_bytes};
use bridgehead_registration::Registration;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use parking_lot::RwLock;
use tokio::sync::watch;
use tower::ServiceExt as _;

use crate::{
    actors::Actors,
    bridge::{
        Bridges, Policies,
        backfill::BackfillShared,
        puppets::{PuppetKeeper, PuppetTable},
    },
    capabilities::CapabilityCache,
    client::{Client, ClientConfig, HttpTransport},
    core::{Core, Handlers},
    id::UserId,
    inbox::{Inbox, Parked},
    media::{self, MediaShared},
    metrics::Metrics,
    outbox::{GivenUp, Outbox},
    service::Service,
    state::{Interest, Rooms},
    store::{self, Location, Store, StoreError},
    surroundings::Surroundings,
    web::Web,
    wire::{self, HomeserverToken, Pings, WayBack},
};

pub(crate) use self::{
    figures::Figures,
    reload::{OnReload, Reloads},
};
pub use self::{
    handle::Handle,
    health::Health,
    reload::{ReloadError, Reloaded},
    still::Still,
};

/// How long handlers and sends that run may take when the service ends.
const GRACE: Duration = Duration::from_secs(10);

/// The longest that [`Running::stop`] takes: for handlers, bridges, sends and memberships, one after another.
pub(crate) const STOPS_WITHIN: Duration = GRACE.saturating_mul(4);

/// Bytes of an answer of the service's own routes at most, when it is asked by function call.
const MAX_ANSWER: usize = 64 << 20;

/// Where a service keeps its database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Database {
    /// In this file, made when it is not there.
    File(PathBuf),
    /// In memory: gone with the process.
    Memory,
}

/// What a service needs to run: who it is to which homeserver, and where it keeps its things.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The registration that the homeserver has as well.
    pub registration: Registration,
    /// The homeserver's name, the domain of its users.
    pub server_name: String,
    /// The homeserver's address, such as `http://localhost:8008`. Not used where [`Surroundings::transport`] is given.
    pub homeserver: String,
    /// The service's database.
    pub database: Database,
    /// Clock, randomness and transport.
    pub surroundings: Surroundings,
}

/// Why a service does not start. Displays as sentences that say what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The declaration is wrong.
    #[error("the service's declaration has mistakes:\n{}", lines(.0))]
    Declaration(Vec<String>),
    /// The setup is wrong.
    #[error("{0}")]
    Setup(String),
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn lines(texts: &[String]) -> String {
    let lines: Vec<String> = texts.iter().map(|text| format!("  - {text}")).collect();
    lines.join("\n")
}

/// A service that runs. Dropping it is like a crash: nothing that was acknowledged is lost. [`stop`](Self::stop) ends
/// it in order.
pub struct Running {
    pub(crate) core: Arc<Core>,
    router: axum::Router,
    operator_pages: axum::Router,
}

impl Drop for Running {
    fn drop(&mut self) {
        // What waits for a better time must not wait, and hold the database, for ever. Nor may what still runs write:
        // the service may be started anew, and would do the same.
        self.core.stop.send_replace(true);
        self.core.inbox.halt();
        self.core.outbox.halt();
        self.core.store.shut();
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("service", &self.core.name)
            .finish_non_exhaustive()
    }
}

impl Service {
    /// Starts the service. It takes transactions from now on, by [`Running::call`] or [`Running::router`]; events are
    /// handled once the homeserver has answered for the first time and the handlers of `on_start` have succeeded.
    ///
    /// # Errors
    /// What is wrong with the declaration, the setup or the database.
    pub async fn start(self, setup: Setup) -> Result<Running, StartError> {
        let mistakes = self.check();
        if !mistakes.is_empty() {
            return Err(StartError::Declaration(mistakes));
        }
        let core = Arc::new(build(&self, &setup)?);
        core.begin_puppets().await?;
        core.inbox.open().await?;
        core.outbox.attach(&core);
        core.outbox.begin().await?;
        figures::show(&core);
        tokio::spawn(upkeep::run(Arc::downgrade(&core)));
        tokio::spawn(begin::begin(core.clone()));
        let token = HomeserverToken(Arc::new(setup.registration.hs_token.clone()));
        let handle = axum::Extension(Handle::new(&core));
        let operator_pages = self.operator_pages.layer(handle.clone());
        let routes = self.routes.layer(handle);
        let kits = wire::router(core.clone(), token)
            .merge(media::proxy_router(&core))
            .merge(
                self.provisioning
                    .map(|api| api.router(&core))
                    .unwrap_or_default(),
            );
        let router = wire::mount(kits, routes);
        Ok(Running {
            core,
            router,
            operator_pages,
        })
    }
}

fn build(service: &Service, setup: &Setup) -> Result<Core, StartError> {
    let registration = &setup.registration;
    let wrong = |error: &dyn fmt::Display| StartError::Setup(error.to_string());
    let sender = UserId::new(&registration.sender_localpart, &setup.server_name)
        .map_err(|error| wrong(&error))?;
    let bot = bot_of(service, setup, &sender)?;
    let owned = registration
        .users
        .iter()
        .filter(|namespace| namespace.exclusive);
    let owned: Vec<String> = owned.map(|namespace| namespace.regex.clone()).collect();
    let namespaces = service
        .namespaces
        .at(&setup.server_name, &owned)
        .map_err(|error| wrong(&error))?;
    let store = Store::open(
        &location(&setup.database),
        setup.surroundings.inline_store,
        &service.migrations,
    )?;
    let transport = match &setup.surroundings.transport {
        Some(transport) => transport.clone(),
        None => Arc::new(HttpTransport::new(&setup.homeserver).map_err(|error| wrong(&error))?),
    };
    let (puppets, losses) = PuppetTable::new(&service.name);
    let metrics = service.metrics.clone();
    let metrics = metrics.unwrap_or_else(|| Metrics::new(&service.name));
    let client = Client::new(ClientConfig {
        transport,
        as_token: registration.as_token.clone(),
        sender,
        bot: bot.clone(),
        puppets: Arc::new(puppets),
        surroundings: setup.surroundings.clone(),
        concurrency: service.limits.send_concurrency * 2,
        metrics: metrics.clone(),
    });
    let interest = Interest::new(registration, &bot, client.sender());
    let rooms = Rooms::new(store.clone(), Arc::new(interest));
    let stop = watch::Sender::new(false);
    Ok(Core {
        name: service.name.clone(),
        server_name: setup.server_name.as_str().into(),
        bot,
        registration: setup.registration.clone(),
        homeserver: setup.homeserver.as_str().into(),
        pings: Pings::default(),
        way_back: WayBack::default(),
        third_party: service.third_party.clone(),
        namespaces,
        inbox: Inbox::new(
            store.clone(),
            &service.limits,
            metrics.clone(),
            rooms.clone(),
            setup.surroundings.randomness.clone(),
        ),
        outbox: Outbox::new(
            store.clone(),
            client.clone(),
            setup.surroundings.clone(),
            &service.limits,
            stop.subscribe(),
        ),
        actors: Actors::new(&store, &service.limits),
        rooms,
        client,
        store,
        surroundings: setup.surroundings.clone(),
        limits: service.limits.clone(),
        sends_by_device: service.sends_by_device,
        handlers: Handlers {
            events: [service.kits_handlers(), service.handlers.events.clone()].concat(),
            ..service.handlers.clone()
        },
        bridges: Bridges::build(&service.bridges, &setup.server_name, &service.limits)
            .map_err(StartError::Setup)?,
        commands: service
            .commands
            .clone()
            .with_prefix(&format!("!{}", service.name)),
        permissions: RwLock::new(service.permissions.clone()),
        reloads: Reloads::default(),
        policies: Arc::new(Policies::new(&service.policy_rooms)),
        states: service.states.clone(),
        web: Web::new(setup.surroundings.web.clone(), &service.trusted_hosts),
        capabilities: CapabilityCache::default(),
        media: MediaShared::new(service.media_proxy.clone()),
        puppets: PuppetKeeper::new(registration, service.puppet_secret.as_ref(), losses),
        backfills: BackfillShared::default(),
        metrics,
        figures: Figures::default(),
        stop,
    })
}

/// The service's own user: the sender, or the one of that name in its namespace (the layout of some generators, whose
/// sender has a random name).
fn bot_of(service: &Service, setup: &Setup, sender: &UserId) -> Result<UserId, StartError> {
    let declared = UserId::new(service.bot_localpart(), &setup.server_name)
        .map_err(|error| StartError::Setup(error.to_string()))?;
    let owns = |namespace: &bridgehead_registration::Namespace| {
        let anchored = format!(r"\A(?:{})", namespace.regex);
        regex::Regex::new(&anchored).is_ok_and(|regex| regex.is_match(declared.as_str()))
    };
    let is_namespaced = service.bot.is_some() && setup.registration.users.iter().any(owns);
    Ok(if is_namespaced {
        declared
    } else {
        sender.clone()
    })
}

/// Keeps other processes out of a service's database, and tells whether one has it.
pub(crate) fn lock(database: &Database) -> Result<Option<std::fs::File>, StartError> {
    Ok(store::lock(&location(database))?)
}

fn location(database: &Database) -> Location {
    match database {
        Database::File(path) => Location::File(path.clone()),
        Database::Memory => Location::Memory,
    }
}

impl Running {
    /// The routes that the homeserver, and whoever else, asks.
    pub fn router(&self) -> axum::Router {
        self.router.clone()
    }

    /// What [`Service::operator_pages`] was given. The program shows it; who starts a service otherwise may serve it where
    /// only those come who may see it.
    pub fn operator_pages(&self) -> axum::Router {
        self.operator_pages.clone()
    }

    /// Puts something before the routes.
    pub(crate) fn wrap_router(&mut self, wrap: impl FnOnce(axum::Router) -> axum::Router) {
        self.router = wrap(std::mem::take(&mut self.router));
    }

    /// A request of the homeserver, without a socket.
    pub async fn call(&self, request: Request<Bytes>) -> Response<Bytes> {
        let answered = self.router.clone().oneshot(request.map(Body::from)).await;
        let response = answered.unwrap_or_else(|never| match never {});
        let (parts, body) = response.into_parts();
        match to_bytes(body, MAX_ANSWER).await {
            Ok(bytes) => Response::from_parts(parts, bytes),
            Err(_) => {
                let mut failed = Response::new(Bytes::new());
                *failed.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                failed
            }
        }
    }

    /// What all its parts share.
    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// How many events wait to be handled.
    #[must_use]
    pub fn inbox_depth(&self) -> usize {
        self.core.inbox.depth()
    }

    /// Whether the service has begun its work, and nothing waits to be handled, sent, joined or left. An event that was just taken
    /// counts as waiting.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.core.inbox.is_idle()
            && self.core.bridges.is_idle()
            && self.core.outbox.is_idle()
            && self.core.actors.planner.is_idle()
    }

    /// What was set aside with numbers above `after`, oldest first, at most `limit`.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn parked(&self, after: i64, limit: usize) -> Result<Vec<Parked>, StoreError> {
        self.core.inbox.parked(after, limit).await
    }

    /// Handles what was set aside under this number again; `false` when there is nothing.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn replay(&self, number: i64) -> Result<bool, StoreError> {
        self.core.inbox.replay(number).await
    }

    /// Gives up for good what was set aside under this number; `false` when there is nothing.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn drop_parked(&self, number: i64) -> Result<bool, StoreError> {
        self.core.inbox.drop_parked(number).await
    }

    /// Sends that were given up, with numbers above `after`, oldest first, at most `limit`. Those of handlers that were
    /// told so are among them.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn given_up(&self, after: i64, limit: usize) -> Result<Vec<GivenUp>, StoreError> {
        self.core.outbox.given_up(after, limit).await
    }

    /// Sends again what was given up under this number, behind what waits in its room; `false` when there is nothing.
    /// The homeserver takes it for the same send, should it have it after all.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn send_again(&self, number: i64) -> Result<bool, StoreError> {
        self.core.outbox.send_again(number).await
    }

    /// Forgets the send that was given up under this number; `false` when there is nothing.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn drop_given_up(&self, number: i64) -> Result<bool, StoreError> {
        self.core.outbox.drop_given_up(number).await
    }

    /// Ends waits between attempts, as when the homeserver or the other network is known to be back.
    pub fn hurry(&self) {
        self.core.inbox.hurry();
        self.core.bridges.hurry();
        self.core.outbox.hurry();
    }

    /// Ends the service: what runs is given some seconds, what waits stays in the database for the next start.
    pub async fn stop(self) {
        self.core.inbox.stop(GRACE).await;
        self.core.bridges.stop(GRACE).await;
        self.core.stop.send_replace(true);
        self.core.outbox.stop(GRACE).await;
        self.core.actors.planner.finish(GRACE).await;
        self.core.store.close().await;
    }
}
