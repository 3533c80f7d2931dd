//! A room that is replaced by another goes on there.

use std::time::Duration;

use bridgehead_testkit::lab::Lab;
use serde_json::json;

use super::{Stage, alias, bot};

/// Alice's own room, linked to the square, with Bob in it.
async fn linked(stage: &Stage) -> bridgehead_appservice::id::RoomId {
    let body = json!({ "preset": "public_chat", "name": "our room" });
    let room = stage.alice.create_room_with(&body).await.expect("a room");
    stage.alice.invite(&room, &bot()).await.expect("invited");
    stage
        .alice
        .set_power(&room, &bot(), 50)
        .await
        .expect("she may");
    stage.settle().await;
    stage
        .alice
        .say(&room, "!village link square")
        .await
        .expect("said");
    stage.settle().await;
    stage.village.say("square", "bob", "hello");
    stage.settle().await;
    room
}

#[test]
fn a_new_room_that_is_closed_is_waited_for_even_through_a_crash() {
    Lab::run(async |lab| {
        let stage = Stage::new(&lab, &["square"]).await;
        let old = linked(&stage).await;
        // The replacement is private, and nobody has invited the bridge yet.
        let body = json!({
            "preset": "private_chat", "room_version": "11",
            "creation_content": { "predecessor": { "room_id": old, "event_id": "$last" } }
        });
        let new = stage.alice.create_room_with(&body).await.expect("a room");
        let tombstone = json!({ "body": "moved", "replacement_room": new });
        stage
            .alice
            .set_state(&old, "m.room.tombstone", "", &tombstone)
            .await
            .expect("she may");
        lab.pass(Duration::from_secs(30)).await;
        stage.village.say("square", "bob", "what a long way");
        stage.lab.restart(&stage.service).await.expect("it starts");
        lab.pass(Duration::from_secs(30)).await;
        assert_eq!(stage.portal("square").await.expect("linked").matrix, old);
        stage.alice.invite(&new, &bot()).await.expect("invited");
        stage.settle().await;
        assert_eq!(stage.portal("square").await.expect("linked").matrix, new);
        // What was said meanwhile is said where everybody is now.
        assert_eq!(stage.said(&new).await, ["_village_bob: what a long way"]);
    });
}

#[test]
fn a_tombstone_does_not_lead_into_somebody_elses_room() {
    Lab::run(async |lab| {
        let stage = Stage::new(&lab, &["square"]).await;
        let old = linked(&stage).await;
        let body = json!({ "preset": "public_chat" });
        let elsewhere = stage.alice.create_room_with(&body).await.expect("a room");
        let tombstone = json!({ "body": "moved", "replacement_room": elsewhere });
        stage
            .alice
            .set_state(&old, "m.room.tombstone", "", &tombstone)
            .await
            .expect("she may");
        stage.settle().await;
        assert_eq!(stage.portal("square").await.expect("linked").matrix, old);
        let members = stage.alice.members(&elsewhere).await.expect("members");
        assert_eq!(members[&bot()], "leave");
    });
}

#[test]
fn the_alias_of_a_portal_leads_to_the_new_room() {
    Lab::run(async |lab| {
        let stage = Stage::new(&lab, &["square"]).await;
        let old = stage.enter("square").await;
        let levels = json!({ "users": { "@villagebot:localhost": 100, "@alice:localhost": 100 } });
        let bot = stage.service.running().bot();
        bot.set_state(&old, "m.room.power_levels", "", levels)
            .await
            .expect("it may");
        let new = stage.alice.upgrade_room(&old, "11").await.expect("she may");
        stage.settle().await;
        let found = bot.resolve_alias(&alias("square")).await.expect("asked");
        assert_eq!(found.map(|(room, _)| room), Some(new.clone()));
        assert_eq!(stage.portal("square").await.expect("linked").matrix, new);
    });
}
