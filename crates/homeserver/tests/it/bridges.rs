//! What bridges and services of every age do, as their code does it.

use bridgehead_testkit::{AppserviceOptions, Client, RecordingAppservice, TestServer};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    calls::{call, code, query, registration},
    support::{get, post, public_room, put, refused},
};

async fn scene() -> (RecordingAppservice, TestServer, Client) {
    let service = RecordingAppservice::start(AppserviceOptions::with_users("irc", "irc_"))
        .await
        .unwrap();
    let server = TestServer::with_appservices(&[&service]).await.unwrap();
    let bot = server.client().with_token(&service.as_token());
    (service, server, bot)
}

const BOT: &str = "@irc-bot:localhost";

#[tokio::test]
async fn a_services_own_user_does_everything_without_an_account() {
    let (_service, server, bot) = scene().await;
    let alice = server.user("alice").await.unwrap();
    let theirs = public_room(&alice).await;
    let room = post(
        &bot,
        "/createRoom",
        json!({ "invite": ["@alice:localhost"] }),
    )
    .await;
    let room = room["room_id"].as_str().unwrap().to_owned();
    let user = format!("/user/{BOT}");
    for (method, rest, body) in [
        (Method::POST, format!("/join/{theirs}"), json!({})),
        (
            Method::PUT,
            "/devices/BOX".to_owned(),
            json!({ "display_name": "b" }),
        ),
        (Method::GET, "/devices".to_owned(), Value::Null),
        (Method::GET, "/sync?timeout=0".to_owned(), Value::Null),
        (Method::GET, "/account/whoami".to_owned(), Value::Null),
        (Method::GET, "/joined_rooms".to_owned(), Value::Null),
        (Method::GET, "/pushrules/".to_owned(), Value::Null),
        (Method::GET, "/capabilities".to_owned(), Value::Null),
        (Method::GET, format!("/profile/{BOT}"), Value::Null),
        (
            Method::GET,
            format!("/profile/{BOT}/avatar_url"),
            Value::Null,
        ),
        (
            Method::PUT,
            format!("/presence/{BOT}/status"),
            json!({ "presence": "online" }),
        ),
        (Method::POST, format!("{user}/filter"), json!({})),
        (Method::PUT, format!("{user}/account_data/a.b"), json!({})),
        (
            Method::PUT,
            format!("{user}/rooms/{room}/account_data/a.b"),
            json!({}),
        ),
        (
            Method::PUT,
            format!("{user}/rooms/{room}/tags/m.x"),
            json!({}),
        ),
        (
            Method::POST,
            format!("{user}/openid/request_token"),
            json!({}),
        ),
        (
            Method::PUT,
            format!("/rooms/{room}/typing/{BOT}"),
            json!({ "typing": false }),
        ),
        (
            Method::POST,
            "/user_directory/search".to_owned(),
            json!({ "search_term": "a" }),
        ),
        (
            Method::POST,
            "/keys/query".to_owned(),
            json!({ "device_keys": { BOT: [] } }),
        ),
        (
            Method::POST,
            "/keys/upload?device_id=BOX".to_owned(),
            json!({}),
        ),
        (Method::POST, format!("/rooms/{theirs}/leave"), json!({})),
        (Method::POST, format!("/rooms/{theirs}/forget"), json!({})),
        (Method::DELETE, "/devices/BOX".to_owned(), json!({})),
    ] {
        let path = format!("/_matrix/client/v3{rest}");
        let (path, pairs) = path.split_once('?').unwrap_or((&path, ""));
        let pairs: Vec<(&str, &str)> = pairs.split_once('=').into_iter().collect();
        let (status, answer) = query(&bot, method.clone(), path, &pairs, body).await;
        assert!(
            matches!(status, 200 | 201),
            "{method} {path}: {status} {answer}"
        );
    }
    let made = call(&bot, Method::POST, "/_matrix/media/v1/create", json!({})).await;
    assert_eq!(made.0, 200, "{made:?}");
    put(
        &bot,
        &format!("/profile/{BOT}/displayname"),
        json!({ "displayname": "IRC" }),
    )
    .await;
    let profile = get(&alice, &format!("/profile/{BOT}"), &[]).await;
    assert_eq!(profile, json!({ "displayname": "IRC" }));
}

#[tokio::test]
async fn a_ghost_kicks_itself() {
    let (_service, server, bot) = scene().await;
    let alice = server.user("alice").await.unwrap();
    let ghost = bot.register_ghost("irc_a").await.unwrap();
    let room = public_room(&alice).await;
    ghost.join(&room).await.unwrap();
    let kick = format!("/rooms/{room}/kick");
    post(
        &ghost,
        &kick,
        json!({ "user_id": "@irc_a:localhost", "reason": "quit" }),
    )
    .await;
    let member = alice
        .state(&room, "m.room.member", "@irc_a:localhost")
        .await
        .unwrap();
    assert_eq!(
        (&member["membership"], &member["reason"]),
        (&json!("leave"), &json!("quit"))
    );
}

#[tokio::test]
async fn inviting_whoever_is_there_is_refused_in_the_words_that_bridges_look_for() {
    let (_service, server, bot) = scene().await;
    let alice = server.user("alice").await.unwrap();
    let ghost = bot.register_ghost("irc_a").await.unwrap();
    let room = public_room(&alice).await;
    ghost.join(&room).await.unwrap();
    let base = format!("/_matrix/client/v3/rooms/{room}");
    let by_invite = call(
        &alice,
        Method::POST,
        &format!("{base}/invite"),
        json!({ "user_id": "@irc_a:localhost" }),
    )
    .await;
    let member = format!("{base}/state/m.room.member/@irc_a:localhost");
    let by_state = call(
        &alice,
        Method::PUT,
        &member,
        json!({ "membership": "invite" }),
    )
    .await;
    for answer in [by_invite, by_state] {
        assert_eq!(code(&answer), (403, "M_FORBIDDEN"));
        let text = answer.1["error"].as_str().unwrap();
        assert!(text.contains("is already in the room"), "{text}");
    }
}

