//! What a running bridge shows to those who watch it.

use anyhow::Context as _;
use bridgehead_irc_server::{Dialect, Person, Server};
use bridgehead_testkit::{Client, TestServer};
use serde_json::{Value, json};
use tokio::net::UdpSocket;

use crate::program::{PATIENCE, Program, TOKEN, until};

/// A channel with its key, and the bridge's password: neither is for anybody's eyes.
const SECRETS: [&str; 2] = ["mellon", "sesame"];

struct Scene {
    /// Runs for as long as it is held.
    _host: TestServer,
    irc: Server,
    program: Program,
    statsd: UdpSocket,
    alice: Client,
    /// Alice's room, which has the channel.
    room: String,
}

impl Scene {
    async fn set() -> anyhow::Result<Self> {
        let host = TestServer::start().await?;
        let irc = Server::start(Dialect::modern()).await?;
        irc.account("bridge", "sesame").await;
        let alice = host.user("alice").await?;
        let body = json!({ "preset": "public_chat" });
        let room = alice.create_room(&body).await?;
        let statsd = UdpSocket::bind("127.0.0.1:0").await?;
        let own = format!(
            "[metrics]\ntoken = \"{TOKEN}\"\nstatsd = \"{}\"\nstatsd_prefix = \"test\"\n\
             [networks.net]\nservers = [\"{}\"]\ntls = false\n\
             [networks.net.bot.login]\naccount = \"bridge\"\npassword = \"sesame\"\n\
             [networks.net.channels.\"#tea\"]\nkey = \"mellon\"\nroom = \"{room}\"\n",
            statsd.local_addr()?,
            irc.address()
        );
        let program = Program::beside(&host, &own)?;
        Ok(Self {
            _host: host,
            irc,
            program,
            statsd,
            alice,
            room,
        })
    }

    /// Alice says something in a channel with a key, and Bob hears it.
    async fn talk(&self) -> anyhow::Result<(Client, String, Person)> {
        let bob = self.irc.person("bob").await?;
        bob.join("#tea").await?;
        bob.mode("#tea", "+k mellon").await?;
        let (alice, room) = (self.alice.clone(), self.room.clone());
        until("bob is in the room", async || {
            let path = format!("/_matrix/client/v3/rooms/{room}/joined_members");
            let (_, members) = alice.get(&path).await?;
            Ok(members["joined"].get("@irc_net_bob:localhost").cloned())
        })
        .await?;
        alice.send_text(&room, "1", "is there tea?").await?;
        bob.wait_within(PATIENCE, |line| line.text(1) == "is there tea?")
            .await?;
        Ok((alice, room, bob))
    }
}

/// The value of the series with all of these in it.
fn value(page: &str, parts: &[&str]) -> Option<f64> {
    let mut lines = page.lines().filter(|line| !line.starts_with('#'));
    let line = lines.find(|line| parts.iter().all(|part| line.contains(part)))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[tokio::test]
async fn the_page_of_connections_shows_who_is_where_and_nothing_secret() -> anyhow::Result<()> {
    let scene = Scene::set().await?;
    let _running = scene.program.start().await?;
    let _talk = scene.talk().await?;
    assert_eq!(scene.program.page("/irc", None).await?.0, 401);
    let page = until("both are in the channel", async || {
        let (status, page) = scene.program.page("/irc", Some(TOKEN)).await?;
        let is_whole = page.lines().filter(|line| line.contains("#tea")).count() == 2;
        Ok((status == 200 && is_whole).then_some(page))
    })
    .await?;
    for part in [
        "net  (",
        "up          alice[m]",
        "@alice:localhost",
        "account bridge",
    ] {
        assert!(page.contains(part), "no {part:?} in {page}");
    }
    let (status, json) = scene.program.page("/irc.json", Some(TOKEN)).await?;
    assert_eq!(status, 200);
    let told: Value = serde_json::from_str(&json)?;
    let clients = told["networks"][0]["clients"]
        .as_array()
        .context("clients")?;
    assert_eq!(clients[0]["owner"], "bridge");
    assert_eq!(clients[1]["owner"], "@alice:localhost");
    assert_eq!(clients[1]["channels"], json!(["#tea"]));
    assert_eq!(clients[1]["state"], "up");
    for secret in SECRETS {
        assert!(
            !page.contains(secret) && !json.contains(secret),
            "{page}{json}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn figures_of_irc_reach_prometheus_and_statsd() -> anyhow::Result<()> {
    let scene = Scene::set().await?;
    let _running = scene.program.start().await?;
    let (alice, room, bob) = scene.talk().await?;
    // Who may not speak is refused, and counted.
    bob.mode("#tea", "+m").await?;
    until("the refusal", async || {
        let txn_id = format!("{:x}", rand::random::<u64>());
        alice.send_text(&room, &txn_id, "more tea?").await?;
        let page = scene.program.page("/metrics", Some(TOKEN)).await?.1;
        let refused = value(&page, &["irc_refusals_total", "reason=\"404\""]);
        Ok(refused.filter(|count| *count >= 1.0))
    })
    .await?;
    let network = "network=\"net\"";
    for (parts, least) in [
        (&["irc_connections{", network, "state=\"up\""][..], 2.0),
        (&["irc_connect_seconds_count", network], 2.0),
        (&["irc_lines_total", network, "direction=\"out\""], 1.0),
        (&["irc_lines_total", network, "direction=\"in\""], 1.0),
        (&["irc_channels", network], 1.0),
        (&["irc_messages_waiting", network], 0.0),
    ] {
        until(&format!("{parts:?} is {least} or more"), async || {
            let page = scene.program.page("/metrics", Some(TOKEN)).await?.1;
            Ok(value(&page, parts).filter(|found| *found >= least))
        })
        .await?;
    }
    let mut bytes = [0; 65_536];
    let mut wanted = vec!["irc_lines_total", "irc_connections"];
    let told = async {
        while !wanted.is_empty() {
            let count = scene.statsd.recv(&mut bytes).await?;
            let text = String::from_utf8_lossy(&bytes[..count]).into_owned();
            wanted.retain(|name| !text.contains(&format!("test.{name}")));
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, told)
        .await
        .context("statsd is not told")?
}
