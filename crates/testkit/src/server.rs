//! Our own server as a real process, for tests that must see it die.

use crate::client::Client;
use crate::process::{Log, Process, free_port};
use anyhow::{Context as _, bail};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::process::Command;

/// The server name that every test server has.
pub const SERVER_NAME: &str = "localhost";
/// The secret with which a test may create administrators.
pub const REGISTRATION_SHARED_SECRET: &str = "a-shared-secret-of-the-tests";

/// How long a start may take, on a machine that is busy with other tests.
const READY_WITHIN: Duration = Duration::from_secs(60);
const READY_POLL: Duration = Duration::from_millis(20);

/// What a test wants otherwise than usual.
#[derive(Clone, Debug, Default)]
pub struct ServerOptions {
    /// The folder for the data, which outlives the server; none: one of its own.
    pub data_dir: Option<PathBuf>,
    /// Settings, as environment variables.
    pub settings: Vec<(String, String)>,
}

impl ServerOptions {
    /// Settings, as environment variables.
    pub fn with_settings(settings: &[(&str, &str)]) -> Self {
        let settings = settings
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Self {
            settings: settings.collect(),
            ..Self::default()
        }
    }
}

/// Where and how it is started, the same each time.
struct Launch {
    binary: PathBuf,
    registrations: Vec<PathBuf>,
    port: u16,
    data_dir: PathBuf,
    settings: Vec<(String, String)>,
}

/// `bridgehead serve` on a port of its own, with its data in a temporary folder.
pub struct ServerProcess {
    launch: Launch,
    /// Removed with it.
    _data_dir: Option<TempDir>,
    log: Log,
    process: Process,
}

impl ServerProcess {
    /// Starts the given binary with these registration files and waits until it answers.
    ///
    /// # Errors
    ///
    /// When it cannot be started, ends, or does not answer in time.
    pub async fn start(
        binary: impl Into<PathBuf>,
        registrations: &[PathBuf],
    ) -> anyhow::Result<Self> {
        Self::start_with(binary, registrations, ServerOptions::default()).await
    }

    /// The same with other options.
    ///
    /// # Errors
    ///
    /// As [`ServerProcess::start`].
    pub async fn start_with(
        binary: impl Into<PathBuf>,
        registrations: &[PathBuf],
        options: ServerOptions,
    ) -> anyhow::Result<Self> {
        let own = match options.data_dir {
            Some(_) => None,
            None => Some(TempDir::with_prefix("bridgehead-data-")?),
        };
        let folder = own.as_ref().map(|folder| folder.path().to_owned());
        let launch = Launch {
            binary: binary.into(),
            registrations: registrations.to_vec(),
            port: free_port()?,
            data_dir: options
                .data_dir
                .or(folder)
                .context("a folder for the data")?,
            settings: options.settings,
        };
        let log = Log::new();
        let process = Process::spawn_with_log("bridgehead", launch.command(), log.clone())?;
        let mut server = Self {
            launch,
            _data_dir: own,
            log,
            process,
        };
        server.wait_until_ready().await?;
        Ok(server)
    }

    /// The port it listens on; the same after a restart.
    pub fn port(&self) -> u16 {
        self.launch.port
    }

    /// Where it answers HTTP, without a slash at the end.
    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.launch.port)
    }

    /// The folder with its database and media.
    pub fn data_dir(&self) -> &Path {
        &self.launch.data_dir
    }

    /// The running process: to freeze it, to read its output or its memory.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// A client without an access token.
    pub fn client(&self) -> Client {
        Client::new(&self.base_url())
    }

    /// Kills it without any chance to say goodbye.
    ///
    /// # Errors
    ///
    /// When it cannot be killed.
    pub async fn kill9(&mut self) -> anyhow::Result<()> {
        self.process.kill9().await.map(drop)
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Errors
    ///
    /// When it does not.
    pub async fn terminate(&mut self) -> anyhow::Result<ExitStatus> {
        self.process.terminate().await
    }

    /// Starts it again, after [`ServerProcess::kill9`] or [`ServerProcess::terminate`], with the same port and data.
    ///
    /// # Errors
    ///
    /// As [`ServerProcess::start`], or when it is still running.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        if self.process.ended()?.is_none() {
            bail!("the server is still running");
        }
        let command = self.launch.command();
        self.process = Process::spawn_with_log("bridgehead", command, self.log.clone())?;
        self.wait_until_ready().await
    }

    async fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let client = self.client();
        wait_until_it_answers(&mut self.process, &client).await
    }
}

/// Waits until a homeserver that was just started answers.
///
/// # Errors
///
/// When it ends or does not answer in time; with what it printed.
pub(crate) async fn wait_until_it_answers(
    process: &mut Process,
    client: &Client,
) -> anyhow::Result<()> {
    let started_at = Instant::now();
    while started_at.elapsed() < READY_WITHIN {
        if let Some(status) = process.ended()? {
            bail!(
                "the server ended while starting ({status}):\n{}",
                process.output().join("\n")
            );
        }
        if let Ok((status, _)) = client.get("/_matrix/client/versions").await
            && status.is_success()
        {
            return Ok(());
        }
        tokio::time::sleep(READY_POLL).await;
    }
    Err(anyhow::anyhow!("{}", process.output().join("\n")))
        .with_context(|| format!("the server did not answer within {READY_WITHIN:?}"))
}

impl Launch {
    fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .arg("serve")
            .arg("--data-dir")
            .arg(&self.data_dir)
            .args(["--server-name", SERVER_NAME])
            .args(["--listen", &format!("127.0.0.1:{}", self.port)]);
        for registration in &self.registrations {
            command.arg("--registration").arg(registration);
        }
        command
            .arg("--open-registration")
            .args(["--rate-limits", "off"])
            .args(["--registration-shared-secret", REGISTRATION_SHARED_SECRET])
            .envs(self.settings.iter().map(|(key, value)| (key, value)));
        command
    }
}
