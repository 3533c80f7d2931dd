//! An application service acts as its users: rows of "Identity assertion" and "Timestamps".

use bridgehead_testkit::{AppserviceOptions, Client, Record, RecordingAppservice, TestServer};
use reqwest::Method;
use serde_json::{Value, json};

use crate::calls::{StrictServer, call, code, query, registration};

const WHOAMI: &str = "/_matrix/client/v3/account/whoami";

async fn scene() -> (RecordingAppservice, TestServer, Client) {
    let service = RecordingAppservice::start(AppserviceOptions::with_users("irc", "irc_"))
        .await
        .unwrap();
    let server = TestServer::with_appservices(&[&service]).await.unwrap();
    let bot = server.client().with_token(&service.as_token());
    (service, server, bot)
}

async fn as_user(client: &Client, user: &str) -> (u16, Value) {
    query(
        client,
        Method::GET,
        WHOAMI,
        &[("user_id", user)],
        Value::Null,
    )
    .await
}

#[tokio::test]
async fn without_user_id_the_service_is_its_own_user_which_needs_no_account() {
    let (_service, _server, bot) = scene().await;
    let expected = json!({ "user_id": "@irc-bot:localhost", "is_guest": false });
    assert_eq!(
        call(&bot, Method::GET, WHOAMI, Value::Null).await,
        (200, expected.clone())
    );
    assert_eq!(as_user(&bot, "@irc-bot:localhost").await, (200, expected));
    bot.create_room(&json!({})).await.unwrap();
}

#[tokio::test]
async fn a_ghost_must_be_registered_inside_the_namespace_and_alive() {
    let (_service, server, bot) = scene().await;
    server.user("alice").await.unwrap();
    for user in [
        "@irc_new:localhost",
        "@alice:localhost",
        "@irc_bob:elsewhere.example",
    ] {
        let refused = as_user(&bot, user).await;
        assert_eq!(code(&refused), (403, "M_FORBIDDEN"), "{user}");
    }
    let malformed = as_user(&bot, "irc_bob").await;
    assert_eq!(code(&malformed), (400, "M_INVALID_PARAM"));

    let ghost = bot.register_ghost("irc_new").await.unwrap();
    assert_eq!(
        as_user(&bot, "@irc_new:localhost").await,
        (
            200,
            json!({ "user_id": "@irc_new:localhost", "is_guest": false })
        )
    );

    let path = "/_matrix/client/v3/account/deactivate";
    let closed = call(&ghost, Method::POST, path, json!({})).await;
    assert_eq!(
        closed,
        (200, json!({ "id_server_unbind_result": "no-support" }))
    );
    let refused = as_user(&bot, "@irc_new:localhost").await;
    assert_eq!(code(&refused), (403, "M_USER_DEACTIVATED"));
}

#[tokio::test]
async fn a_person_cannot_assert_anything() {
    let (_service, server, bot) = scene().await;
    bot.register_ghost("irc_bob").await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let user_and_device = [("user_id", "@irc_bob:localhost"), ("device_id", "NOWHERE")];
    let (_, answer) = query(&alice, Method::GET, WHOAMI, &user_and_device, Value::Null).await;
    assert_eq!(answer["user_id"], "@alice:localhost");
}

#[tokio::test]
async fn tokens_are_read_from_header_and_query_and_refused_by_name() {
    let (service, server, _bot) = scene().await;
    let nobody = server.client();
    let missing = call(&nobody, Method::GET, WHOAMI, Value::Null).await;
    assert_eq!(code(&missing), (401, "M_MISSING_TOKEN"));
    let wrong = call(&nobody.with_token("x"), Method::GET, WHOAMI, Value::Null).await;
    assert_eq!(code(&wrong), (401, "M_UNKNOWN_TOKEN"));
    let token = service.as_token();
    let in_query = [("access_token", token.as_str())];
    let old = query(&nobody, Method::GET, WHOAMI, &in_query, Value::Null).await;
    assert_eq!(old.0, 200);
}

/// `origin_server_ts` of the newest event of a kind that the service was sent.
async fn sent_at(service: &RecordingAppservice, kind: &str, sender: &str) -> i64 {
    let found = |records: &[Record]| {
        records
            .iter()
            .flat_map(Record::events)
            .filter(|event| event["type"] == kind && event["sender"] == sender)
            .filter_map(|event| event["origin_server_ts"].as_i64())
            .next_back()
    };
    service
        .wait_for(kind, std::time::Duration::from_secs(20), |records| {
            found(records).is_some()
        })
        .await
        .unwrap();
    found(&service.records()).unwrap()
}

