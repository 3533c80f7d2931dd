//! `/relations`.

use bridgehead_testkit::{Client, TestServer};
use reqwest::Method;
use serde_json::json;

use crate::support::{get, not_found, public_room, put, refused};

async fn relate(client: &Client, room: &str, to: &str, rel_type: &str, key: &str) -> String {
    let content = json!({
        "body": key,
        "m.relates_to": { "event_id": to, "rel_type": rel_type, "key": key },
    });
    let kind = match rel_type {
        "m.annotation" => "m.reaction",
        _ => "m.room.message",
    };
    client.send(room, kind, key, &content).await.unwrap()
}

fn keys(answer: &serde_json::Value) -> Vec<&str> {
    let chunk = answer["chunk"].as_array().unwrap();
    chunk
        .iter()
        .map(|event| event["content"]["body"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn relations_are_paged_and_narrowed_down() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let room = public_room(&alice).await;
    let target = alice.send_text(&room, "t", "target").await.unwrap();
    for key in ["a", "b", "c"] {
        relate(&alice, &room, &target, "m.annotation", key).await;
    }
    relate(&alice, &room, &target, "m.thread", "d").await;
    let all = format!("/rooms/{room}/relations/{target}");

    assert_eq!(keys(&get(&alice, &all, &[]).await), ["d", "c", "b", "a"]);
    let page = get(&alice, &all, &[("limit", "3")]).await;
    assert_eq!(keys(&page), ["d", "c", "b"]);
    let next = page["next_batch"].as_str().unwrap();
    let last = get(&alice, &all, &[("limit", "3"), ("from", next)]).await;
    assert_eq!(keys(&last), ["a"]);
    assert!(last.get("next_batch").is_none());
    assert_eq!(last["prev_batch"], next);
    let page = get(&alice, &all, &[("limit", "1"), ("dir", "f")]).await;
    assert_eq!(keys(&page), ["a"]);
    let from = page["next_batch"].as_str().unwrap();
    let page = get(&alice, &all, &[("dir", "f"), ("from", from)]).await;
    assert_eq!(keys(&page), ["b", "c", "d"]);

    assert_eq!(
        keys(&get(&alice, &format!("{all}/m.thread"), &[]).await),
        ["d"]
    );
    let reactions = format!("{all}/m.annotation/m.reaction");
    assert_eq!(keys(&get(&alice, &reactions, &[]).await), ["c", "b", "a"]);
    let none = format!("{all}/m.annotation/m.room.message");
    assert_eq!(get(&alice, &none, &[]).await["chunk"], json!([]));
}

#[tokio::test]
async fn redacted_relations_are_gone_and_hidden_targets_are_not_there() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let bob = server.user("bob").await.unwrap();
    let room = public_room(&alice).await;
    let target = alice.send_text(&room, "t", "target").await.unwrap();
    let reaction = relate(&alice, &room, &target, "m.annotation", "a").await;
    put(
        &alice,
        &format!("/rooms/{room}/redact/{reaction}/r"),
        json!({}),
    )
    .await;
    let all = format!("/rooms/{room}/relations/{target}");
    assert_eq!(get(&alice, &all, &[]).await["chunk"], json!([]));

    let unknown = format!("/rooms/{room}/relations/$none");
    assert_eq!(
        refused(&alice, Method::GET, &unknown, None).await,
        not_found()
    );
    let (status, _) = refused(&bob, Method::GET, &all, None).await;
    assert_eq!(status, reqwest::StatusCode::FORBIDDEN);
}
