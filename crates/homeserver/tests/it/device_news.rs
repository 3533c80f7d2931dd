//! What an encrypting application service is told of devices and keys in its transactions.

use std::time::Duration;

use bridgehead_testkit::{AppserviceOptions, Client, Record, RecordingAppservice, TestServer};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    calls::{call, query, registration, server_with},
    keys::{claim, device_keys, device_of, upload},
};

const SOON: Duration = Duration::from_secs(30);
const ALICE: &str = "@alice:localhost";
const GHOST: &str = "@irc_bob:localhost";
const LISTS: &str = "org.matrix.msc3202.device_lists";
const COUNTS: &str = "org.matrix.msc3202.device_one_time_keys_count";
const FALLBACK: &str = "org.matrix.msc3202.device_unused_fallback_key_types";

struct Scene {
    service: RecordingAppservice,
    server: TestServer,
    alice: Client,
    bot: Client,
    ghost: Client,
}

async fn scene() -> Scene {
    let service = RecordingAppservice::start(AppserviceOptions::with_users("irc", "irc_"))
        .await
        .unwrap();
    let flags = json!({ "org.matrix.msc3202": true });
    let server = server_with(&service, flags, &[]).await;
    let alice = server.user("alice").await.unwrap();
    let bot = server.client().with_token(&service.as_token());
    let ghost = bot.register_ghost("irc_bob").await.unwrap();
    Scene {
        service,
        server,
        alice,
        bot,
        ghost,
    }
}

/// A public room with these in it; the first one makes it.
async fn room(members: &[&Client], encrypted: bool) -> String {
    let mut body = json!({ "preset": "public_chat" });
    if encrypted {
        body["initial_state"] = json!([encryption()]);
    }
    let room = members[0].create_room(&body).await.unwrap();
    for member in &members[1..] {
        member.join(&room).await.unwrap();
    }
    room
}

fn encryption() -> Value {
    let content = json!({ "algorithm": "m.megolm.v1.aes-sha2" });
    json!({ "type": "m.room.encryption", "state_key": "", "content": content })
}

async fn leave(client: &Client, room: &str) {
    let path = format!("/_matrix/client/v3/rooms/{room}/leave");
    assert_eq!(call(client, Method::POST, &path, json!({})).await.0, 200);
}

/// Users named under `changed` or `left` in all transactions, in order; repeats are one.
fn told(records: &[Record], key: &str) -> Vec<String> {
    let mut seen = std::collections::BTreeSet::new();
    records
        .iter()
        .filter(|record| seen.insert(record.txn_id.clone()))
        .flat_map(|record| record.parsed[LISTS][key].as_array().cloned())
        .flatten()
        .map(|user| user.as_str().unwrap().to_owned())
        .collect()
}

/// The last key counts told.
fn counts(records: &[Record]) -> Value {
    let last = records.iter().rev().find(|r| r.parsed[COUNTS].is_object());
    last.map_or(Value::Null, |r| {
        assert_eq!(r.parsed[COUNTS], r.parsed["device_one_time_keys_count"]);
        assert_eq!(
            r.parsed[FALLBACK],
            r.parsed["device_unused_fallback_key_types"]
        );
        json!([r.parsed[COUNTS], r.parsed[FALLBACK]])
    })
}

impl Scene {
    /// Sends a mark through a room of the service's own and waits for it: what was told before
    /// has arrived before it.
    async fn mark(&self, text: &str) {
        let room = self.bot.create_room(&json!({})).await.unwrap();
        let event = self.bot.send_text(&room, text, text).await.unwrap();
        self.service
            .wait_for("the mark", SOON, |records| {
                let mut events = records.iter().flat_map(Record::events);
                events.any(|sent| sent["event_id"] == json!(event))
            })
            .await
            .unwrap();
    }

    fn told(&self, key: &str) -> Vec<String> {
        told(&self.service.records(), key)
    }

    async fn make_device(&self, keys: Value) {
        let path = "/_matrix/client/v3/devices/BRIDGE";
        assert_eq!(call(&self.ghost, Method::PUT, path, json!({})).await.0, 201);
        let path = "/_matrix/client/v3/keys/upload";
        let device = [("device_id", "BRIDGE")];
        let uploaded = query(&self.ghost, Method::POST, path, &device, keys).await;
        assert_eq!(uploaded.0, 200, "{}", uploaded.1);
    }

