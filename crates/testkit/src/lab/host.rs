//! The homeserver of a lab: ours in the process, which can be stopped and started, or another one
//! over HTTP.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use bridgehead_appservice::surroundings::TransportError;
use bridgehead_homeserver::{
    Caller, Server, Surroundings,
    config::{Config, Overrides},
    secret::Secret,
};
use bytes::Bytes;
use http::{Request, Response};
use parking_lot::Mutex;
use tempfile::TempDir;

use super::{clock::LabClock, options::LabOptions, seam::Seam};
use crate::{REGISTRATION_SHARED_SECRET, SERVER_NAME};

/// The way to a homeserver, whichever it is.
pub(super) enum HostPort {
    /// Ours, while it runs.
    Process(Mutex<Option<Caller>>),
    /// Another one.
    Http {
        client: reqwest::Client,
        base_url: String,
    },
}

impl HostPort {
    fn over_http(base_url: &str) -> anyhow::Result<Self> {
        // Fails if some other client in this process was first, and then there is nothing to do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([])
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self::Http {
            client,
            base_url: base_url.to_owned(),
        })
    }

    /// Whether it runs; of another homeserver that is taken for granted.
    pub(super) fn is_up(&self) -> bool {
        match self {
            Self::Process(caller) => caller.lock().is_some(),
            Self::Http { .. } => true,
        }
    }

    /// One request, whose uri is a path with an optional query.
    pub(super) async fn call(
        &self,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>, TransportError> {
        match self {
            Self::Process(caller) => {
                let caller = caller.lock().clone();
                match caller {
                    Some(caller) => Ok(caller.call(request).await),
                    None => Err(TransportError::Unreachable("it is stopped".to_owned())),
                }
            }
            Self::Http { client, base_url } => over_http(client, base_url, request).await,
        }
    }
}

