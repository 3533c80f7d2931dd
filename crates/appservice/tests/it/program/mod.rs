//! A compiled service as an operator meets it: files, commands, signals, pages; against our real homeserver.

mod doctor;
mod lifecycle;
mod listening;
mod parked;
mod proxy;
mod register;
mod secrets;

use std::{
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use bridgehead_testkit::{Client, Process, TestServer, free_port};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::{
    crash::example,
    harness::{PATIENCE, until},
};

/// The example `parrot` in a folder of its own, beside a homeserver.
struct Parrot {
    folder: TempDir,
    port: u16,
    /// Where it takes the homeserver to be.
    homeserver: String,
    env: Vec<(String, String)>,
    process: Option<Process>,
}

impl Parrot {
    /// Nothing is started or written yet.
    fn new(homeserver: &str) -> anyhow::Result<Self> {
        let port = free_port()?;
        let mut parrot = Self {
            folder: TempDir::new()?,
            port,
            homeserver: homeserver.to_owned(),
            env: Vec::new(),
            process: None,
        };
        parrot.set("LISTEN_ADDRESS", &format!("127.0.0.1:{port}"));
        Ok(parrot)
    }

    /// The same beside this homeserver, whose operator API it may use.
    fn beside(host: &TestServer) -> anyhow::Result<Self> {
        let mut parrot = Self::new(&host.base_url())?;
        let token = host.folder().join("data").join("operator.token");
        parrot.set("HOMESERVER_ADMIN_ADDRESS", &host.base_url());
        parrot.set("HOMESERVER_ADMIN_TOKEN_FILE", &token.to_string_lossy());
        Ok(parrot)
    }

    /// Sets a variable for what is started from now on.
    fn set(&mut self, key: &str, value: &str) {
        let name = format!("PARROT_{key}");
        self.env.retain(|(variable, _)| *variable != name);
        self.env.push((name, value.to_owned()));
    }

    fn command(&self, arguments: &[&str]) -> anyhow::Result<Command> {
        let mut command = Command::new(example("parrot")?);
        command
            .current_dir(self.folder.path())
            .args([
                "--server-name",
                "localhost",
                "--homeserver",
                &self.homeserver,
            ])
            .args(arguments)
            .envs(self.env.iter().cloned())
            .env("NO_PROXY", "localhost,127.0.0.1")
            .stdin(Stdio::null());
        Ok(command)
    }

    /// Runs a command to its end.
    async fn ask(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        let asked = self.command(arguments)?.kill_on_drop(true).output();
        let asked = tokio::time::timeout(PATIENCE * 2, asked).await;
        Ok(asked.with_context(|| format!("{arguments:?} does not end"))??)
    }

    /// The same, which has to succeed; gives back what it says.
    async fn does(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = self.ask(arguments).await?;
        let (said, complained) = (text(&output.stdout), text(&output.stderr));
        ensure!(
            output.status.success(),
            "{arguments:?} fails: {said}\n{complained}"
        );
        Ok(said)
    }

    /// The same, which has to fail with this code; gives back all that it says.
    async fn fails(&self, code: i32, arguments: &[&str]) -> anyhow::Result<String> {
        let output = self.ask(arguments).await?;
        let said = text(&output.stdout) + &text(&output.stderr);
        ensure!(
            output.status.code() == Some(code),
            "{arguments:?} ends with {}: {said}",
            output.status
        );
        Ok(said)
    }

    /// Starts the service itself.
    fn start(&mut self) -> anyhow::Result<()> {
        self.process = Some(Process::spawn("parrot", self.command(&[])?)?);
        Ok(())
    }

    fn process(&mut self) -> anyhow::Result<&mut Process> {
        self.process.as_mut().context("the parrot runs")
    }

    /// Waits until the running service prints this.
    async fn says(&self, what: &str) -> anyhow::Result<()> {
        let process = self.process.as_ref().context("the parrot runs")?;
        let says = |lines: &[String]| lines.iter().any(|line| line.contains(what));
        process.wait_for_output(what, PATIENCE, says).await
    }

    /// Starts it known to the homeserver and at work.
    async fn start_known(&mut self) -> anyhow::Result<()> {
        self.does(&["register", "--apply"]).await?;
        self.start()?;
        self.says("the service works").await
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn registration(&self) -> PathBuf {
        self.file("parrot-registration.yaml")
    }

    /// Changes a file by replacing a text that is in it.
    fn change(&self, name: &str, from: &str, to: &str) -> anyhow::Result<()> {
        let file = self.file(name);
        let text = std::fs::read_to_string(&file)?;
        ensure!(text.contains(from), "no {from} in {text}");
        std::fs::write(&file, text.replacen(from, to, 1))?;
        Ok(())
    }

    /// A page of the service, with its status.
    async fn page(&self, path: &str, token: Option<&str>) -> anyhow::Result<(u16, String)> {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let mut request = reqwest::Client::builder().no_proxy().build()?.get(url);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await?;
        Ok((response.status().as_u16(), response.text().await?))
    }

    /// Sends a signal.
    async fn signal(&mut self, name: &str) -> anyhow::Result<()> {
        let pid = self.process()?.pid().context("it runs")?;
        let sent = Command::new("kill")
            .args([name, &pid.to_string()])
            .status()
            .await?;
        ensure!(sent.success(), "no signal {name}");
        Ok(())
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A token of a registration's file.
fn token(file: &Path, key: &str) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file)?;
    let prefix = format!("{key}: ");
    let line = text.lines().find_map(|line| line.strip_prefix(&prefix));
    let token = line.with_context(|| format!("no {key} in {text}"))?;
    Ok(token.trim_matches(['"', '\'']).to_owned())
}

/// The host's operator API.
fn operator(host: &TestServer) -> anyhow::Result<Client> {
    let token = std::fs::read_to_string(host.folder().join("data").join("operator.token"))?;
    Ok(host.client().with_token(token.trim()))
}

/// What the operator API says of the parrot's registration.
async fn in_force(host: &TestServer) -> anyhow::Result<(u16, Value)> {
    let path = "/_bridgehead/v1/appservices/parrot/registration";
    let (status, body) = operator(host)?.get(path).await?;
    Ok((status.as_u16(), body))
}

/// A room with the parrot in it.
async fn room_with_parrot(person: &Client) -> anyhow::Result<String> {
    let room = person
        .create_room(&json!({ "invite": ["@parrot:localhost"] }))
        .await?;
    until("the parrot has come", || async {
        let member = person
            .state(&room, "m.room.member", "@parrot:localhost")
            .await;
        member.is_ok_and(|content| content["membership"] == "join")
    })
    .await?;
    Ok(room)
}

/// How often a ghost has said this in the room.
async fn said(person: &Client, room: &str, body: &str) -> usize {
    let path = format!("/_matrix/client/v3/rooms/{room}/messages?dir=b&limit=100");
    let Ok((_, page)) = person.get(&path).await else {
        return 0;
    };
    let chunk = page["chunk"].as_array().cloned().unwrap_or_default();
    let is_it = |event: &&Value| {
        let sender = event["sender"].as_str().unwrap_or_default();
        sender.starts_with("@_parrot_") && event["content"]["body"] == body
    };
    chunk.iter().filter(is_it).count()
}

/// Waits until a ghost has said this once.
async fn repeated(person: &Client, room: &str, body: &str) -> anyhow::Result<()> {
    until("the ghost has repeated it", || async {
        said(person, room, body).await == 1
    })
    .await
}

/// Shorter than what an orderly end may take.
const AT_ONCE: Duration = Duration::from_secs(5);
