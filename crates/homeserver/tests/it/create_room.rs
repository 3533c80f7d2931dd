//! `/createRoom`.

use bridgehead_testkit::{AppserviceOptions, Client, RecordingAppservice, TestServer};
use reqwest::Method;
use serde_json::{Value, json};

use crate::calls::{StrictServer, call, code};
use crate::support::{bad_request, get, not_found, refused};

async fn state(client: &Client, room: &str, kind: &str) -> Value {
    client.state(room, kind, "").await.unwrap()
}

async fn timeline(client: &Client, room: &str) -> Vec<Value> {
    let query = [("dir", "f"), ("limit", "100")];
    let page = get(client, &format!("/rooms/{room}/messages"), &query).await;
    page["chunk"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_room_starts_with_the_events_in_the_specified_order() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    server.user("bob").await.unwrap();
    let body = json!({
        "name": "tea", "topic": "leaves", "room_alias_name": "tea", "preset": "public_chat",
        "initial_state": [{ "type": "org.example", "state_key": "k", "content": { "a": 1 } }],
        "invite": ["@bob:localhost", "@bob:localhost", "@alice:localhost"], "is_direct": true,
        "invite_3pid": [{ "id_server": "x", "id_access_token": "t", "medium": "email", "address": "a@b" }],
    });
    let room = alice.create_room(&body).await.unwrap();
    let events = timeline(&alice, &room).await;
    let types: Vec<_> = events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        types,
        [
            "m.room.create",
            "m.room.member",
            "m.room.power_levels",
            "m.room.canonical_alias",
            "m.room.join_rules",
            "m.room.history_visibility",
            "m.room.guest_access",
            "org.example",
            "m.room.name",
            "m.room.topic",
            "m.room.member",
        ]
    );
    let invite = &events[10];
    assert_eq!(invite["state_key"], "@bob:localhost");
    assert_eq!(invite["content"]["is_direct"], true);
    let first = events[0]["unsigned"].as_object().unwrap();
    assert!(!first.contains_key("replaces_state"), "{first:?}");
}

#[tokio::test]
async fn presets_set_the_rules_unless_the_initial_state_does() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    for (body, rule, guests) in [
        (json!({}), "invite", "can_join"),
        (json!({ "visibility": "public" }), "public", "forbidden"),
        (
            json!({ "visibility": "public", "preset": "private_chat" }),
            "invite",
            "can_join",
        ),
        (json!({ "preset": "public_chat" }), "public", "forbidden"),
        (
            json!({ "preset": "trusted_private_chat" }),
            "invite",
            "can_join",
        ),
        (
            json!({ "preset": "public_chat", "initial_state": [
                { "type": "m.room.join_rules", "content": { "join_rule": "knock" } },
                { "type": "m.room.guest_access", "state_key": "", "content": { "guest_access": "can_join" } },
            ]}),
            "knock",
            "can_join",
        ),
    ] {
        let room = alice.create_room(&body).await.unwrap();
        assert_eq!(
            state(&alice, &room, "m.room.join_rules").await["join_rule"],
            rule,
            "{body}"
        );
        let access = state(&alice, &room, "m.room.guest_access").await;
        assert_eq!(access["guest_access"], guests, "{body}");
        let visibility = state(&alice, &room, "m.room.history_visibility").await;
        assert_eq!(visibility["history_visibility"], "shared");
        let rules = timeline(&alice, &room).await;
        let rules = rules
            .iter()
            .filter(|event| event["type"] == "m.room.join_rules");
        assert_eq!(rules.count(), 1, "{body}");
    }
}

#[tokio::test]
async fn power_levels_are_overridden_from_above() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let body = json!({
        "room_version": "11",
        "power_level_content_override": { "events_default": 7, "users": { "@alice:localhost": 9001 } },
    });
    let room = alice.create_room(&body).await.unwrap();
    let levels = state(&alice, &room, "m.room.power_levels").await;
    assert_eq!(levels["events_default"], 7);
    assert_eq!(levels["state_default"], 50);
    assert_eq!(levels["users"], json!({ "@alice:localhost": 9001 }));

    let given = json!({ "users": { "@alice:localhost": 100, "@bob:localhost": 101 } });
    let body = json!({
        "room_version": "11",
        "initial_state": [{ "type": "m.room.power_levels", "content": given }],
    });
    let room = alice.create_room(&body).await.unwrap();
    assert_eq!(state(&alice, &room, "m.room.power_levels").await, given);
}

#[tokio::test]
async fn trusted_friends_are_as_mighty_as_the_creator() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    server.user("bob").await.unwrap();
    let body = |version: &str| {
        json!({
            "preset": "trusted_private_chat", "room_version": version,
            "invite": ["@bob:localhost"],
        })
    };
    let room = alice.create_room(&body("11")).await.unwrap();
    let levels = state(&alice, &room, "m.room.power_levels").await;
    assert_eq!(
        levels["users"],
        json!({ "@alice:localhost": 100, "@bob:localhost": 100 })
    );

    let room = alice.create_room(&body("12")).await.unwrap();
    let create = state(&alice, &room, "m.room.create").await;
    assert_eq!(create["additional_creators"], json!(["@bob:localhost"]));
    let levels = state(&alice, &room, "m.room.power_levels").await;
    assert_eq!(levels["users"], json!({}));
    assert_eq!(levels["events"]["m.room.tombstone"], 150);
    assert!(
        !room.contains(':'),
        "{room} is named after its create event"
    );
}

