//! `/messages`, `/event`, `/timestamp_to_event`, `/report`, and who may see what of the history.

use bridgehead_testkit::{Client, TestServer};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    bad_request, forbidden, get, not_found, post, public_room, put, refused, set_state, told,
};

async fn send_numbered(client: &Client, room: &str, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let text = format!("{number}");
        client.send_text(room, &text, &text).await.unwrap();
    }
}

async fn messages(client: &Client, room: &str, query: &[(&str, &str)]) -> Value {
    get(client, &format!("/rooms/{room}/messages"), query).await
}

/// All texts a client can page back to, newest first.
async fn texts_seen(client: &Client, room: &str) -> Vec<String> {
    let filter = ("filter", r#"{"types":["m.room.message"]}"#);
    let page = messages(client, room, &[("dir", "b"), ("limit", "100"), filter]).await;
    told(&page["chunk"])
}

async fn set_visibility(client: &Client, room: &str, visibility: &str) {
    let content = json!({ "history_visibility": visibility });
    set_state(client, room, "m.room.history_visibility", "", content).await;
}

#[tokio::test]
async fn pages_lead_backwards_to_the_start_and_forwards_again() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let room = public_room(&alice).await;
    send_numbered(&alice, &room, 0..5).await;

    let newest = messages(&alice, &room, &[("dir", "b"), ("limit", "3")]).await;
    assert_eq!(told(&newest["chunk"]), ["4", "3", "2"]);
    let end = newest["end"].as_str().unwrap();
    let older = messages(
        &alice,
        &room,
        &[("dir", "b"), ("limit", "3"), ("from", end)],
    )
    .await;
    assert_eq!(told(&older["chunk"])[..2], ["1", "0"]);
    let rest = messages(
        &alice,
        &room,
        &[
            ("dir", "b"),
            ("limit", "100"),
            ("from", older["end"].as_str().unwrap()),
        ],
    )
    .await;
    assert_eq!(told(&rest["chunk"]).last().unwrap(), "m.room.create");
    assert!(rest.get("end").is_none(), "there is nothing before: {rest}");

    let again = messages(
        &alice,
        &room,
        &[("dir", "f"), ("limit", "2"), ("from", end)],
    )
    .await;
    assert_eq!(told(&again["chunk"]), ["2", "3"]);
    let bounded = messages(
        &alice,
        &room,
        &[
            ("dir", "f"),
            ("from", end),
            ("to", again["end"].as_str().unwrap()),
        ],
    )
    .await;
    assert_eq!(told(&bounded["chunk"]), ["2", "3"]);
    let first = messages(&alice, &room, &[("dir", "f"), ("limit", "1")]).await;
    assert_eq!(told(&first["chunk"]), ["m.room.create"]);
}

#[tokio::test]
async fn filters_choose_and_lazy_loading_brings_the_speakers() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let bob = server.user("bob").await.unwrap();
    let room = public_room(&alice).await;
    bob.join(&room).await.unwrap();
    send_numbered(&alice, &room, 0..2).await;
    send_numbered(&bob, &room, 2..4).await;

    let filter =
        r#"{"types":["m.room.mess*"],"senders":["@bob:localhost"],"lazy_load_members":true}"#;
    let page = messages(&alice, &room, &[("dir", "b"), ("filter", filter)]).await;
    assert_eq!(told(&page["chunk"]), ["3", "2"]);
    let state = page["state"].as_array().unwrap();
    assert_eq!(state.len(), 1);
    assert_eq!(state[0]["state_key"], "@bob:localhost");

    let without_url = r#"{"contains_url":true}"#;
    let page = messages(&alice, &room, &[("dir", "b"), ("filter", without_url)]).await;
    assert_eq!(page["chunk"], json!([]));
}

#[tokio::test]
async fn bad_parameters_are_named() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let room = public_room(&alice).await;
    for query in ["dir=x", "from=nonsense", "limit=-1", "filter=%7B"] {
        let rest = format!("/rooms/{room}/messages?{query}");
        assert_eq!(
            refused(&alice, Method::GET, &rest, None).await,
            bad_request("M_INVALID_PARAM"),
            "{query}"
        );
    }
}

#[tokio::test]
async fn strangers_read_only_what_the_world_may_read() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let bob = server.user("bob").await.unwrap();
    let room = public_room(&alice).await;
    let rest = format!("/rooms/{room}/messages");
    assert_eq!(refused(&bob, Method::GET, &rest, None).await, forbidden());

    send_numbered(&alice, &room, 0..1).await;
    set_visibility(&alice, &room, "world_readable").await;
    send_numbered(&alice, &room, 1..2).await;
    assert_eq!(texts_seen(&bob, &room).await, ["1"]);
}