#[tokio::test]
async fn state_with_an_empty_key_ends_in_a_slash_under_every_prefix() {
    let (_service, _server, bot) = scene().await;
    let room = bot.create_room(&json!({})).await.unwrap();
    for prefix in ["api/v1", "r0", "v3", "v1", "unstable"] {
        let path = format!("/_matrix/client/{prefix}/rooms/{room}/state/m.room.topic/");
        let topic = json!({ "topic": prefix });
        assert_eq!(call(&bot, Method::PUT, &path, topic.clone()).await.0, 200);
        assert_eq!(
            call(&bot, Method::GET, &path, Value::Null).await,
            (200, topic)
        );
    }
}

#[tokio::test]
async fn a_device_is_named_in_both_spellings() {
    let (_service, _server, bot) = scene().await;
    let ghost = bot.register_ghost("irc_a").await.unwrap();
    put(&ghost, "/devices/BOX", json!({})).await;
    let path = "/_matrix/client/v3/account/whoami";
    for key in ["device_id", "org.matrix.msc3202.device_id"] {
        let (_, answer) = query(&ghost, Method::GET, path, &[(key, "BOX")], Value::Null).await;
        assert_eq!(answer["device_id"], "BOX");
        let unknown = query(&ghost, Method::GET, path, &[(key, "NONE")], Value::Null).await;
        assert_eq!(code(&unknown), (400, "M_UNKNOWN_DEVICE"));
    }
}

#[tokio::test]
async fn a_service_does_not_register_users_that_another_holds_exclusively() {
    let irc = RecordingAppservice::start(AppserviceOptions::with_users("irc", "irc_"))
        .await
        .unwrap();
    let puppets = RecordingAppservice::start(AppserviceOptions::with_users("puppets", "p_"))
        .await
        .unwrap();
    let folder = tempfile::TempDir::new().unwrap();
    let files = [
        registration(&folder, &irc, |_| {}),
        registration(&folder, &puppets, |file| {
            file["namespaces"]["users"] = json!([{ "regex": "@.*:localhost", "exclusive": false }]);
        }),
    ];
    let server = TestServer::start_with(&files, &[]).await.unwrap();
    let wide = server.client().with_token(&puppets.as_token());
    let body = |name: &str| json!({ "type": "m.login.application_service", "username": name, "inhibit_login": true });
    let path = "/_matrix/client/v3/register";
    let refused = call(&wide, Method::POST, path, body("irc_a")).await;
    assert_eq!(code(&refused), (400, "M_EXCLUSIVE"));
    assert_eq!(call(&wide, Method::POST, path, body("carol")).await.0, 200);
    // Acting as one is another matter: double puppets.
    let bot = server.client().with_token(&irc.as_token());
    bot.register_ghost("irc_a").await.unwrap();
    get(&wide.acting_as("@irc_a:localhost"), "/account/whoami", &[]).await;
}

#[tokio::test]
async fn versions_are_enough_for_bridges_and_tell_an_unregistered_bot() {
    let (_service, _server, bot) = scene().await;
    let path = "/_matrix/client/versions";
    let (status, answer) = bot.get(path).await.unwrap();
    assert_eq!(status, StatusCode::OK);
    let versions = answer["versions"].as_array().unwrap();
    assert!(versions.contains(&json!("v1.11")) && !versions.contains(&json!("v1.13")));
    let features = &answer["unstable_features"];
    for feature in [
        "fi.mau.msc2659.stable",
        "uk.tcpip.msc4133",
        "org.matrix.msc3916.stable",
    ] {
        assert_eq!(features[feature], true, "{feature}");
    }
    let unregistered = bot.acting_as("@irc_new:localhost").get(path).await.unwrap();
    assert_eq!(unregistered.1["errcode"], "M_FORBIDDEN");
}

#[tokio::test]
async fn what_an_alias_must_point_at_is_checked_only_when_it_is_new() {
    let (_service, server, _bot) = scene().await;
    let alice = server.user("alice").await.unwrap();
    let room = alice
        .create_room(&json!({ "room_alias_name": "tea" }))
        .await
        .unwrap();
    let rest = format!("/rooms/{room}/state/m.room.canonical_alias");
    put(
        &alice,
        &rest,
        json!({ "alias": "#tea:localhost", "alt_aliases": [] }),
    )
    .await;
    let gone = "/_matrix/client/v3/directory/room/%23tea:localhost";
    assert_eq!(call(&alice, Method::DELETE, gone, Value::Null).await.0, 200);
    put(
        &alice,
        "/directory/room/%23chai:localhost",
        json!({ "room_id": room }),
    )
    .await;
    let kept = json!({ "alias": "#tea:localhost", "alt_aliases": ["#chai:localhost"] });
    put(&alice, &rest, kept).await;
    let new = json!({ "alias": "#none:localhost" });
    let answer = refused(&alice, Method::PUT, &rest, Some(new)).await;
    assert_eq!(answer, (StatusCode::BAD_REQUEST, "M_BAD_ALIAS".to_owned()));
}
