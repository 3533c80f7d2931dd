//! The way of an event: sent by a client, stored, delivered to an application service.

use std::time::Duration;

use bridgehead_testkit::{AppserviceOptions, RecordingAppservice, TestServer};
use reqwest::{Method, StatusCode};
use serde_json::json;

/// Events that a recorder has got, as (type, sender).
fn kinds(service: &RecordingAppservice) -> Vec<(String, String)> {
    service
        .records()
        .iter()
        .flat_map(|record| record.events().to_vec())
        .map(|event| {
            (
                event["type"].as_str().unwrap().to_owned(),
                event["sender"].as_str().unwrap().to_owned(),
            )
        })
        .collect()
}

#[tokio::test]
async fn a_message_reaches_the_service_whose_ghost_is_joined() {
    let service = RecordingAppservice::start(AppserviceOptions::with_users("irc", "irc_"))
        .await
        .unwrap();
    let server = TestServer::with_appservices(&[&service]).await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let bot = server.client().with_token(&service.as_token());
    let ghost = bot.register_ghost("irc_bob").await.unwrap();

    let room = alice
        .create_room(&json!({ "preset": "public_chat", "name": "tea" }))
        .await
        .unwrap();
    alice
        .send_text(&room, "t1", "before the ghost")
        .await
        .unwrap();
    ghost.join(&room).await.unwrap();
    let event_id = alice
        .send_text(&room, "t2", "with the ghost")
        .await
        .unwrap();

    service
        .wait_for("the message", Duration::from_secs(10), |records| {
            records
                .iter()
                .flat_map(bridgehead_testkit::Record::events)
                .any(|event| event["event_id"] == json!(event_id))
        })
        .await
        .unwrap();
    assert_eq!(
        kinds(&service),
        [
            ("m.room.member".to_owned(), "@irc_bob:localhost".to_owned()),
            ("m.room.message".to_owned(), "@alice:localhost".to_owned()),
        ]
    );
}

#[tokio::test]
async fn the_same_transaction_id_answers_the_same_event() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let room = alice.create_room(&json!({})).await.unwrap();
    let first = alice.send_text(&room, "t1", "once").await.unwrap();
    let again = alice.send_text(&room, "t1", "once").await.unwrap();
    let other = alice.send_text(&room, "t2", "once").await.unwrap();
    assert_eq!(first, again);
    assert_ne!(first, other);
}

#[tokio::test]
async fn bad_content_is_refused_with_the_reason() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let room = alice.create_room(&json!({})).await.unwrap();
    let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/t");
    let (status, body) = alice
        .request(Method::PUT, &path, &[], Some(&json!({ "n": 1.5 })))
        .await
        .unwrap();
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(body["errcode"], "M_BAD_JSON");
    let (status, body) = alice
        .request(Method::PUT, &path, &[], Some(&json!([1])))
        .await
        .unwrap();
    assert_eq!(
        (status, body["errcode"].as_str()),
        (StatusCode::BAD_REQUEST, Some("M_BAD_JSON"))
    );
}
