//! `/context`: an event with what is around it.

use bridgehead_testkit::TestServer;
use reqwest::Method;
use serde_json::json;

use crate::support::{get, not_found, public_room, refused, set_state, told};

#[tokio::test]
async fn an_event_comes_with_its_neighbours_and_the_state_of_then() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let room = public_room(&alice).await;
    let mut events = Vec::new();
    for text in ["0", "1", "2", "3", "4"] {
        events.push(alice.send_text(&room, text, text).await.unwrap());
        let topic = json!({ "topic": text });
        set_state(&alice, &room, "m.room.topic", "", topic).await;
    }
    let rest = format!("/rooms/{room}/context/{}", events[2]);
    let filter = ("filter", r#"{"types":["m.room.message"]}"#);

    let context = get(&alice, &rest, &[("limit", "3"), filter]).await;
    assert_eq!(context["event"]["content"]["body"], "2");
    assert_eq!(told(&context["events_before"]), ["1"]);
    assert_eq!(told(&context["events_after"]), ["3", "4"]);
    let topic = context["state"]
        .as_array()
        .unwrap()
        .iter()
        .find(|event| event["type"] == "m.room.topic")
        .unwrap();
    assert_eq!(topic["content"]["topic"], "3", "as of the last event shown");

    // The tokens go on where the context ends.
    let messages = format!("/rooms/{room}/messages");
    let start = context["start"].as_str().unwrap();
    let older = get(&alice, &messages, &[("dir", "b"), ("from", start), filter]).await;
    assert_eq!(told(&older["chunk"]), ["0"]);
    let end = context["end"].as_str().unwrap();
    let newer = get(&alice, &messages, &[("dir", "f"), ("from", end)]).await;
    assert_eq!(told(&newer["chunk"]), ["m.room.topic"]);

    let alone = get(&alice, &rest, &[("limit", "0")]).await;
    assert_eq!(alone["events_before"], json!([]));
    assert_eq!(alone["events_after"], json!([]));
}

#[tokio::test]
async fn lazy_loading_leaves_silent_members_out() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let bob = server.user("bob").await.unwrap();
    let room = public_room(&alice).await;
    bob.join(&room).await.unwrap();
    let event = alice.send_text(&room, "t", "hi").await.unwrap();
    let rest = format!("/rooms/{room}/context/{event}");
    let filter = ("filter", r#"{"lazy_load_members":true}"#);
    let context = get(&alice, &rest, &[("limit", "0"), filter]).await;
    let members: Vec<_> = context["state"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["type"] == "m.room.member")
        .map(|event| event["state_key"].as_str().unwrap())
        .collect();
    assert_eq!(members, ["@alice:localhost"]);
}

#[tokio::test]
async fn what_may_not_be_seen_is_not_there() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let bob = server.user("bob").await.unwrap();
    let room = public_room(&alice).await;
    let joined = json!({ "history_visibility": "joined" });
    set_state(&alice, &room, "m.room.history_visibility", "", joined).await;
    let event = alice.send_text(&room, "t", "secret").await.unwrap();
    bob.join(&room).await.unwrap();
    let rest = format!("/rooms/{room}/context/{event}");
    assert_eq!(refused(&bob, Method::GET, &rest, None).await, not_found());
}
