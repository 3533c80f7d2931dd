//! Ending and renewing sessions.

use bridgehead_testkit::TestServer;
use reqwest::Method;
use serde_json::{Value, json};

use crate::calls::{StrictServer, call, code};

const WHOAMI: &str = "/_matrix/client/v3/account/whoami";
const LOGIN: &str = "/_matrix/client/v3/login";

async fn status(client: &bridgehead_testkit::Client) -> u16 {
    client.get(WHOAMI).await.unwrap().0.as_u16()
}

#[tokio::test]
async fn logout_ends_this_session_and_its_device() {
    let server = TestServer::start().await.unwrap();
    let phone = server.user("alice").await.unwrap();
    let laptop = server.client().login("alice", "password").await.unwrap();

    assert_eq!(
        call(&phone, Method::POST, "/_matrix/client/v3/logout", json!({})).await,
        (200, json!({}))
    );

    let (refused, answer) = phone.get(WHOAMI).await.unwrap();
    assert_eq!(refused.as_u16(), 401);
    assert_eq!(answer["errcode"], "M_UNKNOWN_TOKEN");
    assert_eq!(answer["soft_logout"], json!(false));
    assert_eq!(status(&laptop).await, 200);
    let devices = laptop.get("/_matrix/client/v3/devices").await.unwrap().1;
    assert_eq!(devices["devices"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn logout_all_ends_all_sessions_of_this_user() {
    let server = TestServer::start().await.unwrap();
    let phone = server.user("alice").await.unwrap();
    let laptop = server.client().login("alice", "password").await.unwrap();
    let bob = server.user("bob").await.unwrap();
    let path = "/_matrix/client/r0/logout/all";
    assert_eq!(call(&phone, Method::POST, path, json!({})).await.0, 200);
    assert_eq!(
        (
            status(&phone).await,
            status(&laptop).await,
            status(&bob).await
        ),
        (401, 401, 200)
    );
}

#[tokio::test]
async fn a_refresh_token_is_good_once() {
    let server = TestServer::start().await.unwrap();
    server.user("alice").await.unwrap();
    let login = json!({
        "type": "m.login.password",
        "identifier": { "type": "m.id.user", "user": "alice" },
        "password": "password",
        "refresh_token": true,
    });
    let (_, first) = call(&server.client(), Method::POST, LOGIN, login).await;
    assert!(first["expires_in_ms"].as_i64().unwrap() > 0);

    let refresh = |token: Value| {
        let (client, body) = (server.client(), json!({ "refresh_token": token }));
        async move { call(&client, Method::POST, "/_matrix/client/v3/refresh", body).await }
    };
    let (status_, second) = refresh(first["refresh_token"].clone()).await;

    assert_eq!(status_, 200);
    let client = |answer: &Value| {
        server
            .client()
            .with_token(answer["access_token"].as_str().unwrap())
    };
    assert_eq!(status(&client(&second)).await, 200);
    assert_eq!(status(&client(&first)).await, 401);
    let again = refresh(first["refresh_token"].clone()).await;
    assert_eq!(code(&again), (401, "M_UNKNOWN_TOKEN"));
    let unknown = refresh(json!("nonsense")).await;
    assert_eq!(code(&unknown), (401, "M_UNKNOWN_TOKEN"));
    // The device is the same one.
    let whoami = client(&second).get(WHOAMI).await.unwrap().1;
    assert_eq!(whoami["device_id"], first["device_id"]);
    assert_eq!(refresh(second["refresh_token"].clone()).await.0, 200);
}

#[tokio::test]
async fn logging_in_on_a_device_ends_its_earlier_session() {
    let server = TestServer::start().await.unwrap();
    server.user("alice").await.unwrap();
    let login = json!({
        "type": "m.login.password", "user": "alice", "password": "password", "device_id": "PHONE",
        "refresh_token": true,
    });
    let (_, first) = call(&server.client(), Method::POST, LOGIN, login.clone()).await;
    let (_, second) = call(&server.client(), Method::POST, LOGIN, login).await;
    for (answer, expected) in [(&first, 401), (&second, 200)] {
        let token = answer["access_token"].as_str().unwrap();
        assert_eq!(status(&server.client().with_token(token)).await, expected);
    }
    let body = json!({ "refresh_token": first["refresh_token"] });
    let path = "/_matrix/client/v3/refresh";
    let refused = call(&server.client(), Method::POST, path, body).await;
    assert_eq!(code(&refused), (401, "M_UNKNOWN_TOKEN"));
}

#[tokio::test]
async fn guessing_a_password_is_slowed_down_for_the_account_and_the_address() {
    let settings = [("BRIDGEHEAD_LIMITS_LOGINS_BURST", "3")];
    let server = StrictServer::start(Vec::new(), &settings).await;
    server
        .server
        .create_user("alice", "password", false)
        .await
        .unwrap();
    let guess = |user: &'static str| {
        let body = json!({ "type": "m.login.password", "user": user, "password": "wrong" });
        let client = server.client();
        async move { call(&client, Method::POST, LOGIN, body).await }
    };
    for _ in 0..3 {
        assert_eq!(code(&guess("alice").await), (403, "M_FORBIDDEN"));
    }
    let limited = guess("alice").await;
    assert_eq!(code(&limited), (429, "M_LIMIT_EXCEEDED"));
    assert!(limited.1["retry_after_ms"].as_u64().unwrap() > 0);
    // Another account from the same address fares no better.
    assert_eq!(code(&guess("bob").await), (429, "M_LIMIT_EXCEEDED"));
}
