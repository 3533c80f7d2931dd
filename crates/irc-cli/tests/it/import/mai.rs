//! matrix-appservice-irc leaves, and this bridge goes on: with its real kind of database, in its rooms, with its ghosts.

use std::{path::Path, process::Output};

use anyhow::{Context as _, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bridgehead_irc_server::{Dialect, Server};
use bridgehead_testkit::{Client, Process, TestServer, free_port};
use rsa::{Oaep, RsaPrivateKey, pkcs1::LineEnding, pkcs8::EncodePrivateKey as _, rand_core::OsRng};
use serde_json::{Value, json};
use sha1_of_rsa::Sha1;
use tempfile::TempDir;

use super::{
    old_tables::{Rooms, SCHEMA, rows},
    postgres::Postgres,
};
use crate::program::{PATIENCE, command, run, said, until};

const BOT: &str = "appservice-irc";
const GHOST: &str = "@irc_bob_x:localhost";
const TOKEN: &str = "the-old-as-token-of-the-bridge";

fn registration(port: u16) -> String {
    format!(
        "id: \"mai\"\nurl: \"http://127.0.0.1:{port}\"\nas_token: \"{TOKEN}\"\nhs_token: \"the-old-hs-token-of-the-bridge\"\n\
         sender_localpart: \"{BOT}\"\nrate_limited: false\nprotocols: [irc]\nnamespaces:\n  users:\n    - exclusive: true\n      \
         regex: \"@irc_.*:localhost\"\n  aliases:\n    - exclusive: true\n      regex: \"#irc_.*:localhost\"\n  rooms: []\n"
    )
}

/// All that the other bridge has left, and the server that it was on.
struct Left {
    folder: TempDir,
    host: TestServer,
    irc: Server,
    postgres: Postgres,
    alice: Client,
    channel: String,
    second: String,
    talk: String,
    control: String,
}

impl Left {
    async fn new() -> anyhow::Result<Self> {
        let folder = TempDir::new()?;
        let file = folder.path().join("old-registration.yaml");
        std::fs::write(&file, registration(free_port()?))?;
        let host = TestServer::start_with(&[file], &[]).await?;
        let alice = host.user("alice").await?;
        let service = host.client().with_token(TOKEN);
        let ghost = service.register_ghost("irc_bob_x").await?;
        let room = |alias: Option<&str>| {
            let mut body = json!({ "preset": "public_chat", "invite": [alice.user_id(), GHOST] });
            if let Some(alias) = alias {
                body["room_alias_name"] = json!(alias);
            }
            body
        };
        let channel = service.create_room(&room(Some("irc_#old"))).await?;
        let second = service.create_room(&room(None)).await?;
        let mapped = service.create_room(&room(None)).await?;
        let direct = json!({ "preset": "trusted_private_chat", "is_direct": true, "invite": [alice.user_id()] });
        let control = service.create_room(&direct).await?;
        let talk = ghost.create_room(&direct).await?;
        ghost.join(&channel).await?;
        for room in [&channel, &second, &mapped, &control, &talk] {
            alice.join(room).await?;
        }
        let irc = Server::start(Dialect::modern()).await?;
        irc.account("alicia", "two words").await;
        let postgres = Postgres::start().await?;
        let left = Self {
            folder,
            host,
            irc,
            postgres,
            alice,
            channel,
            second,
            talk,
            control,
        };
        left.fill(&mapped).await?;
        Ok(left)
    }

    /// The other bridge's files and tables.
    async fn fill(&self, mapped: &str) -> anyhow::Result<()> {
        let key = RsaPrivateKey::new(&mut OsRng, 2048)?;
        std::fs::write(
            self.old("passkey.pem"),
            key.to_pkcs8_pem(LineEnding::LF)?.as_str(),
        )?;
        let plain = b"AAAAAAAAAAAAAAAAAAAAAA== two words";
        let closed = key
            .to_public_key()
            .encrypt(&mut OsRng, Oaep::new::<Sha1>(), plain)?;
        let database = self.postgres.connect("owner").await?;
        let rooms = Rooms {
            channel: &self.channel,
            second: &self.second,
            mapped,
            talk: &self.talk,
            control: &self.control,
        };
        database.batch_execute(SCHEMA).await?;
        database
            .batch_execute(&rows(&rooms, &STANDARD.encode(closed)))
            .await?;
        let config = format!(
            "homeserver:\n  url: \"{url}\"\n  domain: localhost\nircService:\n  passwordEncryptionKeyPath: passkey.pem\n  \
             servers:\n    127.0.0.1:\n      name: Test\n      port: {port}\n      ssl: false\n      sasl: true\n      \
             botConfig: {{ nick: TheBot }}\n      dynamicChannels: {{ enabled: true, aliasTemplate: \"#irc_$CHANNEL\" }}\n      \
             membershipLists: {{ enabled: true, global: {{ ircToMatrix: {{ incremental: true }} }} }}\n      \
             mappings: {{ \"#mapped\": {{ roomIds: [\"{mapped}\"] }} }}\n      \
             matrixClients: {{ userTemplate: \"@irc_$NICK\" }}\n      ircClients: {{ nickTemplate: \"$DISPLAY[m]\", maxClients: 9 }}\n\
             database:\n  engine: postgres\n  connectionString: \"{address}\"\n",
            url = self.host.base_url(),
            port = self.irc.address().port(),
            // Who may only read: whatever the import would write is refused.
            address = self.postgres.address("reader"),
        );
        std::fs::write(self.old("config.yaml"), config)?;
        std::fs::create_dir(self.new_folder())?;
        Ok(())
    }

    fn old(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn new_folder(&self) -> std::path::PathBuf {
        self.folder.path().join("new")
    }

    async fn import(&self, more: &[&str]) -> anyhow::Result<Output> {
        let mut asked = command(&["import", "matrix-appservice-irc", "--config"]);
        asked.arg(self.old("config.yaml")).arg("--registration");
        asked.arg(self.old("old-registration.yaml")).args(more);
        asked.current_dir(self.new_folder());
        run(asked).await
    }

    async fn start(&self) -> anyhow::Result<Process> {
        let mut program = command(&[]);
        program.current_dir(self.new_folder());
        let process = Process::spawn("bridgehead-irc", program)?;
        let works = |lines: &[String]| lines.iter().any(|line| line.contains("the service works"));
        process
            .wait_for_output("that it works", PATIENCE, works)
            .await?;
        Ok(process)
    }

    /// Waits until this is said in a room, by somebody.
    async fn hears(&self, room: &str, sender: &str, text: &str) -> anyhow::Result<()> {
        let path = format!("/_matrix/client/v3/rooms/{room}/messages?dir=b&limit=50");
        until(&format!("{text} of {sender} in {room}"), async || {
            let (_, said) = self.alice.get(&path).await?;
            let events = said["chunk"].as_array().cloned().unwrap_or_default();
            let found = events.iter().any(|event: &Value| {
                let body = event["content"]["body"].as_str().unwrap_or_default();
                event["sender"] == sender && body.contains(text)
            });
            Ok(found.then_some(()))
        })
        .await
    }
}

fn files(folder: &Path) -> anyhow::Result<Vec<String>> {
    let entries = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    let mut names: Vec<String> = entries
        .iter()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    Ok(names)
}

#[tokio::test]
async fn an_operator_switches_from_matrix_appservice_irc() -> anyhow::Result<()> {
    let left = Left::new().await?;
    // A trial says all of it, and leaves nothing.
    let trial = said(left.import(&["--dry-run"]).await?)?;
    ensure!(
        trial.contains("channels: 2 taken over") && trial.contains("This was a trial"),
        "{trial}"
    );
    ensure!(
        files(&left.new_folder())?.is_empty(),
        "a trial writes nothing"
    );

    let told = said(left.import(&[]).await?)?;
    for part in [
        "channels: 2 taken over",
        "control rooms: 1 taken over",
        "ghosts: 1 taken over, 1 there already",
        "passwords: 1 taken over",
        "people: 3 taken over",
        "private talks: 1 taken over",
        "the configuration has no network \"irc.gone.net\"",
        "\"#unmapped\" in !gone:localhost: the configuration does not map it",
        "\"#a b\" in !spaced:localhost: that is no channel",
        "\"#odd\" in nonsense: that is no room id",
        "\"bob\" in !pm:localhost: it is no channel, but \"pm\"",
        "the talk with \"carol\" in !pm2:localhost: it has no room, or nobody of Matrix",
        "the admin room !a:localhost: it has no room id, or is nobody's",
        "the user name `Not Legal!`",
        "the nick `a b`, which is no nick",
        "the password of @eve:localhost on 127.0.0.1: it is damaged",
        "1 of client_config.cert: people store certificates anew",
        "1 of user_features.user_id",
        "the deactivated user \"nobody\"",
    ] {
        ensure!(told.contains(part), "no {part:?}: {told}");
    }
    let second = format!(
        "\"#old\" in {}: that is {} already",
        left.second, left.channel
    );
    ensure!(told.contains(&second), "{told}");

    let bob = left.irc.person("bob_x").await?;
    bob.join("#old").await?;
    let mut bridge = left.start().await?;
    talks_go_on(&left, &bob).await?;

    // While the bridge runs, nobody else writes into its database.
    let refused = left.import(&[]).await?;
    let complaint = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure!(
        !refused.status.success() && complaint.contains("in use by another process"),
        "{complaint}"
    );
    bridge.terminate().await?;
    // Who was deactivated meanwhile is not in the configuration, which is the operator's by now.
    let late = "INSERT INTO deactivated_users VALUES ('@late:localhost', 3)";
    let database = left.postgres.connect("owner").await?;
    database.batch_execute(late).await?;
    let again = said(left.import(&[]).await?)?;
    ensure!(
        again.contains("the deactivated user @late:localhost: the configuration that is there")
            && !again.contains("@mallory:localhost"),
        "{again}"
    );
    for kind in [
        "channels",
        "control rooms",
        "ghosts",
        "passwords",
        "people",
        "private talks",
    ] {
        ensure!(again.contains(&format!("{kind}: 0 taken over")), "{again}");
    }
    left.host.stop().await;
    Ok(())
}

/// In the old rooms, with the old ghost, the old nick and the old password.
async fn talks_go_on(left: &Left, bob: &bridgehead_irc_server::Person) -> anyhow::Result<()> {
    until("the bridge in the channel", async || {
        let nicks = left.irc.nicks().await;
        Ok(nicks.contains(&"TheBot".to_owned()).then_some(()))
    })
    .await?;
    until("the bridge's ear in the channel", async || {
        bob.say("#old", "hello from IRC").await?;
        let heard = left
            .hears_now(&left.channel, GHOST, "hello from IRC")
            .await?;
        Ok(heard.then_some(()))
    })
    .await?;
    left.alice
        .send_text(&left.channel, "one", "hello from Matrix")
        .await?;
    let line = bob
        .wait_for(|line| line.command == "PRIVMSG" && line.text(1) == "hello from Matrix")
        .await?;
    let nick = line
        .source
        .as_ref()
        .map(|source| source.name.to_string())
        .unwrap_or_default();
    ensure!(nick == "Alicia", "the nick that was chosen: {nick}");
    let seen = left.irc.whois("Alicia").await.context("she is there")?;
    ensure!(seen.account.as_deref() == Some("alicia"), "{seen:?}");
    ensure!(seen.user.trim_start_matches('~') == "alicia", "{seen:?}");

    bob.say("Alicia", "alone on IRC").await?;
    left.hears(&left.talk, GHOST, "alone on IRC").await?;
    left.alice
        .send_text(&left.talk, "two", "alone in Matrix")
        .await?;
    bob.wait_for(|line| line.command == "PRIVMSG" && line.text(1) == "alone in Matrix")
        .await?;

    left.alice.send_text(&left.control, "three", "help").await?;
    left.hears(&left.control, &format!("@{BOT}:localhost"), "nick")
        .await
}

impl Left {
    async fn hears_now(&self, room: &str, sender: &str, text: &str) -> anyhow::Result<bool> {
        let path = format!("/_matrix/client/v3/rooms/{room}/messages?dir=b&limit=50");
        let (_, said) = self.alice.get(&path).await?;
        let events = said["chunk"].as_array().cloned().unwrap_or_default();
        Ok(events
            .iter()
            .any(|event| event["sender"] == sender && event["content"]["body"] == text))
    }
}

#[tokio::test]
async fn what_is_in_the_way_of_an_import_is_told() -> anyhow::Result<()> {
    let left = Left::new().await?;
    let complaint = async |more: &[&str]| {
        let output = left.import(more).await?;
        ensure!(!output.status.success(), "{more:?} has succeeded");
        anyhow::Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for (more, part) in [
        (
            vec!["--database", "postgres://irc@db.example.org/irc"],
            "are not encrypted",
        ),
        (
            vec!["--database", "nonsense"],
            "postgres://user:password@host/name",
        ),
        (
            vec!["--database", &left.postgres.address("stranger")],
            "role \"stranger\" does not exist",
        ),
        (vec!["--into", "nowhere"], "there is no such folder"),
        (vec!["--key", "nowhere.pem"], "nowhere.pem"),
    ] {
        let told = complaint(&more).await?;
        ensure!(told.contains(part), "{more:?}: {told}");
    }
    let database = left.postgres.connect("owner").await?;
    database
        .batch_execute("ALTER TABLE pm_rooms RENAME TO something_else")
        .await?;
    let told = complaint(&[]).await?;
    ensure!(
        told.contains("the database has no table pm_rooms"),
        "{told}"
    );
    ensure!(files(&left.new_folder())?.is_empty(), "nothing is begun");
    left.host.stop().await;
    Ok(())
}
