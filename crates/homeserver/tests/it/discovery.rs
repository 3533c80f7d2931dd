//! What clients and tools ask first.

use bridgehead_testkit::TestServer;
use reqwest::StatusCode;
use ruma::{
    CanonicalJsonObject,
    serde::Base64,
    signatures::{PublicKeyMap, verify_json},
};
use serde_json::json;

#[tokio::test]
async fn a_name_leads_to_a_url_if_the_operator_says_so() {
    let server = TestServer::start().await.unwrap();
    let (status, body) = server
        .client()
        .get("/.well-known/matrix/client")
        .await
        .unwrap();
    assert_eq!(
        (status, &body["errcode"]),
        (StatusCode::NOT_FOUND, &json!("M_NOT_FOUND"))
    );
    let settings = [("BRIDGEHEAD_PUBLIC_BASE_URL", "https://matrix.example/")];
    let server = TestServer::start_with(&[], &settings).await.unwrap();
    let (_, body) = server
        .client()
        .get("/.well-known/matrix/client")
        .await
        .unwrap();
    assert_eq!(
        body,
        json!({ "m.homeserver": { "base_url": "https://matrix.example" } })
    );
}

#[tokio::test]
async fn capabilities_tell_the_room_versions() {
    let settings = [("BRIDGEHEAD_ROOMS_DEFAULT_VERSION", "10")];
    let server = TestServer::start_with(&[], &settings).await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let (_, body) = alice.get("/_matrix/client/v3/capabilities").await.unwrap();
    let versions = &body["capabilities"]["m.room_versions"];
    assert_eq!(versions["default"], "10");
    let available = versions["available"].as_object().unwrap();
    assert_eq!(available.len(), 7);
    for (version, stability) in available {
        assert_eq!(stability, "stable");
        let room = alice
            .create_room(&json!({ "room_version": version }))
            .await
            .unwrap();
        let create = alice.state(&room, "m.room.create", "").await.unwrap();
        assert_eq!(create["room_version"], json!(version));
    }
}

#[tokio::test]
async fn the_key_document_is_signed_with_its_key() {
    let server = TestServer::start().await.unwrap();
    let (_, body) = server.client().get("/_matrix/key/v2/server").await.unwrap();
    let document: CanonicalJsonObject = serde_json::from_value(body.clone()).unwrap();
    let (id, key) = body["verify_keys"]
        .as_object()
        .unwrap()
        .iter()
        .next()
        .unwrap();
    let key = Base64::parse(key["key"].as_str().unwrap()).unwrap();
    let mut keys = PublicKeyMap::new();
    keys.entry("localhost".to_owned())
        .or_default()
        .insert(id.clone(), key);
    verify_json(&keys, &document).unwrap();
    let mut forged = document;
    forged.insert("server_name".to_owned(), "elsewhere".to_owned().into());
    verify_json(&keys, &forged).unwrap_err();
}

#[tokio::test]
async fn small_answers() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    for (path, expected) in [
        ("/_matrix/client/v3/voip/turnServer", json!({})),
        (
            "/_matrix/client/v3/account/3pid",
            json!({ "threepids": [] }),
        ),
    ] {
        assert_eq!(alice.get(path).await.unwrap(), (StatusCode::OK, expected));
    }
    let (_, version) = alice.get("/_matrix/federation/v1/version").await.unwrap();
    assert_eq!(version["server"]["name"], "Bridgehead");
    let (status, body) = alice.get("/.well-known/matrix/server").await.unwrap();
    assert_eq!(
        (status, &body["errcode"]),
        (StatusCode::NOT_FOUND, &json!("M_UNRECOGNIZED"))
    );
    let text = |path: &str| reqwest::get(format!("{}{path}", server.base_url()));
    assert_eq!(text("/health").await.unwrap().text().await.unwrap(), "OK");
    let root = text("/").await.unwrap().text().await.unwrap();
    assert!(root.contains("Matrix homeserver of localhost"), "{root}");
}
