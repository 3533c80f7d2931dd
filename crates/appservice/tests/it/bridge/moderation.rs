//! Who is put out of rooms, and what is done to rooms: the network hears of whom it is, and who did it how it fared.

use std::time::Duration;

use bridgehead_appservice::{
    bridge::{Action, Outgoing, Receipt},
    prelude::*,
};
use bridgehead_testkit::lab::{Fault, Lab};
use serde_json::{Value, json};

use super::{
    Stage, bot, ghost,
    plain::{self, MEMBERSHIP, Plain, hall},
};

/// Alice's own room, open to all and linked to the square, with Bob in it.
async fn linked(stage: &Stage) -> RoomId {
    let body = json!({ "preset": "public_chat", "name": "our room" });
    let room = stage.alice.create_room_with(&body).await.expect("a room");
    stage.alice.invite(&room, &bot()).await.expect("invited");
    stage.settle().await;
    let link = stage.alice.say(&room, "!village link square").await;
    link.expect("said");
    stage.settle().await;
    stage.village.say("square", "bob", "hello");
    stage.settle().await;
    room
}

async fn statuses(stage: &Stage, room: &RoomId) -> Vec<Value> {
    let events = stage.events(room, "com.beeper.message_send_status").await;
    events.into_iter().map(|event| event.content).collect()
}

#[test]
fn who_is_put_out_is_who_leaves_and_leaves_once() {
    Lab::run(async |lab| {
        let stage = Stage::new(&lab, &["square"]).await;
        let room = linked(&stage).await;
        let carol = lab.user("carol").await.expect("a new user");
        carol.join(&room).await.expect("open");
        stage.settle().await;
        stage.alice.kick(&room, carol.id()).await.expect("she may");
        stage.settle().await;
        carol.join(&room).await.expect("open");
        stage.settle().await;
        stage.alice.ban(&room, carol.id()).await.expect("she may");
        stage.settle().await;
        stage.alice.unban(&room, carol.id()).await.expect("she may");
        stage.settle().await;
        // Who is invited and does not come was never there.
        stage
            .alice
            .invite(&room, carol.id())
            .await
            .expect("she may");
        carol.leave(&room).await.expect("declined");
        stage.settle().await;
        assert_eq!(
            stage.village.heard("square"),
            [
                "bob: hello",
                "[guest carol comes]",
                "[guest carol goes]",
                "[guest carol comes]",
                "[guest carol goes]"
            ]
        );
        assert_eq!(
            stage.village.signs(),
            [
                "guest carol put out by alice",
                "guest carol put out by alice",
                "guest alice lets guest carol in again"
            ]
        );
    });
}

#[test]
fn a_ban_of_a_person_is_told_from_a_kick_and_so_is_its_end() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let plain = Plain::<MEMBERSHIP>::new(|_| Ok(Receipt::new()));
        let service = plain::service(&plain);
        let service = lab.mount(service).await?;
        let (alice, carol) = (lab.user("alice").await?, lab.user("carol").await?);
        let room = alice
            .create_room_with(
                &json!({ "preset": "public_chat", "invite": ["@plainbot:localhost"] }),
            )
            .await?;
        lab.settle().await;
        let portals = service.running().portals::<Plain<MEMBERSHIP>>();
        let linked = portals.expect("declared").link(None, &room, &hall()).await;
        linked.expect("linked");
        lab.settle().await;
        for act in [
            "join", "kick", "join", "ban", "unban", "ban", "ban", "unban",
        ] {
            match act {
                "join" => drop(carol.join(&room).await?),
                "kick" => alice.kick(&room, carol.id()).await?,
                "ban" => alice.ban(&room, carol.id()).await?,
                _ => alice.unban(&room, carol.id()).await?,
            }
            lab.settle().await;
        }
        let told = |outgoing: &Outgoing<Plain<MEMBERSHIP>>| {
            let who = outgoing.speaker.user_id.localpart();
            match &outgoing.action {
                Action::Leave { by, is_ban, .. } => {
                    let by = by.as_ref().map_or("nobody", UserId::localpart);
                    format!("{who} put out by {by}, ban: {is_ban}")
                }
                Action::Ban { person, .. } => format!("{who} bars {}", person.localpart()),
                Action::Unban { whom } => format!("{who} lets in {whom:?}"),
                other => format!("{who}: {}", other.name()),
            }
        };
        let lets_in = format!("alice lets in Person({:?})", carol.id());
        let sent: Vec<String> = plain.state.lock().sent.iter().map(told).collect();
        assert_eq!(
            sent,
            [
                "carol: join",
                "carol put out by alice, ban: false",
                "carol: join",
                "carol put out by alice, ban: true",
                &lets_in,
                "alice bars carol",
                &lets_in,
            ]
        );
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn a_ghost_that_is_let_in_again_is_not_removed_again() {
    Lab::run(async |lab| {
        let stage = Stage::new(&lab, &["square"]).await;
        let room = linked(&stage).await;
        let bob = ghost("bob");
        stage.alice.ban(&room, &bob).await.expect("she may");
        stage.settle().await;
        stage.alice.unban(&room, &bob).await.expect("she may");
        stage.settle().await;
        stage.alice.invite(&room, &bob).await.expect("she may");
        stage.settle().await;
        // The invitation is taken back.
        stage.alice.kick(&room, &bob).await.expect("she may");
        stage.settle().await;
        assert_eq!(
            stage.village.signs(),
            [
                "guest alice bans bob",
                "guest alice lets bob in again",
                "guest alice invites bob"
            ]
        );
    });
}

