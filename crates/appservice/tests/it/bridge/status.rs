//! Every message ends in a verdict that its sender can see.

use std::time::Duration;

use bridgehead_appservice::bridge::{Fate, Foreign, StatusOptions};
use bridgehead_appservice::prelude::*;
use bridgehead_testkit::lab::Lab;
use serde_json::{Value, json};

use super::{Stage, bridge, gate::Gate, service, village::Village};

const STATUS: &str = "com.beeper.message_send_status";

async fn statuses(stage: &Stage, room: &RoomId) -> Vec<Value> {
    let events = stage.events(room, STATUS).await;
    events.into_iter().map(|event| event.content).collect()
}

#[test]
fn what_takes_long_is_pending_and_then_there_and_keeps_its_place() {
    Lab::run(async |lab| {
        let stage = Stage::new(&lab, &["square"]).await;
        let room = stage.enter("square").await;
        stage.village.shut(true);
        stage.alice.say(&room, "first").await.expect("said");
        stage.alice.say(&room, "second").await.expect("said");
        lab.pass(Duration::from_secs(5)).await;
        let told = statuses(&stage, &room).await;
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0]["status"], "PENDING");
        stage.village.shut(false);
        stage.settle().await;
        assert_eq!(
            stage.village.heard("square")[1..],
            ["guest alice: first", "guest alice: second"]
        );
        let told = statuses(&stage, &room).await;
        assert_eq!(told.len(), 2, "{told:?}");
        assert_eq!(told[1]["status"], "SUCCESS");
    });
}

#[test]
fn a_network_that_stays_away_ends_in_a_refusal_and_not_in_silence() {
    Lab::run(async |lab| {
        let stage = Stage::new(&lab, &["square"]).await;
        let room = stage.enter("square").await;
        stage.village.shut(true);
        stage.alice.say(&room, "anybody?").await.expect("said");
        stage.settle().await;
        let told = statuses(&stage, &room).await;
        let states: Vec<_> = told.iter().map(|told| told["status"].as_str()).collect();
        assert_eq!(states, [Some("PENDING"), Some("FAIL_RETRIABLE")]);
        assert_eq!(told[1]["message"], "the gate is shut");
        let running = stage.service.running();
        assert!(running.parked(0, 10).await.expect("read").is_empty());
        // All that was refused, by one command.
        stage.village.shut(false);
        stage
            .alice
            .say(&room, "!village retry")
            .await
            .expect("said");
        stage.settle().await;
        assert_eq!(
            stage.village.heard("square")[1..],
            ["guest alice: anybody?"]
        );
    });
}

#[test]
fn a_flood_of_failures_is_two_notices() {
    Lab::run(async |lab| {
        let stage = Stage::new(&lab, &["square"]).await;
        let room = stage.enter("square").await;
        stage.village.forbid("spam");
        for n in 0..20 {
            stage
                .alice
                .say(&room, &format!("spam {n}"))
                .await
                .expect("said");
        }
        stage.settle().await;
        lab.pass(Duration::from_secs(61)).await;
        stage.settle().await;
        let said = stage.said(&room).await;
        let notices: Vec<_> = said
            .iter()
            .filter(|line| line.starts_with("villagebot"))
            .collect();
        assert_eq!(notices.len(), 2, "{notices:?}");
        assert_eq!(
            notices[1],
            "villagebot: 19 more messages did not reach the village, the last because: nobody says `spam` here."
        );
        // Clients know of each.
        assert_eq!(statuses(&stage, &room).await.len(), 20);
    });
}

