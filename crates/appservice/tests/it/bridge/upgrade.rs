//! A room that is replaced by another goes on there.

use std::time::Duration;

use bridgehead_appservice::id::RoomId;
use bridgehead_testkit::lab::Lab;
use http::Method;
use serde_json::json;

use super::{Stage, alias, bot, bridge, gate::Gate, service, village::Village};
use crate::{
    harness::until,
    rig::{FakeHost, Rig, agrees, reply},
};

/// Alice's own room, linked to the square, with Bob in it.
async fn linked(stage: &Stage) -> RoomId {
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

#[tokio::test]
async fn the_way_into_the_new_room_is_by_the_server_of_who_has_replaced_it() -> anyhow::Result<()> {
    let village = Village::new(&["square"]);
    let host = FakeHost::new(|asked| {
        let is_state = asked.path.contains("/state");
        Ok(match asked.method {
            Method::PUT if is_state => reply(200, r#"{"event_id":"$set"}"#),
            _ if is_state => reply(404, r#"{"errcode":"M_NOT_FOUND","error":"not there"}"#),
            _ => agrees(asked),
        })
    });
    let rig = Rig::beside(service(bridge(&village)), host.clone()).await?;
    let portals = rig
        .running
        .portals::<Gate>()
        .expect("a bridge to the village");
    let square = "square".to_owned();
    until("the bridge has begun", || async {
        portals.of(&square).await.is_ok()
    })
    .await?;
    let room = RoomId::parse("!made:localhost")?;
    portals.link(None, &room, &square).await?;
    // Since room version 12 the id of a room says no server.
    let tombstone = json!({
        "event_id": "$gone", "room_id": "!made:localhost", "sender": "@mod:far.example",
        "type": "m.room.tombstone", "state_key": "", "origin_server_ts": 1,
        "content": { "replacement_room": "!newer" }
    });
    assert_eq!(rig.put_events("1", &[tombstone]).await, 200);
    let joins = || host.asked_of("newer");
    let joins = || {
        joins()
            .into_iter()
            .find(|asked| asked.path.contains("/join/"))
    };
    until("the bridge joins the new room", || async {
        joins().is_some()
    })
    .await?;
    let query = joins().expect("asked").query;
    assert_eq!(query.get("via").map(String::as_str), Some("far.example"));
    Ok(())
}
