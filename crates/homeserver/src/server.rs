//! Starting and ending the server.
//!
//! - `start_error`: why it does not start; `data_dir`: its folder, and the key in it;
//! - `caller`: requests by function call, where there is no socket.

mod caller;
mod data_dir;
mod start_error;

use std::{fs::File, io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use ::http::{Request, Response};
use arc_swap::ArcSwap;
use axum_server::{
    Handle,
    accept::NoDelayAcceptor,
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use bridgehead_store::{Location, Mode, Store, StoreOptions};
use bytes::Bytes;
use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::task::JoinSet;

use self::data_dir::{lock_data_dir, refuse_open_keys, signing_key};
pub use self::{caller::Caller, start_error::StartError};

use crate::{
    app::App,
    appservices::{
        Bus, Engine, Histories, Protocols, Queries, Registrar, Registry, Teller,
        registration::{self, RegistrationWarning},
        run_history, run_teller, wake_interested,
    },
    blocking::Blocking,
    clock::Clock,
    config::Config,
    http::{
        self,
        connection::{PromptAcceptor, set_limits},
    },
    limits::RateLimits,
    media::Media,
    metrics::{self, Metrics},
    operators::{self, Operators, TokenFileError},
    private_file::private_file,
    random::Random,
    sealing::SealingKey,
    shutdown::{Shutdown, ShutdownTrigger, shutdown},
    surroundings::Surroundings,
    sync::{Notifier, Presence, Typing},
    users::{LastSeen, Nonces, ProfileFanout, Sessions, UiaSessions},
};

/// How long requests in flight may take after the end was asked for.
const GRACE: Duration = Duration::from_secs(10);
/// How long an application service's websocket may take to end.
const OUTLET_GRACE: Duration = Duration::from_secs(2);

/// A running homeserver. Dropping it does not end it cleanly; call [`Server::stop`].
pub struct Server {
    addresses: Vec<SocketAddr>,
    warnings: Vec<RegistrationWarning>,
    app: Arc<App>,
    caller: Caller,
    trigger: ShutdownTrigger,
    handles: Vec<Handle<SocketAddr>>,
    tasks: Mutex<JoinSet<()>>,
    /// Keeps other servers out of the data folder.
    _lock: File,
}

impl Server {
    /// Starts a server: opens (or makes) its data folder, loads registrations, listens.
    ///
    /// # Errors
    /// What is wrong, with the file or address and what to do about it.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        Self::start_with(config, Surroundings::default()).await
    }

    /// The same with a clock of the caller's.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub async fn start_with_clock(
        config: Config,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        let surroundings = Surroundings {
            clock,
            ..Surroundings::default()
        };
        Self::start_with(config, surroundings).await
    }

    /// The same in other surroundings than the real world. Where `config.listen` is empty there is
    /// no socket at all, and requests come by [`Server::call`].
    ///
    /// # Errors
    /// As [`Server::start`].
    pub async fn start_with(
        config: Config,
        surroundings: Surroundings,
    ) -> Result<Self, StartError> {
        // The process's TLS provider; a second call finds it set already.
        rustls::crypto::ring::default_provider()
            .install_default()
            .ok();
        let loaded =
            registration::load(&config.registrations).map_err(StartError::Registrations)?;
        for warning in &loaded.warnings {
            tracing::warn!(%warning, "registration");
        }
        let lock = lock_data_dir(&config.data_dir)?;
        let app = Arc::new(build_app(config, surroundings).await?);
        let (trigger, end) = shutdown();
        let mut tasks = JoinSet::new();
        put_operator_token_in_force(&app).await?;
        listen_to_commits(&app);
        app.registrar.begin(&app, end.clone()).await?;
        tasks.spawn(run_history(
            app.engine.clone(),
            app.histories.clone(),
            end.clone(),
        ));
        tasks.spawn(run_teller(app.clone(), end.clone()));
        tasks.spawn(crate::housekeeping::run(app.clone(), end.clone()));
        tasks.spawn(metrics::run(app.clone(), end.clone()));
        let mut server = Self {
            addresses: Vec::new(),
            warnings: loaded.warnings,
            caller: Caller::new(http::service(app.clone())),
            app,
            trigger,
            handles: Vec::new(),
            tasks: Mutex::new(tasks),
            _lock: lock,
        };
        server.listen(&end).await?;
        Ok(server)
    }

    /// The addresses listened on, with the real port where the configuration said 0.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Answers one request without a socket; see [`Caller::call`].
    pub async fn call(&self, request: Request<Bytes>) -> Response<Bytes> {
        self.caller.call(request).await
    }

    /// The way in for requests by function call, for whoever does not hold the server.
    pub fn caller(&self) -> Caller {
        self.caller.clone()
    }

    /// Whether nothing is under way that goes on by itself: each service has all that it is to be
    /// told, and changed profiles have reached their rooms. Requests under way are their callers'
    /// to know.
    pub fn is_settled(&self) -> bool {
        self.unsettled_services().is_empty() && !self.is_spreading_profiles()
    }

    /// Services that something waits for. Those that nobody delivers to are not among them: paused,
    /// given up, or without a way to them.
    pub fn unsettled_services(&self) -> Vec<String> {
        let (registry, now_ms) = (self.app.registry(), self.app.now_ms());
        let services = registry.services().iter();
        services
            .filter(|service| !service.delivery.is_settled(now_ms))
            .map(|service| service.registration.id.clone())
            .collect()
    }

    /// Whether changed profiles are still on their way into rooms.
    pub fn is_spreading_profiles(&self) -> bool {
        !self.app.profile_fanout.is_idle()
    }

    /// The ids of the application services, in the order of their registrations.
    pub fn service_ids(&self) -> Vec<String> {
        let registry = self.app.registry();
        let services = registry.services().iter();
        services
            .map(|service| service.registration.id.clone())
            .collect()
    }

    /// What the handlers share.
    #[cfg(test)]
    pub(crate) fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Reads the registration files again, now. What is refused is told in the log, and what was in
    /// force stays.
    ///
    /// # Errors
    /// A readable sentence, when nothing could be changed.
    pub async fn reload_registrations(&self) -> Result<(), String> {
        let reloaded = self.app.registrar.reload(&self.app).await;
        reloaded.map_err(|error| error.to_string())
    }

    /// What the registrations' author should know.
    pub fn warnings(&self) -> &[RegistrationWarning] {
        &self.warnings
    }

    /// Ends the server: stops accepting, answers what is in flight, closes the database. The next
    /// start needs no repair.
    pub async fn stop(self) {
        self.app.notifier.close();
        self.app.operators.close();
        for handle in &self.handles {
            handle.graceful_shutdown(Some(GRACE));
        }
        self.trigger.request();
        let registry = self.app.registry();
        let closing = registry.services().iter();
        join_all(closing.map(|service| service.delivery.outlet.close(OUTLET_GRACE))).await;
        self.caller.close(GRACE).await;
        let mut tasks = self.tasks.into_inner();
        while tasks.join_next().await.is_some() {}
        self.app.registrar.stop().await;
        self.app.store.close().await;
    }

    /// Makes an account; for tools that hold the database, such as the demo.
    ///
    /// # Errors
    /// A readable sentence.
    pub async fn create_user(
        &self,
        localpart: &str,
        password: &str,
        is_admin: bool,
    ) -> Result<String, String> {
        crate::users::register::create_with_password(&self.app, localpart, password, is_admin)
            .await
            .map(|user_id| user_id.to_string())
            .map_err(|error| error.message().to_owned())
    }

    async fn listen(&mut self, end: &Shutdown) -> Result<(), StartError> {
        let tls = match self.app.config.tls.files() {
            Some((certificate, key)) => Some(
                RustlsConfig::from_pem_file(certificate, key)
                    .await
                    .map_err(|reason| StartError::Tls {
                        certificate: certificate.to_owned(),
                        key: key.to_owned(),
                        reason,
                    })?,
            ),
            None => None,
        };
        let patience = self.app.config.limits.request_timeout;
        for address in &self.app.config.listen {
            let failed = |reason| StartError::Listen {
                address: *address,
                reason,
            };
            let listener = std::net::TcpListener::bind(address).map_err(failed)?;
            listener.set_nonblocking(true).map_err(failed)?;
            self.addresses.push(listener.local_addr().map_err(failed)?);
            let handle = Handle::new();
            self.handles.push(handle.clone());
            let make = self
                .caller
                .router()
                .into_make_service_with_connect_info::<SocketAddr>();
            let mut server = axum_server::from_tcp(listener)
                .map_err(failed)?
                .handle(handle);
            set_limits(server.http_builder(), patience);
            let tls = tls.clone();
            let end = end.clone();
            self.tasks.lock().spawn(async move {
                let plain = NoDelayAcceptor::new();
                let served = match tls {
                    Some(tls) => {
                        let inner = RustlsAcceptor::new(tls).acceptor(plain);
                        let acceptor = PromptAcceptor { inner, patience };
                        server.acceptor(acceptor).serve(make).await
                    }
                    None => {
                        let inner = plain;
                        let acceptor = PromptAcceptor { inner, patience };
                        server.acceptor(acceptor).serve(make).await
                    }
                };
                if let Err(error) = served {
                    tracing::error!(%error, "listening ended");
                    end.requested().await;
                }
            });
        }
        Ok(())
    }
}

