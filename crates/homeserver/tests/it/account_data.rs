//! Account data and tags.

use bridgehead_testkit::{Client, TestServer};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::ephemeral::{outcome, segment, service};

fn global(client: &Client, kind: &str) -> String {
    let user = segment(client.user_id());
    format!("/_matrix/client/v3/user/{user}/account_data/{kind}")
}

fn of_room(client: &Client, room: &str, rest: &str) -> String {
    let user = segment(client.user_id());
    format!(
        "/_matrix/client/v3/user/{user}/rooms/{}/{rest}",
        segment(room)
    )
}

async fn get(client: &Client, path: &str) -> (StatusCode, Value) {
    client.get(path).await.unwrap()
}

fn refused(status: StatusCode, code: &str) -> (StatusCode, String) {
    (status, code.to_owned())
}

#[tokio::test]
async fn what_was_set_is_read_back_and_the_unknown_is_not_found() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let room = alice.create_room(&json!({})).await.unwrap();
    let content = json!({ "deep": { "list": [1, 2.5, null] } });
    let (everywhere, here) = (
        global(&alice, "org.example.config"),
        of_room(&alice, &room, "account_data/org.example.config"),
    );

    for path in [&everywhere, &here] {
        let (status, body) = get(&alice, path).await;
        assert_eq!(
            (status, body["errcode"].as_str()),
            (StatusCode::NOT_FOUND, Some("M_NOT_FOUND"))
        );
    }
    let put = outcome(&alice, Method::PUT, &everywhere, &content).await;
    assert_eq!(put.0, StatusCode::OK);
    assert_eq!(
        get(&alice, &everywhere).await,
        (StatusCode::OK, content.clone())
    );
    assert_eq!(get(&alice, &here).await.0, StatusCode::NOT_FOUND);
    outcome(&alice, Method::PUT, &here, &json!({ "a": 1 })).await;
    assert_eq!(get(&alice, &here).await.1, json!({ "a": 1 }));
    assert_eq!(get(&alice, &everywhere).await.1, content);
}

#[tokio::test]
async fn a_services_own_user_keeps_its_configuration_without_being_registered() {
    let irc = service("irc", false, false).await;
    let server = TestServer::with_appservices(&[&irc]).await.unwrap();
    let bot = server.client().with_token(&irc.as_token());
    let path = "/_matrix/client/r0/user/@irc-bot:localhost/account_data/irc";
    assert_eq!(get(&bot, path).await.0, StatusCode::NOT_FOUND);
    let config = json!({ "networks": {} });
    assert_eq!(
        outcome(&bot, Method::PUT, path, &config).await.0,
        StatusCode::OK
    );
    assert_eq!(get(&bot, path).await.1, config);
}

#[tokio::test]
async fn what_the_server_writes_cannot_be_set_and_others_data_is_closed() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let bob = server.user("bob").await.unwrap();
    let room = alice.create_room(&json!({})).await.unwrap();
    for path in [
        global(&alice, "m.push_rules"),
        global(&alice, "m.fully_read"),
        of_room(&alice, &room, "account_data/m.fully_read"),
    ] {
        assert_eq!(
            outcome(&alice, Method::PUT, &path, &json!({})).await,
            refused(StatusCode::METHOD_NOT_ALLOWED, "M_BAD_JSON")
        );
    }
    let path = global(&alice, "m.direct");
    assert_eq!(
        outcome(&bob, Method::PUT, &path, &json!({})).await,
        refused(StatusCode::FORBIDDEN, "M_FORBIDDEN")
    );
    assert_eq!(get(&bob, &path).await.0, StatusCode::FORBIDDEN);
    assert_eq!(
        outcome(&alice, Method::PUT, &path, &json!([1])).await,
        refused(StatusCode::BAD_REQUEST, "M_BAD_JSON")
    );
}

#[tokio::test]
async fn tags_are_put_listed_and_taken_off() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let room = alice.create_room(&json!({})).await.unwrap();
    let tags = of_room(&alice, &room, "tags");
    assert_eq!(get(&alice, &tags).await.1, json!({ "tags": {} }));

    for (tag, info) in [
        ("m.favourite", json!({ "order": 0.25 })),
        ("u.work", json!({})),
    ] {
        let path = format!("{tags}/{tag}");
        let put = outcome(&alice, Method::PUT, &path, &info).await;
        assert_eq!(put.0, StatusCode::OK);
    }
    let both = json!({ "tags": { "m.favourite": { "order": 0.25 }, "u.work": {} } });
    assert_eq!(get(&alice, &tags).await.1, both);
    let as_data = of_room(&alice, &room, "account_data/m.tag");
    assert_eq!(get(&alice, &as_data).await.1, both);

    let path = format!("{tags}/m.favourite");
    let (status, _) = alice
        .request(Method::DELETE, &path, &[], None)
        .await
        .unwrap();
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        get(&alice, &tags).await.1,
        json!({ "tags": { "u.work": {} } })
    );
}
