//! Who may link what: power in the room of Matrix is one half of it.

use bridgehead_appservice::id::RoomId;
use bridgehead_testkit::lab::{Lab, LabUser};

use super::{Stage, bot};

/// A room of somebody's with the bridge in it.
async fn room_of(stage: &Stage, owner: &LabUser) -> RoomId {
    let room = owner.create_room("a room of my own").await.expect("a room");
    owner.invite(&room, &bot()).await.expect("invited");
    stage.settle().await;
    room
}

/// The bridge's answer to a command.
async fn answer(stage: &Stage, owner: &LabUser, room: &RoomId, command: &str) -> String {
    owner.say(room, command).await.expect("said");
    stage.settle().await;
    let texts = owner.texts(room).await.expect("in the room");
    texts.last().cloned().expect("an answer")
}

#[test]
fn nobody_links_the_talk_of_two_others() {
    Lab::run(async |lab| {
        let stage = Stage::new(&lab, &["square"]).await;
        let mallory = lab.user("mallory").await.expect("a new user");
        let room = room_of(&stage, &mallory).await;
        let command = "!village link \"alice and bob\"";
        let said = answer(&stage, &mallory, &room, command).await;
        assert!(said.contains("nobody can link that"), "{said}");
        assert!(stage.portal("alice and bob").await.is_none());
        assert!(stage.village.watched().is_empty());

        // Where the two talk is nobody else's business either.
        stage.village.say("alice and bob", "bob", "psst, alice");
        stage.settle().await;
        let portal = stage.portal("alice and bob").await.expect("made");
        let said = answer(&stage, &mallory, &room, command).await;
        assert!(said.contains("nobody can link that"), "{said}");
        assert!(!said.contains(portal.matrix.as_str()), "{said}");
        stage.village.say("alice and bob", "bob", "are you there?");
        stage.settle().await;
        let heard = mallory.texts(&room).await.expect("in the room");
        assert!(
            !heard.iter().any(|text| text.contains("are you there")),
            "{heard:?}"
        );
    });
}

#[test]
fn closed_rooms_are_linked_by_those_alone_whom_the_network_lets() {
    Lab::run(async |lab| {
        let stage = Stage::new(&lab, &["square", "cellar"]).await;
        stage.village.hide("cellar");
        let room = room_of(&stage, &stage.alice).await;
        let said = answer(&stage, &stage.alice, &room, "!village link cellar").await;
        assert!(said.contains("you may not link that room"), "{said}");
        assert!(stage.portal("cellar").await.is_none());
        // Who runs the bridge may; and everybody what is open to all.
        let root = lab.user("root").await.expect("a new user");
        let own = room_of(&stage, &root).await;
        answer(&stage, &root, &own, "!village link cellar").await;
        assert_eq!(stage.portal("cellar").await.expect("linked").matrix, own);
        answer(&stage, &stage.alice, &room, "!village link square").await;
        assert_eq!(stage.portal("square").await.expect("linked").matrix, room);
    });
}
