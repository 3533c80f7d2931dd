//! `/sync` and filters: rooms and waiting here, other news and the older event streams beside it.

mod news;
mod streams;

use std::time::{Duration, Instant};

use bridgehead_testkit::{AppserviceOptions, Client, RecordingAppservice, TestServer};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const SYNC: &str = "/_matrix/client/v3/sync";
/// Long enough for a busy machine; a test that waits so long has failed.
const LONG: &str = "30000";

/// One `/sync` with these parameters.
async fn sync(client: &Client, query: &[(&str, &str)]) -> Value {
    client
        .expect_ok(Method::GET, SYNC, query, None)
        .await
        .unwrap()
}

fn token(answer: &Value) -> String {
    answer["next_batch"].as_str().unwrap().to_owned()
}

/// Types of the events in a list.
fn types(events: &Value) -> Vec<&str> {
    let events = events["events"].as_array().unwrap();
    events.iter().map(|e| e["type"].as_str().unwrap()).collect()
}

/// Bodies of the messages in a list.
fn bodies(events: &Value) -> Vec<&str> {
    let events = events["events"].as_array().unwrap();
    events
        .iter()
        .filter_map(|event| event["content"]["body"].as_str())
        .collect()
}

/// A server with Alice in a room that anybody may join.
async fn alice_in_a_room() -> (TestServer, Client, String) {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let room = alice
        .create_room(&json!({ "preset": "public_chat", "name": "tea" }))
        .await
        .unwrap();
    (server, alice, room)
}

async fn membership(client: &Client, room: &str, verb: &str, user_id: Option<&str>) {
    let path = format!("/_matrix/client/v3/rooms/{room}/{verb}");
    let body = user_id.map_or(json!({}), |user_id| json!({ "user_id": user_id }));
    client
        .expect_ok(Method::POST, &path, &[], Some(&body))
        .await
        .unwrap();
}

#[tokio::test]
async fn the_first_sync_has_everything_and_the_next_nothing() {
    let (_server, alice, room) = alice_in_a_room().await;
    alice.send_text(&room, "t1", "hello").await.unwrap();

    let first = sync(&alice, &[]).await;
    let joined = &first["rooms"]["join"][&room];
    let mut all = types(&joined["state"]);
    all.extend(types(&joined["timeline"]));
    assert!(all.contains(&"m.room.create"), "{all:?}");
    assert!(all.contains(&"m.room.name"), "{all:?}");
    assert_eq!(bodies(&joined["timeline"]), ["hello"]);
    assert_eq!(types(&first["account_data"]), ["m.push_rules"]);
    assert_eq!(first["device_one_time_keys_count"]["signed_curve25519"], 0);
    assert_eq!(first["device_unused_fallback_key_types"], json!([]));

    let next = sync(&alice, &[("since", &token(&first))]).await;
    assert!(next.get("rooms").is_none(), "{next}");
    assert!(next.get("account_data").is_none(), "{next}");
}

#[tokio::test]
async fn news_is_told_once_and_the_sender_sees_its_transaction_id() {
    let (server, alice, room) = alice_in_a_room().await;
    let bob = server.user("bob").await.unwrap();
    bob.join(&room).await.unwrap();
    let since = token(&sync(&alice, &[]).await);
    let since_of_bob = token(&sync(&bob, &[]).await);

    alice.send_text(&room, "my-txn", "hello").await.unwrap();

    let news = sync(&alice, &[("since", &since)]).await;
    let timeline = &news["rooms"]["join"][&room]["timeline"];
    assert_eq!(bodies(timeline), ["hello"]);
    assert_eq!(timeline["limited"], false);
    let event = &timeline["events"][0];
    assert_eq!(event["unsigned"]["transaction_id"], "my-txn");
    assert!(event.get("room_id").is_none(), "{event}");
    let again = sync(&alice, &[("since", &token(&news))]).await;
    assert!(again.get("rooms").is_none(), "{again}");

    let news = sync(&bob, &[("since", &since_of_bob)]).await;
    let room_of_bob = &news["rooms"]["join"][&room];
    let event = &room_of_bob["timeline"]["events"][0];
    assert!(event["unsigned"].get("transaction_id").is_none(), "{event}");
    assert_eq!(room_of_bob["unread_notifications"]["notification_count"], 1);
}

