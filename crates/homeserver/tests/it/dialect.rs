//! Services of the protocol's first years: paths without a version, tokens in the query. Found
//! out, remembered, and looked at again.

use bridgehead_testkit::{Client, TestServer};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    peer::{Asked, Peer, QUICK, Reply, room_with_ghost, server_for, server_with, start_again, yes},
    support::refused,
};

const REPROBE: &[(&str, &str)] = &[("BRIDGEHEAD_APPSERVICES_LEGACY_REPROBE_MS", "1000")];

fn no_such_page(asked: &Asked) -> Reply {
    if asked.is_versioned() {
        Reply::Html(404)
    } else {
        yes()
    }
}

fn not_found() -> Reply {
    Reply::Json(404, json!({ "errcode": "M_NOT_FOUND", "error": "no" }))
}

/// What a service does that reads its token from the query alone.
fn query_token_only(asked: &Asked) -> Reply {
    if asked.query == "access_token=hs-token-of-irc" {
        yes()
    } else {
        Reply::Json(403, json!({ "errcode": "M_FORBIDDEN" }))
    }
}

fn versioned(asked: &[Asked]) -> Vec<bool> {
    asked.iter().map(Asked::is_versioned).collect()
}

/// Sends messages until the service is asked in a way that satisfies the condition.
async fn send_until(client: &Client, room: &str, peer: &Peer, condition: impl Fn(&Asked) -> bool) {
    for number in 0..10_000 {
        let number = format!("until-{number}");
        let sent = client.send_text(room, &number, &number).await.unwrap();
        let asked = peer.wait_event(&sent).await;
        if condition(asked.last().unwrap()) {
            return;
        }
    }
    panic!("the service was never asked that way");
}

async fn restart(server: TestServer, client: &Client) -> (TestServer, Client) {
    let server = start_again(server.stop().await, QUICK).await;
    let client = server.client().with_token(client.access_token().unwrap());
    (server, client)
}

#[tokio::test]
async fn a_service_without_versioned_paths_is_found_out_once() {
    let peer = Peer::start("irc").await;
    peer.reply(no_such_page);
    let server = server_for(&peer, QUICK).await;
    let (alice, _, room) = room_with_ghost(&server, &peer).await;
    let asked = peer.wait_count(2).await;
    assert_eq!(versioned(&asked), [true, false]);
    assert_eq!(
        asked[1].path,
        format!("/transactions/{}", asked[0].txn_id().unwrap())
    );
    assert_eq!(asked[0].body, asked[1].body);

    let sent = alice.send_text(&room, "1", "1").await.unwrap();
    peer.wait_event(&sent).await;
    let (_server, alice) = restart(server, &alice).await;
    let sent = alice.send_text(&room, "2", "2").await.unwrap();
    let asked = peer.wait_event(&sent).await;
    assert_eq!(versioned(&asked), [true, false, false, false]);
    assert!(asked.iter().all(|asked| asked.query.is_empty()));
}

#[tokio::test]
async fn what_one_wire_found_out_the_other_knows() {
    let peer = Peer::start("irc").await;
    peer.reply(no_such_page);
    let server = server_for(&peer, QUICK).await;
    let (alice, _, room) = room_with_ghost(&server, &peer).await;
    peer.wait_count(2).await;
    alice
        .invite(&room, "@irc_unmade:localhost")
        .await
        .unwrap_err();
    assert_eq!(peer.asked()[2].path, "/users/%40irc_unmade%3Alocalhost");
    alice.join("#irc_unmade:localhost").await.unwrap_err();
    assert_eq!(peer.asked()[3].path, "/rooms/%23irc_unmade%3Alocalhost");
}

#[tokio::test]
async fn a_renewed_service_is_asked_on_the_versioned_paths_again() {
    let peer = Peer::start("irc").await;
    peer.reply(no_such_page);
    let server = server_for(&peer, QUICK).await;
    let (alice, _, room) = room_with_ghost(&server, &peer).await;
    peer.wait_count(2).await;
    peer.reply(|asked| {
        if asked.is_versioned() {
            yes()
        } else {
            Reply::Html(404)
        }
    });
    for number in ["1", "2"] {
        let sent = alice.send_text(&room, number, number).await.unwrap();
        peer.wait_event(&sent).await;
        peer.wait(|asked| asked.last().unwrap().is_versioned())
            .await;
    }
    let asked = peer.asked();
    assert_eq!(versioned(&asked), [true, false, false, true, true]);
}

#[tokio::test]
async fn a_service_with_both_paths_is_asked_on_the_versioned_after_a_while() {
    let peer = Peer::start("irc").await;
    peer.reply(no_such_page);
    let server = server_for(&peer, REPROBE).await;
    let (alice, _, room) = room_with_ghost(&server, &peer).await;
    peer.wait_count(2).await;
    send_until(&alice, &room, &peer, Asked::is_versioned).await;
    // Still without them: the old path gets the same event all the same.
    let asked = peer
        .wait(|asked| !asked.last().unwrap().is_versioned())
        .await;
    let [.., versioned_try, old_try] = &asked[..] else {
        panic!("two requests at least");
    };
    assert!(versioned_try.is_versioned());
    assert_eq!(versioned_try.body, old_try.body);
    peer.reply(|_| yes());
    send_until(&alice, &room, &peer, Asked::is_versioned).await;
    let before = peer.asked().len();
    let sent = alice.send_text(&room, "2", "2").await.unwrap();
    let asked = peer.wait_event(&sent).await;
    assert_eq!(versioned(&asked[before..]), [true]);
}

