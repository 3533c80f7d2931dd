//! The book's bridge against the real homeserver, with the real Pond in the test's process.

// ANCHOR: head
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::ensure;
use bridgehead_appservice::id::UserId;
use bridgehead_testkit::lab::{Fault, Lab};

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
/// A Pond in memory, and the way to it. Nobody can dial while `is_cut`.
fn pond() -> (Arc<Pond>, Arc<AtomicBool>, Dial) {
    let pond = Arc::new(Pond::new(0));
    let is_cut = Arc::new(AtomicBool::new(false));
    let (serving, cut) = (pond.clone(), is_cut.clone());
    let dial: Dial = Arc::new(move || {
        let (ours, theirs) = tokio::io::duplex(4096);
        let (serving, is_cut) = (serving.clone(), cut.load(Ordering::Relaxed));
        Box::pin(async move {
            if is_cut {
                return Err(std::io::ErrorKind::ConnectionRefused.into());
            }
            tokio::spawn(async move { serving.serve(theirs).await });
            Ok(Box::new(ours) as Box<dyn link::Stream>)
        })
    });
    (pond, is_cut, dial)
}
// ANCHOR_END: dial

// ANCHOR: both_ways
#[test]
fn what_is_said_on_one_side_is_heard_on_the_other() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let (pond, _, dial) = pond();
        lab.mount(bridge::service(dial)).await?;
        let alice = lab.user("alice").await?;
        let alias = format!("#pond_lobby:{}", lab.server_name());
        let room = alice.join(&alias).await?;
        lab.settle().await;

        pond.say("1 lobby Bob hello from the water");
        let heard = alice.hears(&room, "hello from the water").await?;
        let ghost = UserId::new("_pond__bob", lab.server_name())?;
        ensure!(heard.sender == ghost);
        let profile = alice.profile(&ghost).await?;
        ensure!(profile["displayname"] == "Bob", "{profile}");

        alice.say(&room, "hello from the shore").await?;
        lab.settle().await;
        ensure!(
            pond.heard("lobby") == ["Bob hello from the water", "alice hello from the shore"],
            "{:?}",
            pond.heard("lobby")
        );
        // What the bridge has said itself does not come back.
        ensure!(
            alice.texts(&room).await? == ["hello from the water", "hello from the shore"],
            "{:?}",
            alice.texts(&room).await?
        );
        Ok(())
    })
}
// ANCHOR_END: both_ways

// ANCHOR: restart
#[test]
fn nothing_is_lost_or_doubled_by_a_restart() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let (pond, is_cut, dial) = pond();
        let service = lab.mount(bridge::service(dial)).await?;
        let alice = lab.user("alice").await?;
        let alias = format!("#pond_lobby:{}", lab.server_name());
        let room = alice.join(&alias).await?;
        lab.settle().await;

        // The homeserver has the message, and the bridge crashes without knowing it.
        lab.faults()
            .plan(Fault::of_calls().put("/send/").lose_answer());
        pond.say("1 lobby Bob once");
        alice.hears(&room, "once").await?;
        service.crash();
        pond.say("2 lobby Bob while you were away");
        is_cut.store(true, Ordering::Relaxed);
        service.start().await?;
        alice.say(&room, "anybody there?").await?;
        lab.pass(Duration::from_secs(60)).await;
        ensure!(pond.heard("lobby").len() == 2, "there is no way yet");
        is_cut.store(false, Ordering::Relaxed);
        alice.hears(&room, "while you were away").await?;
        lab.settle().await;

        let texts = alice.texts(&room).await?;
        for text in ["once", "while you were away"] {
            ensure!(
                texts.iter().filter(|said| *said == text).count() == 1,
                "{texts:?}"
            );
        }
        let heard = pond.heard("lobby");
        ensure!(
            heard
                .iter()
                .filter(|said| *said == "alice anybody there?")
                .count()
                == 1,
            "{heard:?}"
        );
        Ok(())
    })
}
// ANCHOR_END: restart

#[test]
fn commands_pictures_and_what_the_pond_refuses() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let (pond, _, dial) = pond();
        lab.mount(bridge::service(dial)).await?;
        let alice = lab.user("alice").await?;
        alice.set_display_name("Alice Liddell").await?;
        let room = alice
            .join(format!("#pond_lobby:{}", lab.server_name()))
            .await?;
        alice.say(&room, "!pond").await?;
        alice
            .hears(&room, "This is the channel lobby of the Pond.")
            .await?;
        let picture = serde_json::json!({ "msgtype": "m.image", "body": "frog.png", "url": "mxc://localhost/frog" });
        alice.send(&room, "m.room.message", &picture).await?;
        let long = alice.say(&room, &"quak ".repeat(100)).await?;
        let told = alice
            .wait_for(&room, "the Pond's no", |event| {
                event.kind == "com.beeper.message_send_status"
            })
            .await?;
        ensure!(told.content["m.relates_to"]["event_id"] == serde_json::json!(long));
        ensure!(
            told.content["message"] == "a line has at most 400 bytes",
            "{}",
            told.content
        );
        let heard = pond.heard("lobby");
        let [picture] = &heard[..] else {
            anyhow::bail!("only the picture is told of: {heard:?}");
        };
        ensure!(
            picture.starts_with("Alice_Liddell ") && picture.contains("frog.png"),
            "{heard:?}"
        );
        pond.say("1 lobby * the water is rising");
        let notice = alice
            .wait_for(&room, "the Pond's own word", |event| {
                event
                    .text("body")
                    .is_some_and(|body| body.contains("the water is rising"))
            })
            .await?;
        ensure!(
            notice.content["com.beeper.per_message_profile"]["displayname"] == "The Pond",
            "{}",
            notice.content
        );
        Ok(())
    })
}

#[test]
fn a_stranger_cannot_make_a_room_a_portal() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let (pond, _, dial) = pond();
        let service = lab.mount(bridge::service(dial)).await?;
        let mallory = lab.user("mallory").await?;
        let room = mallory.create_room("trap").await?;
        mallory
            .invite(&room, &UserId::new("pondbot", lab.server_name())?)
            .await?;
        service.running().bot().join(&room).await?;
        let claim = serde_json::json!({ "channel": "lobby" });
        mallory
            .set_state(&room, "org.example.pond.portal", "", &claim)
            .await?;
        lab.settle().await;
        mallory.say(&room, "is this the lobby?").await?;
        lab.settle().await;
        ensure!(pond.heard("lobby").is_empty());
        Ok(())
    })
}
