//! Receipts and read markers, and which services are told of them.

use bridgehead_testkit::{Client, RecordingAppservice, TestServer};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::ephemeral::{
    STABLE, UNSTABLE, ghost, outcome, room_with_ghosts, segment, service, told, wait_event,
    wait_told,
};

async fn read(
    client: &Client,
    room: &str,
    kind: &str,
    event: &str,
    body: Value,
) -> (StatusCode, String) {
    let path = format!(
        "/_matrix/client/v3/rooms/{}/receipt/{kind}/{}",
        segment(room),
        segment(event)
    );
    outcome(client, Method::POST, &path, &body).await
}

async fn ok(client: &Client, room: &str, kind: &str, event: &str) {
    let answer = read(client, room, kind, event, json!({})).await;
    assert_eq!(answer.0, StatusCode::OK, "{answer:?}");
}

async fn fully_read(client: &Client, room: &str) -> Value {
    let path = format!(
        "/_matrix/client/v3/user/{}/rooms/{}/account_data/m.fully_read",
        segment(client.user_id()),
        segment(room)
    );
    client.get(&path).await.unwrap().1
}

/// Whether an event is this receipt.
fn is_receipt(event: &Value, event_id: &str, kind: &str, user: &str) -> bool {
    event["type"] == "m.receipt" && event["content"][event_id][kind][user]["ts"].is_i64()
}

async fn started() -> (RecordingAppservice, TestServer, Client, String) {
    let irc = service("irc", true, true).await;
    let server = TestServer::with_appservices(&[&irc]).await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let room = room_with_ghosts(&server, &alice, &[&irc], &["irc"]).await;
    (irc, server, alice, room)
}

#[tokio::test]
async fn a_receipt_reaches_the_service_under_both_keys() {
    let (irc, _server, alice, room) = started().await;
    let event = alice.send_text(&room, "t", "hello").await.unwrap();
    ok(&alice, &room, "m.read", &event).await;
    for key in [STABLE, UNSTABLE] {
        let told = wait_told(&irc, key, |told| {
            is_receipt(told, &event, "m.read", "@alice:localhost")
        })
        .await;
        assert_eq!(told["room_id"], room);
    }
}

#[tokio::test]
async fn private_receipts_are_told_only_to_the_owner_of_the_reader() {
    let (irc, server, alice, room) = started().await;
    let first = alice.send_text(&room, "1", "one").await.unwrap();
    let second = alice.send_text(&room, "2", "two").await.unwrap();

    ok(&alice, &room, "m.read.private", &first).await;
    ok(&alice, &room, "m.read", &second).await;
    let own = ghost(&server, &irc, "irc");
    ok(&own, &room, "m.read.private", &second).await;

    wait_told(&irc, STABLE, |told| {
        is_receipt(told, &second, "m.read.private", "@irc_ghost:localhost")
    })
    .await;
    let receipts = told(&irc, STABLE, "m.receipt");
    assert!(
        receipts
            .iter()
            .any(|told| is_receipt(told, &second, "m.read", "@alice:localhost"))
    );
    let text = Value::from(receipts).to_string();
    assert!(!text.contains(&first), "{text}");
}

#[tokio::test]
async fn without_opting_in_no_receipts_come() {
    let plain = service("plain", false, false).await;
    let server = TestServer::with_appservices(&[&plain]).await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let room = room_with_ghosts(&server, &alice, &[&plain], &["plain"]).await;
    let event = alice.send_text(&room, "t", "hello").await.unwrap();
    ok(&alice, &room, "m.read", &event).await;
    let after = alice.send_text(&room, "u", "after").await.unwrap();
    wait_event(&plain, &after).await;
    for key in [STABLE, UNSTABLE] {
        assert!(told(&plain, key, "m.receipt").is_empty());
    }
}