#[tokio::test]
async fn creation_content_reaches_the_create_event() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let body = json!({
        "room_version": "10",
        "creation_content": {
            "type": "m.space", "m.federate": false, "creator": "@mallory:localhost",
            "room_version": "1",
        },
    });
    let room = alice.create_room(&body).await.unwrap();
    assert_eq!(
        state(&alice, &room, "m.room.create").await,
        json!({
            "type": "m.space", "m.federate": false, "creator": "@alice:localhost",
            "room_version": "10",
        })
    );
}

#[tokio::test]
async fn what_cannot_be_is_refused_and_leaves_nothing() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let member = json!({ "type": "m.room.member", "state_key": "@b:localhost", "content": {} });
    let invalid = bad_request("M_INVALID_PARAM");
    for (body, expected) in [
        (
            json!({ "room_version": "nonsense" }),
            bad_request("M_UNSUPPORTED_ROOM_VERSION"),
        ),
        (
            json!({ "room_version": "1" }),
            bad_request("M_UNSUPPORTED_ROOM_VERSION"),
        ),
        (json!({ "room_version": 11 }), bad_request("M_BAD_JSON")),
        (json!({ "preset": "nonsense" }), invalid.clone()),
        (json!({ "visibility": "nonsense" }), invalid.clone()),
        (
            json!({ "room_alias_name": "#a:localhost" }),
            invalid.clone(),
        ),
        (json!({ "room_alias_name": "" }), invalid),
        (
            json!({ "initial_state": [member] }),
            bad_request("M_BAD_JSON"),
        ),
        (
            json!({ "initial_state": [{ "type": "a", "content": 1 }] }),
            bad_request("M_BAD_JSON"),
        ),
        (json!({ "creation_content": [] }), bad_request("M_BAD_JSON")),
        (json!({ "invite": ["bob"] }), bad_request("M_BAD_JSON")),
        (
            json!({ "room_version": "11", "power_level_content_override": { "ban": "lots" } }),
            bad_request("M_BAD_JSON"),
        ),
    ] {
        let answer = refused(&alice, Method::POST, "/createRoom", Some(body.clone())).await;
        assert_eq!(answer, expected, "{body}");
    }
    let joined = get(&alice, "/joined_rooms", &[]).await;
    assert_eq!(joined, json!({ "joined_rooms": [] }));
}

#[tokio::test]
async fn a_ghost_that_its_service_does_not_know_cannot_be_invited() {
    let service = RecordingAppservice::start(AppserviceOptions::with_users("irc", "irc_"))
        .await
        .unwrap();
    let server = TestServer::with_appservices(&[&service]).await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let body = json!({ "invite": ["@irc_nobody:localhost"] });
    assert_eq!(
        refused(&alice, Method::POST, "/createRoom", Some(body)).await,
        not_found()
    );
    let joined = get(&alice, "/joined_rooms", &[]).await;
    assert_eq!(joined, json!({ "joined_rooms": [] }));
}

#[tokio::test]
async fn people_make_rooms_and_ban_at_a_limited_rate() {
    let bursts = [
        ("BRIDGEHEAD_LIMITS_JOINS_BURST", "2"),
        ("BRIDGEHEAD_LIMITS_MESSAGES_BURST", "2"),
    ];
    let server = StrictServer::start(Vec::new(), &bursts).await;
    let alice = server.client().register("alice", "password").await.unwrap();
    alice.create_room(&json!({})).await.unwrap();
    let room = alice.create_room(&json!({})).await.unwrap();
    let path = "/_matrix/client/v3/createRoom";
    let third = call(&alice, Method::POST, path, json!({})).await;
    assert_eq!(code(&third), (429, "M_LIMIT_EXCEEDED"));
    assert!(third.1["retry_after_ms"].as_u64().unwrap() > 0);
    let ban = format!("/_matrix/client/v3/rooms/{room}/ban");
    for (user, expected) in [
        ("@b:localhost", 200),
        ("@c:localhost", 200),
        ("@d:localhost", 429),
    ] {
        let body = json!({ "user_id": user });
        assert_eq!(call(&alice, Method::POST, &ban, body).await.0, expected);
    }
    let leave = format!("/_matrix/client/v3/rooms/{room}/leave");
    assert_eq!(call(&alice, Method::POST, &leave, json!({})).await.0, 200);
}

#[tokio::test]
async fn rooms_named_by_their_create_event_can_be_made_at_the_same_moment() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let body = json!({ "room_version": "12" });
    let made = futures_util::future::join_all((0..32).map(|_| alice.create_room(&body))).await;
    let rooms: std::collections::BTreeSet<String> =
        made.into_iter().collect::<Result<_, _>>().unwrap();
    assert_eq!(rooms.len(), 32);
}
