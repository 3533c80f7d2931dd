//! What is asked for again: it is another wish, or the same.

use bridgehead_testkit::lab::{Fault, Lab};
use bytes::Bytes;
use http::{Method, Response, StatusCode};

use super::Stage;

#[test]
fn an_unlinking_that_was_given_up_may_be_asked_for_again() {
    Lab::run(async |lab| {
        let stage = Stage::new(&lab, &["square"]).await;
        stage.enter("square").await;
        stage.village.say("square", "bob", "hello");
        stage.settle().await;
        let portal = stage.portal("square").await.expect("linked");
        // A no for good.
        let no = Bytes::from_static(br#"{"errcode":"M_UNKNOWN","error":"not today"}"#);
        let mut no = Response::new(no);
        *no.status_mut() = StatusCode::BAD_REQUEST;
        let leave = Fault::of_calls().on(Method::POST, "/leave");
        lab.faults().plan(leave.answer(no));
        let taken = stage.portals().unbridge(&portal, None).await;
        taken.expect("taken");
        stage.settle().await;
        assert!(lab.faults().unused().is_empty());
        assert!(stage.portal("square").await.is_some(), "it was given up");
        let taken = stage.portals().unbridge(&portal, None).await;
        taken.expect("taken");
        stage.settle().await;
        assert!(stage.portal("square").await.is_none());
    });
}

#[test]
fn an_unlinking_is_of_the_link_that_was_meant() {
    Lab::run(async |lab| {
        let stage = Stage::new(&lab, &["square"]).await;
        stage.enter("square").await;
        let old = stage.portal("square").await.expect("linked");
        let taken = stage.portals().unbridge(&old, None).await;
        taken.expect("taken");
        stage.settle().await;
        lab.pass(std::time::Duration::from_secs(1)).await;
        let room = stage.enter("square").await;
        // Whoever asks has looked before that.
        let taken = stage.portals().unbridge(&old, None).await;
        taken.expect("taken");
        stage.settle().await;
        assert_eq!(stage.portal("square").await.expect("linked").matrix, room);
    });
}

#[test]
fn there_and_back_and_there_again_are_three_edits() {
    Lab::run(async |lab| {
        let stage = Stage::new(&lab, &["square"]).await;
        let room = stage.enter("square").await;
        let id = stage.village.say("square", "bob", "tea");
        stage.settle().await;
        for text in ["coffee", "tea", "coffee"] {
            stage.village.change("square", "bob", &id, text);
            stage.settle().await;
        }
        // What it says already is no news.
        stage.village.change("square", "bob", &id, "coffee");
        stage.settle().await;
        assert_eq!(
            stage.said(&room).await,
            [
                "_village_bob: tea",
                "_village_bob: * coffee",
                "_village_bob: * tea",
                "_village_bob: * coffee"
            ]
        );
    });
}

#[test]
fn a_room_that_the_network_calls_otherwise_keeps_its_portal() {
    Lab::run(async |lab| {
        let stage = Stage::new(&lab, &["square", "market", "hall"]).await;
        let room = stage.enter("square").await;
        let portal = stage.portal("square").await.expect("linked");
        let market = "market".to_owned();
        assert!(stage.portals().rename(&portal, &market).await.unwrap());
        assert!(stage.portal("square").await.is_none());
        stage.village.say("market", "bob", "hello");
        stage.settle().await;
        assert_eq!(stage.said(&room).await, ["_village_bob: hello"]);
        // What has a portal keeps it.
        let hall = stage.enter("hall").await;
        let portal = stage.portal("market").await.expect("linked");
        let taken = "hall".to_owned();
        assert!(!stage.portals().rename(&portal, &taken).await.unwrap());
        assert_eq!(stage.portal("market").await.expect("linked").matrix, room);
        assert_eq!(stage.portal("hall").await.expect("linked").matrix, hall);
    });
}
