//! The homeserver, the IRC server and the bridge.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use bridgehead_irc_server::{Dialect, Server};
use bridgehead_testkit::{Client, Process, TestServer, free_port};
use tempfile::TempDir;
use tokio::process::Command;

use super::Load;

const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(100);
const TOKEN: &str = "figures-token";

/// The IRC server.
pub(crate) enum Irc {
    Inspircd {
        port: u16,
        // Killed when it is dropped.
        _process: Process,
        _folder: TempDir,
    },
    Own(Server),
}

impl Irc {
    async fn start() -> anyhow::Result<Self> {
        let chosen = std::env::var_os("BRIDGEHEAD_TEST_INSPIRCD").map(PathBuf::from);
        let program = chosen.unwrap_or_else(|| "/usr/sbin/inspircd".into());
        if !program.is_file() {
            return Ok(Self::Own(Server::start(Dialect::inspircd()).await?));
        }
        let (port, folder) = (free_port()?, TempDir::with_prefix("bridgehead-load-")?);
        let config = folder.path().join("inspircd.conf");
        std::fs::write(&config, inspircd_config(port))?;
        let mut command = Command::new(program);
        // Root is refused otherwise; of anybody else the flag changes nothing.
        command.args(["--runasroot", "--nofork", "--nopid", "--config"]);
        command.arg(&config);
        let process = Process::spawn("inspircd", command)?;
        let runs = |lines: &[String]| lines.iter().any(|line| line.contains("now running"));
        process
            .wait_for_output("that it runs", PATIENCE, runs)
            .await?;
        Ok(Self::Inspircd {
            port,
            _process: process,
            _folder: folder,
        })
    }

    pub(crate) fn port(&self) -> u16 {
        match self {
            Self::Inspircd { port, .. } => *port,
            Self::Own(server) => server.address().port(),
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Inspircd { .. } => "InspIRCd",
            Self::Own(_) => "the small server in memory, for InspIRCd is not installed",
        }
    }
}

fn inspircd_config(port: u16) -> String {
    let modules = "cap ircv3 ircv3_batch ircv3_echomessage ircv3_labeledresponse ircv3_msgid ircv3_servertime namesx uhnames";
    let modules = modules
        .split(' ')
        .map(|name| format!("<module name=\"{name}\">\n"));
    format!(
        r#"<config format="xml">
<server name="irc.load.invalid" description="load" network="Load" id="1AA">
<admin name="n" nick="n" email="n@load.invalid">
<log method="file" type="* -USERINPUT -USEROUTPUT -MODULE" level="default" target="/dev/stdout" flush="1">
<dns server="127.0.0.1" timeout="1">
<options defaultmodes="not" casemapping="ascii">
<bind address="127.0.0.1" port="{port}" type="clients">
<connect name="all" allow="*" maxchans="1000" localmax="10000" globalmax="10000" timeout="60" pingfreq="2m" sendq="16M" recvq="1M" softsendq="1M" hardsendq="32M" threshold="100000" commandrate="1000000" fakelag="no" resolvehostnames="no" useident="no">
<limits maxnick="30" maxchan="60">
{}"#,
        modules.collect::<String>()
    )
}

/// All that is needed.
pub(crate) struct Stage {
    pub(crate) host: TestServer,
    pub(crate) irc: Irc,
    bridge: Process,
    binary: PathBuf,
    folder: TempDir,
    pages: Client,
}

impl Stage {
    /// Starts all of it.
    pub(crate) async fn set(load: &Load) -> anyhow::Result<Self> {
        let host = TestServer::start().await?;
        let irc = Irc::start().await?;
        let folder = TempDir::with_prefix("bridgehead-load-")?;
        let port = free_port()?;
        let config = config(&host, irc.port(), port);
        std::fs::write(folder.path().join("irc.toml"), config)?;
        let mut register = bridge(&load.binary, folder.path());
        let registered = register.args(["register", "--apply"]).output().await?;
        ensure!(
            registered.status.success(),
            "the bridge is not registered: {}",
            String::from_utf8_lossy(&registered.stderr)
        );
        let pages = Client::new(&format!("http://127.0.0.1:{port}")).with_token(TOKEN);
        let process = start(&load.binary, folder.path()).await?;
        Ok(Self {
            host,
            irc,
            bridge: process,
            binary: load.binary.clone(),
            folder,
            pages,
        })
    }

    /// The bridge's memory, bytes.
    pub(crate) fn memory(&self) -> anyhow::Result<u64> {
        Ok(self.bridge.memory()?.resident_bytes)
    }

    /// Waits until so many people of Matrix are connected and where they want to be, besides the bridge itself.
    pub(crate) async fn is_connected(
        &self,
        people: usize,
        patience: Duration,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + patience;
        loop {
            let settled = self.settled().await.unwrap_or(0);
            if settled > people {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "{settled} of {people} people and the bridge are connected"
            );
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn settled(&self) -> anyhow::Result<usize> {
        let (_, page) = self.pages.get("/irc.json").await?;
        let clients = page["networks"][0]["clients"].as_array();
        let clients = clients.context("no clients")?.iter();
        let settled = clients.filter(|client| {
            let missing = client["missing"].as_array();
            client["state"] == "up" && missing.is_some_and(Vec::is_empty)
        });
        Ok(settled.count())
    }

    /// Ends the bridge as an operator does, and starts it again.
    pub(crate) async fn restart_bridge(&mut self) -> anyhow::Result<()> {
        self.bridge.terminate().await?;
        self.bridge = start(&self.binary, self.folder.path()).await?;
        Ok(())
    }

    /// Ends all of it.
    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        self.bridge.terminate().await?;
        if let Irc::Own(server) = self.irc {
            server.stop().await;
        }
        self.host.stop().await;
        Ok(())
    }
}

fn bridge(binary: &Path, folder: &Path) -> Command {
    let mut command = Command::new(binary);
    command.current_dir(folder);
    command
}

async fn start(binary: &Path, folder: &Path) -> anyhow::Result<Process> {
    let process = Process::spawn("bridgehead-irc", bridge(binary, folder))?;
    let works = |lines: &[String]| lines.iter().any(|line| line.contains("the service works"));
    process
        .wait_for_output("that it works", PATIENCE, works)
        .await?;
    Ok(process)
}

/// An IRC server of one's own lets the bridge do as it likes.
fn config(host: &TestServer, irc: u16, port: u16) -> String {
    let operator = host.folder().join("data").join("operator.token");
    let address = host.base_url();
    format!(
        "[homeserver]\nserver_name = \"localhost\"\naddress = \"{address}\"\n\
         admin_address = \"{address}\"\nadmin_token_file = \"{}\"\n\
         [listen]\naddress = \"127.0.0.1:{port}\"\n\
         [metrics]\ntoken = \"{TOKEN}\"\n\
         [permissions]\n\"*\" = \"user\"\n\
         [networks.net]\nservers = [\"127.0.0.1:{irc}\"]\ntls = false\n\
         [networks.net.limits]\nconnects_per_minute = 60000\nconnects_at_once = 1000\n\
         lines_at_once = 1000\nline_every = \"1ms\"\n",
        operator.display()
    )
}
