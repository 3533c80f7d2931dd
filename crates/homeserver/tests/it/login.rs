//! Logging in: people by password, ghosts by their service.

use bridgehead_testkit::{AppserviceOptions, Client, RecordingAppservice, TestServer};
use reqwest::Method;
use serde_json::{Value, json};

use crate::calls::{call, code};

const LOGIN: &str = "/_matrix/client/v3/login";

fn by_service(user: &str) -> Value {
    json!({
        "type": "m.login.application_service",
        "identifier": { "type": "m.id.user", "user": user },
        "device_id": "D",
    })
}

async fn login(client: &Client, body: Value) -> (u16, Value) {
    call(client, Method::POST, LOGIN, body).await
}

#[tokio::test]
async fn a_service_logs_its_ghosts_in() {
    let service = RecordingAppservice::start(AppserviceOptions::with_users("irc", "irc_"))
        .await
        .unwrap();
    let server = TestServer::with_appservices(&[&service]).await.unwrap();
    let bot = server.client().with_token(&service.as_token());
    let (_, answer) = call(&bot, Method::GET, LOGIN, Value::Null).await;
    let kinds: Vec<&Value> = answer["flows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|flow| &flow["type"])
        .collect();
    assert!(kinds.contains(&&json!("m.login.application_service")));
    bot.register_ghost("irc_bob").await.unwrap();

    for user in ["irc_bob", "@irc_bob:localhost"] {
        let (status, answer) = login(&bot, by_service(user)).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(answer["user_id"], "@irc_bob:localhost");
        assert_eq!(answer["device_id"], "D");
        assert!(answer["access_token"].is_string());
    }
    for (client, user, expected) in [
        (&bot, "alice", (400, "M_EXCLUSIVE")),
        (&bot, "irc_new", (403, "M_FORBIDDEN")),
        (&server.client(), "irc_bob", (401, "M_MISSING_TOKEN")),
        (
            &server.client().with_token("x"),
            "irc_bob",
            (401, "M_UNKNOWN_TOKEN"),
        ),
    ] {
        assert_eq!(code(&login(client, by_service(user)).await), expected);
    }
}

#[tokio::test]
async fn a_person_cannot_log_in_as_a_ghost() {
    let service = RecordingAppservice::start(AppserviceOptions::with_users("irc", "irc_"))
        .await
        .unwrap();
    let server = TestServer::with_appservices(&[&service]).await.unwrap();
    let bot = server.client().with_token(&service.as_token());
    bot.register_ghost("irc_bob").await.unwrap();
    for password in ["", "password"] {
        let body = json!({ "type": "m.login.password", "user": "irc_bob", "password": password });
        let refused = login(&server.client(), body).await;
        assert_eq!(code(&refused), (403, "M_FORBIDDEN"));
    }
}

#[tokio::test]
async fn wrong_names_and_wrong_passwords_sound_alike() {
    let server = TestServer::start().await.unwrap();
    server.user("alice").await.unwrap();
    let attempt = |user: &str, password: &str| {
        let body = json!({
            "type": "m.login.password",
            "identifier": { "type": "m.id.user", "user": user },
            "password": password,
        });
        let client = server.client();
        async move { login(&client, body).await }
    };
    let wrong = attempt("alice", "wrong").await;
    assert_eq!(code(&wrong), (403, "M_FORBIDDEN"));
    assert_eq!(wrong, attempt("nobody", "wrong").await);
    assert_eq!(attempt("Alice", "password").await.0, 200);
    let unknown = login(&server.client(), json!({ "type": "m.login.magic" })).await;
    assert_eq!(code(&unknown), (400, "M_UNKNOWN"));
}
