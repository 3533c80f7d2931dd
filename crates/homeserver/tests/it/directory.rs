//! The public directory, networks' lists, spaces and summaries.

use bridgehead_testkit::{AppserviceOptions, Client, RecordingAppservice, TestServer};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{
    bad_request, forbidden, get, not_found, ok, post, public_room, put, refused, set_state,
};

async fn published(client: &Client, name: &str, more: Value) -> String {
    let mut body = json!({ "visibility": "public", "name": name });
    for (key, value) in more.as_object().unwrap() {
        body[key] = value.clone();
    }
    client.create_room(&body).await.unwrap()
}

fn names(answer: &Value) -> Vec<&str> {
    let chunk = answer["chunk"].as_array().unwrap();
    chunk
        .iter()
        .map(|room| room["name"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn the_directory_is_sorted_paged_and_searched() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let bob = server.user("bob").await.unwrap();
    let tea = json!({ "topic": "All about TEA", "room_alias_name": "tea" });
    let small = published(&alice, "small", json!({})).await;
    let big = published(&alice, "big", tea).await;
    published(
        &alice,
        "space",
        json!({ "creation_content": { "type": "m.space" } }),
    )
    .await;
    alice
        .create_room(&json!({ "name": "hidden" }))
        .await
        .unwrap();
    bob.join(&big).await.unwrap();

    let all = get(&bob, "/publicRooms", &[]).await;
    assert_eq!(names(&all)[0], "big");
    assert_eq!(all["total_room_count_estimate"], 3);
    assert_eq!(
        all["chunk"][0],
        json!({
            "room_id": big, "name": "big", "topic": "All about TEA",
            "canonical_alias": "#tea:localhost", "num_joined_members": 2,
            "world_readable": false, "guest_can_join": false, "join_rule": "public",
        })
    );
    let first = get(&bob, "/publicRooms", &[("limit", "2")]).await;
    let next = first["next_batch"].as_str().unwrap();
    let second = get(&bob, "/publicRooms", &[("limit", "2"), ("since", next)]).await;
    assert_eq!([names(&first), names(&second)].concat(), names(&all));
    assert!(second.get("next_batch").is_none());

    let search = |filter: Value| post(&bob, "/publicRooms", json!({ "filter": filter }));
    assert_eq!(
        names(&search(json!({ "generic_search_term": "tea" })).await),
        ["big"]
    );
    assert_eq!(
        names(&search(json!({ "room_types": ["m.space"] })).await),
        ["space"]
    );
    assert_eq!(
        search(json!({ "room_types": [null] })).await["chunk"]
            .as_array()
            .unwrap()
            .len(),
        2
    );

    let list = format!("/directory/list/room/{small}");
    assert_eq!(
        get(&bob, &list, &[]).await,
        json!({ "visibility": "public" })
    );
    put(&alice, &list, json!({ "visibility": "private" })).await;
    assert_eq!(
        get(&bob, &list, &[]).await,
        json!({ "visibility": "private" })
    );
    assert_eq!(
        get(&bob, "/publicRooms", &[]).await["chunk"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    put(&alice, &list, json!({})).await;
    assert_eq!(
        get(&bob, &list, &[]).await,
        json!({ "visibility": "public" })
    );
}

#[tokio::test]
async fn the_directory_refuses_what_it_cannot_do() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let bob = server.user("bob").await.unwrap();
    let room = public_room(&alice).await;
    let invalid = bad_request("M_INVALID_PARAM");
    let list = format!("/directory/list/room/{room}");
    for (method, rest, body, expected) in [
        (
            Method::GET,
            "/publicRooms?server=elsewhere.example",
            None,
            not_found(),
        ),
        (Method::GET, "/publicRooms?since=x", None, invalid.clone()),
        (
            Method::POST,
            "/publicRooms",
            Some(json!({ "include_all_networks": true, "third_party_instance_id": "a|b" })),
            invalid,
        ),
        (
            Method::GET,
            "/directory/list/room/!none:localhost",
            None,
            not_found(),
        ),
        (
            Method::PUT,
            "/directory/list/room/!none:localhost",
            Some(json!({})),
            not_found(),
        ),
        (Method::PUT, &list, Some(json!({})), forbidden()),
        (
            Method::PUT,
            &list,
            Some(json!({ "visibility": "maybe" })),
            bad_request("M_BAD_JSON"),
        ),
    ] {
        assert_eq!(refused(&bob, method, rest, body).await, expected, "{rest}");
    }
    let (status, _) = refused(&server.client(), Method::GET, "/publicRooms", None).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let own = [("server", "localhost")];
    assert_eq!(get(&bob, "/publicRooms", &own).await["chunk"], json!([]));
}

#[tokio::test]
async fn a_service_keeps_a_list_for_each_of_its_networks() {
    let service = RecordingAppservice::start(AppserviceOptions::with_users("irc", "irc_"))
        .await
        .unwrap();
    let server = TestServer::with_appservices(&[&service]).await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let bot = server.client().with_token(&service.as_token());
    let room = alice
        .create_room(&json!({ "preset": "public_chat", "name": "channel" }))
        .await
        .unwrap();
    let list = format!("/directory/list/appservice/libera/{room}");
    assert_eq!(
        refused(
            &alice,
            Method::PUT,
            &list,
            Some(json!({ "visibility": "public" }))
        )
        .await,
        forbidden()
    );
    let nowhere = "/directory/list/appservice/libera/!none:localhost";
    assert_eq!(
        refused(&bot, Method::PUT, nowhere, Some(json!({}))).await,
        not_found()
    );
    put(&bot, &list, json!({})).await;

    let listed = |query: &'static [(&str, &str)]| {
        let alice = alice.clone();
        async move {
            get(&alice, "/publicRooms", query).await["chunk"]
                .as_array()
                .unwrap()
                .len()
        }
    };
    assert_eq!(listed(&[]).await, 0, "the server's own list is another one");
    assert_eq!(
        listed(&[("third_party_instance_id", "irc|libera")]).await,
        1
    );
    assert_eq!(listed(&[("third_party_instance_id", "irc|oftc")]).await, 0);
    assert_eq!(listed(&[("include_all_networks", "true")]).await, 1);
    ok(&bot, Method::DELETE, &list, &[], None).await;
    assert_eq!(listed(&[("include_all_networks", "true")]).await, 0);
    put(&bot, &list, json!({ "visibility": "public" })).await;
    put(&bot, &list, json!({ "visibility": "private" })).await;
    assert_eq!(listed(&[("include_all_networks", "true")]).await, 0);
}

async fn space(client: &Client, name: &str) -> String {
    let body = json!({
        "name": name, "preset": "public_chat", "creation_content": { "type": "m.space" },
    });
    client.create_room(&body).await.unwrap()
}

async fn add_child(client: &Client, space: &str, child: &str, more: Value) {
    let mut content = json!({ "via": ["localhost"] });
    for (key, value) in more.as_object().unwrap() {
        content[key] = value.clone();
    }
    set_state(client, space, "m.space.child", child, content).await;
}

fn room_names(answer: &Value) -> Vec<&str> {
    let rooms = answer["rooms"].as_array().unwrap();
    rooms
        .iter()
        .map(|room| room["name"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_space_is_walked_depth_first_and_page_by_page() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let bob = server.user("bob").await.unwrap();
    let root = space(&alice, "root").await;
    let inner = space(&alice, "inner").await;
    let named = |name: &'static str, preset: &'static str| {
        let alice = alice.clone();
        async move {
            alice
                .create_room(&json!({ "name": name, "preset": preset }))
                .await
                .unwrap()
        }
    };
    let leaf = named("leaf", "public_chat").await;
    let last = named("last", "public_chat").await;
    let secret = named("secret", "private_chat").await;
    add_child(
        &alice,
        &root,
        &last,
        json!({ "order": "b", "suggested": true }),
    )
    .await;
    add_child(&alice, &root, &inner, json!({ "order": "a" })).await;
    add_child(&alice, &root, &secret, json!({})).await;
    add_child(&alice, &inner, &leaf, json!({})).await;
    add_child(&alice, &inner, &root, json!({})).await;
    let rest = format!("/rooms/{root}/hierarchy");

    let whole = get(&bob, &rest, &[]).await;
    assert_eq!(room_names(&whole), ["root", "inner", "leaf", "last"]);
    assert_eq!(whole["rooms"][0]["room_type"], "m.space");
    let children = whole["rooms"][0]["children_state"].as_array().unwrap();
    assert_eq!(children[0]["state_key"], json!(inner));
    assert!(children[0]["origin_server_ts"].is_number());
    assert_eq!(
        room_names(&get(&alice, &rest, &[]).await).last().unwrap(),
        &"secret"
    );

    let first = get(&bob, &rest, &[("limit", "2")]).await;
    assert_eq!(room_names(&first), ["root", "inner"]);
    let next = first["next_batch"].as_str().unwrap();
    let second = get(&bob, &rest, &[("limit", "2"), ("from", next)]).await;
    assert_eq!(room_names(&second), ["leaf", "last"]);
    assert!(second.get("next_batch").is_none());
    let changed = format!("{rest}?from={next}&max_depth=1");
    assert_eq!(
        refused(&bob, Method::GET, &changed, None).await,
        bad_request("M_INVALID_PARAM")
    );

    let flat = get(&bob, &rest, &[("max_depth", "1")]).await;
    assert_eq!(room_names(&flat), ["root", "inner", "last"]);
    let suggested = get(&bob, &rest, &[("suggested_only", "true")]).await;
    assert_eq!(room_names(&suggested), ["root", "last"]);
    let closed = format!("/rooms/{secret}/hierarchy");
    assert_eq!(refused(&bob, Method::GET, &closed, None).await, forbidden());
}

#[tokio::test]
async fn a_summary_is_for_who_could_join() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let bob = server.user("bob").await.unwrap();
    let body = json!({ "preset": "public_chat", "name": "tea", "room_alias_name": "tea" });
    let room = alice.create_room(&body).await.unwrap();
    for rest in [
        format!("/room_summary/{room}"),
        "/room_summary/#tea:localhost".to_owned(),
        "/im.nheko.summary/summary/#tea:localhost".to_owned(),
        "/im.nheko.summary/rooms/#tea:localhost/summary".to_owned(),
    ] {
        let summary = get(&bob, &rest, &[]).await;
        assert_eq!(summary["name"], "tea", "{rest}");
        assert_eq!(summary["membership"], "leave");
        assert!(summary["room_version"].is_string());
    }
    assert_eq!(
        get(&alice, &format!("/room_summary/{room}"), &[]).await["membership"],
        "join"
    );

    let closed = alice.create_room(&json!({})).await.unwrap();
    let rest = format!("/room_summary/{closed}");
    assert_eq!(refused(&bob, Method::GET, &rest, None).await, not_found());
    alice.invite(&closed, "@bob:localhost").await.unwrap();
    assert_eq!(get(&bob, &rest, &[]).await["membership"], "invite");
}
