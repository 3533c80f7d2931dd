//! Which events a service gets (features: the rules of interest), and in what form.

use bridgehead_testkit::{Client, TestServer, table_rows};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    peer::{
        Asked, Peer, QUICK, Reply, joined_ghost, room_with_ghost, server_for, server_with, yes,
    },
    support::{get, ok, post, public_room, put, set_state},
};

/// Event ids that the service has got, after one that it surely gets: whatever should have come
/// before has come by then.
async fn got(server: &TestServer, peer: &Peer) -> Vec<String> {
    let bot = peer.client(server);
    let room = bot.create_room(&json!({})).await.unwrap();
    let last = bot.send_text(&room, "last", "last").await.unwrap();
    peer.wait_event(&last).await;
    let ids = peer.events().into_iter();
    ids.map(|event| event["event_id"].as_str().unwrap().to_owned())
        .collect()
}

async fn send(client: &Client, room: &str, text: &str) -> String {
    client.send_text(room, text, text).await.unwrap()
}

async fn alias(client: &Client, method: Method, localpart: &str, room: &str) {
    let path = format!("/directory/room/#{localpart}:localhost");
    let body = (method == Method::PUT).then(|| json!({ "room_id": room }));
    ok(client, method, &path, &[], body).await;
}

#[tokio::test]
async fn events_of_the_services_own_users_and_from_their_join_to_their_leave() {
    let peer = Peer::start("irc").await;
    let server = server_for(&peer, &[]).await;
    let alice = server.user("alice").await.unwrap();
    let room = public_room(&alice).await;
    let before = send(&alice, &room, "before").await;
    let ghost = joined_ghost(&server, &peer, &room).await;
    let own = send(&ghost, &room, "own").await;
    let during = send(&alice, &room, "during").await;
    post(&ghost, &format!("/rooms/{room}/leave"), json!({})).await;
    let after = send(&alice, &room, "after").await;

    let got = got(&server, &peer).await;
    assert!(got.contains(&own) && got.contains(&during));
    assert!(!got.contains(&before) && !got.contains(&after));
    let leave = peer.events().into_iter().find(|event| {
        event["state_key"] == ghost.user_id() && event["content"]["membership"] == "leave"
    });
    assert!(leave.is_some());
}

#[tokio::test]
async fn another_owned_user_keeps_the_room_interesting() {
    let peer = Peer::start("irc").await;
    let server = server_for(&peer, &[]).await;
    let (alice, ghost, room) = room_with_ghost(&server, &peer).await;
    let bot = peer.client(&server);
    bot.join(&room).await.unwrap();
    post(&ghost, &format!("/rooms/{room}/leave"), json!({})).await;
    let kept = send(&alice, &room, "kept").await;
    let kick = json!({ "user_id": "@irc-bot:localhost" });
    post(&alice, &format!("/rooms/{room}/kick"), kick).await;
    let after = send(&alice, &room, "after").await;
    let got = got(&server, &peer).await;
    assert!(got.contains(&kept) && !got.contains(&after));
    let kicked = peer.events().into_iter().any(|event| {
        event["state_key"] == "@irc-bot:localhost" && event["content"]["membership"] == "leave"
    });
    assert!(kicked);
}

#[tokio::test]
async fn an_invite_alone_brings_the_invite_alone_with_the_rooms_stripped_state() {
    let peer = Peer::start("irc").await;
    let server = server_for(&peer, &[]).await;
    let alice = server.user("alice").await.unwrap();
    let bot = peer.client(&server);
    bot.register_ghost("irc_ghost").await.unwrap();
    let room = alice.create_room(&json!({ "name": "tea" })).await.unwrap();
    send(&alice, &room, "before").await;
    alice.invite(&room, "@irc_ghost:localhost").await.unwrap();
    send(&alice, &room, "after").await;
    got(&server, &peer).await;
    let events: Vec<Value> = peer
        .events()
        .into_iter()
        .filter(|event| event["room_id"] == room.as_str())
        .collect();
    assert_eq!(events.len(), 1);
    let stripped = events[0]["unsigned"]["invite_room_state"]
        .as_array()
        .unwrap();
    let named = |event: &Value| event["type"] == "m.room.name" && event["content"]["name"] == "tea";
    assert!(stripped.iter().any(named));
    assert_eq!(
        &events[0]["invite_room_state"],
        &events[0]["unsigned"]["invite_room_state"]
    );
}

#[tokio::test]
async fn a_ban_of_an_owned_user_who_never_came_is_told() {
    let peer = Peer::start("irc").await;
    let server = server_for(&peer, &[]).await;
    let alice = server.user("alice").await.unwrap();
    let room = public_room(&alice).await;
    let body = json!({ "user_id": "@irc_someone:localhost" });
    post(&alice, &format!("/rooms/{room}/ban"), body).await;
    let after = send(&alice, &room, "after").await;
    let got = got(&server, &peer).await;
    assert!(!got.contains(&after));
    let bans = peer.events().into_iter();
    assert_eq!(
        bans.filter(|event| event["content"]["membership"] == "ban")
            .count(),
        1
    );
}

