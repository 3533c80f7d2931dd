//! A homeserver, an IRC server and the bridge between them.

pub(crate) mod control;

use std::{
    fmt::Debug,
    net::TcpListener,
    sync::{Arc, OnceLock},
    time::Duration,
};

use anyhow::Context as _;

use bridgehead_appservice::{
    Handle,
    bridge::{Level, Permissions},
    config::HostPort,
};
use bridgehead_irc::{
    Settings, service,
    settings::{Limits, NetworkSettings},
};
use bridgehead_testkit::{
    SERVER_NAME, Synapse, TestServer,
    lab::{Lab, LabOptions, LabService, LabUser, registration_for},
};
use futures_util::{
    StreamExt as _,
    future::{LocalBoxFuture, ready},
    stream,
};
use tempfile::TempDir;

/// What the network is called in ids.
pub(crate) const NETWORK: &str = "net";
/// The bridge's own nick.
pub(crate) const BOT: &str = "bridge";
/// How long is waited for what has to come.
const PATIENCE: Duration = Duration::from_secs(90);
const LOOK: Duration = Duration::from_millis(50);

/// What a scenario is played with.
#[derive(Clone)]
pub(crate) struct Stage {
    pub(crate) lab: Lab,
    pub(crate) service: LabService,
    /// The bridge from inside, once it has started.
    inside: Arc<OnceLock<Handle>>,
    /// Where the IRC server listens.
    pub(crate) port: u16,
    /// Which IRC server it is.
    pub(crate) server: Server,
    /// Where the bridge listens.
    pub(crate) url: String,
}

impl Stage {
    /// The bridge from inside, for what nobody does by a command.
    pub(crate) async fn handle(&self) -> anyhow::Result<Handle> {
        comes_to(&true, async || Ok(self.inside.get().is_some())).await?;
        Ok(self.inside.get().context("it has just been there")?.clone())
    }
}

/// The kinds of IRC servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    Ngircd,
    Inspircd,
    /// Ours, with all that it knows.
    Modern,
}

/// One scenario: what happens in a channel of its own.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) play: fn(Stage) -> LocalBoxFuture<'static, anyhow::Result<()>>,
}

/// The bridge's settings for the IRC server at this port.
pub(crate) fn settings(port: u16) -> anyhow::Result<Settings> {
    let mut network = NetworkSettings {
        servers: vec![server_at(port)?],
        tls: false,
        limits: Limits {
            connects_per_minute: 6000,
            connects_at_once: 100,
            lines_at_once: 50,
            line_every: "10ms".parse()?,
            patience: "20s".parse()?,
            ..Limits::default()
        },
        ..NetworkSettings::default()
    };
    network.bot.nick = BOT.to_owned();
    let mut settings = Settings {
        permissions: Permissions::new().allow("*", Level::User),
        ..Settings::default()
    };
    settings.networks.insert(NETWORK.to_owned(), network);
    Ok(settings)
}

pub(crate) fn server_at(port: u16) -> anyhow::Result<HostPort> {
    Ok(format!("127.0.0.1:{port}").parse()?)
}

/// A registration for the bridge, and the port that it is served at.
struct Registered {
    folder: TempDir,
    text: String,
    url: String,
}

fn register(settings: &Settings) -> anyhow::Result<Registered> {
    let port = TcpListener::bind(("127.0.0.1", 0))?;
    let url = format!("http://{}", port.local_addr()?);
    let text = registration_for(&service(settings), &url, SERVER_NAME, 1)?;
    let folder = TempDir::new()?;
    std::fs::write(folder.path().join("irc.yaml"), &text)?;
    Ok(Registered { folder, text, url })
}

/// Plays on our homeserver over HTTP.
pub(crate) fn on_ours(
    settings: &Settings,
    (port, server): (u16, Server),
    play: impl AsyncFnOnce(Stage) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let registered = register(settings)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let file = registered.folder.path().join("irc.yaml");
    let host = runtime.block_on(TestServer::start_with(&[file], &[]))?;
    let played = play_at(
        &host.base_url(),
        &registered,
        settings,
        (port, server),
        play,
    );
    runtime.block_on(host.stop());
    played
}

