//! The homeserver inside the test's process, over real HTTP on a free loopback port.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use bridgehead_homeserver::{
    Server,
    config::{Config, Overrides},
    secret::Secret,
};
use tempfile::TempDir;

use crate::{Client, REGISTRATION_SHARED_SECRET, RecordingAppservice, SERVER_NAME};

/// A running server with its own data folder, both gone when it is dropped.
pub struct TestServer {
    server: Server,
    folder: TempDir,
}

impl TestServer {
    /// A server with open sign-up, without rate limits and without application services.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(&[], &[]).await
    }

    /// The same with these application services.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn with_appservices(services: &[&RecordingAppservice]) -> anyhow::Result<Self> {
        let folder = TempDir::new()?;
        let files = services
            .iter()
            .map(|service| service.write_registration(folder.path()))
            .collect::<Result<Vec<_>, _>>()?;
        Self::start_in(folder, files, &[]).await
    }

    /// The same with registration files and further settings, as environment variables
    /// (`BRIDGEHEAD_…`).
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_with(
        registrations: &[PathBuf],
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        Self::start_in(TempDir::new()?, registrations.to_vec(), settings).await
    }

    /// The same in a folder that the caller has prepared.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_in(
        folder: TempDir,
        registrations: Vec<PathBuf>,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let overrides = Overrides {
            data_dir: Some(folder.path().join("data")),
            server_name: Some(SERVER_NAME.to_owned()),
            listen: vec!["127.0.0.1:0".to_owned()],
            registrations,
            open_registration: true,
            rate_limits: Some(false),
            registration_shared_secret: Some(Secret::new(REGISTRATION_SHARED_SECRET.to_owned())),
        };
        let settings: Vec<(String, String)> = settings
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let config = Config::load(None, settings.into_iter(), overrides)
            .map_err(|errors| anyhow::anyhow!("{errors}"))?
            .config;
        let server = Server::start(config)
            .await
            .context("the server did not start")?;
        Ok(Self { server, folder })
    }

    /// `http://127.0.0.1:port`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.server.addresses()[0])
    }

    /// A client that is not logged in.
    pub fn client(&self) -> Client {
        Client::new(&self.base_url())
    }

    /// A new user, logged in.
    ///
    /// # Errors
    /// When the sign-up is refused.
    pub async fn user(&self, localpart: &str) -> anyhow::Result<Client> {
        self.client().register(localpart, "password").await
    }

    /// The folder with the server's data and registrations.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The server, for what only the process itself can do.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Ends the server as SIGTERM would, and keeps its folder for the next one.
    pub async fn stop(self) -> TempDir {
        self.server.stop().await;
        self.folder
    }
}