#[tokio::test]
async fn nothing_moves_backwards() {
    let (irc, _server, alice, room) = started().await;
    let first = alice.send_text(&room, "1", "one").await.unwrap();
    let second = alice.send_text(&room, "2", "two").await.unwrap();
    let third = alice.send_text(&room, "3", "three").await.unwrap();

    for event in [&second, &first] {
        ok(&alice, &room, "m.fully_read", event).await;
        ok(&alice, &room, "m.read", event).await;
    }
    assert_eq!(
        fully_read(&alice, &room).await,
        json!({ "event_id": second })
    );
    ok(&alice, &room, "m.read", &third).await;
    wait_told(&irc, STABLE, |told| {
        is_receipt(told, &third, "m.read", "@alice:localhost")
    })
    .await;
    let text = Value::from(told(&irc, STABLE, "m.receipt")).to_string();
    assert!(!text.contains(&first), "{text}");
}

#[tokio::test]
async fn read_markers_set_all_three_and_ignore_what_they_do_not_know() {
    let (irc, server, _alice, room) = started().await;
    let own = ghost(&server, &irc, "irc");
    let event = own.send_text(&room, "t", "hello").await.unwrap();
    let path = format!("/_matrix/client/v3/rooms/{}/read_markers", segment(&room));
    let body = json!({
        "m.fully_read": event, "m.read": event, "m.read.private": event,
        "com.beeper.fully_read.extra": { "ts": 1 }, "com.beeper.read.extra": { "ts": 1 },
    });
    assert_eq!(
        outcome(&own, Method::POST, &path, &body).await.0,
        StatusCode::OK
    );
    assert_eq!(fully_read(&own, &room).await, json!({ "event_id": event }));
    for kind in ["m.read", "m.read.private"] {
        wait_told(&irc, STABLE, |told| {
            is_receipt(told, &event, kind, "@irc_ghost:localhost")
        })
        .await;
    }
}

#[tokio::test]
async fn threads_have_receipts_of_their_own() {
    let (irc, _server, alice, room) = started().await;
    let root = alice.send_text(&room, "1", "root").await.unwrap();
    let reply = json!({
        "msgtype": "m.text", "body": "reply",
        "m.relates_to": { "rel_type": "m.thread", "event_id": root },
    });
    let reply = alice
        .send(&room, "m.room.message", "2", &reply)
        .await
        .unwrap();

    let in_thread = json!({ "thread_id": root });
    let answer = read(&alice, &room, "m.read", &reply, in_thread.clone()).await;
    assert_eq!(answer.0, StatusCode::OK);
    let told = wait_told(&irc, STABLE, |told| {
        is_receipt(told, &reply, "m.read", "@alice:localhost")
    })
    .await;
    assert_eq!(
        told["content"][&reply]["m.read"]["@alice:localhost"]["thread_id"],
        root
    );
    let wrong = (StatusCode::BAD_REQUEST, "M_INVALID_PARAM".to_owned());
    for (kind, thread) in [
        ("m.read", json!("")),
        ("m.read", json!(7)),
        ("m.read", json!("main")),
        ("m.fully_read", json!(root)),
    ] {
        let body = json!({ "thread_id": thread });
        assert_eq!(read(&alice, &room, kind, &reply, body).await, wrong);
    }
    let main = json!({ "thread_id": "main" });
    let answer = read(&alice, &room, "m.read", &root, main).await;
    assert_eq!(answer.0, StatusCode::OK);
}

#[tokio::test]
async fn what_cannot_be_read_is_refused() {
    let (_irc, server, alice, room) = started().await;
    let event = alice.send_text(&room, "t", "hello").await.unwrap();
    let bob = server.user("bob").await.unwrap();
    let refused = |status, code: &str| (status, code.to_owned());
    assert_eq!(
        read(&bob, &room, "m.read", &event, json!({})).await,
        refused(StatusCode::FORBIDDEN, "M_FORBIDDEN")
    );
    assert_eq!(
        read(&alice, &room, "m.read", "$nothing", json!({})).await,
        refused(StatusCode::NOT_FOUND, "M_NOT_FOUND")
    );
    assert_eq!(
        read(&alice, &room, "m.seen", &event, json!({})).await,
        refused(StatusCode::BAD_REQUEST, "M_INVALID_PARAM")
    );
}
