//! Push rules and pushers.

use bridgehead_testkit::{Client, TestServer};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::ephemeral::outcome;

const GLOBAL: &str = "/_matrix/client/v3/pushrules/global";

async fn get(client: &Client, path: &str) -> (StatusCode, Value) {
    client.get(path).await.unwrap()
}

async fn put(client: &Client, path: &str, body: Value) -> (StatusCode, String) {
    outcome(client, Method::PUT, &format!("{GLOBAL}/{path}"), &body).await
}

async fn delete(client: &Client, path: &str) -> StatusCode {
    let path = format!("{GLOBAL}/{path}");
    let answer = client.request(Method::DELETE, &path, &[], None).await;
    answer.unwrap().0
}

/// Ids of the rules of a kind, in order.
async fn ids(client: &Client, kind: &str) -> Vec<String> {
    get(client, &format!("{GLOBAL}/")).await.1[kind]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| rule["rule_id"].as_str().unwrap().to_owned())
        .collect()
}

fn refused(status: StatusCode, code: &str) -> (StatusCode, String) {
    (status, code.to_owned())
}

#[tokio::test]
async fn the_servers_own_rules_are_there_under_every_path() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    for prefix in ["api/v1", "r0", "v3"] {
        let (status, all) = get(&alice, &format!("/_matrix/client/{prefix}/pushrules/")).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(all["global"]["override"][0]["rule_id"], ".m.rule.master");
    }
    assert!(
        ids(&alice, "underride")
            .await
            .contains(&".m.rule.message".to_owned())
    );
    let user = "/_matrix/client/v3/user/@alice:localhost/account_data/m.push_rules";
    let rules = get(&alice, user).await.1;
    assert_eq!(rules["global"]["override"][0]["rule_id"], ".m.rule.master");
}

#[tokio::test]
async fn rules_are_added_placed_switched_and_removed() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let content = |pattern: &str| json!({ "actions": ["notify"], "pattern": pattern });
    assert_eq!(
        put(&alice, "content/tea", content("tea")).await.0,
        StatusCode::OK
    );
    assert_eq!(
        put(&alice, "content/milk", content("milk")).await.0,
        StatusCode::OK
    );
    let placed = put(&alice, "content/cake?after=tea", content("cake")).await;
    assert_eq!(placed.0, StatusCode::OK);
    let own: Vec<String> = ids(&alice, "content").await;
    assert_eq!(own[..3], ["milk", "tea", "cake"]);

    let room = "room/!quiet:localhost";
    put(&alice, room, json!({ "actions": [] })).await;
    put(
        &alice,
        &format!("{room}/enabled"),
        json!({ "enabled": false }),
    )
    .await;
    put(
        &alice,
        &format!("{room}/actions"),
        json!({ "actions": ["notify"] }),
    )
    .await;
    assert_eq!(
        get(&alice, &format!("{GLOBAL}/{room}")).await.1,
        json!({ "actions": ["notify"], "default": false, "enabled": false, "rule_id": "!quiet:localhost" })
    );
    let enabled = get(&alice, &format!("{GLOBAL}/{room}/enabled")).await.1;
    assert_eq!(enabled, json!({ "enabled": false }));
    let actions = get(&alice, &format!("{GLOBAL}/{room}/actions")).await.1;
    assert_eq!(actions, json!({ "actions": ["notify"] }));

    assert_eq!(delete(&alice, room).await, StatusCode::OK);
    assert_eq!(
        get(&alice, &format!("{GLOBAL}/{room}")).await.0,
        StatusCode::NOT_FOUND
    );
    assert_eq!(delete(&alice, room).await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_changed_default_stays_changed() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    put(
        &alice,
        "override/.m.rule.master/enabled",
        json!({ "enabled": true }),
    )
    .await;
    let master = get(&alice, &format!("{GLOBAL}/override/.m.rule.master"))
        .await
        .1;
    assert_eq!(
        (&master["enabled"], &master["default"]),
        (&json!(true), &json!(true))
    );
}

#[tokio::test]
async fn rules_that_cannot_be_are_refused() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let actions = json!({ "actions": [] });
    let bad = refused(StatusCode::BAD_REQUEST, "M_INVALID_PARAM");
    assert_eq!(put(&alice, "override/.mine", actions.clone()).await, bad);
    assert_eq!(put(&alice, "room/kitchen", actions.clone()).await, bad);
    assert_eq!(put(&alice, "colour/red", actions.clone()).await, bad);
    assert_eq!(
        put(&alice, "content/tea", actions.clone()).await,
        refused(StatusCode::BAD_REQUEST, "M_MISSING_PARAM")
    );
    assert_eq!(
        put(&alice, "override/a?before=nothing", actions).await,
        refused(StatusCode::BAD_REQUEST, "M_UNKNOWN")
    );
    assert_eq!(
        put(&alice, "override/b", json!({})).await,
        refused(StatusCode::BAD_REQUEST, "M_BAD_JSON")
    );
    assert_eq!(
        put(&alice, "override/none/enabled", json!({ "enabled": true })).await,
        refused(StatusCode::NOT_FOUND, "M_NOT_FOUND")
    );
    assert_eq!(
        delete(&alice, "override/.m.rule.master").await,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn pushers_are_kept_listed_and_removed() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let bob = server.user("bob").await.unwrap();
    let set = "/_matrix/client/v3/pushers/set";
    let pusher = json!({
        "pushkey": "key", "kind": "http", "app_id": "org.example", "app_display_name": "App",
        "device_display_name": "Phone", "lang": "en", "data": { "url": "https://push.example/" },
    });
    let list = async |client: &Client| get(client, "/_matrix/client/v3/pushers").await.1;

    assert_eq!(list(&alice).await, json!({ "pushers": [] }));
    assert_eq!(
        outcome(&alice, Method::POST, set, &pusher).await.0,
        StatusCode::OK
    );
    assert_eq!(list(&alice).await, json!({ "pushers": [pusher] }));
    outcome(&bob, Method::POST, set, &pusher).await;
    assert_eq!(list(&alice).await, json!({ "pushers": [] }));
    let gone = json!({ "pushkey": "key", "kind": null, "app_id": "org.example" });
    outcome(&bob, Method::POST, set, &gone).await;
    assert_eq!(list(&bob).await, json!({ "pushers": [] }));
    assert_eq!(
        outcome(&bob, Method::POST, set, &json!({ "kind": "http" })).await,
        refused(StatusCode::BAD_REQUEST, "M_MISSING_PARAM")
    );
}
