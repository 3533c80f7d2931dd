//! Knocking and restricted joins.

use bridgehead_testkit::{Client, TestServer};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{forbidden, get, ok, post, public_room, refused};

async fn room_with_rule(client: &Client, rule: Value) -> String {
    let body = json!({
        "initial_state": [{ "type": "m.room.join_rules", "content": rule }],
        "room_alias_name": "door",
    });
    client.create_room(&body).await.unwrap()
}

#[tokio::test]
async fn who_knocks_may_be_let_in() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let bob = server.user("bob").await.unwrap();
    let room = room_with_rule(&alice, json!({ "join_rule": "knock" })).await;
    let body = json!({ "reason": "tea?" });
    let answer = post(&bob, "/knock/#door:localhost", body).await;
    assert_eq!(answer, json!({ "room_id": room }));

    let member = alice
        .state(&room, "m.room.member", "@bob:localhost")
        .await
        .unwrap();
    assert_eq!(member["membership"], "knock");
    assert_eq!(member["reason"], "tea?");
    alice.invite(&room, "@bob:localhost").await.unwrap();
    bob.join(&room).await.unwrap();
    let rest = format!("/knock/{room}");
    assert_eq!(
        refused(&bob, Method::POST, &rest, Some(json!({}))).await,
        forbidden()
    );
}

#[tokio::test]
async fn a_room_that_takes_no_knocks_refuses_them() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let bob = server.user("bob").await.unwrap();
    let room = public_room(&alice).await;
    let rest = format!("/knock/{room}");
    assert_eq!(
        refused(&bob, Method::POST, &rest, Some(json!({}))).await,
        forbidden()
    );
    let (status, _) = refused(&bob, Method::POST, "/knock/!none:localhost", None).await;
    assert_eq!(status, reqwest::StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_restricted_room_is_for_the_members_of_its_space() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let bob = server.user("bob").await.unwrap();
    let space = public_room(&alice).await;
    let allow = json!([{ "type": "m.room_membership", "room_id": space }]);
    let room = room_with_rule(&alice, json!({ "join_rule": "restricted", "allow": allow })).await;

    let join = format!("/rooms/{room}/join");
    assert_eq!(
        refused(&bob, Method::POST, &join, Some(json!({}))).await,
        forbidden()
    );
    // Not by setting state either, whoever is said to vouch.
    let state = format!("/rooms/{room}/state/m.room.member/@bob:localhost");
    let content = json!({
        "membership": "join", "join_authorised_via_users_server": "@alice:localhost",
    });
    assert_eq!(
        refused(&bob, Method::PUT, &state, Some(content)).await,
        forbidden()
    );

    bob.join(&space).await.unwrap();
    let via = [
        ("via", "elsewhere.example"),
        ("server_name", "elsewhere.example"),
    ];
    let body = json!({ "third_party_signed": { "sender": "@x:y" } });
    ok(
        &bob,
        Method::POST,
        "/join/#door:localhost",
        &via,
        Some(body),
    )
    .await;
    let member = get(&bob, &state, &[]).await;
    assert_eq!(
        member["join_authorised_via_users_server"],
        "@alice:localhost"
    );
}