#[tokio::test]
async fn a_gap_is_limited_and_its_state_changes_come_along() {
    let (server, alice, room) = alice_in_a_room().await;
    let bob = server.user("bob").await.unwrap();
    let since = token(&sync(&alice, &[]).await);
    bob.join(&room).await.unwrap();
    for index in 0..4 {
        let body = format!("m{index}");
        alice.send_text(&room, &body, &body).await.unwrap();
    }

    let filter = r#"{"room":{"timeline":{"limit":2}}}"#;
    let news = sync(&alice, &[("since", &since), ("filter", filter)]).await;
    let joined = &news["rooms"]["join"][&room];
    assert_eq!(bodies(&joined["timeline"]), ["m2", "m3"]);
    assert_eq!(joined["timeline"]["limited"], true);
    assert!(
        joined["timeline"]["prev_batch"]
            .as_str()
            .unwrap()
            .starts_with('t'),
        "{joined}"
    );
    assert_eq!(types(&joined["state"]), ["m.room.member"]);
    assert_eq!(joined["state"]["events"][0]["state_key"], bob.user_id());
}

#[tokio::test]
async fn a_new_member_gets_the_whole_room() {
    let (server, alice, room) = alice_in_a_room().await;
    alice.send_text(&room, "t1", "before").await.unwrap();
    let bob = server.user("bob").await.unwrap();
    let since = token(&sync(&bob, &[]).await);

    bob.join(&room).await.unwrap();

    let news = sync(&bob, &[("since", &since)]).await;
    let joined = &news["rooms"]["join"][&room];
    assert!(
        types(&joined["state"]).contains(&"m.room.create") || {
            types(&joined["timeline"]).contains(&"m.room.create")
        }
    );
    assert_eq!(bodies(&joined["timeline"]), ["before"]);
}

#[tokio::test]
async fn history_before_joining_is_hidden_where_the_room_says_so() {
    let (server, alice, room) = alice_in_a_room().await;
    let path = format!("/_matrix/client/v3/rooms/{room}/state/m.room.history_visibility");
    let content = json!({ "history_visibility": "joined" });
    alice
        .expect_ok(Method::PUT, &path, &[], Some(&content))
        .await
        .unwrap();
    alice.send_text(&room, "t1", "secret").await.unwrap();
    let bob = server.user("bob").await.unwrap();
    bob.join(&room).await.unwrap();
    alice.send_text(&room, "t2", "open").await.unwrap();

    let first = sync(&bob, &[]).await;
    let timeline = &first["rooms"]["join"][&room]["timeline"];
    assert_eq!(bodies(timeline), ["open"]);
}

#[tokio::test]
async fn an_invite_shows_the_room_from_outside_until_it_is_answered() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let bob = server.user("bob").await.unwrap();
    let room = alice.create_room(&json!({ "name": "tea" })).await.unwrap();
    let since = token(&sync(&bob, &[]).await);

    alice.invite(&room, bob.user_id()).await.unwrap();

    let news = sync(&bob, &[("since", &since)]).await;
    let state = &news["rooms"]["invite"][&room]["invite_state"];
    assert!(types(state).contains(&"m.room.name"), "{state}");
    let own = state["events"].as_array().unwrap().last().unwrap();
    assert_eq!(own["content"]["membership"], "invite");
    assert!(own.get("event_id").is_none(), "stripped: {own}");
    let again = sync(&bob, &[("since", &token(&news))]).await;
    assert!(again.get("rooms").is_none(), "{again}");

    membership(&bob, &room, "leave", None).await;
    let refused = sync(&bob, &[("since", &token(&news))]).await;
    let left = &refused["rooms"]["leave"][&room];
    assert_eq!(types(&left["timeline"]), ["m.room.member"]);
    assert_eq!(left["state"]["events"], json!([]));
}

