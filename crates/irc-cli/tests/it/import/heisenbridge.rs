//! The real heisenbridge is set up by its commands on our host, ends, and this bridge goes on in its rooms.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use bridgehead_irc_server::{Dialect, Person, Server};
use bridgehead_testkit::{Client, Process, TestServer, free_port};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::program::{PATIENCE, command, run, said, until};

/// A Python that has heisenbridge.
const VARIABLE: &str = "BRIDGEHEAD_TEST_PYTHON";
const BOT: &str = "@heisenbridge:localhost";
/// Its id has a sign that this bridge would write otherwise.
const GHOST: &str = "@irc_test_carol_x:localhost";

fn heisenbridge(registration: &Path, more: &[&str]) -> anyhow::Result<Command> {
    let python = std::env::var_os(VARIABLE).with_context(|| {
        format!("{VARIABLE} does not say where Python with heisenbridge is; `cargo xtask test` sees to that")
    })?;
    let mut command = Command::new(python);
    command
        .env("PYTHONUNBUFFERED", "1")
        .env("NO_PROXY", "localhost,127.0.0.1")
        .args(["-m", "heisenbridge", "-c"])
        .arg(registration)
        .args(more);
    Ok(command)
}

/// Somebody who uses the bridge.
struct Owner {
    client: Client,
    sent: std::cell::Cell<u32>,
}

impl Owner {
    async fn says(&self, room: &str, text: &str) -> anyhow::Result<()> {
        self.sent.set(self.sent.get() + 1);
        let name = format!("txn-{}", self.sent.get());
        self.client.send_text(room, &name, text).await.map(drop)
    }

    async fn hears(&self, room: &str, sender: &str, text: &str) -> anyhow::Result<()> {
        self.hears_of(room, Some(sender), text).await
    }

    /// The same of somebody, or of anybody.
    async fn hears_of(&self, room: &str, sender: Option<&str>, text: &str) -> anyhow::Result<()> {
        let path = format!("/_matrix/client/v3/rooms/{room}/messages?dir=b&limit=50");
        until(&format!("{text} of {sender:?} in {room}"), async || {
            let (_, said) = self.client.get(&path).await?;
            let events = said["chunk"].as_array().cloned().unwrap_or_default();
            let found = events.iter().any(|event: &Value| {
                let body = event["content"]["body"].as_str().unwrap_or_default();
                sender.is_none_or(|sender| event["sender"] == sender) && body.contains(text)
            });
            Ok(found.then_some(()))
        })
        .await
    }

    /// Waits for an invitation into a room of this name, and follows it.
    async fn enters(&self, name: &str) -> anyhow::Result<String> {
        let room = until(&format!("an invitation into {name}"), async || {
            let seen = self.client.sync(None, std::time::Duration::ZERO).await?;
            let invited = seen["rooms"]["invite"]
                .as_object()
                .cloned()
                .unwrap_or_default();
            let found = invited.into_iter().find(|(_, room)| {
                let state = room["invite_state"]["events"]
                    .as_array()
                    .cloned()
                    .unwrap_or_default();
                state
                    .iter()
                    .any(|event| event["type"] == "m.room.name" && event["content"]["name"] == name)
            });
            Ok(found.map(|(room, _)| room))
        })
        .await?;
        self.client.join(&room).await
    }
}

struct Rooms {
    control: String,
    channel: String,
    talk: String,
    /// A channel and a talk whose names the network folds in a way of its own.
    odd_channel: String,
    odd_talk: String,
}

/// What somebody does with heisenbridge in a year.
async fn a_year(
    owner: &Owner,
    irc: &Server,
    (carol, dan): (&Person, &Person),
) -> anyhow::Result<Rooms> {
    let body = json!({ "is_direct": true, "preset": "trusted_private_chat", "invite": [BOT] });
    let control = owner.client.create_room(&body).await?;
    let add = format!("ADDSERVER test 127.0.0.1 {}", irc.address().port());
    for (line, answer) in [
        ("ADDNETWORK test", "Network added."),
        (add.as_str(), "Server added."),
        ("ADDMASK @bob:localhost", "Mask added."),
    ] {
        // It is deaf until it has come in.
        until(line, async || {
            let path = format!("/_matrix/client/v3/rooms/{control}/joined_members");
            let (_, members) = owner.client.get(&path).await?;
            Ok(members["joined"].get(BOT).map(drop))
        })
        .await?;
        owner.says(&control, line).await?;
        owner.hears(&control, BOT, answer).await?;
    }
    owner.says(&control, "OPEN test").await?;
    let network = owner.enters("test").await?;
    for (line, answer) in [
        ("NICK Alicia", "Nickname set to Alicia"),
        (
            "SASL --username alicia --password two-words",
            "SASL credentials updated.",
        ),
        ("CONNECT", "IRC Network Alicia"),
    ] {
        owner.says(&network, line).await?;
        owner.hears(&network, BOT, answer).await?;
    }
    owner.says(&network, "JOIN #chan").await?;
    let channel = owner.enters("#chan (test)").await?;
    carol.say("#chan", "before").await?;
    owner.hears(&channel, GHOST, "before").await?;
    carol.say("Alicia", "before, alone").await?;
    let talk = owner.enters("carol_x (test)").await?;
    owner.hears(&talk, GHOST, "before, alone").await?;
    owner.says(&network, "JOIN #odd[1]").await?;
    let odd_channel = owner.enters("#odd[1] (test)").await?;
    dan.say("Alicia", "before, oddly").await?;
    let odd_talk = owner.enters("dan[x] (test)").await?;
    owner.hears_of(&odd_talk, None, "before, oddly").await?;
    Ok(Rooms {
        control,
        channel,
        talk,
        odd_channel,
        odd_talk,
    })
}

