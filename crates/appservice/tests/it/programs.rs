//! The examples as the programs that they are: made known as their first run says, at work beside both homeservers.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, ensure};
use bridgehead_testkit::{Client, Process, Synapse, TestServer, free_port};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    process::Command,
};

use crate::{
    examples::example,
    harness::{PATIENCE, until},
};

const SECRET: &str = "a secret of the callers'";

/// An example, with a folder of its own.
struct Program {
    name: &'static str,
    listen: String,
    command: Box<dyn Fn() -> anyhow::Result<Command>>,
    _folder: TempDir,
    process: Option<Process>,
}

impl Program {
    /// An example and the name of its service, with what the operator sets beside it.
    fn new(
        (name, service): (&'static str, &'static str),
        homeserver: &str,
        set: &[(&str, String)],
        pond: &Pond,
    ) -> anyhow::Result<Self> {
        let listen = format!("127.0.0.1:{}", free_port()?);
        let folder = TempDir::new()?;
        let variable = |key: &str| format!("{}_{key}", service.to_uppercase());
        let mut env = vec![
            (variable("LISTEN_ADDRESS"), listen.clone()),
            ("CALLERS_SECRET".to_owned(), SECRET.to_owned()),
            ("POND_SERVER".to_owned(), pond.address.clone()),
            ("NO_PROXY".to_owned(), "localhost,127.0.0.1".to_owned()),
        ];
        let set = set
            .iter()
            .map(|(key, value)| (variable(key), value.clone()));
        env.extend(set);
        let (path, place) = (example(name)?, folder.path().to_owned());
        let homeserver = homeserver.to_owned();
        let command = move || {
            let mut command = Command::new(&path);
            command
                .current_dir(&place)
                .args(["--server-name", "localhost", "--homeserver", &homeserver])
                .envs(env.iter().cloned())
                .stdin(Stdio::null());
            Ok(command)
        };
        Ok(Self {
            name,
            listen,
            command: Box::new(command),
            _folder: folder,
            process: None,
        })
    }

    /// All of them.
    fn all(homeserver: &str, set: &[(&str, String)], pond: &Pond) -> anyhow::Result<Vec<Self>> {
        let programs = [
            ("logger", "logger"),
            ("echo", "echo"),
            ("webhook", "webhook"),
            ("search", "search"),
            ("standup_bot", "standup"),
            ("clubs", "clubs"),
            ("parrot", "parrot"),
            ("pond", "pond"),
        ];
        let programs = programs.into_iter();
        programs
            .map(|program| Self::new(program, homeserver, set, pond))
            .collect()
    }

    fn start(&mut self) -> anyhow::Result<()> {
        self.process = Some(Process::spawn(self.name, (self.command)()?)?);
        Ok(())
    }

    /// Waits for a line that it prints.
    async fn says(&self, what: &str, is_it: impl Fn(&str) -> bool) -> anyhow::Result<String> {
        let process = self.process.as_ref().context("it runs")?;
        let mut said = None;
        let found = |lines: &[String]| {
            said = lines.iter().find(|line| is_it(line)).cloned();
            said.is_some()
        };
        process.wait_for_output(what, PATIENCE, found).await?;
        said.context("it was found")
    }

    /// Waits until homeserver and service have met.
    async fn works(&self) -> anyhow::Result<()> {
        let works = |line: &str| line.contains("the service works");
        self.says("the service works", works).await.map(drop)
    }

    /// Its doctor, asked beside it, finds nothing wrong.
    async fn is_well(&self) -> anyhow::Result<()> {
        let doctor = (self.command)()?.arg("doctor").kill_on_drop(true).output();
        let doctor = tokio::time::timeout(PATIENCE, doctor).await??;
        ensure!(
            doctor.status.success(),
            "{} is not well: {}{}",
            self.name,
            String::from_utf8_lossy(&doctor.stdout),
            String::from_utf8_lossy(&doctor.stderr)
        );
        Ok(())
    }
}

/// The network on the other side of the book's bridge.
struct Pond {
    address: String,
    _process: Process,
}