async fn over_http(
    client: &reqwest::Client,
    base_url: &str,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, TransportError> {
    let (head, body) = request.into_parts();
    let sent = client
        .request(head.method, format!("{base_url}{}", head.uri))
        .headers(head.headers)
        .body(body)
        .send()
        .await
        .map_err(failure)?;
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = sent.status();
    *answer.headers_mut() = sent.headers().clone();
    *answer.body_mut() = sent.bytes().await.map_err(failure)?;
    Ok(answer)
}

/// What went wrong, without the url, whose query may hold a token.
fn failure(error: reqwest::Error) -> TransportError {
    let is_connect = error.is_connect();
    let text = format!("{:#}", anyhow::Error::from(error.without_url()));
    if is_connect {
        TransportError::Unreachable(text)
    } else {
        TransportError::Broken(text)
    }
}

/// The homeserver.
pub(super) struct Host {
    pub(super) port: Arc<HostPort>,
    local: Option<Local>,
}

/// Ours.
struct Local {
    config: Config,
    surroundings: Surroundings,
    server: tokio::sync::Mutex<Life>,
    folder: TempDir,
}

#[derive(Default)]
struct Life {
    server: Option<Server>,
    number: u64,
}

impl Host {
    /// The homeserver that the options ask for, running.
    pub(super) async fn open(
        options: &LabOptions,
        seed: u64,
        clock: LabClock,
        seam: &Arc<Seam>,
    ) -> anyhow::Result<Self> {
        if let Some(other) = options.of_host() {
            return Ok(Self {
                port: Arc::new(HostPort::over_http(&other.base_url)?),
                local: None,
            });
        }
        let folder = TempDir::new()?;
        let local = Local {
            config: config(folder.path(), options)?,
            surroundings: Surroundings {
                clock: Arc::new(clock),
                seed: Some(seed),
                outgoing: Some(seam.clone()),
                inline: true,
            },
            server: tokio::sync::Mutex::default(),
            folder,
        };
        let host = Self {
            port: Arc::new(HostPort::Process(Mutex::default())),
            local: Some(local),
        };
        host.start().await?;
        Ok(host)
    }

    /// Whether it is ours.
    pub(super) fn is_ours(&self) -> bool {
        self.local.is_some()
    }

    fn local(&self) -> anyhow::Result<&Local> {
        let local = self.local.as_ref();
        local.context("a homeserver that is not in this process cannot be steered from it")
    }

    /// Starts it on the data it has; nothing happens when it runs.
    pub(super) async fn start(&self) -> anyhow::Result<()> {
        let local = self.local()?;
        let mut life = local.server.lock().await;
        if life.server.is_some() {
            return Ok(());
        }
        life.number += 1;
        let surroundings = Surroundings {
            // Another life takes other chances, and hands out other tokens.
            seed: local
                .surroundings
                .seed
                .map(|seed| of_life(seed, life.number)),
            ..local.surroundings.clone()
        };
        let server = Server::start_with(local.config.clone(), surroundings).await?;
        self.set_caller(Some(server.caller()));
        life.server = Some(server);
        Ok(())
    }

    /// Ends it as SIGTERM would; nothing happens when it is stopped.
    pub(super) async fn stop(&self) -> anyhow::Result<()> {
        let mut life = self.local()?.server.lock().await;
        self.set_caller(None);
        if let Some(server) = life.server.take() {
            server.stop().await;
        }
        Ok(())
    }

    fn set_caller(&self, caller: Option<Caller>) {
        if let HostPort::Process(place) = &*self.port {
            *place.lock() = caller;
        }
    }

    /// What is under way: services that have not all they are to be told, and other work by name.
    /// `None` where it cannot be seen.
    pub(super) async fn under_way(&self) -> Option<(Vec<String>, bool)> {
        let life = self.local.as_ref()?.server.lock().await;
        Some(match &life.server {
            Some(server) => (server.unsettled_services(), server.is_spreading_profiles()),
            None => (Vec::new(), false),
        })
    }

    /// Puts a registration in force, at once when the homeserver runs.
    pub(super) async fn register(&self, id: &str, yaml: &str) -> anyhow::Result<()> {
        let Some(local) = &self.local else {
            // Another homeserver knows it already, or the test fails at the first delivery.
            return Ok(());
        };
        let folder = registrations(local.folder.path());
        let count = std::fs::read_dir(&folder)?.count();
        let file = folder.join(format!("{count:04}.yaml"));
        std::fs::write(&file, yaml)?;
        let life = local.server.lock().await;
        let Some(server) = &life.server else {
            return Ok(());
        };
        let reloaded = server.reload_registrations().await;
        reloaded.map_err(anyhow::Error::msg)?;
        if server.service_ids().iter().any(|known| known == id) {
            return Ok(());
        }
        drop(life);
        std::fs::remove_file(&file)?;
        let why = bridgehead_registration::parse(Path::new(id), yaml.as_bytes());
        let why = why.err().unwrap_or_default();
        let why: Vec<_> = why.iter().map(ToString::to_string).collect();
        anyhow::bail!(
            "the homeserver refuses the registration `{id}` beside the others: {}",
            why.join("; ")
        )
    }
}

/// The seed of one of the lives that begin with `seed`.
pub(super) fn of_life(seed: u64, life: u64) -> u64 {
    seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(life)
}

fn registrations(folder: &Path) -> PathBuf {
    folder.join("registrations")
}

fn config(folder: &Path, options: &LabOptions) -> anyhow::Result<Config> {
    let registrations = registrations(folder);
    std::fs::create_dir(&registrations)?;
    let overrides = Overrides {
        data_dir: Some(folder.join("data")),
        server_name: Some(SERVER_NAME.to_owned()),
        listen: Vec::new(),
        registrations: vec![registrations],
        open_registration: true,
        rate_limits: Some(options.has_rate_limits()),
        registration_shared_secret: Some(Secret::new(REGISTRATION_SHARED_SECRET.to_owned())),
    };
    let loaded = Config::load(None, options.settings(), overrides);
    let mut config = loaded.map_err(|errors| anyhow::anyhow!("{errors}"))?.config;
    config.listen.clear();
    // Registrations come by `register`, which is sure and at once.
    config.appservices.registration_poll = std::time::Duration::ZERO;
    Ok(config)
}
