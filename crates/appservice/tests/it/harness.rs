//! A service of the kit beside our real homeserver, over HTTP on loopback.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context as _;
use bridgehead_appservice::{
    Database, Listen, ListenError, Listening, Running, Service, Setup,
    registration::{Generated, RegistrationDraft},
    surroundings::Surroundings,
};
use bridgehead_testkit::{Client, SERVER_NAME, TestServer, free_port};
use rand::Rng as _;
use tempfile::TempDir;

/// How long a test waits for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The homeserver, and one service that runs.
pub(crate) struct Pair {
    pub(crate) host: TestServer,
    pub(crate) running: Running,
    generated: Generated,
    folder: TempDir,
    address: SocketAddr,
    listening: Listening,
}

impl Pair {
    /// Starts both.
    pub(crate) async fn start(service: Service) -> anyhow::Result<Self> {
        Self::start_with(service, Surroundings::default()).await
    }

    /// The same with a registration that somebody else has made, in another way.
    pub(crate) async fn start_changed(
        service: Service,
        change: fn(&mut RegistrationDraft),
    ) -> anyhow::Result<Self> {
        Self::start_all(service, Surroundings::default(), change).await
    }

    /// The same with other surroundings of the service.
    pub(crate) async fn start_with(
        service: Service,
        surroundings: Surroundings,
    ) -> anyhow::Result<Self> {
        Self::start_all(service, surroundings, |_| ()).await
    }

    async fn start_all(
        service: Service,
        surroundings: Surroundings,
        change: fn(&mut RegistrationDraft),
    ) -> anyhow::Result<Self> {
        let folder = TempDir::new()?;
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let url = format!("http://{address}");
        let generated = generate_changed(&service, Some(&url), change)?;
        let file = folder.path().join("registration.yaml");
        std::fs::write(&file, generated.text.expose())?;
        let host = TestServer::start_with(&[file], &[]).await?;
        let running = run(service, &generated, &host, &folder, surroundings).await?;
        let listening = running.listen(Listen::tcp(address)).await?;
        Ok(Self {
            host,
            running,
            generated,
            folder,
            address,
            listening,
        })
    }

    /// Ends the service as a crash would (nothing is said, nothing waited for), and starts this one on its database.
    pub(crate) async fn crash_and_start(self, service: Service) -> anyhow::Result<Self> {
        drop(self.listening);
        drop(self.running);
        let running = retry_in_use(service, &self.generated, &self.host, &self.folder).await?;
        let listening = listen_again(&running, self.address).await?;
        Ok(Self {
            running,
            listening,
            host: self.host,
            generated: self.generated,
            folder: self.folder,
            address: self.address,
        })
    }

    /// A person on the homeserver.
    pub(crate) async fn user(&self, localpart: &str) -> anyhow::Result<Client> {
        self.host.user(localpart).await
    }

    /// Returns when nothing waits in the service.
    pub(crate) async fn settled(&self) -> anyhow::Result<()> {
        until("the service has nothing left to do", || async {
            self.running.is_settled()
        })
        .await
    }
}

/// A registration for this service, with fresh tokens.
pub(crate) fn generate(service: &Service, url: Option<&str>) -> anyhow::Result<Generated> {
    generate_changed(service, url, |_| ())
}

/// The same with a change that somebody has made.
pub(crate) fn generate_changed(
    service: &Service,
    url: Option<&str>,
    change: fn(&mut RegistrationDraft),
) -> anyhow::Result<Generated> {
    let mut draft = service.registration(url, SERVER_NAME)?;
    change(&mut draft);
    draft
        .generate(|bytes| rand::rng().fill_bytes(bytes))
        .map_err(|errors| anyhow::anyhow!("{errors:?}"))
}

async fn run(
    service: Service,
    generated: &Generated,
    host: &TestServer,
    folder: &TempDir,
    surroundings: Surroundings,
) -> anyhow::Result<Running> {
    let setup = Setup {
        registration: generated.registration.clone(),
        server_name: SERVER_NAME.to_owned(),
        homeserver: host.base_url(),
        database: Database::File(folder.path().join("service.db")),
        surroundings,
    };
    Ok(service.start(setup).await?)
}

async fn retry_in_use(
    service: Service,
    generated: &Generated,
    host: &TestServer,
    folder: &TempDir,
) -> anyhow::Result<Running> {
    let started = std::time::Instant::now();
    loop {
        match run(
            service.clone(),
            generated,
            host,
            folder,
            Surroundings::default(),
        )
        .await
        {
            Err(error) if started.elapsed() < PATIENCE && error.to_string().contains("in use") => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            other => return other,
        }
    }
}

/// Listens where another one has just ended.
async fn listen_again(running: &Running, address: SocketAddr) -> anyhow::Result<Listening> {
    let started = std::time::Instant::now();
    loop {
        match running.listen(Listen::tcp(address)).await {
            Err(ListenError::Address { .. }) if started.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            other => return Ok(other?),
        }
    }
}

/// Waits until this holds; fails with what was waited for.
pub(crate) async fn until<F: Future<Output = bool>>(
    what: &str,
    mut holds: impl FnMut() -> F,
) -> anyhow::Result<()> {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .with_context(|| format!("waited in vain until {what}"))
}