#[tokio::test]
async fn a_rooms_namespace_brings_all_of_the_room() {
    let peer = Peer::start("irc").await;
    let mut registration = peer.registration();
    registration["namespaces"]["rooms"] = json!([{ "regex": "!.*", "exclusive": false }]);
    let server = server_with(&[registration], &[]).await;
    let alice = server.user("alice").await.unwrap();
    let room = alice.create_room(&json!({})).await.unwrap();
    let sent = send(&alice, &room, "text").await;
    let first = peer.wait_event(&sent).await;
    assert!(!first.is_empty());
    assert_eq!(peer.events()[0]["type"], "m.room.create");
}

#[tokio::test]
async fn an_alias_made_later_brings_what_comes_later_until_it_is_deleted() {
    let peer = Peer::start("irc").await;
    let server = server_for(&peer, &[]).await;
    let alice = server.user("alice").await.unwrap();
    let bot = peer.client(&server);
    let room = public_room(&alice).await;
    let before = send(&alice, &room, "before").await;
    alias(&bot, Method::PUT, "irc_tea", &room).await;
    let during = send(&alice, &room, "during").await;
    alias(&bot, Method::DELETE, "irc_tea", &room).await;
    let after = send(&alice, &room, "after").await;
    let got = got(&server, &peer).await;
    assert!(got.contains(&during));
    assert!(!got.contains(&before) && !got.contains(&after));
}

#[tokio::test]
async fn the_room_as_it_was_when_the_event_was_stored_decides() {
    let mut peer = Peer::start("irc").await;
    let server = server_for(&peer, QUICK).await;
    let (alice, ghost, room) = room_with_ghost(&server, &peer).await;
    peer.wait_count(1).await;
    peer.close().await;
    let during = send(&alice, &room, "during").await;
    post(&ghost, &format!("/rooms/{room}/leave"), json!({})).await;
    let between = send(&alice, &room, "between").await;
    ghost.join(&room).await.unwrap();
    peer.open().await;
    let got = got(&server, &peer).await;
    assert!(got.contains(&during) && !got.contains(&between));
}

#[tokio::test]
async fn a_services_room_does_not_interest_another_service() {
    let (peer, other) = (Peer::start("irc").await, Peer::start("xmpp").await);
    let server = server_with(&[peer.registration(), other.registration()], &[]).await;
    let (alice, _, room) = room_with_ghost(&server, &peer).await;
    let sent = send(&alice, &room, "text").await;
    peer.wait_event(&sent).await;
    assert!(!got(&server, &other).await.contains(&sent));
}

#[tokio::test]
async fn a_tombstone_is_an_event_like_others_and_the_new_room_is_not_the_services() {
    let peer = Peer::start("irc").await;
    let server = server_for(&peer, &[]).await;
    let (alice, _, room) = room_with_ghost(&server, &peer).await;
    let next = public_room(&alice).await;
    let content = json!({ "body": "moved", "replacement_room": next });
    let tombstone = set_state(&alice, &room, "m.room.tombstone", "", content).await;
    let elsewhere = send(&alice, &next, "elsewhere").await;
    let got = got(&server, &peer).await;
    assert!(got.contains(&tombstone) && !got.contains(&elsewhere));
}

#[tokio::test]
async fn an_event_has_the_copies_of_the_first_version_beside_the_standard_form() {
    let peer = Peer::start("irc").await;
    let server = server_for(&peer, &[]).await;
    let (alice, _, room) = room_with_ghost(&server, &peer).await;
    let levels = json!({ "users": { "@alice:localhost": 100, "@irc_ghost:localhost": 50 } });
    set_state(&alice, &room, "m.room.power_levels", "", levels).await;
    let first = set_state(&alice, &room, "m.room.topic", "", json!({ "topic": "one" })).await;
    let ghost = peer.client(&server).acting_as("@irc_ghost:localhost");
    let second = set_state(&ghost, &room, "m.room.topic", "", json!({ "topic": "two" })).await;

    let event = peer.event(&second).await;
    assert_eq!(event["user_id"], "@irc_ghost:localhost");
    assert_eq!(event["sender"], "@irc_ghost:localhost");
    assert_eq!(event["unsigned"]["prev_sender"], "@alice:localhost");
    for form in [&event, &event["unsigned"]] {
        assert_eq!(form["prev_content"], json!({ "topic": "one" }));
        assert_eq!(form["replaces_state"], first.as_str());
        assert!(form["age"].as_i64().unwrap() >= 0);
    }
    for key in [
        "auth_events",
        "prev_events",
        "hashes",
        "signatures",
        "depth",
    ] {
        assert!(event.get(key).is_none(), "{key}");
    }
}