#[tokio::test]
async fn joined_visibility_hides_what_was_before_the_join() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let bob = server.user("bob").await.unwrap();
    let room = public_room(&alice).await;
    send_numbered(&alice, &room, 0..1).await;
    set_visibility(&alice, &room, "joined").await;
    send_numbered(&alice, &room, 1..2).await;
    alice.invite(&room, "@bob:localhost").await.unwrap();
    send_numbered(&alice, &room, 2..3).await;
    bob.join(&room).await.unwrap();
    send_numbered(&alice, &room, 3..4).await;
    // What was sent while the room was shared stays readable for who joins later.
    assert_eq!(texts_seen(&bob, &room).await, ["3", "0"]);
    // The change of the visibility counts by how it was before, too.
    let filter = r#"{"types":["m.room.history_visibility"]}"#;
    let page = messages(&bob, &room, &[("dir", "b"), ("filter", filter)]).await;
    assert_eq!(page["chunk"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn invited_visibility_starts_with_the_invite() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let bob = server.user("bob").await.unwrap();
    let room = public_room(&alice).await;
    set_visibility(&alice, &room, "invited").await;
    send_numbered(&alice, &room, 0..1).await;
    alice.invite(&room, "@bob:localhost").await.unwrap();
    send_numbered(&alice, &room, 1..2).await;
    bob.join(&room).await.unwrap();
    send_numbered(&alice, &room, 2..3).await;
    assert_eq!(texts_seen(&bob, &room).await, ["2", "1"]);
}

#[tokio::test]
async fn who_left_reads_up_to_their_leaving_even_when_banned_or_invited_later() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let bob = server.user("bob").await.unwrap();
    let room = public_room(&alice).await;
    bob.join(&room).await.unwrap();
    send_numbered(&alice, &room, 0..1).await;
    post(&bob, &format!("/rooms/{room}/leave"), json!({})).await;
    send_numbered(&alice, &room, 1..2).await;
    assert_eq!(texts_seen(&bob, &room).await, ["0"]);
    alice.invite(&room, "@bob:localhost").await.unwrap();
    assert_eq!(texts_seen(&bob, &room).await, ["0"]);
    let ban = json!({ "user_id": "@bob:localhost" });
    post(&alice, &format!("/rooms/{room}/ban"), ban).await;
    assert_eq!(texts_seen(&bob, &room).await, ["0"]);

    post(&bob, &format!("/rooms/{room}/forget"), json!({})).await;
    let rest = format!("/rooms/{room}/messages");
    assert_eq!(refused(&bob, Method::GET, &rest, None).await, forbidden());
}

#[tokio::test]
async fn an_event_is_shown_to_who_may_see_it() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let bob = server.user("bob").await.unwrap();
    let room = public_room(&alice).await;
    let event = alice.send_text(&room, "t1", "hello").await.unwrap();
    let rest = format!("/rooms/{room}/event/{event}");

    let shown = get(&alice, &rest, &[]).await;
    assert_eq!(shown["content"]["body"], "hello");
    assert_eq!(shown["unsigned"]["transaction_id"], "t1");
    assert_eq!(shown["unsigned"]["membership"], "join");
    assert_eq!(refused(&bob, Method::GET, &rest, None).await, not_found());
    let other = public_room(&alice).await;
    let elsewhere = format!("/rooms/{other}/event/{event}");
    assert_eq!(
        refused(&alice, Method::GET, &elsewhere, None).await,
        not_found()
    );
}

#[tokio::test]
async fn a_redacted_event_says_what_redacted_it() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let room = public_room(&alice).await;
    let event = alice.send_text(&room, "t1", "oops").await.unwrap();
    let redact = format!("/rooms/{room}/redact/{event}/r1");
    put(&alice, &redact, json!({ "reason": "typo" })).await;

    let shown = get(&alice, &format!("/rooms/{room}/event/{event}"), &[]).await;
    assert_eq!(shown["content"], json!({}));
    let because = &shown["unsigned"]["redacted_because"];
    assert_eq!(because["type"], "m.room.redaction");
    assert_eq!(because["content"]["reason"], "typo");
    let page = messages(&alice, &room, &[("dir", "b"), ("limit", "2")]).await;
    assert_eq!(
        page["chunk"][1]["unsigned"]["redacted_because"]["sender"],
        "@alice:localhost"
    );
}

#[tokio::test]
async fn an_event_is_found_by_its_time() {
    let service = bridgehead_testkit::RecordingAppservice::start(
        bridgehead_testkit::AppserviceOptions::with_users("irc", "irc_"),
    )
    .await
    .unwrap();
    let server = TestServer::with_appservices(&[&service]).await.unwrap();
    let bot = server
        .client()
        .with_token(&service.as_token())
        .acting_as("@irc-bot:localhost");
    let room = public_room(&bot).await;
    for ts in ["1000", "2000"] {
        let path = Client::send_path(&room, "m.room.message", ts);
        bot.expect_ok(
            Method::PUT,
            &path,
            &[("ts", ts)],
            Some(&json!({ "body": ts })),
        )
        .await
        .unwrap();
    }
    let rest = format!("/rooms/{room}/timestamp_to_event");
    let at = |ts, dir| {
        let (bot, rest) = (bot.clone(), rest.clone());
        async move { get(&bot, &rest, &[("ts", ts), ("dir", dir)]).await["origin_server_ts"].clone() }
    };
    assert_eq!(at("1500", "b").await, 1000);
    assert_eq!(at("1500", "f").await, 2000);
    let before_all = format!("{rest}?ts=1&dir=b");
    assert_eq!(
        refused(&bot, Method::GET, &before_all, None).await,
        not_found()
    );
}

#[tokio::test]
async fn reports_are_taken_for_what_the_reporter_can_see() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let bob = server.user("bob").await.unwrap();
    let room = public_room(&alice).await;
    let event = alice.send_text(&room, "t1", "spam").await.unwrap();
    let reason = json!({ "reason": "spam", "score": -100 });
    let rest = format!("/rooms/{room}/report/{event}");
    assert_eq!(post(&alice, &rest, reason.clone()).await, json!({}));
    assert_eq!(
        refused(&bob, Method::POST, &rest, Some(reason.clone())).await,
        not_found()
    );
    post(&bob, &format!("/rooms/{room}/report"), reason.clone()).await;
    assert_eq!(
        refused(
            &bob,
            Method::POST,
            "/rooms/!none:localhost/report",
            Some(reason)
        )
        .await,
        not_found()
    );
}
