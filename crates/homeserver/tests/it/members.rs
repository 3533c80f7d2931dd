//! `/members` and `/joined_members`.

use bridgehead_testkit::{AppserviceOptions, Client, RecordingAppservice, TestServer};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::support::{bad_request, forbidden, get, post, public_room, refused, set_state};

async fn members(client: &Client, room: &str, query: &[(&str, &str)]) -> Vec<String> {
    let answer = get(client, &format!("/rooms/{room}/members"), query).await;
    let chunk = answer["chunk"].as_array().unwrap();
    let mut names: Vec<_> = chunk
        .iter()
        .map(|event| event["state_key"].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn members_are_filtered_by_membership_and_time() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let bob = server.user("bob").await.unwrap();
    let carol = server.user("carol").await.unwrap();
    let room = public_room(&alice).await;
    bob.join(&room).await.unwrap();
    let newest = get(&alice, &format!("/rooms/{room}/messages"), &[("dir", "b")]).await;
    let before_carol = newest["start"].as_str().unwrap();
    carol.join(&room).await.unwrap();
    post(&bob, &format!("/rooms/{room}/leave"), json!({})).await;

    let (a, b, c) = ("@alice:localhost", "@bob:localhost", "@carol:localhost");
    assert_eq!(members(&alice, &room, &[]).await, [a, b, c]);
    assert_eq!(
        members(&alice, &room, &[("membership", "join")]).await,
        [a, c]
    );
    assert_eq!(
        members(&alice, &room, &[("not_membership", "join")]).await,
        [b]
    );
    let or = [("membership", "leave"), ("not_membership", "leave")];
    assert_eq!(members(&alice, &room, &or).await, [a, b, c]);
    assert_eq!(
        members(&alice, &room, &[("at", before_carol)]).await,
        [a, b]
    );
    assert_eq!(
        members(&bob, &room, &[("membership", "leave")]).await,
        [b],
        "who left sees the room of then"
    );

    let bad = format!("/rooms/{room}/members?membership=lurk");
    assert_eq!(
        refused(&alice, Method::GET, &bad, None).await,
        bad_request("M_INVALID_PARAM")
    );
}

#[tokio::test]
async fn joined_members_are_for_members_and_for_the_services_of_members() {
    let service = RecordingAppservice::start(AppserviceOptions::with_users("irc", "irc_"))
        .await
        .unwrap();
    let server = TestServer::with_appservices(&[&service]).await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let bob = server.user("bob").await.unwrap();
    let bot = server.client().with_token(&service.as_token());
    let ghost = bot.register_ghost("irc_g").await.unwrap();
    let room = public_room(&alice).await;
    let rest = format!("/rooms/{room}/joined_members");

    assert_eq!(refused(&bob, Method::GET, &rest, None).await, forbidden());
    assert_eq!(refused(&bot, Method::GET, &rest, None).await, forbidden());
    ghost.join(&room).await.unwrap();
    let expected = json!({ "joined": {
        "@alice:localhost": get(&alice, &rest, &[]).await["joined"]["@alice:localhost"],
        "@irc_g:localhost": get(&alice, &rest, &[]).await["joined"]["@irc_g:localhost"],
    }});
    assert!(expected["joined"]["@irc_g:localhost"].is_object());
    assert_eq!(get(&bot, &rest, &[]).await, expected);
    assert_eq!(get(&alice, &rest, &[]).await, expected);
}

#[tokio::test]
async fn joined_members_carry_profiles() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let room = public_room(&alice).await;
    let member = format!("/rooms/{room}/state/m.room.member/@alice:localhost");
    let content = json!({ "membership": "join", "displayname": "Al", "avatar_url": "mxc://x/y" });
    crate::support::put(&alice, &member, content).await;
    let answer = get(&alice, &format!("/rooms/{room}/joined_members"), &[]).await;
    assert_eq!(
        answer["joined"]["@alice:localhost"],
        json!({ "display_name": "Al", "avatar_url": "mxc://x/y" })
    );
}

#[tokio::test]
async fn guests_join_only_where_the_room_takes_them() {
    let allow = [("BRIDGEHEAD_ACCOUNTS_ALLOW_GUESTS", "true")];
    let server = TestServer::start_with(&[], &allow).await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let path = "/_matrix/client/v3/register";
    let made = server
        .client()
        .request(Method::POST, path, &[("kind", "guest")], Some(&json!({})))
        .await
        .unwrap();
    let guest = server
        .client()
        .with_token(made.1["access_token"].as_str().unwrap());
    let room = alice
        .create_room(&json!({ "preset": "public_chat" }))
        .await
        .unwrap();
    let (status, body) = guest
        .request(
            Method::POST,
            &format!("/_matrix/client/v3/rooms/{room}/join"),
            &[],
            Some(&json!({})),
        )
        .await
        .unwrap();
    assert_eq!(
        (status, body["errcode"].as_str()),
        (StatusCode::FORBIDDEN, Some("M_GUEST_ACCESS_FORBIDDEN"))
    );
    let access = json!({ "guest_access": "can_join" });
    set_state(&alice, &room, "m.room.guest_access", "", access).await;
    guest.join(&room).await.unwrap();
}

#[tokio::test]
async fn strangers_learn_nothing_of_who_is_in_a_room() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let mallory = server.user("mallory").await.unwrap();
    let room = alice.create_room(&json!({})).await.unwrap();
    for user in ["@alice:localhost", "@nobody:localhost"] {
        for action in ["invite", "kick", "unban"] {
            let (status, body) = mallory
                .request(
                    Method::POST,
                    &format!("/_matrix/client/v3/rooms/{room}/{action}"),
                    &[],
                    Some(&json!({ "user_id": user })),
                )
                .await
                .unwrap();
            assert_eq!(status, StatusCode::FORBIDDEN);
            let text = body["error"].as_str().unwrap();
            assert!(!text.contains("is already in the room"), "{text}");
            assert!(!text.contains("is not in the room"), "{text}");
            assert!(!text.contains("is not banned"), "{text}");
        }
    }
}
