//! A service has itself pinged, and all that may go wrong.

use std::time::Duration;

use axum::{Router, http::StatusCode, routing::any};
use bridgehead_testkit::{AppserviceOptions, RecordingAppservice, TestServer};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::calls::{call, code, server_with};

async fn service() -> RecordingAppservice {
    RecordingAppservice::start(AppserviceOptions::with_users("irc", "irc_"))
        .await
        .unwrap()
}

async fn ping(server: &TestServer, token: Option<&str>, id: &str) -> (u16, Value) {
    let client = match token {
        Some(token) => server.client().with_token(token),
        None => server.client(),
    };
    let path = format!("/_matrix/client/v1/appservice/{id}/ping");
    call(
        &client,
        Method::POST,
        &path,
        json!({ "transaction_id": "t" }),
    )
    .await
}

/// A server whose service is at this address.
async fn server_at(service: &RecordingAppservice, url: Value) -> TestServer {
    let brief = [("BRIDGEHEAD_APPSERVICES_REQUEST_TIMEOUT_MS", "200")];
    server_with(service, json!({ "url": url }), &brief).await
}

/// A web server that answers everything with `status` after `delay`; its address.
async fn peer(status: StatusCode, delay: Duration) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = move || async move {
        tokio::time::sleep(delay).await;
        (status, "no luck")
    };
    let router = Router::new().fallback(any(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

#[tokio::test]
async fn a_service_that_answers_is_told_how_long_it_took() {
    let service = service().await;
    let server = TestServer::with_appservices(&[&service]).await.unwrap();
    let token = service.as_token();
    let (status, answer) = ping(&server, Some(&token), "irc").await;
    assert_eq!(status, 200);
    // A framework in use takes 0 for a failure, so it is never 0.
    assert!(answer["duration_ms"].as_u64() > Some(0), "{answer}");
    let bot = server.client().with_token(&token);
    let path = "/_matrix/client/unstable/fi.mau.msc2659/appservice/irc/ping";
    assert_eq!(call(&bot, Method::POST, path, Value::Null).await.0, 200);
}

#[tokio::test]
async fn only_the_service_itself_may_ask() {
    let service = service().await;
    let server = TestServer::with_appservices(&[&service]).await.unwrap();
    let alice = server.user("alice").await.unwrap();
    for (token, id) in [
        (Some(service.as_token()), "other"),
        (alice.access_token().map(str::to_owned), "irc"),
    ] {
        let refused = ping(&server, token.as_deref(), id).await;
        assert_eq!(code(&refused), (403, "M_FORBIDDEN"));
    }
}

#[tokio::test]
async fn what_went_wrong_is_told_by_its_code() {
    let service = service().await;
    let token = service.as_token();
    let closed = {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let failing = peer(StatusCode::IM_A_TEAPOT, Duration::ZERO).await;
    let slow = peer(StatusCode::OK, Duration::from_secs(60)).await;
    for (url, expected) in [
        (Value::Null, (400, "M_URL_NOT_SET")),
        (json!(failing), (502, "M_BAD_STATUS")),
        (json!(closed), (502, "M_CONNECTION_FAILED")),
        (json!(slow), (504, "M_CONNECTION_TIMEOUT")),
    ] {
        let server = server_at(&service, url).await;
        let answer = ping(&server, Some(&token), "irc").await;
        assert_eq!(code(&answer), expected);
        if expected.1 == "M_BAD_STATUS" {
            assert_eq!(answer.1["status"], 418);
            assert_eq!(answer.1["body"], "no luck");
        }
    }
}
