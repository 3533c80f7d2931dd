//! Where the executable is run as an operator runs it.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests; a panic is the test's failure"
)]

use crate::BRIDGEHEAD;
use anyhow::Context as _;
use bridgehead_testkit::{Client, Process};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

pub(crate) const SOON: Duration = Duration::from_secs(60);

/// A folder to work in, which is also the folder for temporary files.
pub(crate) struct Desk(TempDir);

impl Desk {
    pub(crate) fn new() -> Self {
        let desk = TempDir::with_prefix("bridgehead-cli-").unwrap();
        fs::create_dir(desk.path().join("tmp")).unwrap();
        Self(desk)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).unwrap();
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(BRIDGEHEAD);
        command
            .args(arguments)
            .current_dir(self.path())
            .env("TMPDIR", self.path().join("tmp"));
        // What the tests themselves are told by variables is none of the server's business.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("BRIDGEHEAD_") {
                command.env_remove(name);
            }
        }
        command
    }

    /// Runs it to its end with this on its standard input.
    pub(crate) async fn run_with(&self, arguments: &[&str], input: &str) -> Run {
        let mut command = self.command(arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // One that does not read its input may have ended already.
        stdin.write_all(input.as_bytes()).await.ok();
        drop(stdin);
        let ended = tokio::time::timeout(SOON, child.wait_with_output()).await;
        Run(ended.expect("it ends").unwrap())
    }

    pub(crate) async fn run(&self, arguments: &[&str]) -> Run {
        self.run_with(arguments, "").await
    }

    pub(crate) fn spawn(&self, arguments: &[&str]) -> Process {
        Process::spawn("bridgehead", self.command(arguments)).unwrap()
    }

    /// `serve` on a free port, and a client of it.
    pub(crate) async fn serve(&self, arguments: &[&str]) -> (Process, Client) {
        let server = self.spawn(&[&["serve", "--listen", "127.0.0.1:0"], arguments].concat());
        let address = wait_for(&server, "serving localhost at http://")
            .await
            .unwrap();
        (server, Client::new(&format!("http://{address}")))
    }

    pub(crate) fn mode(&self, name: &str) -> u32 {
        let metadata = fs::metadata(self.path().join(name)).unwrap();
        metadata.permissions().mode() & 0o777
    }
}

/// A run that is over.
pub(crate) struct Run(pub(crate) Output);

impl Run {
    pub(crate) fn code(&self) -> Option<i32> {
        self.0.status.code()
    }

    pub(crate) fn stdout(&self) -> String {
        String::from_utf8(self.0.stdout.clone()).unwrap()
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8(self.0.stderr.clone()).unwrap()
    }
}

/// Waits for a line that contains this; gives back what follows it there.
pub(crate) async fn wait_for(process: &Process, part: &str) -> anyhow::Result<String> {
    let mut rest = None;
    let condition = |lines: &[String]| {
        rest = lines
            .iter()
            .find_map(|line| Some(line.split_once(part)?.1.to_owned()));
        rest.is_some()
    };
    process.wait_for_output(part, SOON, condition).await?;
    rest.context("it was just found")
}