/// Plays on Synapse.
pub(crate) fn on_synapse(
    settings: &Settings,
    (port, server): (u16, Server),
    play: impl AsyncFnOnce(Stage) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let registered = register(settings)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let file = registered.folder.path().join("irc.yaml");
    let synapse = runtime.block_on(Synapse::start(&[file]))?;
    play_at(
        &synapse.base_url(),
        &registered,
        settings,
        (port, server),
        play,
    )
}

/// Plays on a Synapse that may be ended and started again meanwhile.
pub(crate) fn on_synapse_that_restarts(
    settings: &Settings,
    (port, server): (u16, Server),
    play: impl AsyncFnOnce(Stage, &mut Synapse) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let registered = register(settings)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let file = registered.folder.path().join("irc.yaml");
    let mut synapse = runtime.block_on(Synapse::start(&[file]))?;
    let base_url = synapse.base_url();
    play_at(
        &base_url,
        &registered,
        settings,
        (port, server),
        async |stage| play(stage, &mut synapse).await,
    )
}

fn play_at(
    base_url: &str,
    registered: &Registered,
    settings: &Settings,
    (port, server): (u16, Server),
    play: impl AsyncFnOnce(Stage) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    log();
    let options = LabOptions::default()
        .against(base_url, SERVER_NAME)
        .registration(&registered.text);
    options.run(async |lab| {
        let settings = settings.clone();
        let started = Arc::new(OnceLock::new());
        let inside = started.clone();
        let service = service(&settings).on_start(move |handle: Handle| {
            inside.get_or_init(|| handle);
            std::future::ready(())
        });
        let service = lab.mount(service).await?;
        play(Stage {
            lab,
            service,
            inside: started,
            port,
            server,
            url: registered.url.clone(),
        })
        .await
    })
}

/// Shows what `RUST_LOG` asks for, when a test has failed.
pub(crate) fn log() {
    let shown = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .try_init();
    // Another stage of the same process may have done it.
    drop(shown);
}

/// How many scenarios are played at the same time: more than this, and people wait for each other's joins.
const AT_ONCE: usize = 8;

/// Says which scenario is played alone, where not all are.
const ONE: &str = "BRIDGEHEAD_SCENARIO";

/// Plays scenarios, some at the same time; fails with what each of them has failed with.
pub(crate) async fn play_all(stage: Stage, scenarios: &[&[Scenario]]) -> anyhow::Result<()> {
    let one = std::env::var(ONE).ok();
    let scenarios = scenarios.iter().copied().flatten();
    let scenarios =
        scenarios.filter(|scenario| one.as_deref().is_none_or(|one| one == scenario.name));
    let played = scenarios.map(|scenario| {
        let playing = (scenario.play)(stage.clone());
        async move {
            let outcome = tokio::time::timeout(Duration::from_secs(240), playing).await;
            let outcome = outcome.unwrap_or_else(|_| Err(anyhow::anyhow!("it took too long")));
            outcome
                .err()
                .map(|error| format!("{}: {error:?}", scenario.name))
        }
    });
    let played = stream::iter(played).buffer_unordered(AT_ONCE);
    let failed: Vec<String> = played.filter_map(ready).collect().await;
    anyhow::ensure!(failed.is_empty(), "{}", failed.join("\n\n"));
    Ok(())
}

/// Waits until this is what is seen.
pub(crate) async fn comes_to<T: PartialEq + Debug>(
    expected: &T,
    mut look: impl AsyncFnMut() -> anyhow::Result<T>,
) -> anyhow::Result<()> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let found = look().await?;
        if found == *expected {
            return Ok(());
        }
        anyhow::ensure!(
            tokio::time::Instant::now() < deadline,
            "waited in vain for {expected:#?}\nthere is {found:#?}"
        );
        tokio::time::sleep(LOOK).await;
    }
}

/// The alias of a channel.
pub(crate) fn alias(channel: &str) -> String {
    format!("#irc_{NETWORK}_{channel}:{SERVER_NAME}")
}

/// What somebody of Matrix is called on IRC, unless they choose another nick.
pub(crate) fn nick(user: &LabUser) -> String {
    format!("{}[m]", user.id().localpart())
}
