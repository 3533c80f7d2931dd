//! Two who talk alone.

use bridgehead_appservice::bridge::PortalKind;
use bridgehead_testkit::lab::{Fault, Lab};
use http::{Method, StatusCode};
use serde_json::json;

use super::{Stage, ghost};

#[test]
fn who_invites_a_ghost_talks_to_whom_it_stands_for() {
    Lab::run(async |lab| {
        let stage = Stage::new(&lab, &[]).await;
        let body = json!({
            "is_direct": true, "preset": "trusted_private_chat", "invite": [ghost("bob")]
        });
        let room = stage.alice.create_room_with(&body).await.expect("a room");
        stage.settle().await;
        let members = stage.alice.members(&room).await.expect("members");
        assert_eq!(members[&ghost("bob")], "join");
        let place = "alice and bob";
        let portal = stage.portal(place).await.expect("linked");
        assert_eq!(
            (&portal.matrix, portal.data.kind),
            (&room, PortalKind::Direct)
        );
        assert_eq!(stage.village.watched(), [place]);

        stage.alice.say(&room, "psst").await.expect("said");
        stage.settle().await;
        stage.village.say(place, "bob", "what is it?");
        stage.settle().await;
        assert_eq!(
            stage.said(&room).await,
            ["alice: psst", "_village_bob: what is it?"]
        );
        assert_eq!(
            stage.village.heard(place),
            ["guest alice: psst", "bob: what is it?"]
        );

        // It is the same talk, wherever else she asks for it.
        let again = stage.alice.create_room_with(&body).await.expect("a room");
        stage.settle().await;
        let members = stage.alice.members(&again).await.expect("members");
        assert_eq!(members[&ghost("bob")], "leave");
        assert_eq!(stage.portal(place).await.expect("linked").matrix, room);

        // Once she has left, it goes on wherever she asks for it.
        stage.alice.leave(&room).await.expect("left");
        stage.settle().await;
        assert!(stage.portal(place).await.is_none());
        let hers = json!({ "is_direct": true, "invite": [ghost("bob")] });
        let anew = stage.alice.create_room_with(&hers).await.expect("a room");
        stage.settle().await;
        assert_eq!(stage.portal(place).await.expect("linked").matrix, anew);
        // Putting the other out of the room ends it as well.
        stage
            .alice
            .kick(&anew, &ghost("bob"))
            .await
            .expect("she may");
        stage.settle().await;
        assert!(stage.portal(place).await.is_none());
    });
}

#[test]
fn every_invitation_is_answered() {
    Lab::run(async |lab| {
        let stage = Stage::new(&lab, &["square"]).await;
        // Somebody who talks to nobody alone.
        let body = json!({ "is_direct": true, "invite": [ghost("hermit")] });
        let room = stage.alice.create_room_with(&body).await.expect("a room");
        stage.settle().await;
        let member = stage
            .alice
            .state(&room, "m.room.member", ghost("hermit").as_str())
            .await
            .expect("an answer");
        assert_eq!(member["membership"], "leave");
        assert_eq!(
            member["reason"],
            "nobody can be talked to alone on the village"
        );
    });
}

#[test]
fn somebody_of_the_village_may_begin_the_talk() {
    Lab::run(async |lab| {
        let stage = Stage::new(&lab, &[]).await;
        stage.village.say("alice and bob", "bob", "psst, alice");
        stage.settle().await;
        let invited = stage.alice.invitations().await.expect("read");
        let room = stage.alice.join(&invited[0]).await.expect("invited");
        stage.alice.say(&room, "what is it?").await.expect("said");
        stage.settle().await;
        assert_eq!(
            stage.said(&room).await,
            ["_village_bob: psst, alice", "alice: what is it?"]
        );
        let members = stage.alice.members(&room).await.expect("members");
        assert_eq!(members.len(), 2, "{members:?}");
        let portal = stage.portal("alice and bob").await.expect("linked");
        assert_eq!(portal.data.kind, PortalKind::Direct);
        assert_eq!(
            stage
                .village
                .heard("alice and bob")
                .last()
                .map(String::as_str),
            Some("guest alice: what is it?")
        );
    });
}

#[test]
fn an_invitation_into_a_room_with_others_makes_no_talk_of_two() {
    Lab::run(async |lab| {
        let stage = Stage::new(&lab, &[]).await;
        let carol = lab.user("carol").await.expect("a new user");
        let body = json!({ "preset": "public_chat" });
        let room = stage.alice.create_room_with(&body).await.expect("a room");
        carol.join(&room).await.expect("open");
        stage
            .alice
            .invite(&room, &ghost("bob"))
            .await
            .expect("she may");
        stage.settle().await;
        assert!(stage.portal("alice and bob").await.is_none());
        let key = ghost("bob");
        let member = stage
            .alice
            .state(&room, "m.room.member", key.as_str())
            .await;
        let member = member.expect("an answer");
        assert_eq!(member["membership"], "leave");
        let reason = member["reason"].as_str().expect("a reason");
        assert!(reason.contains("there are others in this room"), "{reason}");
        // Those who are invited will be others, too.
        let body = json!({ "invite": [carol.id(), ghost("bob")] });
        stage.alice.create_room_with(&body).await.expect("a room");
        stage.settle().await;
        assert!(stage.portal("alice and bob").await.is_none());
        assert!(stage.village.watched().is_empty());
        // With nobody else it is one, whatever the client says.
        let body = json!({ "invite": [ghost("bob")] });
        let alone = stage.alice.create_room_with(&body).await.expect("a room");
        stage.settle().await;
        assert_eq!(
            stage.portal("alice and bob").await.expect("linked").matrix,
            alone
        );
    });
}

#[test]
fn a_homeserver_that_fails_to_say_who_is_there_ends_no_talk() {
    Lab::run(async |lab| {
        let stage = Stage::new(&lab, &[]).await;
        let body = json!({ "is_direct": true, "invite": [ghost("bob")] });
        let room = stage.alice.create_room_with(&body).await.expect("a room");
        stage.settle().await;
        let asked = Fault::of_calls().on(Method::GET, "/joined_members");
        lab.faults()
            .plan(asked.answer_status(StatusCode::BAD_GATEWAY).times(8));
        let again = stage.alice.create_room_with(&body).await.expect("a room");
        stage.settle().await;
        assert!(lab.faults().unused().is_empty());
        assert_eq!(
            stage.portal("alice and bob").await.expect("linked").matrix,
            room
        );
        let members = stage.alice.members(&room).await.expect("members");
        assert_eq!(members[&ghost("bob")], "join");
        let members = stage.alice.members(&again).await.expect("members");
        assert_eq!(members[&ghost("bob")], "leave");
    });
}