/// Why no account was made.
#[derive(Debug, thiserror::Error)]
pub enum CreateUserError {
    /// The data folder cannot be used, for instance because a server runs on it.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The name is taken or no name, or the password is none.
    #[error("{0}")]
    Refused(String),
}

/// Makes an account in the data folder of a server that does not run; gives back the user id.
///
/// # Errors
/// What is wrong, and what to do about it. Nothing was made then.
pub async fn create_user_offline(
    config: Config,
    localpart: &str,
    password: &str,
    is_admin: bool,
) -> Result<String, CreateUserError> {
    let _lock = lock_data_dir(&config.data_dir)?;
    let app = Arc::new(build_app(config, Surroundings::default()).await?);
    let made =
        crate::users::register::create_with_password(&app, localpart, password, is_admin).await;
    app.store.close().await;
    made.map(|user_id| user_id.to_string())
        .map_err(|error| CreateUserError::Refused(error.message().to_owned()))
}

async fn build_app(config: Config, surroundings: Surroundings) -> Result<App, StartError> {
    let Surroundings { clock, .. } = surroundings;
    let random = Arc::new(
        surroundings
            .seed
            .map_or_else(Random::system, Random::seeded),
    );
    let blocking = if surroundings.inline {
        Blocking::Inline
    } else {
        Blocking::Threads
    };
    let data_dir = config.data_dir.clone();
    let failed = |reason| StartError::DataDir {
        path: data_dir.clone(),
        reason,
    };
    refuse_open_keys(&data_dir)?;
    let server_name = config.server_name.clone();
    let file = data_dir.join("bridgehead.db");
    let key_file = data_dir.join("signing.key");
    let is_new = !file.exists();
    if !is_new && !key_file.exists() {
        tracing::warn!(file = %key_file.display(), "the signing key is missing; a new one is made");
    }
    let key = signing_key(&key_file, &server_name, &random)?;
    let sealing = SealingKey::load_or_make(&data_dir.join("secrets.key"), &random)?;
    if is_new {
        // SQLite would let everybody read it; it takes an empty file for a new database.
        let options = &mut private_file();
        options.create_new(true).open(&file).map_err(failed)?;
    }
    let figures = config.metrics.clone();
    let metrics = blocking
        .run(move || Metrics::new(&figures))
        .await
        .map_err(|error| failed(io::Error::other(error)))?;
    let metrics = Arc::new(metrics);
    let store = open_store(&file, server_name.to_string(), blocking, clock.clone()).await?;
    let media = Media::new(&data_dir, &config.limits, blocking).map_err(failed)?;
    let registry = Registry::new(0, &server_name, Vec::new())?;
    let now_ms = clock.now_ms();
    let engine = Arc::new(Engine {
        store: store.clone(),
        clock: clock.clone(),
        random: random.clone(),
        registry: ArcSwap::from_pointee(registry),
        config: config.appservices.clone(),
        bus: Arc::new(Bus::new().counting(metrics.clone())),
    });
    Ok(App {
        limits: RateLimits::new(config.limits.clone()),
        operators: Operators::new(),
        server_name,
        store,
        key: Arc::new(key),
        clock,
        random,
        blocking,
        outgoing: surroundings.outgoing,
        metrics,
        bus: engine.bus.clone(),
        engine,
        histories: Arc::new(Histories::default()),
        registrar: Registrar::new(sealing, config.registrations.clone()),
        queries: Queries::new(),
        teller: Teller::default(),
        protocols: Protocols::new(),
        sessions: Sessions::new(),
        profile_fanout: ProfileFanout::new(),
        last_seen: LastSeen::default(),
        nonces: Nonces::new(),
        uia: UiaSessions::new(),
        notifier: Notifier::default(),
        typing: Typing::starting_at(now_ms),
        presence: Presence::starting_at(now_ms),
        media,
        config,
    })
}

