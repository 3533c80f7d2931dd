//! Keys of end-to-end encryption: stored, counted and handed on. What services are told of them is
//! in `device_news`.

use bridgehead_testkit::{AppserviceOptions, Client, RecordingAppservice, TestServer};
use reqwest::Method;
use serde_json::{Value, json};

use crate::calls::{call, code, query, with_password};

pub(crate) async fn device_of(client: &Client) -> String {
    let path = "/_matrix/client/v3/account/whoami";
    let whoami = client.get(path).await.unwrap().1;
    whoami["device_id"].as_str().unwrap().to_owned()
}

pub(crate) fn device_keys(user: &str, device: &str) -> Value {
    json!({
        "user_id": user,
        "device_id": device,
        "algorithms": ["m.olm.v1.curve25519-aes-sha2"],
        "keys": { format!("curve25519:{device}"): "abc" },
        "signatures": { user: { format!("ed25519:{device}"): "sig" } },
    })
}

pub(crate) async fn upload(client: &Client, body: Value) -> (u16, Value) {
    call(client, Method::POST, "/_matrix/client/v3/keys/upload", body).await
}

async fn keys_of(client: &Client, user: &str) -> Value {
    let body = json!({ "device_keys": { user: [] } });
    let path = "/_matrix/client/v3/keys/query";
    call(client, Method::POST, path, body).await.1
}

pub(crate) async fn claim(client: &Client, user: &str, device: &str) -> Value {
    let body = json!({ "one_time_keys": { user: { device: "signed_curve25519" } } });
    let path = "/_matrix/client/v3/keys/claim";
    call(client, Method::POST, path, body).await.1["one_time_keys"].clone()
}

#[tokio::test]
async fn device_keys_are_found_with_the_devices_name() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let bob = server.user("bob").await.unwrap();
    let device = device_of(&alice).await;
    let keys = device_keys("@alice:localhost", &device);
    let (status, answer) = upload(&alice, json!({ "device_keys": keys })).await;
    assert_eq!(status, 200);
    assert_eq!(answer["one_time_key_counts"]["signed_curve25519"], 0);
    let path = format!("/_matrix/client/v3/devices/{device}");
    call(
        &alice,
        Method::PUT,
        &path,
        json!({ "display_name": "phone" }),
    )
    .await;

    let found = keys_of(&bob, "@alice:localhost").await;

    let mut expected = keys;
    expected["unsigned"] = json!({ "device_display_name": "phone" });
    assert_eq!(found["device_keys"]["@alice:localhost"][&device], expected);
    let nobody = keys_of(&bob, "@nobody:localhost").await;
    assert_eq!(nobody["device_keys"], json!({ "@nobody:localhost": {} }));
    let elsewhere = keys_of(&bob, "@x:elsewhere.example").await;
    assert!(elsewhere["failures"]["elsewhere.example"].is_object());
}

#[tokio::test]
async fn keys_in_anothers_name_are_refused() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let device = device_of(&alice).await;
    for keys in [
        device_keys("@bob:localhost", &device),
        device_keys("@alice:localhost", "OTHER"),
    ] {
        let refused = upload(&alice, json!({ "device_keys": keys })).await;
        assert_eq!(code(&refused), (400, "M_INVALID_PARAM"));
    }
}

#[tokio::test]
async fn a_one_time_key_is_given_once_and_a_fallback_key_for_ever() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let bob = server.user("bob").await.unwrap();
    let device = device_of(&alice).await;
    let body = json!({
        "one_time_keys": { "signed_curve25519:A": { "key": "a" } },
        "fallback_keys": { "signed_curve25519:F": { "key": "f", "fallback": true } },
    });
    for _ in 0..2 {
        let (_, answer) = upload(&alice, body.clone()).await;
        assert_eq!(answer["one_time_key_counts"]["signed_curve25519"], 1);
    }
    let other = json!({ "one_time_keys": { "signed_curve25519:A": { "key": "other" } } });
    let refused = upload(&alice, other).await;
    assert_eq!(code(&refused), (400, "M_INVALID_PARAM"));

    let user = "@alice:localhost";
    let first = claim(&bob, user, &device).await;
    assert_eq!(
        first[user][&device],
        json!({ "signed_curve25519:A": { "key": "a" } })
    );
    for _ in 0..2 {
        let fallback = claim(&bob, user, &device).await;
        assert_eq!(
            fallback[user][&device],
            json!({ "signed_curve25519:F": { "key": "f", "fallback": true } })
        );
    }
    assert_eq!(claim(&bob, user, "NOWHERE").await, json!({}));
}

fn cross_signing_key(user: &str, usage: &str, key: &str) -> Value {
    json!({ "user_id": user, "usage": [usage], "keys": { format!("ed25519:{key}"): key } })
}

