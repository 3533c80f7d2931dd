//! Guests: a setting, what they may call, and rooms that let them in.

use bridgehead_testkit::{Client, TestServer};
use reqwest::Method;
use serde_json::{Value, json};

use crate::calls::{call, code, query};

const GUESTS: (&str, &str) = ("BRIDGEHEAD_ACCOUNTS_ALLOW_GUESTS", "true");
const REFUSED: (u16, &str) = (403, "M_GUEST_ACCESS_FORBIDDEN");

async fn register(server: &TestServer) -> (u16, Value) {
    let path = "/_matrix/client/v3/register";
    let kind = [("kind", "guest")];
    query(&server.client(), Method::POST, path, &kind, json!({})).await
}

async fn guest(server: &TestServer) -> Client {
    let (status, made) = register(server).await;
    assert_eq!(status, 200, "{made}");
    server
        .client()
        .with_token(made["access_token"].as_str().unwrap())
}

/// A public room that says this of guests.
async fn room(alice: &Client, guest_access: &str) -> String {
    let access =
        json!({ "type": "m.room.guest_access", "content": { "guest_access": guest_access } });
    let body = json!({ "preset": "public_chat", "initial_state": [access] });
    alice.create_room(&body).await.unwrap()
}

#[tokio::test]
async fn guests_are_a_setting_that_is_off() {
    let server = TestServer::start().await.unwrap();
    assert_eq!(code(&register(&server).await), REFUSED);
}

#[tokio::test]
async fn guests_join_only_rooms_that_let_guests_in() {
    let server = TestServer::start_with(&[], &[GUESTS]).await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let guest = guest(&server).await;
    let whoami = call(
        &guest,
        Method::GET,
        "/_matrix/client/v3/account/whoami",
        Value::Null,
    )
    .await;
    assert_eq!(whoami.1["is_guest"], true);
    let user = whoami.1["user_id"].as_str().unwrap().to_owned();

    let closed = room(&alice, "forbidden").await;
    let base = format!("/_matrix/client/v3/rooms/{closed}");
    let by_id = call(&guest, Method::POST, &format!("{base}/join"), json!({})).await;
    assert_eq!(code(&by_id), REFUSED);
    let member = format!("{base}/state/m.room.member/{user}");
    let by_state = call(
        &guest,
        Method::PUT,
        &member,
        json!({ "membership": "join" }),
    )
    .await;
    assert_eq!(code(&by_state), REFUSED);

    let open = room(&alice, "can_join").await;
    guest.join(&open).await.unwrap();
    guest
        .send(&open, "m.room.message", "1", &json!({ "body": "hi" }))
        .await
        .unwrap();
}

#[tokio::test]
async fn guests_do_not_make_rooms_invite_or_close_accounts() {
    let server = TestServer::start_with(&[], &[GUESTS]).await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let guest = guest(&server).await;
    let open = room(&alice, "can_join").await;
    guest.join(&open).await.unwrap();
    for path in [
        "createRoom".to_owned(),
        format!("rooms/{open}/invite"),
        "account/password".to_owned(),
        "user_directory/search".to_owned(),
    ] {
        let path = format!("/_matrix/client/v3/{path}");
        let body = json!({ "user_id": "@alice:localhost" });
        assert_eq!(
            code(&call(&guest, Method::POST, &path, body).await),
            REFUSED,
            "{path}"
        );
    }
}
