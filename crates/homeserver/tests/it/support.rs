//! What many tests say: a request, and its status with its errcode.

use bridgehead_testkit::Client;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// Below `/_matrix/client/v3`.
fn path(rest: &str) -> String {
    let rest = rest.replace('#', "%23").replace('|', "%7C");
    format!("/_matrix/client/v3{rest}")
}

/// A request that must succeed; its answer.
pub(crate) async fn ok(
    client: &Client,
    method: Method,
    rest: &str,
    query: &[(&str, &str)],
    body: Option<Value>,
) -> Value {
    client
        .expect_ok(method, &path(rest), query, body.as_ref())
        .await
        .unwrap()
}

/// `GET` that must succeed.
pub(crate) async fn get(client: &Client, rest: &str, query: &[(&str, &str)]) -> Value {
    ok(client, Method::GET, rest, query, None).await
}

/// `PUT` that must succeed.
pub(crate) async fn put(client: &Client, rest: &str, body: Value) -> Value {
    ok(client, Method::PUT, rest, &[], Some(body)).await
}

/// `POST` that must succeed.
pub(crate) async fn post(client: &Client, rest: &str, body: Value) -> Value {
    ok(client, Method::POST, rest, &[], Some(body)).await
}

/// Status and errcode of a request that must fail.
pub(crate) async fn refused(
    client: &Client,
    method: Method,
    rest: &str,
    body: Option<Value>,
) -> (StatusCode, String) {
    let (status, answer) = client
        .request(method, &path(rest), &[], body.as_ref())
        .await
        .unwrap();
    assert!(!status.is_success(), "{rest} was answered {answer}");
    (status, answer["errcode"].as_str().unwrap().to_owned())
}

/// 400 with this errcode, as [`refused`] gives it.
pub(crate) fn bad_request(errcode: &str) -> (StatusCode, String) {
    (StatusCode::BAD_REQUEST, errcode.to_owned())
}

/// 403 `M_FORBIDDEN`.
pub(crate) fn forbidden() -> (StatusCode, String) {
    (StatusCode::FORBIDDEN, "M_FORBIDDEN".to_owned())
}

/// 404 `M_NOT_FOUND`.
pub(crate) fn not_found() -> (StatusCode, String) {
    (StatusCode::NOT_FOUND, "M_NOT_FOUND".to_owned())
}

/// Sets state; gives back the event's id.
pub(crate) async fn set_state(
    client: &Client,
    room: &str,
    kind: &str,
    key: &str,
    content: Value,
) -> String {
    let rest = format!("/rooms/{room}/state/{kind}/{key}");
    let sent = put(client, &rest, content).await;
    sent["event_id"].as_str().unwrap().to_owned()
}

/// Texts of messages, or types of other events, in the order given.
pub(crate) fn told(events: &Value) -> Vec<String> {
    let name = |event: &Value| {
        let body = &event["content"]["body"];
        body.as_str().or(event["type"].as_str()).unwrap().to_owned()
    };
    events.as_array().unwrap().iter().map(name).collect()
}

/// A public room by this client; its id.
pub(crate) async fn public_room(client: &Client) -> String {
    client
        .create_room(&json!({ "preset": "public_chat" }))
        .await
        .unwrap()
}