#[tokio::test]
async fn services_set_the_time_of_their_events_and_people_do_not() {
    let (service, server, bot) = scene().await;
    let alice = server.user("alice").await.unwrap();
    let room = alice
        .create_room(&json!({ "preset": "public_chat" }))
        .await
        .unwrap();
    let ghost = bot.register_ghost("irc_bob").await.unwrap();
    let at = |ts: &'static str| [("ts", ts)];
    let base = format!("/_matrix/client/v3/rooms/{room}");
    let join = format!("{base}/join");
    query(&ghost, Method::POST, &join, &at("1000"), json!({})).await;
    let send = format!("{base}/send/m.room.message/t1");
    let (_, sent) = query(
        &ghost,
        Method::PUT,
        &send,
        &at("2000"),
        json!({ "body": "x" }),
    )
    .await;
    let id = sent["event_id"].as_str().unwrap();
    let redact = format!("{base}/redact/{id}/t2");
    query(&ghost, Method::PUT, &redact, &at("3000"), json!({})).await;
    let mine = format!("{base}/send/m.person/t1");
    query(&alice, Method::PUT, &mine, &at("4000"), json!({})).await;
    let unstable = [("org.matrix.msc3316.ts", "5000")];
    let own = format!("{base}/send/m.unstable/t3");
    query(&ghost, Method::PUT, &own, &unstable, json!({})).await;
    let bad = query(&ghost, Method::PUT, &own, &at("soon"), json!({})).await;
    assert_eq!(code(&bad), (400, "M_INVALID_PARAM"));

    let bob = "@irc_bob:localhost";
    assert_eq!(sent_at(&service, "m.room.member", bob).await, 1000);
    assert_eq!(sent_at(&service, "m.room.message", bob).await, 2000);
    assert_eq!(sent_at(&service, "m.room.redaction", bob).await, 3000);
    assert_eq!(sent_at(&service, "m.unstable", bob).await, 5000);
    let now = sent_at(&service, "m.person", "@alice:localhost").await;
    assert!(now > 1_000_000_000_000, "{now}");
}

#[tokio::test]
async fn a_state_event_takes_its_time_from_the_service() {
    let (_service, _server, bot) = scene().await;
    let room = bot.create_room(&json!({})).await.unwrap();
    let path = format!("/_matrix/client/v3/rooms/{room}/state/m.room.topic");
    let content = json!({ "topic": "tea" });
    query(&bot, Method::PUT, &path, &[("ts", "1234")], content).await;
    let format = [("format", "event")];
    let (_, event) = query(&bot, Method::GET, &path, &format, Value::Null).await;
    assert_eq!(event["origin_server_ts"], 1234);
}

#[tokio::test]
async fn transaction_ids_of_different_ghosts_rooms_and_types_are_different() {
    let (_service, _server, bot) = scene().await;
    let a = bot.register_ghost("irc_a").await.unwrap();
    let b = bot.register_ghost("irc_b").await.unwrap();
    let public = json!({ "preset": "public_chat" });
    let room = a.create_room(&public).await.unwrap();
    let other = a.create_room(&public).await.unwrap();
    b.join(&room).await.unwrap();
    let content = json!({ "body": "x" });
    let first = a.send(&room, "m.x", "t", &content).await.unwrap();
    assert_eq!(a.send(&room, "m.x", "t", &content).await.unwrap(), first);
    for (ghost, room, kind) in [(&b, &room, "m.x"), (&a, &other, "m.x"), (&a, &room, "m.y")] {
        let event = ghost.send(room, kind, "t", &content).await.unwrap();
        assert_ne!(event, first);
    }
}

#[tokio::test]
async fn ghosts_are_limited_only_if_the_registration_says_so_and_the_bot_never() {
    for (limited, expected) in [(true, 429), (false, 200)] {
        let service = RecordingAppservice::start(AppserviceOptions::with_users("irc", "irc_"))
            .await
            .unwrap();
        let folder = tempfile::TempDir::new().unwrap();
        let file = registration(&folder, &service, |file| {
            file["rate_limited"] = json!(limited);
        });
        let burst = [("BRIDGEHEAD_LIMITS_MESSAGES_BURST", "2")];
        let server = StrictServer::start(vec![file], &burst).await;
        let bot = server.client().with_token(&service.as_token());
        let ghost = bot.register_ghost("irc_bob").await.unwrap();
        for (client, expected) in [(&ghost, expected), (&bot, 200)] {
            let room = client.create_room(&json!({})).await.unwrap();
            let mut last = 0;
            for n in 0..3 {
                let path = Client::send_path(&room, "m.x", &n.to_string());
                last = call(client, Method::PUT, &path, json!({})).await.0;
            }
            assert_eq!(last, expected, "rate_limited: {limited}");
        }
    }
}