impl Pond {
    async fn start() -> anyhow::Result<Self> {
        let address = format!("127.0.0.1:{}", free_port()?);
        let mut command = Command::new(example("pond_server")?);
        command.arg(&address);
        let process = Process::spawn("pond_server", command)?;
        let is_there = |lines: &[String]| lines.iter().any(|line| line.contains("the Pond is at"));
        let started = process.wait_for_output("the Pond", PATIENCE, is_there);
        started.await?;
        Ok(Self {
            address,
            _process: process,
        })
    }

    /// What is said on one side is heard on the other.
    async fn is_bridged(&self, alice: &Client) -> anyhow::Result<()> {
        let room = alice.join("#pond_lobby:localhost").await?;
        let (read, mut write) = TcpStream::connect(&self.address).await?.into_split();
        write.write_all(b"SINCE 0\n").await?;
        alice.send_text(&room, "1", "hello from the shore").await?;
        let mut lines = BufReader::new(read).lines();
        for said in [
            " lobby * there is water again",
            " lobby alice hello from the shore",
        ] {
            let heard = tokio::time::timeout(PATIENCE, lines.next_line()).await??;
            let heard = heard.context("the Pond goes on")?;
            ensure!(heard.ends_with(said), "{heard}");
        }
        let line = b"SAY 1 lobby Bob hello from the water\n";
        write.write_all(line).await?;
        hears(
            alice,
            &room,
            "@_pond__bob:localhost",
            "hello from the water",
        )
        .await
    }
}

fn named<'a>(programs: &'a [Program], name: &str) -> anyhow::Result<&'a Program> {
    let mut programs = programs.iter();
    programs
        .find(|program| program.name == name)
        .with_context(|| format!("there is `{name}`"))
}

/// A room of this person's that the bot has come into because it was invited.
async fn room_with(alice: &Client, bot: &str) -> anyhow::Result<String> {
    let body = json!({ "preset": "public_chat", "invite": [bot] });
    let room = alice.create_room(&body).await?;
    until("the bot has come", || async {
        let member = alice.state(&room, "m.room.member", bot).await;
        member.is_ok_and(|member| member["membership"] == "join")
    })
    .await?;
    Ok(room)
}

/// Waits for a message of somebody whose id begins so.
async fn hears(alice: &Client, room: &str, sender: &str, body: &str) -> anyhow::Result<()> {
    let path = format!("/_matrix/client/v3/rooms/{room}/messages?dir=b&limit=50");
    let is_it = |event: &Value| {
        let of_sender = event["sender"]
            .as_str()
            .is_some_and(|id| id.starts_with(sender));
        of_sender && event["content"]["body"] == body
    };
    until(&format!("{sender} has said `{body}`"), || async {
        let Ok((_, page)) = alice.get(&path).await else {
            return false;
        };
        let events = page["chunk"].as_array().cloned().unwrap_or_default();
        events.iter().any(is_it)
    })
    .await
}

