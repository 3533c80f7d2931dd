//! What the server answers to requests that are wrong in every way a network knows.

use std::time::Duration;

use bridgehead_testkit::{AppserviceOptions, Client, RecordingAppservice, TestServer};
use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

const CREATE_ROOM: &str = "/_matrix/client/v3/createRoom";
const WHOAMI: &str = "/_matrix/client/v3/account/whoami";

/// A client without comforts.
fn http() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .timeout(Duration::from_secs(30))
        .build()
        .unwrap()
}

#[track_caller]
fn assert_error((status, body): (StatusCode, Value), expected: (StatusCode, &str)) {
    assert_eq!(
        (status, body["errcode"].as_str().unwrap_or_default()),
        expected,
        "{body}"
    );
    assert!(body["error"].as_str().is_some_and(|text| !text.is_empty()));
}

/// Posts these bytes as they are.
async fn post(user: &Client, server: &TestServer, path: &str, body: String) -> (StatusCode, Value) {
    let response = http()
        .post(format!("{}{path}", server.base_url()))
        .bearer_auth(user.access_token().unwrap_or_default())
        .body(body)
        .send()
        .await
        .unwrap();
    (response.status(), response.json().await.unwrap())
}

#[tokio::test]
async fn unknown_paths_and_methods() {
    let server = TestServer::start().await.unwrap();
    let client = server.client();
    for path in [
        "/nowhere",
        "/_matrix/client/v3/nowhere",
        "/_matrix/client/v9/sync",
    ] {
        let answer = client.get(path).await.unwrap();
        assert_error(answer, (StatusCode::NOT_FOUND, "M_UNRECOGNIZED"));
    }
    for (method, path) in [(Method::DELETE, WHOAMI), (Method::GET, CREATE_ROOM)] {
        let answer = client.request(method, path, &[], None).await.unwrap();
        assert_error(answer, (StatusCode::METHOD_NOT_ALLOWED, "M_UNRECOGNIZED"));
    }
}

#[tokio::test]
async fn browsers_may_call_from_anywhere() {
    let server = TestServer::start().await.unwrap();
    for path in [WHOAMI, "/_matrix/media/v3/upload", "/nowhere"] {
        let url = format!("{}{path}", server.base_url());
        let response = http()
            .request(Method::OPTIONS, url)
            .header(header::ORIGIN, "https://app.example")
            .header(header::ACCESS_CONTROL_REQUEST_METHOD, "PUT")
            .header(header::ACCESS_CONTROL_REQUEST_HEADERS, "authorization")
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let headers = response.headers();
        assert_eq!(headers["access-control-allow-origin"], "*");
        for (name, expected) in [
            ("access-control-allow-methods", "PUT"),
            ("access-control-allow-headers", "authorization"),
        ] {
            assert!(headers[name].to_str().unwrap().contains(expected), "{name}");
        }
    }
}

#[tokio::test]
async fn tokens_missing_wrong_and_in_the_query() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let nobody = server.client();
    let answer = nobody.get(WHOAMI).await.unwrap();
    assert_error(answer, (StatusCode::UNAUTHORIZED, "M_MISSING_TOKEN"));
    let answer = nobody.with_token("wrong").get(WHOAMI).await.unwrap();
    assert_error(answer, (StatusCode::UNAUTHORIZED, "M_UNKNOWN_TOKEN"));
    let query = [("access_token", alice.access_token().unwrap())];
    let answer = nobody.request(Method::GET, WHOAMI, &query, None).await;
    assert_eq!(answer.unwrap().0, StatusCode::OK);
    let query = [("access_token", "wrong")];
    let answer = alice.request(Method::GET, WHOAMI, &query, None).await;
    assert_eq!(answer.unwrap().0, StatusCode::OK, "the header wins");
}

#[tokio::test]
async fn bodies_that_are_no_json() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    for body in ["{", "hello", r#"{"name":"x"} y"#, "\u{feff}{}"] {
        let answer = post(&alice, &server, CREATE_ROOM, body.to_owned()).await;
        assert_error(answer, (StatusCode::BAD_REQUEST, "M_NOT_JSON"));
    }
    let (status, _) = post(&alice, &server, CREATE_ROOM, String::new()).await;
    assert_eq!(status, StatusCode::OK, "an empty body counts as {{}}");
}

#[tokio::test]
async fn bodies_that_are_nested_too_deeply() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let room = alice.create_room(&json!({})).await.unwrap();
    let path = format!("/_matrix/client/v3/rooms/{room}/send/m.test");
    let lists = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let objects = format!("{}1{}", r#"{"a":"#.repeat(10_000), "}".repeat(10_000));
    for body in [lists, objects] {
        let answer = post(&alice, &server, &path, body).await;
        assert_error(answer, (StatusCode::BAD_REQUEST, "M_NOT_JSON"));
    }
}

