//! The event streams of the protocol's first version.

use bridgehead_testkit::Client;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{LONG, alice_and_bob, alice_in_a_room, put};

#[tokio::test]
async fn the_old_initial_sync_and_event_stream_fit_together() {
    let (server, alice, room) = alice_in_a_room().await;
    let bob = server.user("bob").await.unwrap();
    bob.join(&room).await.unwrap();
    alice.send_text(&room, "t1", "hello").await.unwrap();

    let path = "/_matrix/client/api/v1/initialSync";
    let start = bob
        .expect_ok(Method::GET, path, &[("limit", "1")], None)
        .await
        .unwrap();
    let info = &start["rooms"][0];
    assert_eq!(info["room_id"], json!(room));
    assert_eq!(info["membership"], "join");
    assert_eq!(info["visibility"], "private");
    let chunk = info["messages"]["chunk"].as_array().unwrap();
    assert_eq!(chunk.len(), 1);
    assert_eq!(chunk[0]["content"]["body"], "hello");
    assert_eq!(chunk[0]["room_id"], json!(room));
    assert_eq!(
        chunk[0]["user_id"],
        alice.user_id(),
        "the old name of sender"
    );
    let state = info["state"].as_array().unwrap();
    assert!(state.iter().any(|event| event["type"] == "m.room.create"));

    let from = start["end"].as_str().unwrap().to_owned();
    let filtered = ["m.room.message"];
    let events = listen_for(&bob, &from, &filtered);
    let (event, _) = tokio::join!(events, alice.send_text(&room, "t2", "stream"));
    assert_eq!(event["content"]["body"], "stream");
    assert_eq!(event["room_id"], json!(room));
}

/// Follows `/events` until one of these types comes.
async fn listen_for(client: &Client, from: &str, types: &[&str]) -> Value {
    let mut from = from.to_owned();
    loop {
        let query = [("from", from.as_str()), ("timeout", LONG)];
        let answer = client
            .expect_ok(Method::GET, "/_matrix/client/api/v1/events", &query, None)
            .await
            .unwrap();
        assert_eq!(answer["start"], json!(from));
        let chunk = answer["chunk"].as_array().unwrap();
        assert!(!chunk.is_empty(), "nothing came within the time");
        let wanted = |event: &&Value| types.iter().any(|&wanted| event["type"] == wanted);
        if let Some(event) = chunk.iter().find(wanted) {
            return event.clone();
        }
        from = answer["end"].as_str().unwrap().to_owned();
    }
}

#[tokio::test]
async fn the_old_stream_tells_of_invites_receipts_and_typing() {
    let (_server, [alice, bob], room, [since, since_of_bob]) = alice_and_bob().await;
    let other = alice.create_room(&json!({ "name": "tea" })).await.unwrap();
    alice.invite(&other, bob.user_id()).await.unwrap();
    let invite = listen_for(&bob, &since_of_bob, &["m.room.member"]).await;
    assert_eq!(invite["content"]["membership"], "invite");
    let outside = invite["invite_room_state"].as_array().unwrap();
    assert!(outside.iter().any(|event| event["type"] == "m.room.name"));

    let event = alice.send_text(&room, "t1", "read me").await.unwrap();
    let path = format!("/_matrix/client/v3/rooms/{room}/receipt/m.read/{event}");
    bob.expect_ok(Method::POST, &path, &[], Some(&json!({})))
        .await
        .unwrap();
    let receipt = listen_for(&alice, &since, &["m.receipt"]).await;
    assert_eq!(receipt["room_id"], json!(room));
    let path = format!("/_matrix/client/v3/rooms/{room}/typing/{}", bob.user_id());
    put(&bob, &path, json!({ "typing": true, "timeout": 30000 })).await;
    let typing = listen_for(&alice, &since, &["m.typing"]).await;
    assert_eq!(typing["content"]["user_ids"], json!([bob.user_id()]));
}

#[tokio::test]
async fn long_streams_come_in_order_and_in_pages() {
    let (_server, [alice, bob], room, [_, since]) = alice_and_bob().await;
    let other = alice
        .create_room(&json!({ "preset": "public_chat" }))
        .await
        .unwrap();
    bob.join(&other).await.unwrap();
    let mut sent = Vec::new();
    for index in 0..120 {
        let place = if index % 3 == 0 { &other } else { &room };
        let body = format!("m{index}");
        alice.send_text(place, &body, &body).await.unwrap();
        sent.push(body);
    }
    let mut got = Vec::new();
    let mut from = since;
    while got.len() < sent.len() {
        let query = [("from", from.as_str()), ("timeout", "0")];
        let answer = bob
            .expect_ok(Method::GET, "/_matrix/client/v3/events", &query, None)
            .await
            .unwrap();
        let chunk = answer["chunk"].as_array().unwrap().clone();
        assert!(!chunk.is_empty(), "the stream ended early: {got:?}");
        let messages = chunk
            .iter()
            .filter_map(|event| event["content"]["body"].as_str());
        got.extend(messages.map(str::to_owned));
        from = answer["end"].as_str().unwrap().to_owned();
    }
    assert_eq!(got, sent);
}

#[tokio::test]
async fn a_room_is_shown_to_members_and_to_nobody_else() {
    let (server, alice, room) = alice_in_a_room().await;
    alice.send_text(&room, "t1", "hello").await.unwrap();
    let path = format!("/_matrix/client/v3/rooms/{room}/initialSync");
    let (status, info) = alice.get(&path).await.unwrap();
    assert_eq!(status, StatusCode::OK, "{info}");
    assert_eq!(info["membership"], "join");
    let messages = info["messages"]["chunk"].as_array().unwrap();
    assert_eq!(messages.last().unwrap()["content"]["body"], "hello");
    assert!(info["presence"].is_array(), "{info}");

    let stranger = server.user("stranger").await.unwrap();
    for path in [
        path.as_str(),
        &format!("/_matrix/client/v3/events?room_id={room}&timeout=0"),
    ] {
        let (status, error) = stranger.get(path).await.unwrap();
        assert_eq!(
            (status, &error["errcode"]),
            (StatusCode::FORBIDDEN, &json!("M_FORBIDDEN")),
            "{path}"
        );
    }
    let (status, error) = alice
        .get("/_matrix/client/v3/events?from=t1")
        .await
        .unwrap();
    assert_eq!(
        (status, &error["errcode"]),
        (StatusCode::BAD_REQUEST, &json!("M_INVALID_PARAM"))
    );
}

#[tokio::test]
async fn a_world_readable_room_can_be_watched_from_outside() {
    let (server, alice, room) = alice_in_a_room().await;
    let path = format!("/_matrix/client/v3/rooms/{room}/state/m.room.history_visibility");
    put(
        &alice,
        &path,
        json!({ "history_visibility": "world_readable" }),
    )
    .await;
    let stranger = server.user("stranger").await.unwrap();
    let (_, info) = stranger
        .get(&format!("/_matrix/client/v3/rooms/{room}/initialSync"))
        .await
        .unwrap();
    let from = info["messages"]["end"].as_str().unwrap();
    let query = [("from", from), ("timeout", LONG), ("room_id", &room)];
    let events = stranger.expect_ok(Method::GET, "/_matrix/client/v3/events", &query, None);
    let (news, _) = tokio::join!(events, alice.send_text(&room, "t1", "hello"));
    assert_eq!(news.unwrap()["chunk"][0]["content"]["body"], "hello");
}