#[tokio::test]
async fn who_leaves_is_told_up_to_the_leaving() {
    let (server, alice, room) = alice_in_a_room().await;
    let bob = server.user("bob").await.unwrap();
    bob.join(&room).await.unwrap();
    let since = token(&sync(&bob, &[]).await);
    alice.send_text(&room, "t1", "still here").await.unwrap();
    membership(&alice, &room, "kick", Some(bob.user_id())).await;
    alice.send_text(&room, "t2", "now gone").await.unwrap();

    let news = sync(&bob, &[("since", &since)]).await;
    let left = &news["rooms"]["leave"][&room];
    assert_eq!(
        types(&left["timeline"]),
        ["m.room.message", "m.room.member"]
    );
    assert_eq!(bodies(&left["timeline"]), ["still here"]);
    assert!(news["rooms"].get("join").is_none(), "{news}");

    let first = sync(&bob, &[]).await;
    assert!(first.get("rooms").is_none(), "{first}");
    let filter = r#"{"room":{"include_leave":true}}"#;
    let first = sync(&bob, &[("filter", filter)]).await;
    assert_eq!(
        bodies(&first["rooms"]["leave"][&room]["timeline"]),
        ["still here"]
    );

    membership(&bob, &room, "forget", None).await;
    let first = sync(&bob, &[("filter", filter)]).await;
    assert!(first.get("rooms").is_none(), "{first}");
    let news = sync(&bob, &[("since", &since)]).await;
    assert!(news.get("rooms").is_none(), "{news}");
}

#[tokio::test]
async fn a_ban_of_a_stranger_tells_nothing_of_the_room() {
    let (server, alice, room) = alice_in_a_room().await;
    let bob = server.user("bob").await.unwrap();
    let since = token(&sync(&bob, &[]).await);
    alice.send_text(&room, "t1", "not for bob").await.unwrap();

    membership(&alice, &room, "ban", Some(bob.user_id())).await;

    let news = sync(&bob, &[("since", &since)]).await;
    let left = &news["rooms"]["leave"][&room];
    assert_eq!(types(&left["timeline"]), ["m.room.member"]);
    assert_eq!(
        left["timeline"]["events"][0]["content"]["membership"],
        "ban"
    );
    assert_eq!(left["state"]["events"], json!([]));
}

#[tokio::test]
async fn lazy_loading_sends_only_the_members_that_speak() {
    let (server, alice, room) = alice_in_a_room().await;
    let bob = server.user("bob").await.unwrap();
    let carol = server.user("carol").await.unwrap();
    bob.join(&room).await.unwrap();
    carol.join(&room).await.unwrap();
    bob.send_text(&room, "t1", "hello").await.unwrap();

    let filter = r#"{"room":{"state":{"lazy_load_members":true},"timeline":{"limit":1}}}"#;
    let first = sync(&alice, &[("filter", filter)]).await;
    let joined = &first["rooms"]["join"][&room];
    let mut members: Vec<&str> = joined["state"]["events"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["type"] == "m.room.member")
        .map(|event| event["state_key"].as_str().unwrap())
        .collect();
    members.sort_unstable();
    assert_eq!(members, [alice.user_id(), bob.user_id()]);
    assert_eq!(joined["summary"]["m.joined_member_count"], 3);
    assert_eq!(joined["summary"]["m.invited_member_count"], 0);
    assert!(joined["summary"].get("m.heroes").is_none(), "it has a name");

    bob.send_text(&room, "t2", "again").await.unwrap();
    let since = token(&first);
    let news = sync(&alice, &[("filter", filter), ("since", &since)]).await;
    let joined = &news["rooms"]["join"][&room];
    assert_eq!(joined["summary"], json!({}));
    assert_eq!(joined["state"]["events"][0]["state_key"], bob.user_id());
}

#[tokio::test]
async fn a_nameless_room_has_heroes() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let bob = server.user("bob").await.unwrap();
    let room = alice
        .create_room(&json!({ "invite": [bob.user_id()] }))
        .await
        .unwrap();
    let filter = r#"{"room":{"state":{"lazy_load_members":true}}}"#;
    let first = sync(&alice, &[("filter", filter)]).await;
    let summary = &first["rooms"]["join"][&room]["summary"];
    assert_eq!(summary["m.heroes"], json!([bob.user_id()]));
    assert_eq!(summary["m.invited_member_count"], 1);
}