#[tokio::test]
async fn wrong_types_are_told_with_their_field() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    for (body, field) in [
        (json!({ "name": 7 }), "name"),
        (json!({ "invite": ["@b:localhost", 1] }), "invite[1]"),
    ] {
        let answer = post(&alice, &server, CREATE_ROOM, body.to_string()).await;
        let text = answer.1["error"].as_str().unwrap().to_owned();
        assert!(text.contains(&format!("`{field}`")), "{text}");
        assert_error(answer, (StatusCode::BAD_REQUEST, "M_BAD_JSON"));
    }
}

#[tokio::test]
async fn numbers_that_events_cannot_hold() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let room = alice.create_room(&json!({})).await.unwrap();
    let path = format!("/_matrix/client/v3/rooms/{room}/send/m.test");
    for number in [
        "1.5",
        "1e3",
        "-0.0",
        "9007199254740992",
        "1e400",
        "99999999999999999999",
    ] {
        let answer = post(&alice, &server, &path, format!(r#"{{"n":{number}}}"#)).await;
        assert_error(answer, (StatusCode::BAD_REQUEST, "M_BAD_JSON"));
    }
    let (status, _) = post(
        &alice,
        &server,
        &path,
        r#"{"n":9007199254740991}"#.to_owned(),
    )
    .await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn bodies_have_a_largest_size() {
    let settings = [("BRIDGEHEAD_LIMITS_MAX_BODY_BYTES", "65536")];
    let server = TestServer::start_with(&[], &settings).await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let body = json!({ "topic": "x".repeat(65_536) }).to_string();
    let answer = post(&alice, &server, CREATE_ROOM, body).await;
    assert_error(answer, (StatusCode::PAYLOAD_TOO_LARGE, "M_TOO_LARGE"));
}

#[tokio::test]
async fn paths_with_escapes_slashes_and_nonsense() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let room = alice.create_room(&json!({})).await.unwrap();
    let escaped = room.replace('!', "%21").replace(':', "%3A");
    for path in [
        format!("/_matrix/client/v3/rooms/{escaped}/state/m.room.create"),
        format!("/_matrix/client/v3/rooms/{room}/state/m.room.create/"),
        format!("/_matrix/client/r0/rooms/{room}/state/m%2Eroom%2Ecreate///?x=y"),
    ] {
        let (status, body) = alice.get(&path).await.unwrap();
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
    }
    for id in ["nonsense", "@alice:localhost", "!%00:localhost", "%ff"] {
        let path = format!("/_matrix/client/v3/rooms/{id}/state");
        let answer = alice.get(&path).await.unwrap();
        assert_error(answer, (StatusCode::BAD_REQUEST, "M_INVALID_PARAM"));
    }
}

#[tokio::test]
async fn slow_bodies_are_ended() {
    let settings = [("BRIDGEHEAD_LIMITS_REQUEST_TIMEOUT_MS", "1000")];
    let server = TestServer::start_with(&[], &settings).await.unwrap();
    let alice = server.user("alice").await.unwrap();
    for path in [CREATE_ROOM, "/_matrix/media/v3/upload"] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: 9\r\n\r\n{{",
            alice.access_token().unwrap()
        );
        let answer = say_and_wait(&server, head.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 408"), "{path}: {answer}");
    }
}

#[tokio::test]
async fn silent_connections_are_closed() {
    let settings = [("BRIDGEHEAD_LIMITS_REQUEST_TIMEOUT_MS", "1000")];
    let server = TestServer::start_with(&[], &settings).await.unwrap();
    for words in ["", "GET / HTTP/1.1\r\nHost: ", "PRI * HTTP/2.0\r\n"] {
        let answer = say_and_wait(&server, words.as_bytes()).await;
        assert!(!answer.contains("200"), "{words:?}: {answer}");
    }
    let answer = say_and_wait(&server, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(answer.ends_with("OK"), "{answer}");
}

/// All that the server says until it closes the connection.
async fn say_and_wait(server: &TestServer, words: &[u8]) -> String {
    let address = server.server().addresses()[0];
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(words).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer))
        .await
        .expect("the server closes the connection")
        .ok();
    String::from_utf8_lossy(&answer).into_owned()
}

/// Below which prefix the routes of a function of `router.rs` are mounted.
const PREFIXES: &[(&str, &str)] = &[
    ("discovery", ""),
    ("federation", ""),
    ("synapse_admin", "/_synapse/admin"),
    ("media_repository", "/_matrix/media/v3"),
    ("operator_api", ""),
];

/// What works without a token, by method and path.
const OPEN: &[&str] = &[
    "GET /",
    "GET /health",
    "GET /.well-known/matrix/client",
    "GET /_matrix/client/versions",
    "GET /_matrix/federation/v1/version",
    "GET /_matrix/key/v2/server",
    "GET /_matrix/client/v3/login",
    "POST /_matrix/client/v3/login",
    "POST /_matrix/client/v3/refresh",
    "POST /_matrix/client/v3/register",
    "GET /_synapse/admin/v1/register",
    "POST /_synapse/admin/v1/register",
    "GET /_matrix/client/v3/register/available",
    "GET /_matrix/client/v3/register/m.login.registration_token/validity",
    "GET /_matrix/client/v3/directory/room/{room_alias}",
    "GET /_matrix/client/v3/profile/{user_id}",
    "GET /_matrix/client/v3/profile/{user_id}/{key}",
    "GET /_matrix/client/v3/uk.tcpip.msc4133/profile/{user_id}",
    "GET /_matrix/client/v3/uk.tcpip.msc4133/profile/{user_id}/{key}",
    "GET /_matrix/media/v3/download/{server_name}/{media_id}",
    "GET /_matrix/media/v3/download/{server_name}/{media_id}/{file_name}",
    "GET /_matrix/media/v3/thumbnail/{server_name}/{media_id}",
];

/// Every route of the router: method and path.
fn routes() -> Vec<(Method, String)> {
    let source = include_str!("../../src/http/router.rs");
    let function = regex::Regex::new(r"(?m)^(?:pub\(crate\) )?fn (\w+)").unwrap();
    let route = regex::Regex::new(r#"\.route\(\s*"([^"]+)",\s*"#).unwrap();
    let method = regex::Regex::new(r"\b(get|put|post|delete|patch)\(").unwrap();
    let mut routes = Vec::new();
    for found in route.captures_iter(source) {
        let whole = found.get(0).unwrap();
        let before = &source[..whole.start()];
        let name = &function.captures_iter(before).last().unwrap()[1];
        let prefix = PREFIXES.iter().find(|(function, _)| *function == name);
        let prefix = prefix.map_or("/_matrix/client/v3", |(_, prefix)| prefix);
        let handlers = until_closed(&source[whole.end()..]);
        let methods: Vec<_> = method.captures_iter(handlers).collect();
        assert!(!methods.is_empty(), "no method in `{handlers}`");
        for method in methods {
            let method = method[1].to_uppercase().parse().unwrap();
            routes.push((method, format!("{prefix}{}", &found[1])));
        }
    }
    let expected = source.matches(".route(").count();
    assert_eq!(
        route.captures_iter(source).count(),
        expected,
        "every .route( has a literal path, so that this test sees it"
    );
    routes
}

/// The text up to the parenthesis that closes the call it stands in.
fn until_closed(text: &str) -> &str {
    let mut depth = 1;
    let end = text.find(|c| {
        depth += match c {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        depth == 0
    });
    &text[..end.unwrap()]
}

/// A path that would be valid, with a token.
fn example(path: &str) -> String {
    let mut example = path.to_owned();
    for (name, value) in [
        ("{room_id}", "!r:localhost"),
        ("{user_id}", "@u:localhost"),
        ("{room_alias}", "%23a:localhost"),
        ("{room_id_or_alias}", "!r:localhost"),
        ("{event_id}", "$e"),
        ("{server_name}", "localhost"),
    ] {
        example = example.replace(name, value);
    }
    regex::Regex::new(r"\{\*?\w+\}")
        .unwrap()
        .replace_all(&example, "x")
        .into_owned()
}

#[tokio::test]
async fn every_route_needs_a_token_unless_it_is_known_to_be_open() {
    let server = TestServer::start().await.unwrap();
    let nobody = server.client();
    let routes = routes();
    assert!(routes.len() > 40, "the routes are found: {routes:?}");
    let mut wrong = Vec::new();
    for (method, path) in &routes {
        let name = format!("{method} {path}");
        let query = [("width", "1"), ("height", "1"), ("username", "x")];
        let (status, body) = nobody
            .request(method.clone(), &example(path), &query, Some(&json!({})))
            .await
            .unwrap();
        let is_refused =
            (status, &body["errcode"]) == (StatusCode::UNAUTHORIZED, &json!("M_MISSING_TOKEN"));
        if is_refused == OPEN.contains(&name.as_str()) || body["errcode"] == "M_UNRECOGNIZED" {
            wrong.push(format!("{name}: {status} {body}"));
        }
    }
    for open in OPEN {
        let is_route = |(method, path): &(Method, String)| format!("{method} {path}") == *open;
        assert!(routes.iter().any(is_route), "no route: {open}");
    }
    assert!(wrong.is_empty(), "without a token:\n{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_services_token_works_on_every_prefix() {
    let service = RecordingAppservice::start(AppserviceOptions::with_users("irc", "irc_"))
        .await
        .unwrap();
    let server = TestServer::with_appservices(&[&service]).await.unwrap();
    let bot = server.client().with_token(&service.as_token());
    for prefix in ["api/v1", "r0", "v3", "v1", "unstable"] {
        let path = format!("/_matrix/client/{prefix}/account/whoami");
        let (status, body) = bot.get(&path).await.unwrap();
        assert_eq!(
            (status, &body["user_id"]),
            (StatusCode::OK, &json!("@irc-bot:localhost"))
        );
    }
}