#[tokio::test]
async fn a_current_services_own_no_is_a_no() {
    let peer = Peer::start("irc").await;
    peer.reply(|_| not_found());
    let server = server_for(&peer, QUICK).await;
    let alice = server.user("alice").await.unwrap();
    let room = alice.create_room(&json!({})).await.unwrap();
    let body = json!({ "user_id": "@irc_nobody:localhost" });
    let answer = refused(
        &alice,
        Method::POST,
        &format!("/rooms/{room}/invite"),
        Some(body),
    )
    .await;
    assert_eq!(answer, (StatusCode::NOT_FOUND, "M_NOT_FOUND".to_owned()));
    alice.join("#irc_nothing:localhost").await.unwrap_err();
    assert_eq!(versioned(&peer.asked()), [true, true]);

    peer.reply(|_| yes());
    let bot = peer.client(&server);
    let sent = bot.create_room(&json!({})).await.unwrap();
    assert!(!sent.is_empty());
    let asked = peer.wait_count(3).await;
    assert!(asked.iter().all(Asked::is_versioned));
}

#[tokio::test]
async fn a_bare_no_costs_one_more_question_until_the_versioned_paths_have_worked() {
    let peer = Peer::start("irc").await;
    peer.reply(|asked| {
        if asked.txn_id().is_some() {
            yes()
        } else {
            Reply::Html(404)
        }
    });
    let server = server_for(&peer, QUICK).await;
    let alice = server.user("alice").await.unwrap();
    alice.join("#irc_one:localhost").await.unwrap_err();
    assert_eq!(versioned(&peer.asked()), [true, false]);
    peer.client(&server).create_room(&json!({})).await.unwrap();
    let asked = peer
        .wait(|asked| asked.last().unwrap().txn_id().is_some())
        .await;
    assert_eq!(versioned(&asked), [true, false, true]);
    alice.join("#irc_two:localhost").await.unwrap_err();
    let questions = peer.asked();
    let questions = questions
        .iter()
        .filter(|asked| asked.path.contains("irc_two"));
    assert_eq!(questions.count(), 1);
}

#[tokio::test]
async fn a_service_that_reads_the_query_alone_is_found_out_once() {
    let peer = Peer::start("irc").await;
    peer.reply(query_token_only);
    let server = server_for(&peer, QUICK).await;
    let (alice, _, room) = room_with_ghost(&server, &peer).await;
    let asked = peer.wait_count(2).await;
    assert_eq!(
        (asked[0].query.as_str(), &asked[0].body),
        ("", &asked[1].body)
    );
    // It is stored with the acknowledgement.
    let sent = alice.send_text(&room, "0", "0").await.unwrap();
    peer.wait_event(&sent).await;

    let (server, alice) = restart(server, &alice).await;
    let before = peer.asked().len();
    let sent = alice.send_text(&room, "1", "1").await.unwrap();
    peer.wait_event(&sent).await;
    alice.join("#irc_nothing:localhost").await.unwrap_err();
    for asked in &peer.asked()[before..] {
        assert_eq!(asked.query, "access_token=hs-token-of-irc");
        assert_eq!(asked.authorization, "Bearer hs-token-of-irc");
        assert!(asked.is_versioned());
    }
    drop(server);
}

#[tokio::test]
async fn the_token_leaves_the_query_when_the_header_is_enough() {
    let peer = Peer::start("irc").await;
    peer.reply(query_token_only);
    let server = server_for(&peer, REPROBE).await;
    let (alice, _, room) = room_with_ghost(&server, &peer).await;
    peer.wait_count(2).await;
    peer.reply(|_| yes());
    send_until(&alice, &room, &peer, |asked| asked.query.is_empty()).await;
    let sent = alice.send_text(&room, "1", "1").await.unwrap();
    let asked = peer.wait_event(&sent).await;
    assert_eq!(asked.last().unwrap().query, "");
}

#[tokio::test]
async fn the_token_is_in_the_query_only_where_it_is_needed() {
    let peer = Peer::start("irc").await;
    let replies = vec![
        Reply::Json(500, json!({})),
        Reply::Html(404),
        Reply::Html(404),
    ];
    peer.reply_in_turn(replies);
    let server = server_for(&peer, QUICK).await;
    let (alice, _, room) = room_with_ghost(&server, &peer).await;
    let sent = alice.send_text(&room, "1", "1").await.unwrap();
    peer.wait_event(&sent).await;
    alice.join("#irc_nothing:localhost").await.unwrap_err();
    for asked in peer.asked() {
        assert_eq!(asked.query, "");
        assert_eq!(asked.authorization, "Bearer hs-token-of-irc");
    }
}

#[tokio::test]
async fn a_registration_may_ask_for_the_token_in_the_query() {
    let peer = Peer::start("irc").await;
    let mut registration = peer.registration();
    registration["io.bridgehead"] = json!({ "legacy_query_token": true });
    let server = server_with(&[registration], QUICK).await;
    room_with_ghost(&server, &peer).await;
    let asked = peer.wait_count(1).await;
    assert_eq!(asked[0].query, "access_token=hs-token-of-irc");
    assert_eq!(asked[0].authorization, "Bearer hs-token-of-irc");
}

#[tokio::test]
async fn a_wrong_hs_token_is_a_failure_that_is_tried_again() {
    let peer = Peer::start("irc").await;
    peer.reply(|_| Reply::Json(403, json!({ "errcode": "M_FORBIDDEN" })));
    let server = server_for(&peer, QUICK).await;
    room_with_ghost(&server, &peer).await;
    peer.wait_count(6).await;
    peer.reply(|asked| match asked.query.as_str() {
        "" => yes(),
        _ => Reply::Json(403, Value::Null),
    });
    let bodies = peer
        .wait(|asked| asked.last().unwrap().query.is_empty())
        .await;
    assert!(bodies.iter().all(|asked| asked.body == bodies[0].body));
}
