//! The operator API.

mod access;
mod doctor;
mod events;
mod people;
mod registrations;
mod sessions;
mod verbs;

use bridgehead_admin_api::{BASE, Service};
use bridgehead_testkit::{Client, TestServer};
use reqwest::{
    Method,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use serde_json::{Value, json};

use crate::calls::call;

/// The token that the first start has written.
fn local_token(server: &TestServer) -> String {
    let file = server.folder().join("data/operator.token");
    std::fs::read_to_string(file).unwrap().trim().to_owned()
}

/// A client of the operator `local`.
fn local(server: &TestServer) -> Client {
    server.client().with_token(&local_token(server))
}

/// Makes an operator; gives back the token.
async fn new_operator(server: &TestServer, name: &str, role: &str) -> String {
    let body = json!({ "name": name, "role": role });
    let (status, made) = ask(&local(server), Method::POST, "/operators", body).await;
    assert_eq!(status, 201, "{made}");
    made["token"].as_str().unwrap().to_owned()
}

/// A request below the API's base; status and answer.
async fn ask(client: &Client, method: Method, rest: &str, body: Value) -> (u16, Value) {
    call(client, method, &format!("{BASE}{rest}"), body).await
}

/// `GET` that must succeed.
async fn get(client: &Client, rest: &str) -> Value {
    let (status, answer) = ask(client, Method::GET, rest, Value::Null).await;
    assert_eq!(status, 200, "{rest}: {answer}");
    answer
}

/// A service, as it is now.
async fn show(client: &Client, id: &str) -> Service {
    let answer = get(client, &format!("/appservices/{id}")).await;
    serde_json::from_value(answer).unwrap()
}

/// Waits until the service is as wanted.
async fn show_when(client: &Client, id: &str, wanted: impl Fn(&Service) -> bool) -> Service {
    let started = std::time::Instant::now();
    loop {
        let service = show(client, id).await;
        if wanted(&service) {
            return service;
        }
        assert!(started.elapsed() < crate::peer::SOON, "{service:?}");
        tokio::task::yield_now().await;
    }
}

/// What came back from a request with headers of its own.
#[derive(Debug)]
struct Raw {
    status: u16,
    headers: HeaderMap,
    /// Null for a stream.
    body: Value,
}

impl Raw {
    fn errcode(&self) -> &str {
        self.body["errcode"].as_str().unwrap_or_default()
    }

    /// `name=value` of the cookie that was set.
    fn cookie(&self) -> &str {
        let cookie = self.headers["set-cookie"].to_str().unwrap();
        cookie.split(';').next().unwrap()
    }
}

/// A request with these headers.
async fn raw(
    server: &TestServer,
    method: Method,
    rest: &str,
    headers: &[(&str, &str)],
    body: Option<&str>,
) -> Raw {
    let mut request = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .build()
        .unwrap()
        .request(method, format!("{}{BASE}{rest}", server.base_url()));
    for (name, value) in headers {
        request = request.header(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_str(value).unwrap(),
        );
    }
    if let Some(body) = body {
        request = request.body(body.to_owned());
    }
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let is_stream = headers
        .get("content-type")
        .is_some_and(|kind| kind == "text/event-stream");
    let body = if is_stream {
        Value::Null
    } else {
        serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default()
    };
    Raw {
        status,
        headers,
        body,
    }
}

/// Logs a browser in; cookie and CSRF token.
async fn log_in(server: &TestServer, token: &str) -> (String, String) {
    let body = json!({ "token": token }).to_string();
    let json = [("content-type", "application/json")];
    let answer = raw(server, Method::POST, "/session", &json, Some(&body)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let csrf = answer.body["csrf_token"].as_str().unwrap().to_owned();
    (answer.cookie().to_owned(), csrf)
}