struct Place {
    folder: TempDir,
    registration: PathBuf,
}

impl Place {
    async fn new() -> anyhow::Result<Self> {
        let folder = TempDir::new()?;
        let registration = folder.path().join("heisenbridge.yaml");
        let port = free_port()?.to_string();
        let output = heisenbridge(
            &registration,
            &["-l", "127.0.0.1", "-p", &port, "--generate"],
        )?
        .output()
        .await?;
        ensure!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        std::fs::create_dir(folder.path().join("new"))?;
        Ok(Self {
            folder,
            registration,
        })
    }

    fn program(&self, words: &[&str]) -> Command {
        let mut program = command(words);
        program.current_dir(self.folder.path().join("new"));
        program
    }

    async fn import(&self, host: &TestServer) -> anyhow::Result<String> {
        let mut asked = self.program(&["import", "heisenbridge", "--homeserver", &host.base_url()]);
        asked.arg("--registration").arg(&self.registration);
        said(run(asked).await?)
    }
}

async fn printed(process: &Process, part: &str) -> anyhow::Result<()> {
    let has = |lines: &[String]| lines.iter().any(|line| line.contains(part));
    process.wait_for_output(part, PATIENCE, has).await
}

#[tokio::test]
async fn somebody_switches_from_heisenbridge() -> anyhow::Result<()> {
    let place = Place::new().await?;
    let host = TestServer::start_with(std::slice::from_ref(&place.registration), &[]).await?;
    let irc = Server::start(Dialect::modern()).await?;
    irc.account("alicia", "two-words").await;
    let carol = irc.person("carol_x").await?;
    carol.join("#chan").await?;
    let dan = irc.person("dan[x]").await?;
    dan.join("#odd[1]").await?;
    let owner = Owner {
        client: host.user("alice").await?,
        sent: std::cell::Cell::new(0),
    };
    let mut old = Process::spawn(
        "heisenbridge",
        heisenbridge(&place.registration, &[&host.base_url()])?,
    )?;
    printed(&old, "bridge is now running!").await?;
    let rooms = a_year(&owner, &irc, (&carol, &dan)).await?;
    old.terminate().await?;

    let told = place.import(&host).await?;
    for part in [
        "channels: 2 taken over",
        "control rooms: 1 taken over",
        "private talks: 2 taken over",
        "people: 1 taken over",
        "passwords: 1 taken over",
        "ghosts: 2 taken over",
        "networks have no rooms of their own here",
    ] {
        ensure!(told.contains(part), "no {part:?}: {told}");
    }
    let config = std::fs::read_to_string(place.folder.path().join("new/irc.toml"))?;
    for line in [
        "\"@alice:localhost\" = \"admin\"",
        "\"@bob:localhost\" = \"user\"",
        "users = \"irc_test_{nick}\"",
    ] {
        ensure!(config.lines().any(|one| one == line), "no {line}: {config}");
    }

    let rule = format!(
        "/_matrix/client/v3/rooms/{}/state/m.room.join_rules",
        rooms.channel
    );
    let (_, rule_before) = owner.client.get(&rule).await?;
    ensure!(rule_before["join_rule"] == "invite", "{rule_before}");

    let bridge = Process::spawn("bridgehead-irc", place.program(&[]))?;
    printed(&bridge, "the service works").await?;
    owner.says(&rooms.channel, "after, in Matrix").await?;
    let line = carol
        .wait_for(|line| line.command == "PRIVMSG" && line.text(1) == "after, in Matrix")
        .await?;
    let nick = line
        .source
        .as_ref()
        .map(|source| source.name.to_string())
        .unwrap_or_default();
    ensure!(nick == "Alicia", "the nick that was chosen: {nick}");
    let seen = irc.whois("Alicia").await.context("she is there")?;
    ensure!(seen.account.as_deref() == Some("alicia"), "{seen:?}");
    carol.say("#chan", "after, on IRC").await?;
    owner.hears(&rooms.channel, GHOST, "after, on IRC").await?;
    carol.say("Alicia", "after, alone").await?;
    owner.hears(&rooms.talk, GHOST, "after, alone").await?;
    dan.say("#odd[1]", "after, oddly").await?;
    owner
        .hears_of(&rooms.odd_channel, None, "after, oddly")
        .await?;
    dan.say("Alicia", "after, oddly and alone").await?;
    owner
        .hears_of(&rooms.odd_talk, None, "after, oddly and alone")
        .await?;
    owner.says(&rooms.control, "help").await?;
    owner.hears(&rooms.control, BOT, "nick").await?;
    // Her room is hers, also when the channel's modes are news.
    carol.mode("#chan", "+i").await?;
    carol.mode("#chan", "-i").await?;
    carol.say("#chan", "the doors were moved").await?;
    owner
        .hears(&rooms.channel, GHOST, "the doors were moved")
        .await?;
    let (_, rule_after) = owner.client.get(&rule).await?;
    ensure!(
        rule_after == rule_before,
        "her room was opened: {rule_after}"
    );
    drop(bridge);
    host.stop().await;
    Ok(())
}
