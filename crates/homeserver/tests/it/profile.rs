//! Profiles, their way into rooms, the user directory, mutual rooms, `OpenID` tokens.

use bridgehead_testkit::{Client, Query, Record, RecordingAppservice, TestServer};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::ephemeral::{SOON, ghost, outcome, room_with_ghosts, segment, service};

fn path(user_id: &str, field: &str) -> String {
    format!("/_matrix/client/v3/profile/{}{field}", segment(user_id))
}

async fn get(client: &Client, user_id: &str, field: &str) -> (StatusCode, Value) {
    client.get(&path(user_id, field)).await.unwrap()
}

async fn put(client: &Client, field: &str, value: Value) -> (StatusCode, String) {
    let path = path(client.user_id(), &format!("/{field}"));
    outcome(client, Method::PUT, &path, &json!({ field: value })).await
}

fn refused(status: StatusCode, code: &str) -> (StatusCode, String) {
    (status, code.to_owned())
}

/// Waits until a service got a member event of the user that satisfies the condition.
async fn wait_member(service: &RecordingAppservice, user: &str, is: impl Fn(&Value) -> bool) {
    service
        .wait_for("a member event", SOON, |records| {
            records
                .iter()
                .flat_map(Record::events)
                .any(|event| event["state_key"] == user && is(&event["content"]))
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn fields_are_set_read_and_removed() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let bob = server.user("bob").await.unwrap();
    let id = "@alice:localhost";
    assert_eq!(
        get(&bob, id, "/avatar_url").await,
        (StatusCode::OK, json!({}))
    );
    assert_eq!(get(&bob, id, "/m.tz").await.0, StatusCode::NOT_FOUND);

    put(&alice, "displayname", json!("Alice")).await;
    put(&alice, "avatar_url", json!("mxc://localhost/a")).await;
    put(&alice, "m.tz", json!("Europe/Berlin")).await;
    put(&alice, "org.example.thing", json!({ "n": [1] })).await;
    let whole = json!({
        "displayname": "Alice", "avatar_url": "mxc://localhost/a",
        "m.tz": "Europe/Berlin", "org.example.thing": { "n": [1] },
    });
    assert_eq!(get(&bob, id, "").await, (StatusCode::OK, whole));
    assert_eq!(
        get(&bob, id, "/displayname").await.1,
        json!({ "displayname": "Alice" })
    );

    put(&alice, "displayname", json!("")).await;
    let avatar = path(id, "/avatar_url");
    outcome(&alice, Method::PUT, &avatar, &json!({})).await;
    let field = path(id, "/org.example.thing");
    let (status, _) = alice
        .request(Method::DELETE, &field, &[], None)
        .await
        .unwrap();
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        get(&bob, id, "").await.1,
        json!({ "m.tz": "Europe/Berlin" })
    );
}

#[tokio::test]
async fn bad_fields_are_refused() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let bob = server.user("bob").await.unwrap();
    let bad = |code| refused(StatusCode::BAD_REQUEST, code);
    assert_eq!(
        put(&alice, "displayname", json!(7)).await,
        bad("M_BAD_JSON")
    );
    let long = "x".repeat(257);
    assert_eq!(
        put(&alice, "displayname", json!(long)).await,
        bad("M_INVALID_PARAM")
    );
    assert_eq!(
        put(&alice, "Nonsense", json!(1)).await,
        bad("M_INVALID_PARAM")
    );
    let key = format!("org.{}", "x".repeat(255));
    assert_eq!(put(&alice, &key, json!(1)).await, bad("M_KEY_TOO_LARGE"));
    let large = "x".repeat(64 * 1024);
    assert_eq!(
        put(&alice, "org.example.a", json!(large)).await,
        bad("M_PROFILE_TOO_LARGE")
    );
    let empty = path("@alice:localhost", "/org.example.a");
    assert_eq!(
        outcome(&alice, Method::PUT, &empty, &json!({})).await,
        bad("M_MISSING_PARAM")
    );
    assert_eq!(
        outcome(
            &bob,
            Method::PUT,
            &path("@alice:localhost", "/displayname"),
            &json!({})
        )
        .await,
        refused(StatusCode::FORBIDDEN, "M_FORBIDDEN")
    );
    assert_eq!(
        get(&bob, "@nobody:localhost", "").await.0,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_change_reaches_the_rooms_and_leaves_the_rest_of_the_member_event() {
    let irc = service("irc", false, false).await;
    let server = TestServer::with_appservices(&[&irc]).await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let room = room_with_ghosts(&server, &alice, &[&irc], &["irc"]).await;
    let own = ghost(&server, &irc, "irc");
    let member =
        format!("/_matrix/client/v3/rooms/{room}/state/m.room.member/@irc_ghost:localhost");
    let given = json!({ "membership": "join", "displayname": "Here", "org.example.nick": "g" });
    outcome(&own, Method::PUT, &member, &given).await;

    put(&own, "avatar_url", json!("mxc://localhost/g")).await;
    wait_member(&irc, "@irc_ghost:localhost", |content| {
        *content
            == json!({
                "membership": "join", "displayname": "Here", "org.example.nick": "g",
                "avatar_url": "mxc://localhost/g",
            })
    })
    .await;
    put(&own, "displayname", json!("Everywhere")).await;
    wait_member(&irc, "@irc_ghost:localhost", |content| {
        content["displayname"] == "Everywhere" && content["org.example.nick"] == "g"
    })
    .await;
    put(&own, "displayname", json!("")).await;
    wait_member(&irc, "@irc_ghost:localhost", |content| {
        content.get("displayname").is_none() && content["avatar_url"] == "mxc://localhost/g"
    })
    .await;
}

#[tokio::test]
async fn of_many_changes_the_last_one_stands_in_every_room() {
    let irc = service("irc", false, false).await;
    let server = TestServer::with_appservices(&[&irc]).await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let mut rooms = Vec::new();
    for _ in 0..3 {
        let room = alice
            .create_room(&json!({ "preset": "public_chat" }))
            .await
            .unwrap();
        let ghost = server.client().with_token(&irc.as_token());
        let ghost = match rooms.is_empty() {
            true => ghost.register_ghost("irc_ghost").await.unwrap(),
            false => ghost.acting_as("@irc_ghost:localhost"),
        };
        ghost.join(&room).await.unwrap();
        rooms.push(room);
    }
    for name in ["one", "two", "three", "last"] {
        put(&alice, "displayname", json!(name)).await;
    }
    for room in &rooms {
        irc.wait_for("the last name", SOON, |records| {
            records.iter().flat_map(Record::events).any(|event| {
                event["room_id"] == **room && event["content"]["displayname"] == "last"
            })
        })
        .await
        .unwrap();
        let member = alice
            .state(room, "m.room.member", "@alice:localhost")
            .await
            .unwrap();
        assert_eq!(member["displayname"], "last");
    }
}

#[tokio::test]
async fn an_unknown_ghost_is_asked_for_at_its_service() {
    let irc = service("irc", false, false).await;
    let server = TestServer::with_appservices(&[&irc]).await.unwrap();
    let alice = server.user("alice").await.unwrap();
    assert_eq!(
        get(&alice, "@irc_no:localhost", "").await.0,
        StatusCode::NOT_FOUND
    );

    let bot = server.client().with_token(&irc.as_token());
    irc.answer_queries_with(move |query| {
        let bot = bot.clone();
        async move {
            assert_eq!(query, Query::User("@irc_yes:localhost".to_owned()));
            let ghost = bot.register_ghost("irc_yes").await.unwrap();
            put(&ghost, "displayname", json!("Yes")).await;
            StatusCode::OK
        }
    });
    assert_eq!(
        get(&alice, "@irc_yes:localhost", "").await,
        (StatusCode::OK, json!({ "displayname": "Yes" }))
    );
}

#[tokio::test]
async fn a_services_own_user_has_a_profile_without_being_registered() {
    let irc = service("irc", false, false).await;
    let server = TestServer::with_appservices(&[&irc]).await.unwrap();
    let bot = server.client().with_token(&irc.as_token());
    let field = path("@irc-bot:localhost", "/displayname");
    let body = json!({ "displayname": "Bot" });
    assert_eq!(
        outcome(&bot, Method::PUT, &field, &body).await.0,
        StatusCode::OK
    );
    assert_eq!(bot.get(&field).await.unwrap().1, body);
}

#[tokio::test]
async fn the_directory_shows_whom_one_may_know() {
    let server = TestServer::start().await.unwrap();
    let [alice, bob, carol, dave] = [
        server.user("alice").await.unwrap(),
        server.user("bob").await.unwrap(),
        server.user("carol").await.unwrap(),
        server.user("dave").await.unwrap(),
    ];
    for user in [&alice, &bob, &carol, &dave] {
        put(user, "displayname", json!("Tea Drinker")).await;
    }
    let shared = alice
        .create_room(&json!({ "invite": [bob.user_id()] }))
        .await
        .unwrap();
    bob.join(&shared).await.unwrap();
    carol
        .create_room(&json!({ "preset": "public_chat" }))
        .await
        .unwrap();
    dave.create_room(&json!({})).await.unwrap();

    let search = async |term: &str, limit: u64| {
        let body = json!({ "search_term": term, "limit": limit });
        let path = "/_matrix/client/v3/user_directory/search";
        alice
            .expect_ok(Method::POST, path, &[], Some(&body))
            .await
            .unwrap()
    };
    let found = search("tea d", 10).await;
    assert_eq!(
        found,
        json!({ "limited": false, "results": [
            { "user_id": "@bob:localhost", "display_name": "Tea Drinker" },
            { "user_id": "@carol:localhost", "display_name": "Tea Drinker" },
        ]})
    );
    let one = search("TEA", 1).await;
    assert_eq!(
        (
            one["limited"].clone(),
            one["results"].as_array().unwrap().len()
        ),
        (json!(true), 1)
    );
    let path = "/_matrix/client/unstable/uk.half-shot.msc2666/user/mutual_rooms";
    let query = [("user_id", "@bob:localhost")];
    let mutual = alice
        .expect_ok(Method::GET, path, &query, None)
        .await
        .unwrap();
    assert_eq!(mutual, json!({ "joined": [shared], "count": 1 }));
    let query = [("user_id", "@alice:localhost")];
    let (status, _) = alice
        .request(Method::GET, path, &query, None)
        .await
        .unwrap();
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn an_openid_token_says_whose_it_is() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let path = "/_matrix/client/v3/user/@alice:localhost/openid/request_token";
    let token = alice
        .expect_ok(Method::POST, path, &[], Some(&json!({})))
        .await
        .unwrap();
    assert_eq!(
        (
            &token["token_type"],
            &token["matrix_server_name"],
            &token["expires_in"]
        ),
        (&json!("Bearer"), &json!("localhost"), &json!(3600))
    );
    let stranger = server.client();
    let userinfo = "/_matrix/federation/v1/openid/userinfo";
    let query = [("access_token", token["access_token"].as_str().unwrap())];
    let info = stranger
        .expect_ok(Method::GET, userinfo, &query, None)
        .await
        .unwrap();
    assert_eq!(info, json!({ "sub": "@alice:localhost" }));
    let query = [("access_token", alice.access_token().unwrap())];
    let (status, body) = stranger
        .request(Method::GET, userinfo, &query, None)
        .await
        .unwrap();
    assert_eq!(
        (status, body["errcode"].as_str()),
        (StatusCode::UNAUTHORIZED, Some("M_UNKNOWN_TOKEN"))
    );
}
