//! Devices: people's, and those that application services manage (MSC4190).

use bridgehead_testkit::{AppserviceOptions, Client, RecordingAppservice, TestServer};
use reqwest::Method;
use serde_json::{Value, json};

use crate::calls::{call, code, with_password};

const DEVICES: &str = "/_matrix/client/v3/devices";

async fn devices(client: &Client) -> Vec<Value> {
    let (_, answer) = client.get(DEVICES).await.unwrap();
    answer["devices"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_person_sees_names_and_removes_devices() {
    let server = TestServer::start().await.unwrap();
    let phone = server.user("alice").await.unwrap();
    let laptop = server.client().login("alice", "password").await.unwrap();
    let whoami = laptop
        .get("/_matrix/client/v3/account/whoami")
        .await
        .unwrap()
        .1;
    let path = format!("{DEVICES}/{}", whoami["device_id"].as_str().unwrap());

    let named = call(
        &phone,
        Method::PUT,
        &path,
        json!({ "display_name": "laptop" }),
    )
    .await;
    assert_eq!(named, (200, json!({})));
    let (_, device) = call(&phone, Method::GET, &path, Value::Null).await;
    assert_eq!(device["display_name"], "laptop");
    assert_eq!(device["last_seen_ip"], "127.0.0.1");
    assert!(device["last_seen_ts"].as_i64().unwrap() > 0);

    let wrong = with_password(&phone, Method::DELETE, &path, json!({}), "wrong").await;
    assert_eq!(code(&wrong), (401, "M_FORBIDDEN"));
    assert_eq!(devices(&phone).await.len(), 2);
    let right = with_password(&phone, Method::DELETE, &path, json!({}), "password").await;
    assert_eq!(right, (200, json!({})));

    assert_eq!(devices(&phone).await.len(), 1);
    let refused = call(&laptop, Method::GET, DEVICES, Value::Null).await;
    assert_eq!(code(&refused), (401, "M_UNKNOWN_TOKEN"));
}

#[tokio::test]
async fn a_session_of_one_operation_is_no_good_for_another() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let path = "/_matrix/client/v3/delete_devices";
    let (_, challenge) = call(&alice, Method::POST, path, json!({ "devices": ["A"] })).await;
    assert_eq!(challenge["errcode"], Value::Null);
    let body = json!({
        "devices": ["A", "B"],
        "auth": { "type": "m.login.password", "session": challenge["session"], "password": "password" },
    });
    let refused = call(&alice, Method::POST, path, body).await;
    assert_eq!(code(&refused), (400, "M_UNKNOWN"));
}

#[tokio::test]
async fn devices_that_are_not_there_are_not_found_or_passed_over() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let nowhere = format!("{DEVICES}/NOWHERE");
    for (method, body) in [
        (Method::GET, Value::Null),
        (Method::PUT, json!({ "display_name": "x" })),
    ] {
        let missing = call(&alice, method, &nowhere, body).await;
        assert_eq!(code(&missing), (404, "M_NOT_FOUND"));
    }
    let path = "/_matrix/client/v3/delete_devices";
    let body = json!({ "devices": ["NOWHERE"] });
    let gone = with_password(&alice, Method::POST, path, body, "password").await;
    assert_eq!(gone, (200, json!({})));
}

#[tokio::test]
async fn a_service_manages_the_devices_of_its_ghost_without_a_password() {
    let service = RecordingAppservice::start(AppserviceOptions::with_users("irc", "irc_"))
        .await
        .unwrap();
    let server = TestServer::with_appservices(&[&service]).await.unwrap();
    let bot = server.client().with_token(&service.as_token());
    let ghost = bot.register_ghost("irc_bob").await.unwrap();
    let path = format!("{DEVICES}/BRIDGE");

    let put = |client: Client| {
        let path = path.clone();
        async move {
            let body = json!({ "display_name": "bridge" });
            call(&client, Method::PUT, &path, body).await.0
        }
    };
    assert_eq!(put(ghost.clone()).await, 201);
    assert_eq!(put(ghost.clone()).await, 200);
    // The service's own user needs no account for it.
    assert_eq!(put(bot).await, 201);

    // The device may be named in the query, in both spellings, and nowhere but where it exists.
    let whoami = "/_matrix/client/v3/account/whoami";
    for (key, device, expected) in [
        ("device_id", "BRIDGE", 200),
        ("org.matrix.msc3202.device_id", "BRIDGE", 200),
        ("device_id", "OTHER", 400),
    ] {
        let answer =
            crate::calls::query(&ghost, Method::GET, whoami, &[(key, device)], Value::Null).await;
        assert_eq!(answer.0, expected, "{key}={device}: {}", answer.1);
        if expected == 400 {
            assert_eq!(answer.1["errcode"], "M_UNKNOWN_DEVICE");
        } else {
            assert_eq!(answer.1["device_id"], "BRIDGE");
        }
    }

    let removed = call(&ghost, Method::DELETE, &path, Value::Null).await;
    assert_eq!(removed, (200, json!({})));
    assert_eq!(devices(&ghost).await.len(), 0);
    assert_eq!(put(ghost.clone()).await, 201);
    let body = json!({ "devices": ["BRIDGE"] });
    let path = "/_matrix/client/v3/delete_devices";
    assert_eq!(call(&ghost, Method::POST, path, body).await.0, 200);
    assert_eq!(devices(&ghost).await.len(), 0);
}
