//! Commands, people's own rooms with the bot, and rooms that are linked by command.

use bridgehead_appservice::{
    bridge::{CommandAsk, CommandError, Commands, Level, PortalKind},
    prelude::*,
};
use bridgehead_testkit::lab::{Lab, LabUser};
use serde_json::json;

use super::{Stage, bot, bridge, service, village::Village};

fn with_commands(village: &Village) -> Service {
    service(bridge(village)).commands(
        Commands::new("!village")
            .command(
                "add",
                "<a> <b> [--twice]: adds two numbers",
                |ask: CommandAsk| async move {
                    let (a, b): (i64, i64) = (ask.arg(0, "a")?, ask.arg(1, "b")?);
                    let sum = if ask.has("twice") { 2 * (a + b) } else { a + b };
                    Ok::<_, CommandError>(format!("{sum}"))
                },
            )
            .command_for(
                Level::Admin,
                "doom",
                "ends the village",
                |_: CommandAsk| async { "the village is no more" },
            ),
    )
}

/// Somebody's own room with the bot.
async fn own_room(stage: &Stage, user: &LabUser) -> RoomId {
    let body = json!({ "is_direct": true, "preset": "trusted_private_chat", "invite": [bot()] });
    let room = user.create_room_with(&body).await.expect("a room");
    stage.settle().await;
    room
}

#[test]
fn in_ones_own_room_every_message_is_a_command() {
    Lab::run(async |lab| {
        let village = Village::new(&["square"]);
        let stage = Stage::with(&lab, &village, with_commands(&village)).await;
        let room = own_room(&stage, &stage.alice).await;
        let ask = async |text: &str| {
            stage.alice.say(&room, text).await.expect("said");
            stage.settle().await;
            let events = stage.events(&room, "m.room.message").await;
            let last = events.last().expect("an answer").clone();
            assert_eq!(
                (&last.sender, last.text("msgtype")),
                (&bot(), Some("m.notice"))
            );
            last.text("body").expect("a text").to_owned()
        };
        assert_eq!(ask("add 2 3").await, "5");
        assert_eq!(ask("!village add 2 3 --twice").await, "10");
        assert_eq!(ask("!add 3 4").await, "7");
        assert_eq!(ask("add 2").await, "That was not done: b is missing.");
        assert!(ask("add 2 three").await.contains("three is no b"));
        assert!(ask("adn 2 3").await.contains("Did you mean add?"));
        assert!(ask("say \"open").await.contains("opened and not closed"));
        assert_eq!(ask("doom").await, "You may not give the command doom.");
        let help = ask("help").await;
        assert!(
            help.contains("add <a> <b> [--twice]") && help.contains("link"),
            "{help}"
        );
        assert!(!help.contains("doom"), "{help}");
        // It is known again after a start.
        stage.restart().await;
        assert_eq!(ask("add 20 3").await, "23");
    });
}

#[test]
fn elsewhere_commands_have_a_prefix_and_are_not_bridged() {
    Lab::run(async |lab| {
        let village = Village::new(&["square"]);
        let stage = Stage::with(&lab, &village, with_commands(&village)).await;
        let room = stage.enter("square").await;
        stage.alice.say(&room, "add 2 3").await.expect("said");
        stage
            .alice
            .say(&room, "!village add 2 3")
            .await
            .expect("said");
        let notice = json!({ "msgtype": "m.notice", "body": "!village add 4 4" });
        stage
            .alice
            .send(&room, "m.room.message", &notice)
            .await
            .expect("sent");
        stage.settle().await;
        let said = stage.said(&room).await;
        assert_eq!(
            said,
            [
                "alice: add 2 3",
                "alice: !village add 2 3",
                "alice: !village add 4 4",
                "villagebot: 5"
            ]
        );
        assert_eq!(
            stage.village.heard("square")[1..],
            ["guest alice: add 2 3", "guest alice: !village add 4 4"]
        );
    });
}

#[test]
fn who_may_not_is_not_listened_to() {
    Lab::run(async |lab| {
        let village = Village::new(&["square"]);
        let service = with_commands(&village).permissions(
            bridgehead_appservice::bridge::Permissions::new()
                .allow("@mallory:localhost", Level::Blocked)
                .allow("@guest:localhost", Level::Relay),
        );
        let stage = Stage::with(&lab, &village, service).await;
        let mallory = lab.user("mallory").await.expect("a new user");
        let room = own_room(&stage, &mallory).await;
        let members = mallory.members(&room).await.expect("members");
        assert_eq!(members[&bot()], "leave");

        let square = stage.enter("square").await;
        for name in ["mallory", "guest"] {
            let user = lab.user(name).await.expect("a user");
            user.join(&square).await.expect("public");
            user.say(&square, &format!("I am {name}"))
                .await
                .expect("said");
            user.say(&square, "!village help").await.expect("said");
        }
        stage.settle().await;
        let heard = stage.village.heard("square");
        assert!(
            heard.contains(&"guest guest: I am guest".to_owned()),
            "{heard:?}"
        );
        assert!(
            !heard.iter().any(|line| line.contains("I am mallory")),
            "{heard:?}"
        );
        let said = stage.said(&square).await;
        let refused = said
            .iter()
            .filter(|line| *line == "villagebot: You may not give commands here.");
        assert_eq!(refused.count(), 2, "{said:?}");
        // Mallory's client is told, and nobody else.
        let states = stage
            .events(&square, "com.beeper.message_send_status")
            .await;
        assert_eq!(states[0].content["reason"], "m.no_permission");
    });
}

