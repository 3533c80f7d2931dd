//! Making accounts: people, ghosts, and the namespaces between them.

use bridgehead_testkit::{AppserviceOptions, Client, RecordingAppservice, TestServer};
use reqwest::Method;
use serde_json::{Value, json};

use crate::calls::{call, code, query, server_with, with_password};

const REGISTER: &str = "/_matrix/client/v3/register";
const APPSERVICE: &str = "m.login.application_service";

async fn scene() -> (RecordingAppservice, TestServer, Client) {
    let service = RecordingAppservice::start(AppserviceOptions::with_users("irc", "irc_"))
        .await
        .unwrap();
    let server = TestServer::with_appservices(&[&service]).await.unwrap();
    let bot = server.client().with_token(&service.as_token());
    (service, server, bot)
}

async fn register(client: &Client, body: Value) -> (u16, Value) {
    call(client, Method::POST, REGISTER, body).await
}

#[tokio::test]
async fn a_ghost_gets_a_session_unless_it_is_inhibited() {
    let (_service, _server, bot) = scene().await;
    let body = json!({ "type": APPSERVICE, "username": "irc_a", "device_id": "D" });
    let (status, answer) = register(&bot, body).await;
    assert_eq!(status, 200);
    assert_eq!(answer["user_id"], "@irc_a:localhost");
    assert_eq!(answer["device_id"], "D");
    let ghost = bot.with_token(answer["access_token"].as_str().unwrap());
    let whoami = ghost.get("/_matrix/client/v3/account/whoami").await;
    assert_eq!(whoami.unwrap().1["device_id"], "D");

    let body = json!({ "type": APPSERVICE, "username": "irc_B", "inhibit_login": true });
    let (status, answer) = register(&bot, body).await;
    assert_eq!(status, 200);
    assert_eq!(answer["user_id"], "@irc_B:localhost", "case is kept");
    assert_eq!(answer["access_token"], Value::Null);
    assert_eq!(answer["device_id"], Value::Null);
}

#[tokio::test]
async fn the_first_protocols_body_and_token_are_understood() {
    let (service, server, _bot) = scene().await;
    let token = service.as_token();
    let body = json!({ "type": APPSERVICE, "user": "irc_old" });
    let path = "/_matrix/client/api/v1/register";
    let in_query = [("access_token", token.as_str())];
    let made = query(&server.client(), Method::POST, path, &in_query, body).await;
    assert_eq!(made.1["user_id"], "@irc_old:localhost");
}

#[tokio::test]
async fn what_a_service_may_not_register() {
    let (_service, server, bot) = scene().await;
    let ghost = |name: &str| json!({ "type": APPSERVICE, "username": name, "inhibit_login": true });
    let outside = register(&bot, ghost("alice")).await;
    assert_eq!(code(&outside), (400, "M_EXCLUSIVE"));
    register(&bot, ghost("irc_a")).await;
    let twice = register(&bot, ghost("irc_a")).await;
    assert_eq!(code(&twice), (400, "M_USER_IN_USE"));
    let nameless = register(&bot, json!({ "type": APPSERVICE })).await;
    assert_eq!(code(&nameless), (400, "M_MISSING_PARAM"));
    let tokenless = register(&server.client(), ghost("irc_b")).await;
    assert_eq!(code(&tokenless), (401, "M_MISSING_TOKEN"));
    let strange = register(&server.client().with_token("x"), ghost("irc_b")).await;
    assert_eq!(code(&strange), (401, "M_UNKNOWN_TOKEN"));
    // Its own user needs no account, but may have one.
    assert_eq!(register(&bot, ghost("irc-bot")).await.0, 200);
}

#[tokio::test]
async fn a_service_that_manages_devices_registers_without_a_session() {
    let service = RecordingAppservice::start(AppserviceOptions::with_users("irc", "irc_"))
        .await
        .unwrap();
    let server = server_with(&service, json!({ "io.element.msc4190": true }), &[]).await;
    let bot = server.client().with_token(&service.as_token());
    let body = json!({ "type": APPSERVICE, "username": "irc_a" });
    let refused = register(&bot, body).await;
    assert_eq!(code(&refused), (400, "M_APPSERVICE_LOGIN_UNSUPPORTED"));
    bot.register_ghost("irc_a").await.unwrap();
}

