//! Helpers of the chapters about ephemeral data: a room that an alice and a service's ghost share.

use std::time::Duration;

use bridgehead_testkit::{AppserviceOptions, Client, Record, RecordingAppservice, TestServer};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// Nothing here takes longer.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// The key of the specification.
pub(crate) const STABLE: &str = "ephemeral";
/// The key from before.
pub(crate) const UNSTABLE: &str = "de.sorunome.msc2409.ephemeral";

/// A service with ghosts `@<id>_…` that asks for ephemeral data as told.
pub(crate) async fn service(id: &str, stable: bool, unstable: bool) -> RecordingAppservice {
    RecordingAppservice::start(AppserviceOptions {
        receive_ephemeral: stable,
        push_ephemeral: unstable,
        ..AppserviceOptions::with_users(id, &format!("{id}_"))
    })
    .await
    .unwrap()
}

/// A text as one segment of a path.
pub(crate) fn segment(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// A public room of alice's in which a ghost of each service is.
pub(crate) async fn room_with_ghosts(
    server: &TestServer,
    alice: &Client,
    services: &[&RecordingAppservice],
    ids: &[&str],
) -> String {
    let room = alice
        .create_room(&json!({ "preset": "public_chat" }))
        .await
        .unwrap();
    for (service, id) in services.iter().zip(ids) {
        let bot = server.client().with_token(&service.as_token());
        let ghost = bot.register_ghost(&format!("{id}_ghost")).await.unwrap();
        ghost.join(&room).await.unwrap();
    }
    room
}

/// The client as the ghost of a service.
pub(crate) fn ghost(server: &TestServer, service: &RecordingAppservice, id: &str) -> Client {
    server
        .client()
        .with_token(&service.as_token())
        .acting_as(&format!("@{id}_ghost:localhost"))
}

/// All that a service was told under a key, of one type.
pub(crate) fn told(service: &RecordingAppservice, key: &str, kind: &str) -> Vec<Value> {
    service
        .records()
        .iter()
        .flat_map(|record| record.ephemeral(key).to_vec())
        .filter(|event| event["type"] == kind)
        .collect()
}

/// Waits until a service was told this under the key.
pub(crate) async fn wait_told(
    service: &RecordingAppservice,
    key: &str,
    condition: impl Fn(&Value) -> bool,
) -> Value {
    service
        .wait_for("ephemeral news", SOON, |records| {
            records
                .iter()
                .any(|record| record.ephemeral(key).iter().any(&condition))
        })
        .await
        .unwrap();
    service
        .records()
        .iter()
        .flat_map(|record| record.ephemeral(key).to_vec())
        .find(|event| condition(event))
        .unwrap()
}

/// Waits until a service got this room event.
pub(crate) async fn wait_event(service: &RecordingAppservice, event_id: &str) {
    service
        .wait_for("an event", SOON, |records| {
            records
                .iter()
                .flat_map(Record::events)
                .any(|event| event["event_id"] == event_id)
        })
        .await
        .unwrap();
}

/// A request with a JSON body; gives back status and errcode.
pub(crate) async fn outcome(
    client: &Client,
    method: Method,
    path: &str,
    body: &Value,
) -> (StatusCode, String) {
    let (status, answer) = client.request(method, path, &[], Some(body)).await.unwrap();
    let errcode = answer["errcode"].as_str().unwrap_or_default().to_owned();
    (status, errcode)
}
