//! Who types, told to application services.

use bridgehead_testkit::{Client, TestServer};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::ephemeral::{
    STABLE, UNSTABLE, ghost, outcome, room_with_ghosts, segment, service, told, wait_event,
    wait_told,
};

async fn types(client: &Client, room: &str, body: Value) -> (StatusCode, String) {
    let path = format!(
        "/_matrix/client/v3/rooms/{}/typing/{}",
        segment(room),
        segment(client.user_id())
    );
    outcome(client, Method::PUT, &path, &body).await
}

fn typing(room: &str, users: &[&str]) -> Value {
    json!({ "type": "m.typing", "room_id": room, "content": { "user_ids": users } })
}

#[tokio::test]
async fn interested_services_that_asked_are_told_under_the_keys_they_asked_for() {
    let both = service("both", true, true).await;
    let old = service("old", false, true).await;
    let none = service("none", false, false).await;
    let services = [&both, &old, &none];
    let server = TestServer::with_appservices(&services).await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let room = room_with_ghosts(&server, &alice, &services, &["both", "old", "none"]).await;

    let answer = types(&alice, &room, json!({ "typing": true, "timeout": 30_000 })).await;
    assert_eq!(answer.0, StatusCode::OK);

    let expected = typing(&room, &["@alice:localhost"]);
    wait_told(&both, STABLE, |event| *event == expected).await;
    wait_told(&both, UNSTABLE, |event| *event == expected).await;
    wait_told(&old, UNSTABLE, |event| *event == expected).await;
    assert!(told(&old, STABLE, "m.typing").is_empty());
    let event_id = alice.send_text(&room, "t", "after typing").await.unwrap();
    wait_event(&none, &event_id).await;
    assert!(told(&none, STABLE, "m.typing").is_empty());
    assert!(told(&none, UNSTABLE, "m.typing").is_empty());
}

#[tokio::test]
async fn stopping_is_told_whether_said_or_not() {
    let irc = service("irc", true, false).await;
    let server = TestServer::with_appservices(&[&irc]).await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let room = room_with_ghosts(&server, &alice, &[&irc], &["irc"]).await;

    types(&alice, &room, json!({ "typing": true })).await;
    wait_told(&irc, STABLE, |event| {
        *event == typing(&room, &["@alice:localhost"])
    })
    .await;
    types(&alice, &room, json!({ "typing": false })).await;
    wait_told(&irc, STABLE, |event| *event == typing(&room, &[])).await;

    let bob = server.user("bob").await.unwrap();
    bob.join(&room).await.unwrap();
    types(&bob, &room, json!({ "typing": true, "timeout": 1_000 })).await;
    wait_told(&irc, STABLE, |event| {
        *event == typing(&room, &["@bob:localhost"])
    })
    .await;
    irc.wait_for("the end of it", crate::ephemeral::SOON, |records| {
        records
            .iter()
            .flat_map(|record| record.ephemeral(STABLE))
            .filter(|event| **event == typing(&room, &[]))
            .count()
            == 2
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn services_outside_the_room_are_told_nothing() {
    let inside = service("inside", true, false).await;
    let outside = service("outside", true, false).await;
    let server = TestServer::with_appservices(&[&inside, &outside])
        .await
        .unwrap();
    let alice = server.user("alice").await.unwrap();
    let room = room_with_ghosts(&server, &alice, &[&inside], &["inside"]).await;
    let other = room_with_ghosts(&server, &alice, &[&outside], &["outside"]).await;

    types(&alice, &room, json!({ "typing": true })).await;
    wait_told(&inside, STABLE, |event| event["room_id"] == room).await;
    types(&alice, &other, json!({ "typing": true })).await;
    wait_told(&outside, STABLE, |event| event["room_id"] == other).await;
    assert!(
        told(&outside, STABLE, "m.typing")
            .iter()
            .all(|event| event["room_id"] == other)
    );
}

#[tokio::test]
async fn only_members_type_and_only_for_themselves() {
    let irc = service("irc", true, false).await;
    let server = TestServer::with_appservices(&[&irc]).await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let bob = server.user("bob").await.unwrap();
    let room = room_with_ghosts(&server, &alice, &[&irc], &["irc"]).await;

    let forbidden = (StatusCode::FORBIDDEN, "M_FORBIDDEN".to_owned());
    assert_eq!(
        types(&bob, &room, json!({ "typing": true })).await,
        forbidden
    );
    let path = format!(
        "/_matrix/client/v3/rooms/{}/typing/@bob:localhost",
        segment(&room)
    );
    let body = json!({ "typing": true });
    assert_eq!(outcome(&alice, Method::PUT, &path, &body).await, forbidden);
    let ghost = ghost(&server, &irc, "irc");
    assert_eq!(types(&ghost, &room, body).await.0, StatusCode::OK);
    let bad = (StatusCode::BAD_REQUEST, "M_BAD_JSON".to_owned());
    assert_eq!(types(&alice, &room, json!({ "typing": "yes" })).await, bad);
}
