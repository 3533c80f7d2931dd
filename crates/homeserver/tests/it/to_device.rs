//! Messages from device to device, and how they reach an encrypting application service.

use std::time::Duration;

use bridgehead_testkit::{
    Answer, AppserviceOptions, Client, Record, RecordingAppservice, TestServer,
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::calls::{call, code, server_with};

const SOON: Duration = Duration::from_secs(20);
const KEY: &str = "de.sorunome.msc2409.to_device";

struct Scene {
    service: RecordingAppservice,
    server: TestServer,
    alice: Client,
    ghost: Client,
}

/// A service that takes part in encryption, with a ghost that has a device.
async fn scene() -> Scene {
    let service = RecordingAppservice::start(AppserviceOptions::with_users("irc", "irc_"))
        .await
        .unwrap();
    let flags = json!({ "org.matrix.msc3202": true, "receive_ephemeral": true });
    let fast = [("BRIDGEHEAD_APPSERVICES_BACKOFF_MIN_MS", "50")];
    let server = server_with(&service, flags, &fast).await;
    let alice = server.user("alice").await.unwrap();
    let bot = server.client().with_token(&service.as_token());
    let ghost = bot.register_ghost("irc_bob").await.unwrap();
    let device = "/_matrix/client/v3/devices/BRIDGE";
    assert_eq!(call(&ghost, Method::PUT, device, json!({})).await.0, 201);
    Scene {
        service,
        server,
        alice,
        ghost,
    }
}

async fn send(client: &Client, txn: &str, to: &str, device: &str, body: &str) -> (u16, Value) {
    let path = format!("/_matrix/client/v3/sendToDevice/m.room.encrypted/{txn}");
    let messages = json!({ "messages": { to: { device: { "body": body } } } });
    call(client, Method::PUT, &path, messages).await
}

/// Bodies of the to-device messages in a record.
fn bodies(record: &Record) -> Vec<String> {
    let body: Value = serde_json::from_slice(&record.body).unwrap();
    body[KEY]
        .as_array()
        .into_iter()
        .flatten()
        .map(|message| message["content"]["body"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_message_reaches_the_service_of_the_ghost_once() {
    let scene = scene().await;
    for _ in 0..2 {
        let sent = send(&scene.alice, "t1", "@irc_bob:localhost", "BRIDGE", "first").await;
        assert_eq!(sent, (200, json!({})));
    }
    send(&scene.alice, "t2", "@irc_bob:localhost", "*", "second").await;

    scene
        .service
        .wait_for("both messages", SOON, |records| {
            records.iter().flat_map(bodies).collect::<Vec<_>>().len() >= 2
        })
        .await
        .unwrap();
    let records = scene.service.records();
    let got: Vec<String> = records.iter().flat_map(bodies).collect();
    assert_eq!(got, ["first", "second"]);
    let record = records.iter().find(|r| !bodies(r).is_empty()).unwrap();
    let body: Value = serde_json::from_slice(&record.body).unwrap();
    assert_eq!(
        body[KEY][0],
        json!({
            "type": "m.room.encrypted",
            "sender": "@alice:localhost",
            "content": { "body": "first" },
            "to_user_id": "@irc_bob:localhost",
            "to_device_id": "BRIDGE",
        })
    );
    assert_eq!(body["to_device"], body[KEY]);
}

#[tokio::test]
async fn a_message_survives_an_outage_and_stands_before_the_events() {
    let scene = scene().await;
    let room = scene
        .alice
        .create_room(&json!({ "preset": "public_chat" }))
        .await
        .unwrap();
    scene.ghost.join(&room).await.unwrap();
    let mut refusals = 3;
    scene.service.answer_with(move |record| {
        if refusals > 0 && String::from_utf8_lossy(&record.body).contains("the key") {
            refusals -= 1;
            return Answer::Status(StatusCode::INTERNAL_SERVER_ERROR);
        }
        Answer::Status(StatusCode::OK)
    });
    send(
        &scene.alice,
        "t1",
        "@irc_bob:localhost",
        "BRIDGE",
        "the key",
    )
    .await;
    let event = scene.alice.send_text(&room, "t1", "hello").await.unwrap();

    scene
        .service
        .wait_for(
            "the message's event and the key's last try",
            SOON,
            |records| {
                let tries = records.iter().filter(|r| !bodies(r).is_empty()).count();
                let mut events = records.iter().flat_map(Record::events);
                tries >= 4 && events.any(|sent| sent["event_id"] == json!(event))
            },
        )
        .await
        .unwrap();
    let records = scene.service.records();
    let with_key: Vec<&Record> = records
        .iter()
        .filter(|record| !bodies(record).is_empty())
        .collect();
    assert_eq!(with_key.len(), 4, "three refusals and a success");
    assert!(with_key.iter().all(|r| r.body == with_key[0].body));
    let body = String::from_utf8_lossy(&with_key[0].body);
    assert!(body.find(KEY).unwrap() < body.find("\"events\"").unwrap());
}

#[tokio::test]
async fn an_acknowledged_message_has_left_the_inbox() {
    let scene = scene().await;
    let database = scene.server.folder().join("data/bridgehead.db");
    send(&scene.alice, "t1", "@irc_bob:localhost", "BRIDGE", "a").await;
    scene
        .service
        .wait_for("the message", SOON, |records| {
            records.iter().any(|record| !bodies(record).is_empty())
        })
        .await
        .unwrap();
    // A second one goes only when the first one's acknowledgement is stored.
    send(&scene.alice, "t2", "@irc_bob:localhost", "BRIDGE", "b").await;
    scene
        .service
        .wait_for("the second message", SOON, |records| {
            records.iter().flat_map(bodies).any(|body| body == "b")
        })
        .await
        .unwrap();
    let Scene {
        server, service, ..
    } = scene;
    let folder = server.stop().await;
    let store = bridgehead_store::Store::open(&database, "localhost").unwrap();
    let waiting = store
        .read(|snapshot| {
            snapshot.to_device_for(
                "@irc_bob:localhost",
                "BRIDGE",
                bridgehead_store::StreamPosition::ZERO,
                bridgehead_store::StreamPosition(1_000_000),
                10,
            )
        })
        .await
        .unwrap();
    assert!(
        waiting
            .iter()
            .all(|message| !message.content.contains("\"a\""))
    );
    drop((folder, service));
}

#[tokio::test]
async fn a_persons_inbox_is_not_emptied_by_a_service_that_shares_the_namespace() {
    let service = RecordingAppservice::start(AppserviceOptions::with_users("all", "irc_"))
        .await
        .unwrap();
    let keys = json!({
        "org.matrix.msc3202": true,
        "receive_ephemeral": true,
        "namespaces": { "users": [{ "regex": "@.*", "exclusive": false }] },
    });
    let server = server_with(&service, keys, &[]).await;
    let alice = server.user("alice").await.unwrap();
    let bob = server.user("bob").await.unwrap();
    send(&alice, "t1", "@bob:localhost", "*", "for bob alone").await;
    let room = bob.create_room(&json!({})).await.unwrap();
    bob.send_text(&room, "t1", "hello").await.unwrap();
    service
        .wait_for("bob's room", SOON, |records| {
            records.iter().flat_map(Record::events).next().is_some()
        })
        .await
        .unwrap();
    assert!(service.records().iter().all(|r| bodies(r).is_empty()));
}

#[tokio::test]
async fn unknown_recipients_are_passed_over_and_bad_bodies_refused() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    for to in [
        "@nobody:localhost",
        "@alice:localhost",
        "@a:elsewhere.example",
    ] {
        assert_eq!(send(&alice, to, to, "NOWHERE", "x").await.0, 200);
    }
    let path = "/_matrix/client/v3/sendToDevice/m.x/t9";
    let body = json!({ "messages": { "not a user": {} } });
    let refused = call(&alice, Method::PUT, path, body).await;
    assert_eq!(code(&refused), (400, "M_BAD_JSON"));
    let refused = call(&alice, Method::PUT, path, json!({})).await;
    assert_eq!(code(&refused), (400, "M_BAD_JSON"));
}