#[tokio::test]
async fn filters_choose_rooms_types_senders_and_fields() {
    let (server, alice, room) = alice_in_a_room().await;
    let other = alice.create_room(&json!({})).await.unwrap();
    let bob = server.user("bob").await.unwrap();
    bob.join(&room).await.unwrap();
    alice.send_text(&room, "t1", "mine").await.unwrap();
    bob.send_text(&room, "t2", "his").await.unwrap();

    let filter = json!({
        "event_fields": ["type", "content.body"],
        "account_data": { "not_types": ["*"] },
        "room": {
            "not_rooms": [other],
            "state": { "types": [] },
            "timeline": { "types": ["m.room.mess*"], "not_senders": [bob.user_id()] },
        },
    })
    .to_string();
    let first = sync(&alice, &[("filter", &filter)]).await;
    assert_eq!(
        first["rooms"]["join"]
            .as_object()
            .unwrap()
            .keys()
            .collect::<Vec<_>>(),
        [&room]
    );
    let joined = &first["rooms"]["join"][&room];
    assert_eq!(joined["state"]["events"], json!([]));
    assert_eq!(
        joined["timeline"]["events"],
        json!([{ "type": "m.room.message", "content": { "body": "mine" } }])
    );
    assert!(first.get("account_data").is_none(), "{first}");

    // What the filter does not want does not end a wait either.
    let since = token(&first);
    bob.send_text(&room, "t3", "his").await.unwrap();
    let query = [
        ("filter", filter.as_str()),
        ("since", &since),
        ("timeout", "1"),
    ];
    assert!(sync(&alice, &query).await.get("rooms").is_none());
}