#[tokio::test]
async fn people_stay_out_of_exclusive_namespaces() {
    let (_service, server, _bot) = scene().await;
    let person = server.client();
    let body = |name: &str| json!({ "username": name, "password": "password" });
    let refused = register(&person, body("irc_me")).await;
    assert_eq!(code(&refused), (400, "M_EXCLUSIVE"));
    let refused = register(&person, body("irc-bot")).await;
    assert_eq!(code(&refused), (400, "M_EXCLUSIVE"));
}

#[tokio::test]
async fn a_name_can_be_checked_before() {
    let (_service, server, _bot) = scene().await;
    server.user("alice").await.unwrap();
    let path = "/_matrix/client/v3/register/available";
    let person = server.client();
    for (name, expected) in [
        ("bob", (200, "")),
        ("alice", (400, "M_USER_IN_USE")),
        ("irc_x", (400, "M_EXCLUSIVE")),
        ("no spaces", (400, "M_INVALID_USERNAME")),
    ] {
        let answer = query(
            &person,
            Method::GET,
            path,
            &[("username", name)],
            Value::Null,
        )
        .await;
        assert_eq!(code(&answer), expected, "{name}");
    }
}

#[tokio::test]
async fn a_registration_token_opens_the_door() {
    let settings = [
        ("BRIDGEHEAD_ACCOUNTS_OPEN_REGISTRATION", "false"),
        ("BRIDGEHEAD_ACCOUNTS_REGISTRATION_TOKENS", "sesame"),
    ];
    let server = TestServer::start_with(&[], &settings).await.unwrap();
    let person = server.client();
    let path = "/_matrix/client/v1/register/m.login.registration_token/validity";
    for (token, valid) in [("sesame", true), ("other", false)] {
        let answer = query(&person, Method::GET, path, &[("token", token)], Value::Null).await;
        assert_eq!(answer, (200, json!({ "valid": valid })));
    }
    let mut body = json!({ "username": "bob", "password": "password" });
    let (_, challenge) = register(&person, body.clone()).await;
    let token_flow = json!({ "stages": ["m.login.registration_token"] });
    assert!(challenge["flows"].as_array().unwrap().contains(&token_flow));
    let stage = |token: &str| json!({ "type": "m.login.registration_token", "token": token, "session": challenge["session"] });
    body["auth"] = stage("other");
    assert_eq!(
        code(&register(&person, body.clone()).await),
        (401, "M_FORBIDDEN")
    );
    body["auth"] = stage("sesame");
    assert_eq!(register(&person, body).await.0, 200);
}

#[tokio::test]
async fn a_new_password_ends_the_other_sessions() {
    let server = TestServer::start().await.unwrap();
    let phone = server.user("alice").await.unwrap();
    let laptop = server.client().login("alice", "password").await.unwrap();
    let path = "/_matrix/client/v3/account/password";
    let body = json!({ "new_password": "better" });
    let changed = with_password(&phone, Method::POST, path, body, "password").await;
    assert_eq!(changed, (200, json!({})));
    let whoami = "/_matrix/client/v3/account/whoami";
    assert_eq!(phone.get(whoami).await.unwrap().0.as_u16(), 200);
    assert_eq!(laptop.get(whoami).await.unwrap().0.as_u16(), 401);
    assert!(server.client().login("alice", "password").await.is_err());
    server.client().login("alice", "better").await.unwrap();
}

#[tokio::test]
async fn a_closed_account_leaves_its_rooms_and_its_name_stays_taken() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let bob = server.user("bob").await.unwrap();
    let public = json!({ "preset": "public_chat" });
    let room = bob.create_room(&public).await.unwrap();
    alice.join(&room).await.unwrap();
    let path = "/_matrix/client/v3/account/deactivate";
    let closed = with_password(&alice, Method::POST, path, json!({}), "password").await;
    assert_eq!(closed.0, 200);

    let member = bob.state(&room, "m.room.member", "@alice:localhost").await;
    assert_eq!(member.unwrap()["membership"], "leave");
    let whoami = call(
        &alice,
        Method::GET,
        "/_matrix/client/v3/account/whoami",
        Value::Null,
    )
    .await;
    assert_eq!(code(&whoami), (401, "M_UNKNOWN_TOKEN"));
    let again = register(
        &server.client(),
        json!({ "username": "alice", "password": "p" }),
    )
    .await;
    assert_eq!(code(&again), (400, "M_USER_IN_USE"));
}
