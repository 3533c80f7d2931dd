//! `bridgehead-irc` in a folder of its own, beside a homeserver.

use std::{path::PathBuf, process::Output, process::Stdio, time::Duration};

use anyhow::{Context as _, ensure};
use bridgehead_testkit::{Client, Process, TestServer, free_port};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

/// How long anything may take, on a machine that is busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// What opens the figures.
pub(crate) const TOKEN: &str = "figures-token";

/// The program, not running yet.
pub(crate) struct Program {
    folder: TempDir,
    pub(crate) port: u16,
}

impl Program {
    /// With this configuration, besides what the homeserver needs.
    pub(crate) fn beside(host: &TestServer, own: &str) -> anyhow::Result<Self> {
        let operator = host.folder().join("data").join("operator.token");
        let port = free_port()?;
        let address = host.base_url();
        let text = format!(
            "[homeserver]\nserver_name = \"localhost\"\naddress = \"{address}\"\n\
             admin_address = \"{address}\"\nadmin_token_file = \"{}\"\n\
             [listen]\naddress = \"127.0.0.1:{port}\"\n\
             [permissions]\n\"*\" = \"user\"\n{own}",
            operator.display()
        );
        let program = Self {
            folder: TempDir::new()?,
            port,
        };
        std::fs::write(program.file("irc.toml"), text)?;
        Ok(program)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(arguments);
        command.current_dir(self.folder.path());
        command
    }

    /// Runs a command to its end.
    pub(crate) async fn ask(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        run(self.command(arguments)).await
    }

    /// The same, which has to succeed; gives back what it says.
    pub(crate) async fn does(&self, arguments: &[&str]) -> anyhow::Result<String> {
        said(self.ask(arguments).await?)
    }

    /// Makes it known to the homeserver, and starts it.
    pub(crate) async fn start(&self) -> anyhow::Result<Process> {
        self.does(&["register", "--apply"]).await?;
        let process = Process::spawn("bridgehead-irc", self.command(&[]))?;
        let works = |lines: &[String]| lines.iter().any(|line| line.contains("the service works"));
        process
            .wait_for_output("that it works", PATIENCE, works)
            .await?;
        Ok(process)
    }

    /// A page of the running program's.
    pub(crate) async fn page(
        &self,
        path: &str,
        token: Option<&str>,
    ) -> anyhow::Result<(u16, String)> {
        let client = Client::new(&format!("http://127.0.0.1:{}", self.port));
        let client = token.map_or(client.clone(), |token| client.with_token(token));
        let (status, text) = client.text(path).await?;
        Ok((status.as_u16(), text))
    }
}

/// The program with these words.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bridgehead-irc"));
    command
        .args(arguments)
        .env("NO_PROXY", "localhost,127.0.0.1")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

pub(crate) async fn run(mut command: Command) -> anyhow::Result<Output> {
    let ended = tokio::time::timeout(PATIENCE, command.output()).await;
    Ok(ended.context("it does not end")??)
}

/// What it has printed, if it has succeeded.
pub(crate) fn said(output: Output) -> anyhow::Result<String> {
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {complaint}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}

/// The first of these looks that gives something.
pub(crate) async fn until<T>(
    what: &str,
    mut look: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        ensure!(tokio::time::Instant::now() < deadline, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The doctor's findings of this grade: what was looked at, what was found, and the cure.
pub(crate) async fn findings(program: &Program, grade: &str) -> anyhow::Result<Vec<[String; 3]>> {
    let output = program.ask(&["doctor", "--json"]).await?;
    let findings: Vec<Value> = serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    let meant = findings.iter().filter(|finding| finding["grade"] == grade);
    let words = meant.map(|finding| {
        ["check", "text", "cure"].map(|key| finding[key].as_str().unwrap_or_default().to_owned())
    });
    Ok(words.collect())
}