#[tokio::test]
async fn a_stored_filter_is_used_by_its_id() {
    let (server, alice, room) = alice_in_a_room().await;
    alice.send_text(&room, "t1", "one").await.unwrap();
    alice.send_text(&room, "t2", "two").await.unwrap();
    let path = format!("/_matrix/client/v3/user/{}/filter", alice.user_id());
    let filter = json!({ "room": { "timeline": { "limit": 1 } }, "org.example.unknown": 1 });
    let stored = alice
        .expect_ok(Method::POST, &path, &[], Some(&filter))
        .await
        .unwrap();
    let id = stored["filter_id"].as_str().unwrap();

    let first = sync(&alice, &[("filter", id)]).await;
    let timeline = &first["rooms"]["join"][&room]["timeline"];
    assert_eq!(bodies(timeline), ["two"]);
    let (_, read) = alice.get(&format!("{path}/{id}")).await.unwrap();
    assert_eq!(read, filter);

    let (status, error) = alice.get(&format!("{path}/999")).await.unwrap();
    assert_eq!(
        (status, &error["errcode"]),
        (StatusCode::NOT_FOUND, &json!("M_NOT_FOUND"))
    );
    let bad = json!({ "room": 1 });
    let (status, error) = alice
        .request(Method::POST, &path, &[], Some(&bad))
        .await
        .unwrap();
    assert_eq!(
        (status, &error["errcode"]),
        (StatusCode::BAD_REQUEST, &json!("M_BAD_JSON"))
    );
    let bob = server.user("bob").await.unwrap();
    let (status, _) = bob.get(&format!("{path}/{id}")).await.unwrap();
    assert_eq!(status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn bad_parameters_are_refused_with_the_reason() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    for query in [
        ("since", "t5"),
        ("since", "nonsense"),
        ("since", "s999999999_0_0_0"),
        ("filter", "{"),
        ("filter", "17"),
        ("set_presence", "asleep"),
        ("timeout", "soon"),
    ] {
        let (status, error) = alice
            .request(Method::GET, SYNC, &[query], None)
            .await
            .unwrap();
        assert_eq!(
            (status, &error["errcode"]),
            (StatusCode::BAD_REQUEST, &json!("M_INVALID_PARAM")),
            "{query:?}: {error}"
        );
    }
    let (status, _) = server.client().get(SYNC).await.unwrap();
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_waiting_sync_is_woken_by_a_message_and_by_an_invite() {
    let (server, alice, room) = alice_in_a_room().await;
    let bob = server.user("bob").await.unwrap();
    bob.join(&room).await.unwrap();
    let since = token(&sync(&bob, &[]).await);
    let started = Instant::now();

    let query = [("since", since.as_str()), ("timeout", LONG)];
    let (news, _) = tokio::join!(sync(&bob, &query), alice.send_text(&room, "t1", "wake up"));
    assert_eq!(
        bodies(&news["rooms"]["join"][&room]["timeline"]),
        ["wake up"]
    );

    let other = alice.create_room(&json!({})).await.unwrap();
    let since = token(&news);
    let query = [("since", since.as_str()), ("timeout", LONG)];
    let (news, _) = tokio::join!(sync(&bob, &query), alice.invite(&other, bob.user_id()));
    assert!(news["rooms"]["invite"].get(&other).is_some(), "{news}");
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "it waited in vain"
    );
}

#[tokio::test]
async fn a_room_joined_while_waiting_is_listened_to() {
    let (server, alice, room) = alice_in_a_room().await;
    let bob = server.user("bob").await.unwrap();
    let filter = r#"{"room":{"timeline":{"types":["m.room.message"]},"state":{"types":[]}}}"#;
    let since = token(&sync(&bob, &[("filter", filter)]).await);
    let query = [
        ("since", since.as_str()),
        ("timeout", LONG),
        ("filter", filter),
    ];
    let news = async {
        let mut news = sync(&bob, &query).await;
        while bodies(&news["rooms"]["join"][&room]["timeline"]).is_empty() {
            let since = token(&news);
            let query = [
                ("since", since.as_str()),
                ("timeout", LONG),
                ("filter", filter),
            ];
            news = sync(&bob, &query).await;
        }
        news
    };
    let (news, ()) = tokio::join!(news, async {
        bob.join(&room).await.unwrap();
        alice.send_text(&room, "t1", "welcome").await.unwrap();
    });
    assert_eq!(
        bodies(&news["rooms"]["join"][&room]["timeline"]),
        ["welcome"]
    );
}

#[tokio::test]
async fn the_wait_is_bounded_by_the_server() {
    let settings = [("BRIDGEHEAD_LIMITS_SYNC_TIMEOUT_MAX_MS", "50ms")];
    let server = TestServer::start_with(&[], &settings).await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let since = token(&sync(&alice, &[]).await);
    let started = Instant::now();
    let query = [("since", since.as_str()), ("timeout", "3600000")];
    sync(&alice, &query).await;
    let waited = started.elapsed();
    assert!(waited >= Duration::from_millis(50), "{waited:?}");
    assert!(waited < Duration::from_secs(20), "{waited:?}");
}

#[tokio::test]
async fn full_state_comes_at_once_and_complete() {
    let (_server, alice, room) = alice_in_a_room().await;
    let since = token(&sync(&alice, &[]).await);
    let query = [
        ("since", since.as_str()),
        ("full_state", "true"),
        ("timeout", LONG),
    ];
    let news = sync(&alice, &query).await;
    let joined = &news["rooms"]["join"][&room];
    assert!(
        types(&joined["state"]).contains(&"m.room.create"),
        "{joined}"
    );
    assert_eq!(joined["timeline"]["events"], json!([]));
}

#[tokio::test]
async fn a_redacted_event_says_why() {
    let (_server, alice, room) = alice_in_a_room().await;
    let event_id = alice.send_text(&room, "t1", "oops").await.unwrap();
    let path = format!("/_matrix/client/v3/rooms/{room}/redact/{event_id}/t2");
    alice
        .expect_ok(Method::PUT, &path, &[], Some(&json!({ "reason": "typo" })))
        .await
        .unwrap();
    let first = sync(&alice, &[]).await;
    let timeline = &first["rooms"]["join"][&room]["timeline"]["events"];
    let redacted = timeline
        .as_array()
        .unwrap()
        .iter()
        .find(|event| event["event_id"] == json!(event_id))
        .unwrap();
    assert_eq!(redacted["content"], json!({}));
    assert_eq!(
        redacted["unsigned"]["redacted_because"]["content"]["reason"],
        "typo"
    );
}

#[tokio::test]
async fn an_application_service_syncs_as_its_ghost() {
    let service = RecordingAppservice::start(AppserviceOptions::with_users("irc", "irc_"))
        .await
        .unwrap();
    let server = TestServer::with_appservices(&[&service]).await.unwrap();
    let bot = server.client().with_token(&service.as_token());
    let ghost = bot.register_ghost("irc_bob").await.unwrap();
    let room = ghost.create_room(&json!({ "name": "tea" })).await.unwrap();
    let first = sync(&ghost, &[]).await;
    assert!(first["rooms"]["join"].get(&room).is_some(), "{first}");
    let own = sync(&bot, &[]).await;
    assert!(own.get("rooms").is_none(), "{own}");
}

async fn put(client: &Client, path: &str, body: Value) -> Value {
    client
        .expect_ok(Method::PUT, path, &[], Some(&body))
        .await
        .unwrap()
}

/// Alice and Bob in one room, and tokens from which neither has missed anything.
async fn alice_and_bob() -> (TestServer, [Client; 2], String, [String; 2]) {
    let (server, alice, room) = alice_in_a_room().await;
    let bob = server.user("bob").await.unwrap();
    bob.join(&room).await.unwrap();
    // Once to come online, once to have heard of the other.
    for client in [&alice, &bob] {
        sync(client, &[]).await;
    }
    let tokens = [
        token(&sync(&alice, &[]).await),
        token(&sync(&bob, &[]).await),
    ];
    (server, [alice, bob], room, tokens)
}

#[tokio::test]
async fn a_ban_after_leaving_does_not_show_what_was_said_in_between() {
    let (server, alice, room) = alice_in_a_room().await;
    let bob = server.user("bob").await.unwrap();
    bob.join(&room).await.unwrap();
    let since = token(&sync(&bob, &[]).await);
    membership(&bob, &room, "leave", None).await;
    alice
        .send_text(&room, "t1", "behind his back")
        .await
        .unwrap();
    membership(&alice, &room, "ban", Some(bob.user_id())).await;
    let news = sync(&bob, &[("since", &since)]).await;
    let timeline = &news["rooms"]["leave"][&room]["timeline"];
    assert_eq!(types(timeline), ["m.room.member", "m.room.member"]);
    assert_eq!(timeline["events"][1]["content"]["membership"], "ban");
}

#[tokio::test]
async fn a_knock_shows_the_room_from_outside() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let bob = server.user("bob").await.unwrap();
    let rules = json!({
        "type": "m.room.join_rules",
        "state_key": "",
        "content": { "join_rule": "knock" },
    });
    let room = alice
        .create_room(&json!({ "name": "tea", "initial_state": [rules] }))
        .await
        .unwrap();
    let since = token(&sync(&bob, &[]).await);
    let path = format!(
        "/_matrix/client/v3/rooms/{room}/state/m.room.member/{}",
        bob.user_id()
    );
    put(&bob, &path, json!({ "membership": "knock" })).await;
    let news = sync(&bob, &[("since", &since)]).await;
    let state = &news["rooms"]["knock"][&room]["knock_state"];
    assert!(types(state).contains(&"m.room.name"), "{news}");
}

