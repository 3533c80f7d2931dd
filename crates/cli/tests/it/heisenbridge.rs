//! heisenbridge, an IRC bridge of others, between our server and an IRC server.

use crate::{BRIDGEHEAD, ngircd, python};
use anyhow::{Context as _, ensure};
use bridgehead_testkit::{Client, Process, ServerProcess, Watcher, free_port};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::process::Command;
use tokio::sync::{mpsc, watch};

const SOON: Duration = Duration::from_secs(30);
const BOT: &str = "@heisenbridge:localhost";
const CAROLS_GHOST: &str = "@irc_test_carol:localhost";
const DAVES_GHOST: &str = "@irc_test_dave:localhost";

#[tokio::test]
async fn heisenbridge_bridges_a_channel_private_messages_and_nick_changes() {
    let peers = Peers::start(Way::Http).await.unwrap();
    bridges_a_channel_private_messages_and_nick_changes(&peers)
        .await
        .unwrap();
}

#[tokio::test]
async fn heisenbridge_does_all_that_over_its_websocket() {
    let peers = Peers::start(Way::Websocket).await.unwrap();
    bridges_a_channel_private_messages_and_nick_changes(&peers)
        .await
        .unwrap();
}

async fn bridges_a_channel_private_messages_and_nick_changes(peers: &Peers) -> anyhow::Result<()> {
    let alice = peers
        .server
        .client()
        .register("alice", "a password of alice")
        .await?;
    let mut owner = Owner::new(alice);
    let mut carol = IrcClient::connect(peers.irc_port, "carol").await?;
    carol.send("JOIN #chan");
    carol
        .wait_for("her own JOIN", |line| {
            line.starts_with(":carol!") && line.contains(" JOIN ")
        })
        .await?;

    owner.open_control_room().await?;
    let network_room = owner.open_network(peers.irc_port).await?;
    let channel_room = owner.join_channel(&network_room, "#chan").await?;
    carol
        .wait_for("alice's JOIN", |line| {
            line.starts_with(":alice!") && line.contains(" JOIN ")
        })
        .await?;

    owner.say(&channel_room, "hello from Matrix").await?;
    carol
        .wait_for("the message from Matrix", |line| {
            line.starts_with(":alice!") && line.ends_with(" PRIVMSG #chan :hello from Matrix")
        })
        .await?;

    carol.send("PRIVMSG #chan :hello from IRC");
    owner
        .wait_for_message(&channel_room, CAROLS_GHOST, "hello from IRC")
        .await?;

    carol.send("PRIVMSG alice :hello in private");
    let private_room = owner.enter_room("carol (test)").await?;
    ensure!(
        private_room != channel_room,
        "a private message has a room of its own"
    );
    owner
        .wait_for_message(&private_room, CAROLS_GHOST, "hello in private")
        .await?;

    nick_changes_are_followed(&mut owner, &mut carol, &channel_room).await
}

async fn nick_changes_are_followed(
    owner: &mut Owner,
    carol: &mut IrcClient,
    channel_room: &str,
) -> anyhow::Result<()> {
    // The same nick in another case keeps its ghost, which changes its displayname.
    carol.send("NICK Carol");
    owner
        .wait_for_member(channel_room, CAROLS_GHOST, "join", Some("Carol"))
        .await?;
    // Another nick is another ghost.
    carol.send("NICK dave");
    owner
        .wait_for_member(channel_room, DAVES_GHOST, "join", Some("dave"))
        .await?;
    owner
        .wait_for_member(channel_room, CAROLS_GHOST, "leave", None)
        .await?;
    carol.send("PRIVMSG #chan :hello under another nick");
    owner
        .wait_for_message(channel_room, DAVES_GHOST, "hello under another nick")
        .await
}

/// The Matrix user who owns the bridge, and all that she sees.
struct Owner {
    client: Client,
    watcher: Watcher,
    control_room: String,
    sent: u32,
}

impl Owner {
    fn new(client: Client) -> Self {
        let watcher = Watcher::new(&client);
        Self {
            client,
            watcher,
            control_room: String::new(),
            sent: 0,
        }
    }

    async fn say(&mut self, room_id: &str, body: &str) -> anyhow::Result<()> {
        self.sent += 1;
        self.client
            .send_text(room_id, &format!("txn-{}", self.sent), body)
            .await
            .map(drop)
    }

    /// A direct chat with the bot; who opens the first one owns the bridge.
    async fn open_control_room(&mut self) -> anyhow::Result<()> {
        let body = json!({ "is_direct": true, "preset": "trusted_private_chat", "invite": [BOT] });
        self.control_room = self.client.create_room(&body).await?;
        self.wait_for_member(&self.control_room.clone(), BOT, "join", None)
            .await
    }

