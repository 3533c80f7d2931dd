//! Presence: set, read, and told to application services.

use bridgehead_testkit::{Client, TestServer};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::ephemeral::{
    STABLE, UNSTABLE, ghost, outcome, room_with_ghosts, segment, service, told, wait_event,
    wait_told,
};

fn path(user_id: &str) -> String {
    format!("/_matrix/client/v3/presence/{}/status", segment(user_id))
}

async fn set(client: &Client, body: Value) -> (StatusCode, String) {
    outcome(client, Method::PUT, &path(client.user_id()), &body).await
}

async fn get(client: &Client, user_id: &str) -> Value {
    client.get(&path(user_id)).await.unwrap().1["presence"].take()
}

#[tokio::test]
async fn those_who_share_a_room_see_it_and_interested_services_are_told() {
    let irc = service("irc", true, true).await;
    let plain = service("plain", false, false).await;
    let services = [&irc, &plain];
    let server = TestServer::with_appservices(&services).await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let bob = server.user("bob").await.unwrap();
    let room = room_with_ghosts(&server, &alice, &services, &["irc", "plain"]).await;

    let body = json!({ "presence": "unavailable", "status_msg": "tea" });
    assert_eq!(set(&alice, body).await.0, StatusCode::OK);

    for key in [STABLE, UNSTABLE] {
        let told = wait_told(&irc, key, |told| told["type"] == "m.presence").await;
        assert_eq!(told["sender"], "@alice:localhost");
        assert_eq!(told["content"]["presence"], "unavailable");
        assert_eq!(told["content"]["status_msg"], "tea");
    }
    let (status, _) = bob.get(&path("@alice:localhost")).await.unwrap();
    assert_eq!(status, StatusCode::FORBIDDEN);
    bob.join(&room).await.unwrap();
    assert_eq!(get(&bob, "@alice:localhost").await, "unavailable");
    assert_eq!(get(&alice, "@bob:localhost").await, "offline");
    let event = alice.send_text(&room, "t", "after").await.unwrap();
    wait_event(&plain, &event).await;
    assert!(told(&plain, STABLE, "m.presence").is_empty());
}

#[tokio::test]
async fn a_service_hears_of_its_own_users_without_a_room() {
    let irc = service("irc", true, false).await;
    let server = TestServer::with_appservices(&[&irc]).await.unwrap();
    let bot = server.client().with_token(&irc.as_token());
    let ghost = bot.register_ghost("irc_lone").await.unwrap();
    set(&ghost, json!({ "presence": "online" })).await;
    wait_told(&irc, STABLE, |told| told["sender"] == "@irc_lone:localhost").await;
}

#[tokio::test]
async fn only_services_make_their_users_invisible_and_others_see_offline() {
    let irc = service("irc", true, false).await;
    let server = TestServer::with_appservices(&[&irc]).await.unwrap();
    let alice = server.user("alice").await.unwrap();
    room_with_ghosts(&server, &alice, &[&irc], &["irc"]).await;
    let own = ghost(&server, &irc, "irc");

    let invisible = json!({ "presence": "invisible" });
    assert_eq!(
        set(&alice, invisible.clone()).await,
        (StatusCode::FORBIDDEN, "M_FORBIDDEN".to_owned())
    );
    assert_eq!(set(&own, invisible).await.0, StatusCode::OK);
    assert_eq!(get(&own, "@irc_ghost:localhost").await, "invisible");
    assert_eq!(get(&alice, "@irc_ghost:localhost").await, "offline");
    let told = wait_told(&irc, STABLE, |told| {
        told["sender"] == "@irc_ghost:localhost"
    })
    .await;
    assert_eq!(told["content"]["presence"], "offline");
}

#[tokio::test]
async fn bad_presence_is_refused_and_nobody_sets_anothers() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    assert_eq!(
        set(&alice, json!({ "presence": "asleep" })).await,
        (StatusCode::BAD_REQUEST, "M_INVALID_PARAM".to_owned())
    );
    let body = json!({ "presence": "online" });
    assert_eq!(
        outcome(&alice, Method::PUT, &path("@bob:localhost"), &body).await,
        (StatusCode::FORBIDDEN, "M_FORBIDDEN".to_owned())
    );
}

#[tokio::test]
async fn switched_off_it_is_accepted_and_ignored() {
    let server = TestServer::start_with(&[], &[("BRIDGEHEAD_PRESENCE_ENABLED", "false")])
        .await
        .unwrap();
    let alice = server.user("alice").await.unwrap();
    assert_eq!(
        set(&alice, json!({ "presence": "online" })).await.0,
        StatusCode::OK
    );
    assert_eq!(get(&alice, "@alice:localhost").await, "offline");
}
