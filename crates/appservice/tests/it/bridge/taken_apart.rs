//! A portal that is taken apart leaves nothing behind.

use std::time::Duration;

use bridgehead_appservice::bridge::Orphan;
use bridgehead_testkit::lab::{Fault, Lab};
use http::Method;

use super::{Stage, bot, ghost};

#[test]
fn a_crash_in_the_middle_is_gone_on_from() {
    Lab::run_seeds(0..6, async |lab| {
        let stage = Stage::new(&lab, &["square"]).await;
        let room = stage.enter("square").await;
        for n in 0..6 {
            stage.village.say("square", &format!("guest{n}"), "hello");
        }
        stage.settle().await;
        let portal = stage.portal("square").await.expect("linked");
        stage
            .portals()
            .unbridge(&portal, None)
            .await
            .expect("taken");
        // The answers of some leavings are lost, and then the service crashes somewhere on the way.
        let leave = || Fault::of_calls().on(Method::POST, "/leave");
        lab.faults().plan(leave().lose_answer());
        lab.pass(Duration::from_millis(lab.seed() * 7)).await;
        stage.restart().await;
        assert!(
            stage.portal("square").await.is_none(),
            "seed {}",
            lab.seed()
        );
        let members = stage.alice.members(&room).await.expect("members");
        let there: Vec<_> = members
            .iter()
            .filter(|(_, is)| *is == "join")
            .map(|(user, _)| user.localpart())
            .collect();
        assert_eq!(there, ["alice"], "seed {}", lab.seed());
    });
}

#[test]
fn the_census_finds_ghosts_that_are_of_no_use() {
    Lab::run(async |lab| {
        let stage = Stage::new(&lab, &["square"]).await;
        let room = stage.enter("square").await;
        stage.village.say("square", "bob", "hello");
        stage.village.say("square", "eve", "hello");
        stage.settle().await;
        let portals = stage.portals();
        let census = async || portals.census(None, 100).await.expect("counted");
        assert_eq!(census().await, []);
        // Eve leaves the square, and Bob is in a room that is nobody's portal.
        stage.village.go("square", "eve");
        let elsewhere = stage.alice.create_room("elsewhere").await.expect("a room");
        stage
            .alice
            .invite(&elsewhere, &bot())
            .await
            .expect("invited");
        stage.settle().await;
        let bob = stage
            .service
            .running()
            .ghosts()
            .user(&ghost("bob"))
            .expect("a ghost");
        bob.join(&elsewhere).await.expect("the bot invites");
        stage.settle().await;
        let lost = Orphan {
            user_id: ghost("bob"),
            room_id: Some(elsewhere.clone()),
        };
        let idle = Orphan {
            user_id: ghost("eve"),
            room_id: None,
        };
        assert_eq!(census().await, [lost.clone(), idle.clone()]);
        let page = portals.census(None, 1).await.expect("counted");
        let next = portals.census(page.last(), 1).await.expect("counted");
        assert_eq!((page, next), (vec![lost.clone()], vec![idle.clone()]));

        assert!(portals.dismiss(&lost).await.expect("done"));
        assert!(portals.dismiss(&idle).await.expect("done"));
        assert_eq!(census().await, []);
        let members = stage.alice.members(&room).await.expect("members");
        assert_eq!(members[&ghost("bob")], "join");
        // Of use again by now: left alone.
        assert!(
            !portals
                .dismiss(&Orphan {
                    user_id: ghost("bob"),
                    room_id: Some(room.clone())
                })
                .await
                .expect("looked")
        );
    });
}

#[test]
fn what_is_said_while_a_portal_is_taken_apart_makes_no_new_one() {
    Lab::run(async |lab| {
        let stage = Stage::new(&lab, &["square"]).await;
        let room = stage.enter("square").await;
        stage.village.say("square", "bob", "hello");
        stage.settle().await;
        let portal = stage.portal("square").await.expect("linked");
        let leave = Fault::of_calls().on(Method::POST, "/leave");
        lab.faults()
            .plan(leave.delay_answer(Duration::from_secs(5)));
        let taken = stage.portals().unbridge(&portal, None).await;
        taken.expect("taken");
        lab.pass(Duration::from_secs(1)).await;
        assert!(stage.portal("square").await.is_some(), "still under way");
        let late: Vec<_> = ["wait", "what?"]
            .map(|text| stage.village.say("square", "bob", text))
            .iter()
            .map(|id| format!("{id} in square"))
            .collect();
        stage.settle().await;
        assert!(stage.portal("square").await.is_none());
        assert!(stage.village.watched().is_empty());
        assert_eq!(stage.village.lost(), late);
        // What is said afterwards is something new.
        stage.village.say("square", "bob", "anew");
        stage.settle().await;
        assert_ne!(stage.portal("square").await.expect("made").matrix, room);
    });
}