#[tokio::test]
async fn a_redaction_names_its_target_in_both_places_in_every_room_version() {
    let peer = Peer::start("irc").await;
    let server = server_for(&peer, &[]).await;
    let alice = server.user("alice").await.unwrap();
    for version in ["10", "11"] {
        let body = json!({ "preset": "public_chat", "room_version": version });
        let room = alice.create_room(&body).await.unwrap();
        peer.client(&server).join(&room).await.unwrap();
        let target = send(&alice, &room, "secret").await;
        let path = format!("/rooms/{room}/redact/{target}/r");
        let redacted = put(&alice, &path, json!({ "reason": "r" })).await;
        let redaction = redacted["event_id"].as_str().unwrap();
        let path = format!("/rooms/{room}/event/{redaction}");
        for event in [peer.event(redaction).await, get(&alice, &path, &[]).await] {
            assert_eq!(event["redacts"], target.as_str());
            assert_eq!(
                event["content"],
                json!({ "reason": "r", "redacts": target })
            );
        }
    }
}

#[tokio::test]
async fn a_redaction_sent_like_a_message_redacts_and_needs_the_same_power() {
    let peer = Peer::start("irc").await;
    let server = server_for(&peer, &[]).await;
    let (alice, ghost, room) = room_with_ghost(&server, &peer).await;
    let target = send(&alice, &room, "secret").await;
    let content = json!({ "redacts": target });
    let refused = ghost.send(&room, "m.room.redaction", "1", &content).await;
    assert!(refused.unwrap_err().to_string().contains("M_FORBIDDEN"));
    let sent = alice.send(&room, "m.room.redaction", "2", &content).await;
    assert_eq!(peer.event(&sent.unwrap()).await["redacts"], target.as_str());
    let event = get(&alice, &format!("/rooms/{room}/event/{target}"), &[]).await;
    assert_eq!(event["content"], json!({}));
}

#[tokio::test]
async fn an_event_redacted_while_the_service_was_away_comes_without_its_content() {
    let peer = Peer::start("irc").await;
    peer.reply(|_| Reply::Html(503));
    let server = server_for(&peer, QUICK).await;
    let (alice, _, room) = room_with_ghost(&server, &peer).await;
    // The ghost's join is frozen and refused; what follows waits.
    peer.wait_count(1).await;
    let target = send(&alice, &room, "secret").await;
    let path = format!("/rooms/{room}/redact/{target}/r");
    let redacted = put(&alice, &path, json!({})).await;
    peer.reply(|_| yes());
    let event = peer.event(&target).await;
    assert_eq!(event["content"], json!({}));
    for form in [&event, &event["unsigned"]] {
        assert_eq!(form["redacted_because"]["event_id"], redacted["event_id"]);
    }
}

#[tokio::test]
async fn the_age_is_the_same_in_a_retry() {
    let peer = Peer::start("irc").await;
    let server = server_for(&peer, QUICK).await;
    let (alice, _, room) = room_with_ghost(&server, &peer).await;
    peer.wait_count(1).await;
    peer.reply(|_| Reply::Json(500, json!({})));
    let sent = send(&alice, &room, "text").await;
    peer.wait_count(5).await;
    peer.reply(|_| yes());
    let asked = peer.wait_event(&sent).await;
    let bodies: Vec<_> = asked[1..].iter().map(|asked: &Asked| &asked.body).collect();
    assert!(bodies.iter().all(|body| *body == bodies[0]));
}

/// Rows that ten messages add to each table, in a room with a ghost of each of so many services. The services have no
/// address, so deliveries add none.
async fn rows_of_ten_messages(services: usize) -> std::collections::BTreeMap<String, u64> {
    let folder = tempfile::TempDir::new().unwrap();
    let mut files = Vec::new();
    for number in 0..services {
        let registration = json!({
            "id": format!("service{number}"),
            "url": null,
            "as_token": format!("as-token-of-{number}"),
            "hs_token": format!("hs-token-of-{number}"),
            "sender_localpart": format!("service{number}-bot"),
            "rate_limited": false,
            "namespaces": { "users": [{ "regex": format!("@s{number}_.*"), "exclusive": true }] },
        });
        let file = folder.path().join(format!("{number}.yaml"));
        std::fs::write(&file, registration.to_string()).unwrap();
        files.push(file);
    }
    let server = TestServer::start_with(&files, &[]).await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let room = public_room(&alice).await;
    for number in 0..services {
        let token = format!("as-token-of-{number}");
        let bot = server.client().with_token(&token);
        let ghost = bot.register_ghost(&format!("s{number}_ghost")).await;
        ghost.unwrap().join(&room).await.unwrap();
    }
    send(&alice, &room, "the first one interns the set").await;
    let database = server.folder().join("data/bridgehead.db");
    let before = table_rows(&database).unwrap();
    for number in 0..10 {
        send(&alice, &room, &number.to_string()).await;
    }
    let mut rows = table_rows(&database).unwrap();
    for (table, count) in &mut rows {
        *count -= before[table];
    }
    rows.retain(|_, count| *count > 0);
    rows
}

#[tokio::test]
async fn an_append_writes_no_more_rows_for_fifty_services_than_for_one() {
    let one = rows_of_ten_messages(1).await;
    assert_eq!((one["log"], one["events"]), (10, 10), "{one:?}");
    assert_eq!(rows_of_ten_messages(50).await, one);
}