#[tokio::test]
async fn people_confirm_the_replacement_of_their_cross_signing_keys() {
    const PATH: &str = "/_matrix/client/v3/keys/device_signing/upload";
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let bob = server.user("bob").await.unwrap();
    let user = "@alice:localhost";
    let keys = json!({
        "master_key": cross_signing_key(user, "master", "M1"),
        "self_signing_key": cross_signing_key(user, "self_signing", "S1"),
        "user_signing_key": cross_signing_key(user, "user_signing", "U1"),
    });
    // The first ones, and the same ones again, need no confirmation.
    for _ in 0..2 {
        let set = call(&alice, Method::POST, PATH, keys.clone()).await;
        assert_eq!(set, (200, json!({})));
    }
    let replacement = json!({ "master_key": cross_signing_key(user, "master", "M2") });
    let set = with_password(&alice, Method::POST, PATH, replacement, "password").await;
    assert_eq!(set, (200, json!({})));

    let seen = keys_of(&bob, user).await;
    assert_eq!(
        seen["master_keys"][user]["keys"],
        json!({ "ed25519:M2": "M2" })
    );
    assert!(seen["self_signing_keys"][user].is_object());
    assert_eq!(seen["user_signing_keys"], json!({}));
    let own = keys_of(&alice, user).await;
    assert!(own["user_signing_keys"][user].is_object());

    let other = json!({ "master_key": cross_signing_key("@bob:localhost", "master", "X") });
    let refused = call(&alice, Method::POST, PATH, other.clone()).await;
    assert_eq!(refused.0, 401, "it would replace hers");
    let refused = call(
        &server.user("dora").await.unwrap(),
        Method::POST,
        PATH,
        other,
    )
    .await;
    assert_eq!(code(&refused), (400, "M_INVALID_PARAM"));
    let alone = server.user("carol").await.unwrap();
    let key = cross_signing_key("@carol:localhost", "self_signing", "S");
    let refused = call(
        &alone,
        Method::POST,
        PATH,
        json!({ "self_signing_key": key }),
    )
    .await;
    assert_eq!(code(&refused), (400, "M_INVALID_PARAM"));
}

#[tokio::test]
async fn signatures_are_added_to_own_devices_and_stay() {
    const PATH: &str = "/_matrix/client/v3/keys/signatures/upload";
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let device = device_of(&alice).await;
    let user = "@alice:localhost";
    let keys = device_keys(user, &device);
    upload(&alice, json!({ "device_keys": keys })).await;
    let mut signed = keys.clone();
    signed["signatures"] = json!({ user: { "ed25519:S1": "vouched" } });

    let done = call(
        &alice,
        Method::POST,
        PATH,
        json!({ user: { &device: signed } }),
    )
    .await;
    assert_eq!(done, (200, json!({ "failures": {} })));
    // The device uploads its keys again, which knows nothing of the signature.
    upload(&alice, json!({ "device_keys": keys })).await;

    let found = keys_of(&alice, user).await;
    let signatures = &found["device_keys"][user][&device]["signatures"][user];
    assert_eq!(signatures["ed25519:S1"], "vouched");
    assert_eq!(signatures[format!("ed25519:{device}")], "sig");

    let mut forged = signed;
    forged["keys"] = json!({});
    let body = json!({ user: { &device: forged, "NOWHERE": keys } });
    let (_, answer) = call(&alice, Method::POST, PATH, body).await;
    let failures = &answer["failures"][user];
    assert_eq!(failures[&device]["errcode"], "M_INVALID_SIGNATURE");
    assert_eq!(failures["NOWHERE"]["errcode"], "M_NOT_FOUND");
}

#[tokio::test]
async fn those_who_share_a_room_learn_of_changed_keys() {
    const PATH: &str = "/_matrix/client/v3/keys/changes";
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let bob = server.user("bob").await.unwrap();
    let carol = server.user("carol").await.unwrap();
    let room = alice
        .create_room(&json!({ "preset": "public_chat" }))
        .await
        .unwrap();
    bob.join(&room).await.unwrap();
    let device = device_of(&alice).await;
    let keys = device_keys("@alice:localhost", &device);
    upload(&alice, json!({ "device_keys": keys })).await;

    let range = [("from", "s1"), ("to", "s1000")];
    let changed = |client: Client| async move {
        query(&client, Method::GET, PATH, &range, Value::Null)
            .await
            .1["changed"]
            .clone()
    };
    let seen_by_bob = changed(bob).await;
    assert!(
        seen_by_bob
            .as_array()
            .unwrap()
            .contains(&json!("@alice:localhost"))
    );
    assert_eq!(changed(carol.clone()).await, json!(["@carol:localhost"]));
    let bad = [("from", "x"), ("to", "s1")];
    let refused = query(&carol, Method::GET, PATH, &bad, Value::Null).await;
    assert_eq!(code(&refused), (400, "M_INVALID_PARAM"));
}

#[tokio::test]
async fn key_backup_is_not_offered() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let path = "/_matrix/client/v3/room_keys/version";
    let missing = call(&alice, Method::GET, path, Value::Null).await;
    assert_eq!(code(&missing), (404, "M_UNRECOGNIZED"));
}

#[tokio::test]
async fn a_service_replaces_its_ghosts_cross_signing_keys_unasked() {
    const PATH: &str = "/_matrix/client/v3/keys/device_signing/upload";
    let service = RecordingAppservice::start(AppserviceOptions::with_users("irc", "irc_"))
        .await
        .unwrap();
    let server = TestServer::with_appservices(&[&service]).await.unwrap();
    let bot = server.client().with_token(&service.as_token());
    let ghost = bot.register_ghost("irc_bob").await.unwrap();
    for key in ["M1", "M2"] {
        let keys = json!({ "master_key": cross_signing_key("@irc_bob:localhost", "master", key) });
        assert_eq!(call(&ghost, Method::POST, PATH, keys).await.0, 200);
    }
}
