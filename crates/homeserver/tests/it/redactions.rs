//! Redactions: by their own endpoint, and as events that a client sends itself.

use bridgehead_testkit::{Client, TestServer};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{get, put};

/// Sends a redaction as an event like any other.
async fn send_redaction(client: &Client, room: &str, target: &str) -> (StatusCode, Value) {
    let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.redaction/r");
    client
        .request(
            Method::PUT,
            &path,
            &[],
            Some(&json!({ "redacts": target, "reason": "r" })),
        )
        .await
        .unwrap()
}

#[tokio::test]
async fn a_redaction_sent_as_an_event_redacts() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    for version in ["10", "11", "12"] {
        let room = alice
            .create_room(&json!({ "room_version": version }))
            .await
            .unwrap();
        let target = alice.send_text(&room, "t", "oops").await.unwrap();
        let (status, body) = send_redaction(&alice, &room, &target).await;
        assert_eq!(status, StatusCode::OK, "{version}: {body}");
        let shown = get(&alice, &format!("/rooms/{room}/event/{target}"), &[]).await;
        assert_eq!(shown["content"], json!({}), "{version}");
    }
}

#[tokio::test]
async fn a_redaction_sent_as_an_event_needs_the_power_to_redact() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let mallory = server.user("mallory").await.unwrap();
    let room = alice
        .create_room(&json!({ "preset": "public_chat" }))
        .await
        .unwrap();
    mallory.join(&room).await.unwrap();
    let target = alice.send_text(&room, "t", "stays").await.unwrap();
    let (status, body) = send_redaction(&mallory, &room, &target).await;
    assert_eq!(
        (status, body["errcode"].as_str()),
        (StatusCode::FORBIDDEN, Some("M_FORBIDDEN"))
    );
}

#[tokio::test]
async fn what_was_redacted_does_not_stay_behind_as_previous_content() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let room = alice.create_room(&json!({})).await.unwrap();
    let topic = format!("/rooms/{room}/state/m.room.topic");
    let first = put(&alice, &topic, json!({ "topic": "secret" })).await;
    let second = put(&alice, &topic, json!({ "topic": "open" })).await;
    let first = first["event_id"].as_str().unwrap();
    put(
        &alice,
        &format!("/rooms/{room}/redact/{first}/r"),
        json!({}),
    )
    .await;
    let second = second["event_id"].as_str().unwrap();
    let shown = get(&alice, &format!("/rooms/{room}/event/{second}"), &[]).await;
    assert_eq!(shown["content"]["topic"], "open");
    assert!(!shown.to_string().contains("secret"), "{shown}");
}
