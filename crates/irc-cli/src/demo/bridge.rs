//! The homeserver and the bridge of the demonstration.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::Context as _;
use bridgehead_appservice::{
    Database, Listen, Listening, Running, Setup,
    bridge::{Level, Permissions},
    surroundings::Surroundings,
};
use bridgehead_homeserver::{
    Server,
    config::{Config, Overrides},
};
use bridgehead_irc::{
    Settings, service,
    settings::{Limits, NetworkSettings},
};
use tempfile::TempDir;

use super::matrix::Person;

/// The homeserver's name.
pub(super) const SERVER_NAME: &str = "localhost";
/// What the network is called in ids.
pub(super) const NETWORK: &str = "demo";

/// A homeserver with the bridge.
pub(super) struct Bridged {
    server: Server,
    running: Running,
    listening: Listening,
    /// Removed at the end.
    folder: TempDir,
}

impl Bridged {
    /// Starts both, for the IRC server at this address.
    pub(super) async fn start(irc: SocketAddr) -> anyhow::Result<Self> {
        let settings = settings(irc)?;
        // Held until the bridge listens there itself.
        let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = held.local_addr()?;
        let draft =
            service(&settings).registration(Some(&format!("http://{address}")), SERVER_NAME)?;
        let generated = draft
            .generate(|bytes| rand::Rng::fill_bytes(&mut rand::rng(), bytes))
            .map_err(|errors| anyhow::anyhow!("the registration is refused: {errors:?}"))?;
        let folder = TempDir::with_prefix("bridgehead-irc-demo-")?;
        let file = folder.path().join("irc.yaml");
        std::fs::write(&file, generated.text.expose())?;
        let server = start_server(&folder, file).await?;
        let running = service(&settings)
            .start(Setup {
                registration: generated.registration,
                server_name: SERVER_NAME.to_owned(),
                homeserver: format!("http://{}", server.addresses()[0]),
                database: Database::File(folder.path().join("irc.db")),
                surroundings: Surroundings::default(),
            })
            .await?;
        drop(held);
        let listening = running.listen(Listen::tcp(address)).await?;
        Ok(Self {
            server,
            running,
            listening,
            folder,
        })
    }

    /// Where the homeserver answers.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.server.addresses()[0])
    }

    /// Somebody new on Matrix.
    pub(super) async fn person(&self, name: &str) -> anyhow::Result<Person> {
        let password = format!("{:016x}", rand::random::<u64>());
        self.server
            .create_user(name, &password, false)
            .await
            .map_err(|problem| anyhow::anyhow!(problem))?;
        Person::log_in(&self.url(), name, &password).await
    }

    /// Ends both, and removes what they have stored.
    pub(super) async fn stop(self) {
        self.listening.stop().await;
        self.running.stop().await;
        self.server.stop().await;
        let path = self.folder.path().to_owned();
        if let Err(error) = self.folder.close() {
            eprintln!("bridgehead-irc: {} is left: {error}", path.display());
        }
    }
}

async fn start_server(
    folder: &TempDir,
    registration: std::path::PathBuf,
) -> anyhow::Result<Server> {
    let overrides = Overrides {
        data_dir: Some(folder.path().join("homeserver")),
        server_name: Some(SERVER_NAME.to_owned()),
        listen: vec!["127.0.0.1:0".to_owned()],
        registrations: vec![registration],
        open_registration: false,
        rate_limits: Some(false),
        registration_shared_secret: None,
    };
    let config = Config::load(None, std::iter::empty(), overrides)
        .map_err(|errors| anyhow::anyhow!("{errors}"))?
        .config;
    Server::start(config)
        .await
        .context("the homeserver does not start")
}

fn settings(irc: SocketAddr) -> anyhow::Result<Settings> {
    let network = NetworkSettings {
        servers: vec![irc.to_string().parse()?],
        // On loopback there is nobody in between.
        tls: false,
        limits: Limits {
            lines_at_once: 20,
            ..Limits::default()
        },
        ..NetworkSettings::default()
    };
    let mut settings = Settings {
        permissions: Permissions::new().allow("*", Level::User),
        ..Settings::default()
    };
    settings.networks.insert(NETWORK.to_owned(), network);
    Ok(settings)
}
