//! Portals are made when they are needed, once, and say what they are.

use bridgehead_appservice::bridge::{PortalKind, RoomChange};
use bridgehead_testkit::lab::{Fault, Lab};
use http::Method;
use serde_json::json;

use super::{Stage, alias, bot, bridge, service, village::Village};

#[test]
fn a_portal_is_made_for_whoever_asks_and_only_where_there_is_something() {
    Lab::run(async |lab| {
        let stage = Stage::new(&lab, &["square", "cellar"]).await;
        stage.village.hide("cellar");
        let room = stage.enter("square").await;
        let portal = stage.portal("square").await.expect("linked");
        assert_eq!(
            (&portal.matrix, portal.data.kind),
            (&room, PortalKind::Made)
        );
        assert_eq!(portal.data.alias, Some(alias("square")));
        let name = stage
            .alice
            .state(&room, "m.room.name", "")
            .await
            .expect("a name");
        assert_eq!(name["name"], "square");
        for nowhere in ["#village_nowhere:localhost", "#village_cellar:localhost"] {
            let error = stage.alice.join(nowhere).await.expect_err("no such room");
            assert_eq!(
                error.status().map(|status| status.as_u16()),
                Some(404),
                "{error}"
            );
        }
        assert_eq!(stage.village.watched(), ["square"]);
    });
}

#[test]
fn whoever_speaks_first_makes_the_portal() {
    Lab::run(async |lab| {
        let stage = Stage::new(&lab, &["square"]).await;
        stage.village.say("square", "bob", "is anybody here?");
        stage.village.say("somewhere else", "bob", "or here?");
        stage.settle().await;
        let portal = stage.portal("square").await.expect("made");
        assert!(stage.portal("somewhere else").await.is_none());
        let room = stage.enter("square").await;
        assert_eq!(portal.matrix, room);
        assert_eq!(stage.said(&room).await, ["_village_bob: is anybody here?"]);
    });
}

#[test]
fn where_portals_are_made_when_asked_nobody_makes_one_by_speaking() {
    Lab::run(async |lab| {
        let village = Village::new(&["square"]);
        let service = service(bridge(&village).portals_when_asked());
        let stage = Stage::with(&lab, &village, service).await;
        stage.village.say("square", "bob", "is anybody here?");
        stage.settle().await;
        assert!(stage.portal("square").await.is_none());
        assert_eq!(stage.village.lost(), [] as [String; 0], "nothing was tried");
        let room = stage.enter("square").await;
        stage.village.say("square", "bob", "and now?");
        stage.settle().await;
        assert_eq!(stage.said(&room).await, ["_village_bob: and now?"]);
    });
}

#[test]
fn a_room_says_what_it_is_bridged_to_and_only_when_that_is_news() {
    Lab::run(async |lab| {
        let stage = Stage::new(&lab, &["square"]).await;
        let room = stage.enter("square").await;
        let key = "io.bridgehead://village/square";
        for kind in ["m.bridge", "uk.half-shot.bridge"] {
            let info = stage.alice.state(&room, kind, key).await.expect("there");
            assert_eq!(
                info,
                json!({
                    "bridgebot": bot(),
                    "protocol": { "id": "village", "displayname": "the village" },
                    "channel": { "id": "square", "displayname": "square" },
                }),
                "{kind}"
            );
        }
        stage.village.put_up("square", "bob", "market day");
        stage.settle().await;
        stage.restart().await;
        assert_eq!(stage.events(&room, "m.bridge").await.len(), 1);
        let change = RoomChange::new().name("Market square");
        let remote = stage.portals().remote();
        remote
            .change(&"square".to_owned(), None, change)
            .await
            .expect("taken");
        stage.settle().await;
        let infos = stage.events(&room, "m.bridge").await;
        assert_eq!(infos.len(), 2);
        assert_eq!(infos[1].content["channel"]["displayname"], "Market square");
        let name = stage
            .alice
            .state(&room, "m.room.name", "")
            .await
            .expect("a name");
        assert_eq!(name["name"], "Market square");
    });
}

