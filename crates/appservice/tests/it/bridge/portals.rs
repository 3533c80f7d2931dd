//! Portals are made when they are needed, once, and say what they are.

use std::time::Duration;

use bridgehead_appservice::bridge::RoomChange;
use bridgehead_testkit::lab::{Fault, Lab};
use http::{Method, StatusCode};
use serde_json::json;

use super::{Stage, alias, bot, bridge, service, village::Village};

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

/// The bridge listens before the room is made, so nothing that is said meanwhile is missed, and who is there is there.
#[test]
fn what_the_network_says_of_a_room_that_is_being_made_waits_for_it() {
    Lab::run(async |lab| {
        let stage = Stage::new(&lab, &["square"]).await;
        stage.village.draw("square", "miller");
        let room = stage.enter("square").await;
        stage.settle().await;
        let members = stage.alice.members(&room).await.expect("members");
        let miller = members.get(&super::ghost("miller"));
        assert_eq!(miller.map(String::as_str), Some("join"));
        stage.village.say("square", "bob", "still there?");
        stage.settle().await;
        assert_eq!(stage.said(&room).await, ["_village_bob: still there?"]);
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

/// Returns when no more than so many of the planned faults are left.
async fn until_used(lab: &Lab, left: usize) {
    while lab.faults().unused().len() > left {
        lab.pass(std::time::Duration::from_millis(10)).await;
    }
}

#[test]
fn a_portal_whose_making_was_not_answered_is_made_once() {
    Lab::run(async |lab| {
        let stage = Stage::new(&lab, &["square"]).await;
        let made = Fault::of_calls().on(Method::PUT, "/createRoom/");
        lab.faults().plan(made.lose_answer());
        stage.village.say("square", "bob", "hello");
        stage.settle().await;
        assert!(lab.faults().unused().is_empty());
        let portal = stage.portal("square").await.expect("linked");
        let bots = stage.service.running().bot().rooms().await.expect("read");
        let rooms: Vec<_> = bots.iter().map(|room| room.id.clone()).collect();
        assert_eq!(rooms, [portal.matrix]);
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
            // It is one that knows no transaction ids here.
            let making = |method| Fault::of_calls().on(method, "/createRoom");
            let page = making(Method::PUT).answer_status(StatusCode::NOT_FOUND);
            lab.faults().plan(page.times(2));
            lab.faults().plan(making(Method::POST).lose_answer());
            stage.village.say("square", "bob", "hello");
            until_used(&lab, 1).await;
            stage.restart().await;
            assert_eq!(lab.faults().unused().len(), 1, "it is not asked for again");
            let portal = stage.portal("square").await.expect("linked");
            let bots = stage.service.running().bot().rooms().await.expect("read");
            let rooms: Vec<_> = bots.iter().map(|room| room.id.clone()).collect();
            assert_eq!(rooms, [portal.matrix], "hidden: {hidden}");
        });
    }
}

/// How the bridge is removed from a room.
#[derive(Clone, Copy, Debug)]
enum Removal {
    Kick,
    Ban,
}

#[test]
fn a_portal_that_the_bridge_is_removed_from_is_broken_until_it_is_back() {
    for removal in [Removal::Kick, Removal::Ban] {
        Lab::run(async |lab| removed_and_back(&lab, removal).await);
    }
}

async fn removed_and_back(lab: &Lab, removal: Removal) {
    let stage = Stage::new(lab, &["square"]).await;
    let (alice, village) = (&stage.alice, &stage.village);
    let room = alice.create_room("our room").await.expect("a room");
    alice.invite(&room, &bot()).await.expect("invited");
    stage.settle().await;
    alice
        .say(&room, "!village link square")
        .await
        .expect("said");
    stage.settle().await;
    assert_eq!(stage.portal("square").await.expect("linked").matrix, room);

    match removal {
        Removal::Kick => alice.kick(&room, &bot()).await.expect("she may"),
        Removal::Ban => alice.ban(&room, &bot()).await.expect("she may"),
    }
    stage.settle().await;
    let broken = stage.portal("square").await.expect("still linked");
    let reason = broken.data.broken.expect("broken");
    assert!(
        reason.contains("removed from the room by @alice"),
        "{reason}"
    );
    let before = lines_of(lab, "village → host").await;
    village.say("square", "bob", "do you hear me?");
    stage.settle().await;
    // Whoever linked it is told, in a room of their own.
    let invited = alice.invitations().await.expect("read");
    assert_eq!(invited.len(), 1, "{removal:?}");
    let own = alice.join(&invited[0]).await.expect("invited");
    let told = stage.said(&own).await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("is cut off from the village"), "{told:?}");
    // Nobody knocks at the door, however long it stays shut.
    lab.pass(Duration::from_secs(24 * 3600)).await;
    let asked = lines_of(lab, "village → host").await - before;
    assert!(asked <= 4, "{asked} calls in a day, {removal:?}");

    if matches!(removal, Removal::Ban) {
        alice.unban(&room, &bot()).await.expect("she may");
        stage.settle().await;
        let portal = stage.portal("square").await.expect("linked");
        assert!(portal.data.broken.is_some(), "nobody has asked it back");
    }
    alice.invite(&room, &bot()).await.expect("invited");
    stage.settle().await;
    let portal = stage.portal("square").await.expect("linked");
    assert_eq!(portal.data.broken, None, "{removal:?}");
    village.say("square", "bob", "and now?");
    alice.say(&room, "all is well").await.expect("said");
    stage.settle().await;
    let said = stage.said(&room).await;
    assert!(
        said.contains(&"_village_bob: and now?".to_owned()),
        "{removal:?}: {said:?}"
    );
    assert!(
        !said.iter().any(|line| line.contains("do you hear me")),
        "{said:?}"
    );
    let heard = village.heard("square");
    assert!(
        heard.contains(&"guest alice: all is well".to_owned()),
        "{heard:?}"
    );
}

/// How many requests of the transcript have this.
async fn lines_of(lab: &Lab, what: &str) -> usize {
    let transcript = lab.transcript().await;
    transcript
        .lines()
        .filter(|line| line.contains(what))
        .count()
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
fn who_comes_to_a_place_that_is_gone_and_who_goes_is_known_there() {
    Lab::run(async |lab| {
        let stage = Stage::new(&lab, &["square"]).await;
        let room = stage.enter("square").await;
        stage.village.close_place("square", "the river took it");
        stage.settle().await;
        let bob = lab.user("bob").await.expect("a new user");
        bob.join(&room).await.expect("it is open");
        stage.settle().await;
        let heard = stage.village.heard("square");
        assert_eq!(heard.last().expect("heard"), "[guest bob comes]");
        bob.leave(&room).await.expect("he may");
        stage.settle().await;
        let heard = stage.village.heard("square");
        assert_eq!(heard.last().expect("heard"), "[guest bob goes]");
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