#[test]
fn what_is_done_to_a_room_in_vain_is_told() {
    Lab::run(async |lab| {
        let stage = Stage::new(&lab, &["square"]).await;
        let room = linked(&stage).await;
        stage
            .alice
            .kick(&room, &ghost("bob"))
            .await
            .expect("she may");
        stage.settle().await;
        let told = statuses(&stage, &room).await;
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(
            (&told[0]["status"], &told[0]["message"]),
            (
                &json!("FAIL_PERMANENT"),
                &json!("nobody does that in the village")
            )
        );
        let said = stage.said(&room).await;
        let notice = "villagebot: What you changed in this room did not reach the village: nobody does that in the village.";
        assert_eq!(said.last().map(String::as_str), Some(notice));

        // What the network has not at all: clients are told, and nobody else.
        let name = json!({ "name": "another name" });
        let set = stage.alice.set_state(&room, "m.room.name", "", &name).await;
        set.expect("she may");
        stage.settle().await;
        let told = statuses(&stage, &room).await;
        assert_eq!(told.len(), 2, "{told:?}");
        let reason = "a room's name cannot be set on the village from here";
        assert_eq!(told[1]["message"], reason);
        assert_eq!(told[1]["reason"], "com.beeper.unsupported_event");
        assert_eq!(stage.said(&room).await.len(), said.len());
    });
}

#[test]
fn a_topic_waits_for_the_network_as_a_message_does() {
    Lab::run(async |lab| {
        let stage = Stage::new(&lab, &["square"]).await;
        let room = linked(&stage).await;
        stage.village.shut(true);
        let topic = json!({ "topic": "dancing" });
        let set = stage
            .alice
            .set_state(&room, "m.room.topic", "", &topic)
            .await;
        set.expect("she may");
        lab.pass(Duration::from_secs(20)).await;
        stage.village.shut(false);
        stage.settle().await;
        let heard = stage.village.heard("square");
        assert_eq!(
            heard.last().map(String::as_str),
            Some("[guest alice puts up: dancing]"),
            "{heard:?}"
        );
        let told = statuses(&stage, &room).await;
        let told: Vec<_> = told.iter().map(|told| told["status"].clone()).collect();
        assert_eq!(told, ["PENDING", "SUCCESS"]);
    });
}

#[test]
fn a_bridge_that_was_put_out_stays_out_and_is_quiet() {
    Lab::run(async |lab| {
        let stage = Stage::new(&lab, &["square"]).await;
        let room = linked(&stage).await;
        stage.alice.kick(&room, &bot()).await.expect("she may");
        stage.settle().await;
        let before = stage
            .alice
            .timeline(&room)
            .await
            .expect("in the room")
            .len();
        // Bob's ghost is still there, so the service hears all of this.
        for text in ["anybody?", "!village help"] {
            stage.alice.say(&room, text).await.expect("said");
        }
        let mallory = lab.user("mallory").await.expect("a new user");
        mallory.join(&room).await.expect("open");
        mallory
            .say(&room, "!village link square")
            .await
            .expect("said");
        stage.village.say("square", "bob", "are you there?");
        stage.settle().await;
        lab.pass(Duration::from_secs(120)).await;
        stage.settle().await;
        let members = stage.alice.members(&room).await.expect("members");
        assert_eq!(members[&bot()], "leave");
        assert!(
            stage
                .portal("square")
                .await
                .expect("linked")
                .data
                .broken
                .is_some()
        );
        let events = stage.alice.timeline(&room).await.expect("in the room");
        let new: Vec<_> = events[before..]
            .iter()
            .map(|event| event.sender.localpart())
            .collect();
        assert_eq!(new, ["alice", "alice", "mallory", "mallory"]);
        // It comes back when it is asked to.
        stage.alice.invite(&room, &bot()).await.expect("she may");
        stage.settle().await;
        stage.alice.say(&room, "welcome back").await.expect("said");
        stage.settle().await;
        let heard = stage.village.heard("square");
        assert_eq!(
            heard.last().map(String::as_str),
            Some("guest alice: welcome back")
        );
    });
}

#[test]
fn a_refused_send_brings_nobody_back_who_was_put_out() {
    Lab::run(async |lab| {
        let stage = Stage::new(&lab, &["square"]).await;
        let room = linked(&stage).await;
        // The service does not hear of it in time.
        let news = Fault::of_deliveries().put("/transactions/").lose_request();
        lab.faults().plan(news.times(1000));
        stage.alice.kick(&room, &bot()).await.expect("she may");
        let refused = stage.service.running().bot().send(&room, "hello?").await;
        let refused = refused.expect_err("it was put out").to_string();
        assert!(refused.contains("was put out of"), "{refused}");
        lab.faults().clear();
        stage.settle().await;
        let members = stage.alice.members(&room).await.expect("members");
        assert_eq!(members[&bot()], "leave");
    });
}
