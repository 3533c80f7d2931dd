//! Starting and ending the server.

use std::{
    fs::{File, TryLockError},
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use axum_server::{
    Handle,
    accept::NoDelayAcceptor,
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use bridgehead_room::SigningKey;
use bridgehead_store::{Location, Store, StoreOptions};
use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::task::JoinSet;

use crate::{
    app::App,
    appservices::{
        BeginError, Bus, Engine, Histories, Protocols, Queries, Registrar, RegistrarError,
        Registry, Teller,
        namespaces::CompileError,
        registration::{self, RegistrationError, RegistrationWarning},
        run_history, run_teller, wake_interested,
    },
    clock::{Clock, SystemClock},
    config::Config,
    http::{
        self,
        connection::{PromptAcceptor, set_limits},
    },
    limits::RateLimits,
    media::Media,
    metrics::{self, Metrics},
    operators::{self, Operators, TokenFileError},
    private_file::{self, Readers, create_private_dir, private_file, write_private},
    random::{self, SystemRandomness},
    sealing::SealingKey,
    shutdown::{Shutdown, ShutdownTrigger, shutdown},
    sync::{Notifier, Presence, Typing},
    users::{LastSeen, Nonces, ProfileFanout, Sessions, UiaSessions},
};

/// Files of the data folder that hold secrets.
const OWN_SECRETS: &[&str] = &["signing.key", "secrets.key", "operator.token"];

/// How long requests in flight may take after the end was asked for.
const GRACE: Duration = Duration::from_secs(10);
/// How long an application service's websocket may take to end.
const OUTLET_GRACE: Duration = Duration::from_secs(2);

/// A running homeserver. Dropping it does not end it cleanly; call [`Server::stop`].
pub struct Server {
    addresses: Vec<SocketAddr>,
    warnings: Vec<RegistrationWarning>,
    app: Arc<App>,
    trigger: ShutdownTrigger,
    handles: Vec<Handle<SocketAddr>>,
    tasks: Mutex<JoinSet<()>>,
    /// Keeps other servers out of the data folder.
    _lock: File,
}

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A file or folder in the data folder could not be made or read.
    #[error("cannot use {}: {reason}; {}", path.display(), data_dir_remedy(reason))]
    DataDir {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        reason: io::Error,
    },
    /// Another server (or tool) works in the data folder.
    #[error("{} is in use by another server; stop that one, or give each its own data_dir", path.display())]
    InUse {
        /// The data folder.
        path: PathBuf,
    },
    /// A file with a secret may be read by others than its owner.
    #[error("{} may be read by others; run: chmod 600 {}", path.display(), path.display())]
    OpenKey {
        /// The file.
        path: PathBuf,
    },
    /// The signing key is not one.
    #[error(
        "{} does not hold a signing key, which is `ed25519 <version> <64 hexadecimal digits>`; \
         restore it, or remove the file and a new key is made",
        path.display()
    )]
    BadKey {
        /// The key file.
        path: PathBuf,
    },
    /// The file with the first operator's token holds none.
    #[error(
        "{} does not hold an operator's token, which has at least 32 characters; \
         remove the file and a new one is made",
        path.display()
    )]
    BadOperatorToken {
        /// The file.
        path: PathBuf,
    },
    /// The key of the secrets at rest is not one.
    #[error(
        "{} does not hold a key, which is `xchacha20poly1305 <64 hexadecimal digits>`; restore it, \
         or remove the file: a new key is made, and registrations that came over the operator API \
         have to be added again",
        path.display()
    )]
    BadSealingKey {
        /// The key file.
        path: PathBuf,
    },
    /// Registrations were refused; all mistakes are listed.
    #[error("registrations refused:\n{}", .0.iter().map(|e| format!("  {e}")).collect::<Vec<_>>().join("\n"))]
    Registrations(Vec<RegistrationError>),
    /// The namespaces could not be compiled together.
    #[error(transparent)]
    Namespaces(#[from] CompileError),
    /// The database could not be opened.
    #[error("cannot use the database {}: {reason}", path.display())]
    Database {
        /// The database file.
        path: PathBuf,
        /// What is wrong with it.
        reason: bridgehead_store::Error,
    },
    /// The database could not be written.
    #[error(transparent)]
    Store(#[from] bridgehead_store::Error),
    /// An address could not be listened on.
    #[error("cannot listen on {address}: {reason}; {}", listen_remedy(reason))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        reason: io::Error,
    },
    /// Certificate or key could not be used.
    #[error(
        "cannot use the TLS certificate {} with the key {}: {reason}; \
         both are PEM files, and the key is the first certificate's",
        certificate.display(), key.display()
    )]
    Tls {
        /// The file of `tls.certificate`.
        certificate: PathBuf,
        /// The file of `tls.key`.
        key: PathBuf,
        /// What is wrong.
        reason: io::Error,
    },
    /// The HTTP client could not be made.
    #[error("cannot make an HTTP client: {0}")]
    Client(#[from] reqwest::Error),
}

fn data_dir_remedy(reason: &io::Error) -> &'static str {
    match reason.kind() {
        io::ErrorKind::PermissionDenied => {
            "let the server's user write there, or name another folder with --data-dir"
        }
        io::ErrorKind::StorageFull => "free some space there",
        _ => "check the folder that is the server's data_dir",
    }
}

fn listen_remedy(reason: &io::Error) -> &'static str {
    match reason.kind() {
        io::ErrorKind::AddrInUse => {
            "another program listens there: end it, or choose another address with --listen"
        }
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need a privilege: choose another with --listen, and let a reverse proxy have this one"
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address: 127.0.0.1 is this machine only, 0.0.0.0 all of its addresses"
        }
        _ => "choose another address with --listen",
    }
}