/// What each of them is for.
async fn all_do_their_work(
    programs: &[Program],
    pond: &Pond,
    alice: &Client,
) -> anyhow::Result<()> {
    let logged = alice.join("#logged_rust:localhost").await?;
    alice
        .send_text(&logged, "1", "is this written down?")
        .await?;
    let is_it =
        |line: &str| line.starts_with("@alice:localhost ") && line.contains("written down?");
    named(programs, "logger")?
        .says("what alice said", is_it)
        .await?;

    let room = room_with(alice, "@echobot:localhost").await?;
    alice.send_text(&room, "2", "hello").await?;
    hears(alice, &room, "@_echo_alice:", "hello").await?;

    let room = room_with(alice, "@webhookbot:localhost").await?;
    let callers = |program: &str| -> anyhow::Result<Client> {
        let address = format!("http://{}", named(programs, program)?.listen);
        Ok(Client::new(&address).with_token(SECRET))
    };
    let path = format!("/hook/{}", room.replace('!', "%21"));
    let post = json!({ "id": "1", "from": "ci", "text": "build 17 is green" });
    let webhook = callers("webhook")?;
    let posted = webhook.request(Method::POST, &path, &[], Some(&post));
    let (status, answer) = posted.await?;
    ensure!(status == StatusCode::OK, "{status} {answer}");
    hears(alice, &room, "@_hook_ci:", "build 17 is green").await?;

    let search = callers("search")?;
    until("what was said is found", || async {
        let found = search.get("/search?q=written").await;
        found.is_ok_and(|(_, found)| found[0]["body"] == "is this written down?")
    })
    .await?;

    let room = room_with(alice, "@standup:localhost").await?;
    alice.send_text(&room, "3", "!standup start").await?;
    let call = "Stand-up! Say `!standup done` and what you did.";
    hears(alice, &room, "@standup:", call).await?;

    let club = alice.join("#club_chess:localhost").await?;
    hears(alice, &club, "@host:", "alice, welcome to chess.").await?;

    let room = room_with(alice, "@parrot:localhost").await?;
    alice.send_text(&room, "4", "who is a pretty boy?").await?;
    hears(alice, &room, "@_parrot_alice:", "who is a pretty boy?").await?;

    pond.is_bridged(alice).await?;

    for program in programs {
        program.is_well().await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_examples_are_programs_beside_our_homeserver() -> anyhow::Result<()> {
    let (host, pond) = (TestServer::start().await?, Pond::start().await?);
    let token = host.folder().join("data").join("operator.token");
    let set = [
        ("HOMESERVER_ADMIN_ADDRESS", host.base_url()),
        ("HOMESERVER_ADMIN_TOKEN_FILE", token.display().to_string()),
    ];
    let mut programs = Program::all(&host.base_url(), &set, &pond)?;
    for program in &mut programs {
        let applied = (program.command)()?.args(["register", "--apply"]).output();
        let applied = applied.await?;
        ensure!(
            applied.status.success(),
            "{}{}",
            String::from_utf8_lossy(&applied.stdout),
            String::from_utf8_lossy(&applied.stderr)
        );
        program.start()?;
    }
    for program in &programs {
        program.works().await?;
    }
    all_do_their_work(&programs, &pond, &host.user("alice").await?).await
}

/// What the first run tells its operator to write into `homeserver.yaml`.
async fn told_file(program: &Program) -> anyhow::Result<PathBuf> {
    const KEY: &str = "app_service_config_files: [";
    let told = program.says("what to do", |line| line.trim().starts_with(KEY));
    let told = told.await?;
    let path = told
        .trim()
        .strip_prefix(KEY)
        .and_then(|path| path.strip_suffix(']'));
    Ok(path.context("a list of one file")?.into())
}

/// Adds the files to Synapse's configuration.
fn add_to_synapse(folder: &Path, files: &[PathBuf]) -> anyhow::Result<()> {
    let file = folder.join("homeserver.yaml");
    let mut settings: Value = serde_json::from_slice(&std::fs::read(&file)?)?;
    settings["app_service_config_files"] = json!(files);
    Ok(std::fs::write(&file, settings.to_string())?)
}

#[tokio::test]
async fn the_examples_are_programs_beside_synapse() -> anyhow::Result<()> {
    let (mut synapse, pond) = (Synapse::start(&[]).await?, Pond::start().await?);
    let mut programs = Program::all(&synapse.base_url(), &[], &pond)?;
    let mut files = Vec::new();
    for program in &mut programs {
        program.start()?;
        files.push(told_file(program).await?);
    }
    // As it stands there: add it to the configuration, and restart Synapse. The services go on by themselves.
    add_to_synapse(synapse.data_dir(), &files)?;
    synapse.terminate().await?;
    synapse.restart().await?;
    for program in &programs {
        program.works().await?;
    }
    all_do_their_work(&programs, &pond, &synapse.user("alice").await?).await
}

#[test]
fn the_logger_has_fifteen_lines() {
    let source = include_str!("../../examples/logger.rs");
    let lines = source.lines().filter(|line| !line.trim().is_empty());
    assert!(lines.count() <= 15);
}