#[test]
fn a_portal_that_was_made_and_not_noted_is_found_again() {
    // The answer to the making is lost and the service crashes; private rooms have no alias to be found by.
    for hidden in [false, true] {
        Lab::run(async |lab| {
            let stage = Stage::new(&lab, &["square"]).await;
            if hidden {
                stage.village.hide("square");
            }
            let made = || Fault::of_calls().on(Method::POST, "/createRoom");
            lab.faults().plan(made().lose_answer());
            stage.village.say("square", "bob", "hello");
            stage.settle().await;
            assert!(lab.faults().unused().is_empty());
            stage.restart().await;
            let portal = stage.portal("square").await.expect("linked");
            let bots = stage.service.running().bot().rooms().await.expect("read");
            let rooms: Vec<_> = bots.iter().map(|room| room.id.clone()).collect();
            assert_eq!(rooms, [portal.matrix], "hidden: {hidden}");
        });
    }
}

#[test]
fn a_portal_that_the_bridge_is_removed_from_is_broken_until_it_is_back() {
    Lab::run(async |lab| {
        let stage = Stage::new(&lab, &["square"]).await;
        let room = stage.alice.create_room("our room").await.expect("a room");
        stage.alice.invite(&room, &bot()).await.expect("invited");
        stage.settle().await;
        stage
            .alice
            .say(&room, "!village link square")
            .await
            .expect("said");
        stage.settle().await;
        assert_eq!(stage.portal("square").await.expect("linked").matrix, room);

        stage.alice.kick(&room, &bot()).await.expect("she may");
        stage.settle().await;
        let broken = stage
            .portal("square")
            .await
            .expect("still linked")
            .data
            .broken;
        assert!(
            broken
                .expect("broken")
                .contains("removed from the room by @alice")
        );
        stage.village.say("square", "bob", "do you hear me?");
        stage.settle().await;
        // Whoever linked it is told, in a room of their own.
        let invited = stage.alice.invitations().await.expect("read");
        assert_eq!(invited.len(), 1);
        let own = stage.alice.join(&invited[0]).await.expect("invited");
        let told = stage.said(&own).await;
        assert!(told[0].contains("is cut off from the village"), "{told:?}");

        stage.alice.invite(&room, &bot()).await.expect("invited");
        stage.settle().await;
        assert_eq!(
            stage.portal("square").await.expect("linked").data.broken,
            None
        );
        stage.village.say("square", "bob", "and now?");
        stage.settle().await;
        let said = stage.said(&room).await;
        assert_eq!(
            said.last().map(String::as_str),
            Some("_village_bob: and now?")
        );
        assert!(
            !said.iter().any(|line| line.contains("do you hear me")),
            "{said:?}"
        );
    });
}

#[test]
fn a_place_that_is_gone_is_told_in_the_room() {
    Lab::run(async |lab| {
        let stage = Stage::new(&lab, &["square"]).await;
        let room = stage.enter("square").await;
        stage.village.close_place("square", "the river took it");
        stage.settle().await;
        let said = stage.said(&room).await;
        assert_eq!(
            said,
            ["villagebot: This room is cut off from the village: the river took it"]
        );
        stage.alice.say(&room, "anybody?").await.expect("said");
        stage.settle().await;
        let states = stage.events(&room, "com.beeper.message_send_status").await;
        assert_eq!(states[0].content["status"], "FAIL_RETRIABLE");
    });
}

#[test]
fn an_alias_that_was_taken_away_is_back_when_it_is_asked_for() {
    Lab::run(async |lab| {
        let stage = Stage::new(&lab, &["square"]).await;
        let room = stage.enter("square").await;
        let bot = stage.service.running().bot();
        assert!(bot.remove_alias(&alias("square")).await.expect("its own"));
        let begun_ms = lab.now_ms();
        let bob = lab.user("bob").await.expect("a new user");
        let joined = bob.join("#village_square:localhost").await;
        assert_eq!(joined.expect("it is back"), room);
        let took_ms = lab.now_ms() - begun_ms;
        assert!(took_ms < 5_000, "{took_ms} ms");
    });
}
