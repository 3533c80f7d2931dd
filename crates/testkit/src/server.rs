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

/// `bridgehead serve` on a port of its own, with its data in a temporary folder.
pub struct ServerProcess {
    binary: PathBuf,
    registrations: Vec<PathBuf>,
    port: u16,
    data_dir: TempDir,
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
        let binary = binary.into();
        let data_dir = TempDir::with_prefix("bridgehead-data-")?;
        let port = free_port()?;
        let log = Log::new();
        let command = serve(&binary, data_dir.path(), port, registrations);
        let process = Process::spawn_with_log("bridgehead", command, log.clone())?;
        let registrations = registrations.to_vec();
        let mut server = Self {
            binary,
            registrations,
            port,
            data_dir,
            log,
            process,
        };
        server.wait_until_ready().await?;
        Ok(server)
    }

    /// The port it listens on; the same after a restart.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it answers HTTP, without a slash at the end.
    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The folder with its database and media.
    pub fn data_dir(&self) -> &Path {
        self.data_dir.path()
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
        let command = serve(
            &self.binary,
            self.data_dir.path(),
            self.port,
            &self.registrations,
        );
        self.process = Process::spawn_with_log("bridgehead", command, self.log.clone())?;
        self.wait_until_ready().await
    }

    async fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let client = self.client();
        let started_at = Instant::now();
        while started_at.elapsed() < READY_WITHIN {
            if let Some(status) = self.process.ended()? {
                bail!(
                    "the server ended while starting ({status}):\n{}",
                    self.process.output().join("\n")
                );
            }
            if let Ok((status, _)) = client.get("/_matrix/client/versions").await
                && status.is_success()
            {
                return Ok(());
            }
            tokio::time::sleep(READY_POLL).await;
        }
        Err(anyhow::anyhow!("{}", self.process.output().join("\n")))
            .with_context(|| format!("the server did not answer within {READY_WITHIN:?}"))
    }
}

fn serve(binary: &Path, data_dir: &Path, port: u16, registrations: &[PathBuf]) -> Command {
    let mut command = Command::new(binary);
    command
        .arg("serve")
        .arg("--data-dir")
        .arg(data_dir)
        .args(["--server-name", SERVER_NAME])
        .args(["--listen", &format!("127.0.0.1:{port}")]);
    for registration in registrations {
        command.arg("--registration").arg(registration);
    }
    command
        .arg("--open-registration")
        .args(["--rate-limits", "off"])
        .args(["--registration-shared-secret", REGISTRATION_SHARED_SECRET]);
    command
}