#[test]
fn other_ways_to_be_told() {
    Lab::run(async |lab| {
        let village = Village::new(&["square"]);
        let status = StatusOptions::default()
            .successes()
            .bridge_errors()
            .without_notices();
        let stage = Stage::with(&lab, &village, service(bridge(&village).status(status))).await;
        let room = stage.enter("square").await;
        stage.village.forbid("dragon");
        stage.alice.say(&room, "a mouse").await.expect("said");
        let said = stage.alice.say(&room, "a dragon").await.expect("said");
        stage.settle().await;
        let told = statuses(&stage, &room).await;
        assert_eq!(
            (&told[0]["status"], &told[1]["status"]),
            (&json!("SUCCESS"), &json!("FAIL_RETRIABLE"))
        );
        let errors = stage.events(&room, "de.nasnotfound.bridge_error").await;
        assert_eq!(errors[0].content["reason"], "m.foreign_network_error");
        assert_eq!(errors[0].content["network_name"], "the village");
        assert_eq!(errors[0].content["m.relates_to"]["event_id"], json!(said));
        let pattern = errors[0].content["affected_users"][0]
            .as_str()
            .expect("a pattern");
        assert!(pattern.contains("_village_"), "{pattern}");
        assert_eq!(stage.said(&room).await.len(), 2);
    });
}

#[test]
fn encrypted_messages_are_refused_and_not_swallowed() {
    Lab::run(async |lab| {
        let stage = Stage::new(&lab, &["square"]).await;
        let room = stage.enter("square").await;
        let content =
            json!({ "algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "x", "session_id": "y" });
        stage
            .alice
            .send(&room, "m.room.encrypted", &content)
            .await
            .expect("sent");
        stage.settle().await;
        let told = statuses(&stage, &room).await;
        assert_eq!(told[0]["status"], "FAIL_PERMANENT");
        assert_eq!(told[0]["reason"], "com.beeper.undecryptable_event");
    });
}

#[test]
fn an_authors_own_way_has_to_end_in_a_verdict_too() {
    Lab::run(async |lab| {
        let village = Village::new(&["square"]);
        let own = bridge(&village).on(
            |event: Foreign<Gate>,
             text: Text,
             portal: super::Portal<Gate>,
             portals: super::Portals<Gate>| async move {
                match text.body.strip_prefix("shout ") {
                    Some(words) => {
                        let action =
                            bridgehead_appservice::bridge::Action::message(words.to_uppercase());
                        portals.deliver(&portal, event, action).await
                    }
                    None => Fate::Rejected(bridgehead_appservice::bridge::Rejected::new(
                        bridgehead_appservice::bridge::Cause::Unsupported,
                        "only shouting is heard",
                    )),
                }
            },
        );
        let stage = Stage::with(&lab, &village, service(own)).await;
        let room = stage.enter("square").await;
        stage.alice.say(&room, "shout fire").await.expect("said");
        stage.alice.say(&room, "whisper").await.expect("said");
        stage.settle().await;
        assert_eq!(stage.village.heard("square")[1..], ["guest alice: FIRE"]);
        let told = statuses(&stage, &room).await;
        assert_eq!(told.len(), 1);
        assert_eq!(told[0]["message"], "only shouting is heard");
    });
}

#[test]
fn what_is_set_aside_for_the_kits_own_failure_is_told_as_well() {
    Lab::run(async |lab| {
        let stage = Stage::new(&lab, &["square"]).await;
        let room = stage.enter("square").await;
        stage.village.break_down("has_account", true);
        let said = stage.alice.say(&room, "anybody?").await.expect("said");
        stage.settle().await;
        let running = stage.service.running();
        assert_eq!(running.parked(0, 10).await.expect("read").len(), 1);
        assert_eq!(
            statuses(&stage, &room).await,
            [json!({
                "network": "village",
                "m.relates_to": { "rel_type": "m.reference", "event_id": said },
                "status": "FAIL_RETRIABLE",
                "reason": "m.event_not_handled",
                "message": "something in the bridge is broken",
            })]
        );
        stage.village.break_down("has_account", false);
        stage.alice.react(&room, &said, "🔁").await.expect("sent");
        stage.settle().await;
        assert_eq!(
            stage.village.heard("square")[1..],
            ["guest alice: anybody?"]
        );
        let last = statuses(&stage, &room).await.pop().expect("one more");
        assert_eq!(last["status"], "SUCCESS");
    });
}
