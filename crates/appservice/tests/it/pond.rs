//! The book's bridge against the real homeserver, with the real Pond in the test's process.

// ANCHOR: head
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::ensure;
use bridgehead_appservice::{
    Event,
    bridge::{Level, Permissions},
    id::{RoomId, UserId},
};
use bridgehead_testkit::lab::{Fault, Lab, LabService, LabUser};
use serde_json::json;
use tokio::io::DuplexStream;

#[path = "../../examples/pond/bridge.rs"]
mod bridge;
#[path = "../../examples/pond/link.rs"]
mod link;
#[path = "../../examples/pond_server.rs"]
#[expect(dead_code, reason = "its main is another program's")]
mod pond_server;

use self::{link::Dial, pond_server::Pond};
// ANCHOR_END: head

// ANCHOR: dial
/// A way to a Pond in memory.
#[derive(Clone)]
struct Way {
    pond: Arc<Pond>,
    /// Nobody gets through.
    is_cut: Arc<AtomicBool>,
}

impl Dial for Way {
    type Stream = DuplexStream;

    async fn dial(&self) -> io::Result<DuplexStream> {
        if self.is_cut.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (ours, theirs) = tokio::io::duplex(4096);
        let pond = self.pond.clone();
        tokio::spawn(async move { pond.serve(theirs).await });
        Ok(ours)
    }
}
// ANCHOR_END: dial

// ANCHOR: stage
/// A Pond, the bridge to it, and Alice, who has joined the portal of its lobby.
struct Stage {
    lab: Lab,
    way: Way,
    service: LabService,
    alice: LabUser,
    lobby: RoomId,
}

impl Stage {
    async fn new(lab: Lab) -> anyhow::Result<Self> {
        let way = Way {
            pond: Arc::new(Pond::new(0)),
            is_cut: Arc::default(),
        };
        let admin = Permissions::new().allow("@alice:localhost", Level::Admin);
        let service = bridge::service(way.clone()).permissions(admin);
        let service = lab.mount(service).await?;
        let alice = lab.user("alice").await?;
        let lobby = alice.join("#pond_lobby:localhost").await?;
        lab.settle().await;
        Ok(Self {
            lab,
            way,
            service,
            alice,
            lobby,
        })
    }

    /// Alice says something; gives back all that was heard in the lobby on the Pond.
    async fn say(&self, text: &str) -> anyhow::Result<Vec<String>> {
        self.alice.say(&self.lobby, text).await?;
        self.lab.settle().await;
        Ok(self.way.pond.heard("lobby"))
    }
}
// ANCHOR_END: stage

// ANCHOR: both_ways
#[test]
fn what_is_said_on_one_side_is_heard_on_the_other() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let stage = Stage::new(lab).await?;
        let (alice, lobby) = (&stage.alice, &stage.lobby);
        stage.way.pond.hear("1 lobby Bob hello from the water");
        let heard = alice.hears(lobby, "hello from the water").await?;
        let ghost = UserId::new("_pond__bob", "localhost")?;
        ensure!(heard.sender == ghost);
        ensure!(alice.profile(&ghost).await?["displayname"] == "Bob");

        alice.set_display_name("Alice Liddell").await?;
        let heard = stage.say("hello from the shore").await?;
        let both = [
            "Bob hello from the water",
            "Alice_Liddell hello from the shore",
        ];
        ensure!(heard == both, "{heard:?}");
        // What was brought over does not come back.
        let texts = alice.texts(lobby).await?;
        ensure!(
            texts == ["hello from the water", "hello from the shore"],
            "{texts:?}"
        );
        Ok(())
    })
}
// ANCHOR_END: both_ways