#[test]
fn a_room_with_company_is_nobodys_own() {
    Lab::run(async |lab| {
        let village = Village::new(&["square"]);
        let stage = Stage::with(&lab, &village, with_commands(&village)).await;
        let room = own_room(&stage, &stage.alice).await;
        let bob = lab.user("bob").await.expect("a new user");
        stage.alice.invite(&room, bob.id()).await.expect("invited");
        bob.join(&room).await.expect("invited");
        stage.settle().await;
        stage.alice.say(&room, "add 2 3").await.expect("said");
        stage
            .alice
            .say(&room, "!village add 2 3")
            .await
            .expect("said");
        stage.settle().await;
        let said = stage.said(&room).await;
        assert_eq!(
            said.last().map(String::as_str),
            Some("villagebot: 5"),
            "{said:?}"
        );
        assert_eq!(
            said.iter().filter(|line| line.ends_with(": 5")).count(),
            1,
            "{said:?}"
        );
        assert!(
            said.iter()
                .any(|line| line.contains("not alone here any more")),
            "{said:?}"
        );
    });
}

#[test]
fn who_is_to_be_told_something_gets_a_room_and_it_is_used_again() {
    Lab::run(async |lab| {
        let stage = Stage::new(&lab, &["square"]).await;
        let running = stage.service.running();
        let management = running.management();
        management
            .notify(stage.alice.id(), "the *first* news")
            .await
            .expect("told");
        let invited = stage.alice.invitations().await.expect("read");
        let room = stage.alice.join(&invited[0]).await.expect("invited");
        stage.settle().await;
        management
            .notify(stage.alice.id(), "the second")
            .await
            .expect("told");
        assert_eq!(
            stage.said(&room).await,
            ["villagebot: the first news", "villagebot: the second"]
        );
        assert_eq!(
            management.room_of(stage.alice.id()).await.expect("read"),
            Some(room.clone())
        );
        // Who has left gets another.
        stage.alice.leave(&room).await.expect("left");
        stage.settle().await;
        management
            .notify(stage.alice.id(), "the third")
            .await
            .expect("told");
        let invited = stage.alice.invitations().await.expect("read");
        assert_eq!(invited.len(), 1);
        assert_ne!(invited[0], room);
    });
}

#[test]
fn linking_takes_power_in_the_room() {
    Lab::run(async |lab| {
        let stage = Stage::new(&lab, &["square", "church"]).await;
        let room = stage.alice.create_room("our room").await.expect("a room");
        stage.alice.invite(&room, &bot()).await.expect("invited");
        let bob = lab.user("bob").await.expect("a new user");
        stage.alice.invite(&room, bob.id()).await.expect("invited");
        bob.join(&room).await.expect("invited");
        stage.settle().await;
        let ask = async |user: &LabUser, text: &str| {
            user.say(&room, text).await.expect("said");
            stage.settle().await;
            stage.said(&room).await.pop().expect("an answer")
        };
        let refused = ask(&bob, "!village link square").await;
        assert!(
            refused.contains("that takes the power 50 in this room, and you have 0"),
            "{refused}"
        );
        let nowhere = ask(&stage.alice, "!village link nowhere").await;
        assert!(
            nowhere.contains("the village has no such room"),
            "{nowhere}"
        );
        let words = ask(&stage.alice, "!village link the square").await;
        assert!(words.contains("named by 1 words"), "{words}");
        let linked = ask(&stage.alice, "!village link square").await;
        assert_eq!(linked, "villagebot: This room is linked to square now.");
        let portal = stage.portal("square").await.expect("linked");
        assert_eq!(
            (portal.matrix, portal.data.kind),
            (room.clone(), PortalKind::Plumbed)
        );
        let twice = ask(&stage.alice, "!village link church").await;
        assert!(twice.contains("linked to square already"), "{twice}");

        stage.village.say("square", "bob", "who is new here?");
        stage.settle().await;
        stage.alice.say(&room, "we are").await.expect("said");
        stage.settle().await;
        assert_eq!(
            stage.village.heard("square").last().map(String::as_str),
            Some("guest alice: we are")
        );

        let refused = ask(&bob, "!village unlink").await;
        assert!(refused.contains("that takes the power"), "{refused}");
        stage
            .alice
            .say(&room, "!village unlink")
            .await
            .expect("said");
        stage.settle().await;
        assert!(stage.portal("square").await.is_none());
        let members = stage.alice.members(&room).await.expect("members");
        assert_eq!(members[&bot()], "leave");
        assert_eq!(members[&super::ghost("bob")], "leave");
        assert!(stage.village.watched().is_empty());
    });
}