    /// Tells the bot of the IRC server and connects; gives back the network's room.
    async fn open_network(&mut self, irc_port: u16) -> anyhow::Result<String> {
        let control_room = self.control_room.clone();
        let add_server = format!("ADDSERVER test 127.0.0.1 {irc_port}");
        for (command, reply) in [
            ("ADDNETWORK test", "Network added."),
            (&add_server, "Server added."),
        ] {
            self.say(&control_room, command).await?;
            self.wait_for_message(&control_room, BOT, reply).await?;
        }
        self.say(&control_room, "OPEN test").await?;
        let network_room = self.enter_room("test").await?;
        self.say(&network_room, "CONNECT").await?;
        self.wait_for_message(&network_room, BOT, "Welcome to the Internet Relay Network")
            .await?;
        Ok(network_room)
    }

    /// Joins an IRC channel; gives back the channel's room.
    async fn join_channel(&mut self, network_room: &str, channel: &str) -> anyhow::Result<String> {
        self.say(network_room, &format!("JOIN {channel}")).await?;
        self.enter_room(&format!("{channel} (test)")).await
    }

    /// Waits until a room with this name turns up, and joins it.
    async fn enter_room(&mut self, name: &str) -> anyhow::Result<String> {
        let find = |seen: &bridgehead_testkit::Seen| seen.room_named(name).map(str::to_owned);
        let room_id = self
            .watcher
            .wait_for(&format!("a room named {name}"), SOON, find)
            .await?;
        self.client.join(&room_id).await
    }

    /// Waits for a message of this sender that contains the text.
    async fn wait_for_message(
        &mut self,
        room_id: &str,
        sender: &str,
        text: &str,
    ) -> anyhow::Result<()> {
        self.wait_for(
            &format!("{text:?} of {sender}"),
            room_id,
            "m.room.message",
            |event| {
                let body = event["content"]["body"].as_str().unwrap_or_default();
                event["sender"] == sender && body.contains(text)
            },
        )
        .await
    }

    async fn wait_for_member(
        &mut self,
        room_id: &str,
        user_id: &str,
        membership: &str,
        displayname: Option<&str>,
    ) -> anyhow::Result<()> {
        let what = format!("{membership} of {user_id}, named {displayname:?}");
        self.wait_for(&what, room_id, "m.room.member", |event| {
            event["state_key"] == user_id
                && event["content"]["membership"] == membership
                && displayname.is_none_or(|name| event["content"]["displayname"] == name)
        })
        .await
    }

    async fn wait_for(
        &mut self,
        what: &str,
        room_id: &str,
        event_type: &str,
        condition: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<()> {
        let find =
            |seen: &bridgehead_testkit::Seen| seen.event(room_id, event_type, &condition).map(drop);
        self.watcher.wait_for(what, SOON, find).await
    }
}

/// How events reach the bridge.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Http,
    /// Its registration has no address, and it is told the server's as `ws://`.
    Websocket,
}

/// Our server, the bridge and the IRC server.
struct Peers {
    irc_port: u16,
    _ngircd: Process,
    server: ServerProcess,
    _bridge: Process,
    _folder: TempDir,
}

impl Peers {
    async fn start(way: Way) -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix("bridgehead-heisenbridge-")?;
        let irc_port = free_port()?;
        let ngircd = start_ngircd(folder.path(), irc_port).await?;
        let registration = generate_registration(folder.path()).await?;
        if way == Way::Websocket {
            forget_the_address(&registration)?;
        }
        let server = ServerProcess::start(BRIDGEHEAD, std::slice::from_ref(&registration)).await?;
        let mut command = heisenbridge(&registration)?;
        command.arg("-v");
        match way {
            Way::Http => command.arg(server.base_url()),
            Way::Websocket => {
                let port = free_port()?.to_string();
                let url = server.base_url().replacen("http:", "ws:", 1);
                command.args(["-l", "127.0.0.1", "-p", &port, &url])
            }
        };
        let bridge = Process::spawn("heisenbridge", command)?;
        wait_for_line(&bridge, "bridge is now running!").await?;
        if way == Way::Websocket {
            wait_for_line(&bridge, "Websocket connected.").await?;
        }
        Ok(Self {
            irc_port,
            _ngircd: ngircd,
            server,
            _bridge: bridge,
            _folder: folder,
        })
    }
}

async fn start_ngircd(folder: &Path, port: u16) -> anyhow::Result<Process> {
    let config = format!(
        "[Global]\n\
         Name = irc.test.localhost\n\
         Info = peer of a test\n\
         AdminInfo1 = nobody\n\
         Listen = 127.0.0.1\n\
         Ports = {port}\n\
         MotdPhrase = hello\n\
         [Limits]\n\
         MaxConnectionsIP = 0\n\
         MaxPenaltyTime = 0\n\
         [Options]\n\
         DNS = no\n\
         Ident = no\n\
         PAM = no\n"
    );
    let path = folder.join("ngircd.conf");
    std::fs::write(&path, config)?;
    let mut command = Command::new(ngircd()?);
    command.args(["--nodaemon", "--config"]).arg(&path);
    let process = Process::spawn("ngircd", command)?;
    wait_for_line(&process, "Now listening on").await?;
    Ok(process)
}