// ANCHOR: restart
#[test]
fn nothing_is_lost_or_doubled_by_a_restart() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let stage = Stage::new(lab).await?;
        let (pond, alice, lobby) = (&stage.way.pond, &stage.alice, &stage.lobby);
        // The homeserver has the message, and the bridge crashes without knowing it.
        let sends = Fault::of_calls().put("/send/");
        stage.lab.faults().plan(sends.lose_answer());
        pond.hear("1 lobby Bob once");
        alice.hears(lobby, "once").await?;
        stage.service.crash();
        pond.hear("2 lobby Bob while you were away");
        stage.way.is_cut.store(true, Ordering::Relaxed);
        stage.service.start().await?;
        alice.say(lobby, "anybody there?").await?;
        stage.lab.pass(Duration::from_secs(60)).await;
        ensure!(pond.heard("lobby").len() == 2, "there is no way yet");
        stage.way.is_cut.store(false, Ordering::Relaxed);
        alice.hears(lobby, "while you were away").await?;
        stage.lab.settle().await;

        let texts = alice.texts(lobby).await?;
        for text in ["once", "while you were away"] {
            let times = texts.iter().filter(|said| *said == text).count();
            ensure!(times == 1, "{text}: {texts:?}");
        }
        let heard = pond.heard("lobby");
        let asked = heard.iter().filter(|said| *said == "alice anybody there?");
        ensure!(asked.count() == 1, "{heard:?}");
        Ok(())
    })
}
// ANCHOR_END: restart

// ANCHOR: refused
#[test]
fn whoever_is_not_heard_is_told() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let stage = Stage::new(lab).await?;
        let (alice, lobby) = (&stage.alice, &stage.lobby);
        let long = alice.say(lobby, &"quak ".repeat(1000)).await?;
        let is_told = |event: &_| is_status(event, "a line has at most 400 bytes");
        let told = alice.wait_for(lobby, "the Pond's no", is_told).await?;
        ensure!(told.content["m.relates_to"]["event_id"] == json!(long));

        alice.react(lobby, &long, "🐸").await?;
        let is_told = |event: &_| is_status(event, "reactions");
        alice.wait_for(lobby, "the kit's no", is_told).await?;
        // The Pond has no pictures, and is told of them.
        let picture =
            json!({ "msgtype": "m.image", "body": "frog.png", "url": "mxc://localhost/frog" });
        alice.send(lobby, "m.room.message", &picture).await?;
        stage.lab.settle().await;
        let heard = stage.way.pond.heard("lobby");
        ensure!(
            heard.len() == 1 && heard[0].contains("frog.png"),
            "{heard:?}"
        );
        Ok(())
    })
}

/// Whether a client is told by this event that something was not delivered, for this reason.
fn is_status(event: &Event, reason: &str) -> bool {
    let told = event.text("message").unwrap_or_default();
    event.kind == "com.beeper.message_send_status" && told.contains(reason)
}
// ANCHOR_END: refused

// ANCHOR: kit
#[test]
fn the_rest_is_the_kits() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let stage = Stage::new(lab).await?;
        let (alice, lobby) = (&stage.alice, &stage.lobby);
        // The room says what it is bridged to.
        let info = alice
            .state(lobby, "m.bridge", "io.bridgehead://pond/lobby")
            .await?;
        ensure!(info["channel"]["id"] == "lobby", "{info}");
        // The Pond itself is somebody, too.
        stage.way.pond.announce("lobby", "the water is rising");
        let heard = alice.hears(lobby, "the water is rising").await?;
        ensure!(alice.profile(&heard.sender).await?["displayname"] == "The Pond");
        // Commands are answered, and not said on the Pond.
        stage.say("!pond where").await?;
        alice
            .hears(lobby, "This is the channel lobby of the Pond.")
            .await?;
        // An edit is said in words, where there are none.
        let first = alice.say(lobby, "helo").await?;
        alice.edit(lobby, &first, "hello").await?;
        stage.lab.settle().await;
        let heard = stage.way.pond.heard("lobby");
        ensure!(heard[1..] == ["alice helo", "alice * hello"], "{heard:?}");
        // And it ends, without ghosts that are left behind.
        alice.say(lobby, "!pond unlink").await?;
        stage.lab.settle().await;
        let heard = stage.say("is anybody there?").await?;
        ensure!(heard.len() == 3, "{heard:?}");
        let members = alice.members(lobby).await?;
        let joined = members.values().filter(|is| *is == "join");
        ensure!(joined.count() == 1, "{members:?}");
        Ok(())
    })
}
// ANCHOR_END: kit

#[test]
fn only_words_are_channels() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let stage = Stage::new(lab).await?;
        let spaced = "#pond_the%20lobby:localhost";
        let error = stage.alice.join(spaced).await.expect_err("no channel");
        ensure!(
            error.status().map(|status| status.as_u16()) == Some(404),
            "{error}"
        );
        Ok(())
    })
}