impl Server {
    /// Starts a server: opens (or makes) its data folder, loads registrations, listens.
    ///
    /// # Errors
    /// What is wrong, with the file or address and what to do about it.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        Self::start_with_clock(config, Arc::new(SystemClock)).await
    }

    /// The same with a clock of the caller's.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub async fn start_with_clock(
        config: Config,
        clock: Arc<dyn Clock>,
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
        let app = Arc::new(build_app(config, clock).await?);
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
        let service = http::service(self.app.clone());
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
            let make = service
                .clone()
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

impl From<BeginError> for StartError {
    fn from(error: BeginError) -> Self {
        match error {
            BeginError::Refused(errors) => Self::Registrations(errors),
            BeginError::Other(RegistrarError::Namespaces(error)) => Self::Namespaces(error),
            BeginError::Other(RegistrarError::Store(error)) => Self::Store(error),
            BeginError::Other(other) => Self::Store(bridgehead_store::Error::Unavailable {
                reason: other.to_string(),
            }),
        }
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
    let app = Arc::new(build_app(config, Arc::new(SystemClock)).await?);
    let made =
        crate::users::register::create_with_password(&app, localpart, password, is_admin).await;
    app.store.close().await;
    made.map(|user_id| user_id.to_string())
        .map_err(|error| CreateUserError::Refused(error.message().to_owned()))
}

/// One server to a data folder: two would hand out the same positions. The lock ends with the
/// file handle, so a crash leaves none behind.
fn lock_data_dir(data_dir: &Path) -> Result<File, StartError> {
    create_private_dir(data_dir).map_err(|reason| StartError::DataDir {
        path: data_dir.to_owned(),
        reason,
    })?;
    let path = data_dir.join("bridgehead.lock");
    let failed = |reason| StartError::DataDir {
        path: path.clone(),
        reason,
    };
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StartError::InUse {
            path: data_dir.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

async fn build_app(config: Config, clock: Arc<dyn Clock>) -> Result<App, StartError> {
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
    let key = signing_key(&key_file, &server_name)?;
    let sealing = SealingKey::load_or_make(&data_dir.join("secrets.key"))?;
    if is_new {
        // SQLite would let everybody read it; it takes an empty file for a new database.
        let options = &mut private_file();
        options.create_new(true).open(&file).map_err(failed)?;
    }
    let name = server_name.to_string();
    let path = file.clone();
    let figures = config.metrics.clone();
    let metrics = tokio::task::spawn_blocking(move || Metrics::new(&figures))
        .await
        .map_err(|error| failed(io::Error::other(error)))?;
    let metrics = Arc::new(metrics);
    let store_clock = clock.clone();
    let options = StoreOptions {
        clock: Arc::new(move || store_clock.now_ms()),
        ..StoreOptions::default()
    };
    let store = tokio::task::spawn_blocking(move || {
        Store::open_with(Location::File(&path), &name, options)
    })
    .await
    .map_err(|error| failed(io::Error::other(error)))?
    .map_err(|reason| StartError::Database { path: file, reason })?;
    let media = Media::new(&data_dir, &config.limits).map_err(failed)?;
    let registry = Registry::new(0, &server_name, Vec::new())?;
    let now_ms = clock.now_ms();
    let engine = Arc::new(Engine {
        store: store.clone(),
        clock: clock.clone(),
        random: Arc::new(SystemRandomness),
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

/// Refuses to work with secrets that others on the machine may know by now.
fn refuse_open_keys(data_dir: &Path) -> Result<(), StartError> {
    for name in OWN_SECRETS {
        let path = data_dir.join(name);
        match private_file::readers(&path) {
            Ok(Readers::Owner) => {}
            Ok(Readers::Group | Readers::Everybody) => return Err(StartError::OpenKey { path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(reason) => return Err(StartError::DataDir { path, reason }),
        }
    }
    Ok(())
}

/// Reads the signing key, or makes one that only its owner can read.
fn signing_key(path: &Path, server_name: &ruma::ServerName) -> Result<SigningKey, StartError> {
    let failed = |reason| StartError::DataDir {
        path: path.to_owned(),
        reason,
    };
    let bad = || StartError::BadKey {
        path: path.to_owned(),
    };
    if !path.exists() {
        let text = format!(
            "ed25519 a_{} {}\n",
            random::alphanumeric(4),
            random::seed()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
        );
        // Whole or not at all: half a key after a crash would keep the server from starting.
        let unfinished = path.with_extension("unfinished");
        write_private(&unfinished, &text).map_err(failed)?;
        std::fs::rename(&unfinished, path).map_err(failed)?;
    }
    let text = std::fs::read(path).map_err(failed)?;
    let text = std::str::from_utf8(&text).map_err(|_| bad())?;
    let mut words = text.split_whitespace();
    let (Some("ed25519"), Some(version), Some(hex)) = (words.next(), words.next(), words.next())
    else {
        return Err(bad());
    };
    let seed: Vec<u8> = (0..hex.len() / 2)
        .filter_map(|i| u8::from_str_radix(hex.get(2 * i..2 * i + 2)?, 16).ok())
        .collect();
    let seed: [u8; 32] = seed.try_into().map_err(|_| bad())?;
    SigningKey::from_seed(server_name.to_owned(), &seed, version).map_err(|_| bad())
}

/// The first start makes an operator, for whoever can read the data folder.
async fn put_operator_token_in_force(app: &App) -> Result<(), StartError> {
    let path = app.config.data_dir.join("operator.token");
    let token = operators::read_or_make(&path).map_err(|error| match error {
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