    async fn wait_for_counts(&self, one_time: u32, fallback: &[&str]) {
        let expected = json!([
            { GHOST: { "BRIDGE": { "signed_curve25519": one_time } } },
            { GHOST: { "BRIDGE": fallback } },
        ]);
        self.service
            .wait_for(&format!("{expected}"), SOON, |records| {
                counts(records) == expected
            })
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_service_is_told_how_many_keys_its_devices_have_when_that_changes() {
    let scene = scene().await;
    let key = json!({ "key": "k" });
    scene
        .make_device(json!({
            "device_keys": device_keys(GHOST, "BRIDGE"),
            "one_time_keys": { "signed_curve25519:A": key },
            "fallback_keys": { "signed_curve25519:F": key },
        }))
        .await;
    scene.wait_for_counts(1, &["signed_curve25519"]).await;
    // No event tells the service that its keys go: the count does.
    claim(&scene.alice, GHOST, "BRIDGE").await;
    scene.wait_for_counts(0, &["signed_curve25519"]).await;
    // The empty list says that no fallback key is left.
    claim(&scene.alice, GHOST, "BRIDGE").await;
    scene.wait_for_counts(0, &[]).await;

    let told = |records: Vec<Record>| {
        let with_counts = records.iter().filter(|r| r.parsed[COUNTS].is_object());
        with_counts.count()
    };
    let before = told(scene.service.records());
    scene.mark("nothing changed").await;
    let alices = device_of(&scene.alice).await;
    let body = json!({ "one_time_keys": { "signed_curve25519:A": key } });
    upload(&scene.alice, body).await;
    claim(&scene.bot, ALICE, &alices).await;
    scene.mark("a person's keys are not the service's").await;
    assert_eq!(told(scene.service.records()), before);
}

#[tokio::test]
async fn a_service_is_told_of_changed_devices_of_those_it_shares_a_room_with() {
    let scene = scene().await;
    room(&[&scene.alice, &scene.ghost], false).await;
    let device = device_of(&scene.alice).await;
    upload(
        &scene.alice,
        json!({ "device_keys": device_keys(ALICE, &device) }),
    )
    .await;
    scene.mark("changed").await;
    assert_eq!(scene.told("changed"), [ALICE]);
    let stranger = scene.server.user("stranger").await.unwrap();
    let device = device_of(&stranger).await;
    let keys = device_keys("@stranger:localhost", &device);
    upload(&stranger, json!({ "device_keys": keys })).await;
    scene.mark("not concerned").await;
    assert_eq!(scene.told("changed"), [ALICE]);
    assert!(scene.told("left").is_empty());
    let records = scene.service.records();
    let with_lists = records.iter().find(|r| r.parsed[LISTS].is_object());
    let body = &with_lists.unwrap().parsed;
    assert_eq!(body["device_lists"], body[LISTS]);
}

#[tokio::test]
async fn those_met_in_an_encrypted_room_are_told_as_changed_once() {
    let scene = scene().await;
    let carol = scene.server.user("carol").await.unwrap();
    let plain = room(&[&scene.alice, &scene.ghost], false).await;
    scene.mark("an unencrypted room").await;
    assert!(scene.told("changed").is_empty());

    // The room becomes encrypted; then somebody comes; then a second ghost, who meets nobody new.
    let path = format!("/_matrix/client/v3/rooms/{plain}/state/m.room.encryption/");
    let content = encryption()["content"].clone();
    assert_eq!(call(&scene.alice, Method::PUT, &path, content).await.0, 200);
    scene.mark("encrypted now").await;
    assert_eq!(scene.told("changed"), [ALICE]);
    carol.join(&plain).await.unwrap();
    let second = scene.bot.register_ghost("irc_second").await.unwrap();
    second.join(&plain).await.unwrap();
    let name = "/_matrix/client/v3/profile/@carol:localhost/displayname";
    call(&carol, Method::PUT, name, json!({ "displayname": "Carol" })).await;
    scene.mark("a newcomer").await;
    assert_eq!(scene.told("changed"), [ALICE, "@carol:localhost"]);
    assert!(scene.told("left").is_empty());
}

#[tokio::test]
async fn a_newcomer_is_not_told_after_its_own_join() {
    let scene = scene().await;
    let room = room(&[&scene.ghost], true).await;
    scene.alice.join(&room).await.unwrap();
    scene.mark("joined").await;
    let records = scene.service.records();
    let first = |wanted: &dyn Fn(&Record) -> bool| records.iter().position(wanted).unwrap();
    let told = first(&|r| !told(std::slice::from_ref(r), "changed").is_empty());
    let joined = first(&|r| r.events().iter().any(|e| e["state_key"] == ALICE));
    assert!(told <= joined, "{told} is after {joined}");
}

#[tokio::test]
async fn who_leaves_the_last_shared_encrypted_room_is_told_as_left() {
    let scene = scene().await;
    let (alice, ghost) = (&scene.alice, &scene.ghost);
    let first = room(&[alice, ghost], true).await;
    let second = room(&[alice, ghost], true).await;
    room(&[alice, ghost], false).await;
    leave(alice, &first).await;
    scene.mark("another encrypted room is left").await;
    assert!(scene.told("left").is_empty());
    // The unencrypted one does not count.
    leave(alice, &second).await;
    scene.mark("none is left").await;
    assert_eq!(scene.told("left"), [ALICE]);
    // Back again, and parted again by the service's side, whose last user goes.
    alice.join(&first).await.unwrap();
    scene.mark("back").await;
    assert_eq!(scene.told("changed").last().unwrap(), ALICE);
    let second_ghost = scene.bot.register_ghost("irc_second").await.unwrap();
    second_ghost.join(&first).await.unwrap();
    leave(ghost, &first).await;
    scene.mark("one of two went").await;
    assert_eq!(scene.told("left"), [ALICE]);
    leave(&second_ghost, &first).await;
    scene.mark("both went").await;
    assert_eq!(scene.told("left"), [ALICE, ALICE]);
}

#[tokio::test]
async fn long_lists_of_devices_are_spread_over_transactions() {
    const NEIGHBOURS: usize = 300;
    const MOST_BYTES: usize = 128 << 10;
    let service = RecordingAppservice::start(AppserviceOptions::with_users("irc", "irc_"))
        .await
        .unwrap();
    let other = RecordingAppservice::start(AppserviceOptions::with_users("other", "other_"))
        .await
        .unwrap();
    let folder = tempfile::TempDir::new().unwrap();
    let files = [
        registration(&folder, &service, |keys| {
            keys["org.matrix.msc3202"] = json!(true);
        }),
        registration(&folder, &other, |_| {}),
    ];
    let limit = MOST_BYTES.to_string();
    let settings = [("BRIDGEHEAD_APPSERVICES_MAX_TRANSACTION_BYTES", &*limit)];
    let server = TestServer::start_with(&files, &settings).await.unwrap();
    let neighbours = server.client().with_token(&other.as_token());
    let owner = neighbours.register_ghost("other_owner").await.unwrap();
    let room = room(&[&owner], true).await;
    let filler = "x".repeat(200);
    for number in 0..NEIGHBOURS {
        let name = format!("other_{filler}_{number}");
        let ghost = neighbours.register_ghost(&name).await.unwrap();
        ghost.join(&room).await.unwrap();
    }
    let bot = server.client().with_token(&service.as_token());
    let ghost = bot.register_ghost("irc_bob").await.unwrap();
    ghost.join(&room).await.unwrap();

    service
        .wait_for("all neighbours", SOON, |records| {
            told(records, "changed").len() > NEIGHBOURS
        })
        .await
        .unwrap();
    let records = service.records();
    assert_eq!(told(&records, "changed").len(), NEIGHBOURS + 1);
    let with_lists = records.iter().filter(|r| r.parsed[LISTS].is_object());
    assert!(with_lists.count() > 1);
    assert!(records.iter().all(|r| r.body.len() <= MOST_BYTES));
}