#[tokio::test]
async fn a_waiting_sync_does_not_hold_up_the_end_of_the_server() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    sync(&alice, &[]).await;
    let since = token(&sync(&alice, &[]).await);
    let started = Instant::now();
    let query = [("since", since.as_str()), ("timeout", LONG)];
    // The request is on its way before the server is told to end: both run in one thread.
    let (answer, _) = tokio::join!(sync(&alice, &query), async {
        sync(&alice, &[("timeout", "0")]).await;
        server.stop().await
    });
    assert_eq!(token(&answer), since);
    assert!(started.elapsed() < Duration::from_secs(5));
}

/// What is committed is seen a moment before it is announced; a token made of it is good in that moment too.
#[tokio::test]
async fn a_token_is_good_from_the_moment_it_is_handed_out() {
    let (_server, alice, room) = alice_in_a_room().await;
    let says = async {
        let sends = (0..400).map(|turn: u32| {
            let (alice, room) = (alice.clone(), room.clone());
            tokio::spawn(async move { alice.send_text(&room, &turn.to_string(), "x").await })
        });
        for sent in sends.collect::<Vec<_>>() {
            sent.await.unwrap().unwrap();
        }
    };
    let looks = async {
        let mut since = token(&sync(&alice, &[("timeout", "0")]).await);
        loop {
            since = token(&sync(&alice, &[("since", &since), ("timeout", "0")]).await);
        }
    };
    tokio::select! {
        () = says => {}
        () = looks => {}
    }
}
