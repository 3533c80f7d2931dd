//! Clients and services of 2015: `/_matrix/client/api/v1`, tokens in the query.

use bridgehead_testkit::{Client, TestServer};
use reqwest::Method;
use serde_json::{Value, json};

use crate::calls::{call, code, query};

const V1: &str = "/_matrix/client/api/v1";

async fn v1(client: &Client, method: Method, rest: &str, body: Value) -> (u16, Value) {
    let token = client.access_token().unwrap().to_owned();
    let anybody = client.with_token("");
    let pairs = [("access_token", token.as_str())];
    query(&anybody, method, &format!("{V1}/{rest}"), &pairs, body).await
}

#[tokio::test]
async fn a_room_is_made_once_for_a_transaction_id() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let bob = server.user("bob").await.unwrap();
    let body = json!({ "room_alias_name": "tea" });
    let first = v1(&alice, Method::PUT, "createRoom/t1", body.clone()).await;
    assert_eq!(first.1["room_alias"], "#tea:localhost");
    assert_eq!(
        v1(&alice, Method::PUT, "createRoom/t1", body.clone()).await,
        first
    );
    let other = v1(&alice, Method::PUT, "createRoom/t2", json!({})).await;
    let bobs = v1(&bob, Method::PUT, "createRoom/t1", json!({})).await;
    for another in [&other, &bobs] {
        assert_eq!(another.0, 200);
        assert_ne!(another.1["room_id"], first.1["room_id"]);
    }
    let taken = v1(&alice, Method::PUT, "createRoom/t3", body).await;
    assert_eq!(code(&taken), (400, "M_ROOM_IN_USE"));
}

#[tokio::test]
async fn the_old_paths_answer() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let room = alice
        .create_room(&json!({ "room_alias_name": "tea" }))
        .await
        .unwrap();
    let sent = v1(
        &alice,
        Method::POST,
        &format!("rooms/{room}/send/m.room.message"),
        json!({ "body": "x" }),
    )
    .await;
    let event = sent.1["event_id"].as_str().unwrap().to_owned();
    let redact = format!("rooms/{room}/redact/{event}");
    for (method, rest, body) in [
        (Method::POST, "join/%23tea:localhost".to_owned(), json!({})),
        (Method::POST, format!("rooms/{room}/join"), json!({})),
        (Method::GET, format!("rooms/{room}/messages"), Value::Null),
        (Method::GET, format!("rooms/{room}/members"), Value::Null),
        (Method::GET, format!("rooms/{room}/state"), Value::Null),
        (
            Method::GET,
            format!("rooms/{room}/initialSync"),
            Value::Null,
        ),
        (Method::GET, format!("events/{event}"), Value::Null),
        (Method::POST, redact, json!({})),
        (
            Method::GET,
            "directory/room/%23tea:localhost".to_owned(),
            Value::Null,
        ),
        (
            Method::GET,
            "profile/@alice:localhost/displayname".to_owned(),
            Value::Null,
        ),
        (
            Method::GET,
            "presence/@alice:localhost/status".to_owned(),
            Value::Null,
        ),
        (Method::GET, "login".to_owned(), Value::Null),
        (Method::GET, "publicRooms".to_owned(), Value::Null),
        (Method::GET, "initialSync".to_owned(), Value::Null),
        (Method::GET, "pushrules".to_owned(), Value::Null),
        (Method::GET, "pushers".to_owned(), Value::Null),
        (Method::GET, "voip/turnServer".to_owned(), Value::Null),
    ] {
        let (status, answer) = v1(&alice, method.clone(), &rest, body).await;
        assert_eq!(status, 200, "{method} {rest}: {answer}");
    }
    let body = json!({ "type": "m.login.password", "user": "alice", "password": "password" });
    let login = call(&server.client(), Method::POST, &format!("{V1}/login"), body).await;
    assert_eq!(login.1["user_id"], "@alice:localhost");
}

#[tokio::test]
async fn one_event_is_read_by_its_id_alone_by_those_who_may_see_it() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let bob = server.user("bob").await.unwrap();
    let room = alice.create_room(&json!({})).await.unwrap();
    let event = alice
        .send(&room, "m.x", "1", &json!({ "n": 1 }))
        .await
        .unwrap();
    for prefix in ["api/v1", "r0", "v3"] {
        let path = format!("/_matrix/client/{prefix}/events/{event}");
        let found = call(&alice, Method::GET, &path, Value::Null).await;
        assert_eq!((found.0, &found.1["content"]["n"]), (200, &json!(1)));
        let hidden = call(&bob, Method::GET, &path, Value::Null).await;
        assert_eq!(code(&hidden), (404, "M_NOT_FOUND"));
    }
    let unknown = call(
        &alice,
        Method::GET,
        "/_matrix/client/v3/events/$none",
        Value::Null,
    )
    .await;
    assert_eq!(code(&unknown), (404, "M_NOT_FOUND"));
}