/// Lets the bridge write its own registration.
async fn generate_registration(folder: &Path) -> anyhow::Result<PathBuf> {
    let registration = folder.join("heisenbridge.yaml");
    let mut command = heisenbridge(&registration)?;
    command.args([
        "-l",
        "127.0.0.1",
        "-p",
        &free_port()?.to_string(),
        "--generate",
    ]);
    let output = command.output().await?;
    ensure!(
        output.status.success(),
        "heisenbridge --generate: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(registration)
}

/// Puts `websocket` where the address stands.
fn forget_the_address(registration: &Path) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(registration)?;
    let (before, after) = text.split_once("url: ").context("no url")?;
    let (_, after) = after.split_once('\n').context("no line after the url")?;
    std::fs::write(registration, format!("{before}url: websocket\n{after}"))?;
    Ok(())
}

fn heisenbridge(registration: &Path) -> anyhow::Result<Command> {
    let mut command = Command::new(python()?);
    command
        .env("PYTHONUNBUFFERED", "1")
        .args(["-m", "heisenbridge", "-c"])
        .arg(registration);
    Ok(command)
}

async fn wait_for_line(process: &Process, part: &str) -> anyhow::Result<()> {
    process
        .wait_for_output(part, SOON, |lines| {
            lines.iter().any(|line| line.contains(part))
        })
        .await
}

/// A person on IRC: sends lines, and remembers the lines received.
struct IrcClient {
    to_send: mpsc::UnboundedSender<String>,
    received: watch::Receiver<Vec<String>>,
}

impl IrcClient {
    async fn connect(port: u16, nick: &str) -> anyhow::Result<Self> {
        let (reader, writer) = TcpStream::connect(("127.0.0.1", port)).await?.into_split();
        let (to_send, lines_to_send) = mpsc::unbounded_channel();
        let (received_sender, received) = watch::channel(Vec::new());
        tokio::spawn(write_lines(writer, lines_to_send));
        let pong = to_send.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(reader).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some(token) = line.strip_prefix("PING ") {
                    pong.send(format!("PONG {token}")).ok();
                }
                received_sender.send_modify(|received| received.push(line));
            }
        });
        let mut client = Self { to_send, received };
        client.send(&format!("NICK {nick}"));
        client.send(&format!("USER {nick} 0 * :{nick}"));
        client
            .wait_for("the welcome", |line| line.split(' ').nth(1) == Some("001"))
            .await?;
        Ok(client)
    }

    fn send(&self, line: &str) {
        // Fails when the connection is gone, which the next wait reports with what was received.
        self.to_send.send(line.to_owned()).ok();
    }

    /// Waits until any line received so far satisfies the condition.
    async fn wait_for(
        &mut self,
        what: &str,
        condition: impl Fn(&str) -> bool,
    ) -> anyhow::Result<()> {
        let has_line = |lines: &Vec<String>| lines.iter().any(|line| condition(line));
        let waited = tokio::time::timeout(SOON, self.received.wait_for(has_line)).await;
        let arrived = matches!(waited, Ok(Ok(_)));
        drop(waited);
        if arrived {
            return Ok(());
        }
        let received = self.received.borrow().join("\n");
        Err(anyhow::anyhow!("received were:\n{received}"))
            .with_context(|| format!("no {what} on IRC within {SOON:?}"))
    }
}

async fn write_lines(mut writer: OwnedWriteHalf, mut lines: mpsc::UnboundedReceiver<String>) {
    while let Some(line) = lines.recv().await {
        if writer
            .write_all(format!("{line}\r\n").as_bytes())
            .await
            .is_err()
        {
            return;
        }
    }
}

#[tokio::test]
async fn the_irc_server_carries_messages_and_nick_changes() {
    let folder = TempDir::with_prefix("bridgehead-ngircd-").unwrap();
    let port = free_port().unwrap();
    let _ngircd = start_ngircd(folder.path(), port).await.unwrap();
    let mut carol = IrcClient::connect(port, "carol").await.unwrap();
    carol.send("JOIN #chan");
    carol
        .wait_for("her JOIN", |line| {
            line.starts_with(":carol!") && line.contains(" JOIN ")
        })
        .await
        .unwrap();
    let mut erin = IrcClient::connect(port, "erin").await.unwrap();
    erin.send("JOIN #chan");
    erin.send("PRIVMSG #chan :hello");
    let hello = |line: &str| line.starts_with(":erin!") && line.ends_with(" PRIVMSG #chan :hello");
    carol.wait_for("the message", hello).await.unwrap();
    carol.send("NICK Carol");
    erin.wait_for("the first change", |line| line.ends_with(" NICK :Carol"))
        .await
        .unwrap();
    carol.send("NICK dave");
    erin.wait_for("the second change", |line| line.ends_with(" NICK :dave"))
        .await
        .unwrap();
}

#[tokio::test]
async fn the_bridge_generates_a_registration() {
    let folder = TempDir::with_prefix("bridgehead-generate-").unwrap();
    let path = generate_registration(folder.path()).await.unwrap();
    let registration = std::fs::read_to_string(path).unwrap();
    for line in [
        "id: heisenbridge",
        "sender_localpart: heisenbridge",
        "    - regex: '@irc_.*'",
    ] {
        assert!(
            registration.lines().any(|found| found == line),
            "{line:?} in:\n{registration}"
        );
    }
}