async fn open_store(
    file: &Path,
    server_name: String,
    blocking: Blocking,
    clock: Arc<dyn Clock>,
) -> Result<Store, StartError> {
    let is_inline = blocking == Blocking::Inline;
    let options = StoreOptions {
        clock: Arc::new(move || clock.now_ms()),
        mode: if is_inline {
            Mode::Inline { gate: None }
        } else {
            Mode::Threads
        },
        flush: !is_inline,
    };
    let path = file.to_owned();
    let opening =
        blocking.run(move || Store::open_with(Location::File(&path), &server_name, options));
    let path = || file.to_owned();
    opening
        .await
        .map_err(|error| StartError::DataDir {
            path: path(),
            reason: io::Error::other(error),
        })?
        .map_err(|reason| StartError::Database {
            path: path(),
            reason,
        })
}

/// The first start makes an operator, for whoever can read the data folder.
async fn put_operator_token_in_force(app: &App) -> Result<(), StartError> {
    let path = app.config.data_dir.join("operator.token");
    let token = operators::read_or_make(&path, &app.random).map_err(|error| match error {
        TokenFileError::Io(reason) => StartError::DataDir {
            path: path.clone(),
            reason,
        },
        TokenFileError::Open => StartError::OpenKey { path: path.clone() },
        TokenFileError::Bad => StartError::BadOperatorToken { path: path.clone() },
    })?;
    operators::put_in_force(&app.store, &token, app.now_ms()).await?;
    Ok(())
}

/// A commit wakes the services and the long polls it is for. The app holds the store, so the
/// listener holds the app weakly.
fn listen_to_commits(app: &Arc<App>) {
    let weak = Arc::downgrade(app);
    app.store.on_commit(Box::new(move |entries| {
        if let Some(app) = weak.upgrade() {
            wake_interested(&app.engine, entries);
            app.notifier.committed(entries);
        }
    }));
    let metrics = app.metrics.clone();
    app.store
        .observe_commits(Box::new(move |commit| metrics.committed(commit)));
}
