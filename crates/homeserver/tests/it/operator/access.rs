//! Who gets in: over every route that there is.

use bridgehead_testkit::TestServer;
use reqwest::Method;

use super::{Raw, get, local, local_token, log_in, new_operator, raw};
use crate::peer::{Peer, server_for};

/// Every method and path of the API's own description, parameters filled in.
async fn routes(server: &TestServer) -> Vec<(Method, String)> {
    let document = get(&local(server), "/openapi.json").await;
    let paths = document["paths"].as_object().unwrap();
    let mut routes = Vec::new();
    for (path, methods) in paths {
        let path = path.replace("{id}", "irc").replace("{name}", "nobody");
        assert!(!path.contains('{'), "{path}");
        for method in methods.as_object().unwrap().keys() {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            routes.push((method, path.clone()));
        }
    }
    assert!(routes.len() > 15, "{routes:?}");
    routes
}

/// Open to everybody, with a token in the body.
fn is_login((method, path): &(Method, String)) -> bool {
    *method == Method::POST && path == "/session"
}

/// Changes nothing that is not the asker's own, whatever the method says.
fn is_harmless((method, path): &(Method, String)) -> bool {
    *method == Method::GET || path == "/session" || path == "/lint"
}

async fn try_with(
    server: &TestServer,
    (method, path): &(Method, String),
    headers: &[(&str, &str)],
) -> Raw {
    raw(server, method.clone(), path, headers, None).await
}

#[tokio::test]
async fn nobody_gets_in_without_an_operators_token() {
    let peer = Peer::start("irc").await;
    let server = server_for(&peer, &[]).await;
    let alice = server.user("alice").await.unwrap();
    let wrong = [
        "wrong".to_owned(),
        peer.as_token(),
        peer.hs_token(),
        alice.access_token().unwrap().to_owned(),
    ];
    let token = local_token(&server);
    for route in routes(&server).await {
        let none = try_with(&server, &route, &[]).await;
        if is_login(&route) {
            // Without a declared content type it is not even looked at.
            assert_eq!((none.status, none.errcode()), (400, "M_NOT_JSON"));
            continue;
        }
        let missing = (401, "M_MISSING_TOKEN");
        assert_eq!((none.status, none.errcode()), missing, "{route:?}");
        // A token in a query ends in logs, so it is none.
        let (method, path) = &route;
        let in_query = (method.clone(), format!("{path}?access_token={token}"));
        let answer = try_with(&server, &in_query, &[]).await;
        assert_eq!((answer.status, answer.errcode()), missing, "{route:?}");
        let basic = try_with(&server, &route, &[("authorization", "Basic YTpi")]).await;
        assert_eq!((basic.status, basic.errcode()), missing, "{route:?}");
        for wrong in &wrong {
            let bearer = format!("Bearer {wrong}");
            let answer = try_with(&server, &route, &[("authorization", &bearer)]).await;
            let unknown = (401, "M_UNKNOWN_TOKEN");
            assert_eq!((answer.status, answer.errcode()), unknown, "{route:?}");
        }
        let stranger = try_with(&server, &route, &[("cookie", "bridgehead_session=x")]).await;
        assert_eq!(stranger.status, 401, "{route:?}");
        assert_eq!(none.headers["cache-control"], "no-store", "{route:?}");
    }
}

#[tokio::test]
async fn readers_read_and_change_nothing() {
    let peer = Peer::start("irc").await;
    let server = server_for(&peer, &[]).await;
    let token = new_operator(&server, "rita", "read").await;
    let bearer = format!("Bearer {token}");
    let before = get(&local(&server), "/appservices/irc").await;
    for route in routes(&server).await {
        let answer = try_with(&server, &route, &[("authorization", &bearer)]).await;
        if is_harmless(&route) {
            assert!(![401, 403].contains(&answer.status), "{route:?} {answer:?}");
        } else {
            let forbidden = (403, "M_FORBIDDEN");
            assert_eq!((answer.status, answer.errcode()), forbidden, "{route:?}");
            let text = answer.body["error"].as_str().unwrap();
            assert!(text.contains("role act"), "{text}");
        }
    }
    assert_eq!(get(&local(&server), "/appservices/irc").await, before);
}

#[tokio::test]
async fn a_cookie_alone_changes_nothing() {
    let peer = Peer::start("irc").await;
    let server = server_for(&peer, &[]).await;
    let (cookie, csrf) = log_in(&server, &local_token(&server)).await;
    for route in routes(&server).await {
        if is_login(&route) {
            continue;
        }
        let alone = try_with(&server, &route, &[("cookie", &cookie)]).await;
        if route.0 == Method::GET {
            assert!(![401, 403].contains(&alone.status), "{route:?} {alone:?}");
            continue;
        }
        let wrong = [("cookie", cookie.as_str()), ("x-csrf-token", "wrong")];
        let wrong = try_with(&server, &route, &wrong).await;
        for answer in [alone, wrong] {
            let forbidden = (403, "M_FORBIDDEN");
            assert_eq!((answer.status, answer.errcode()), forbidden, "{route:?}");
            let text = answer.body["error"].as_str().unwrap();
            assert!(text.contains("X-CSRF-Token"), "{text}");
        }
    }
    // And with the token it does.
    let both = [("cookie", cookie.as_str()), ("x-csrf-token", csrf.as_str())];
    let route = (Method::POST, "/appservices/irc/pause".to_owned());
    assert_eq!(try_with(&server, &route, &both).await.status, 200);
}

#[tokio::test]
async fn no_other_sites_page_may_call() {
    let peer = Peer::start("irc").await;
    let server = server_for(&peer, &[]).await;
    let bearer = format!("Bearer {}", local_token(&server));
    let asks = [
        ("origin", "https://evil.example"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization"),
        ("authorization", &bearer),
    ];
    let mut routes = routes(&server).await;
    routes.push((Method::GET, "/nothing".to_owned()));
    for (method, path) in routes {
        for method in [Method::OPTIONS, method] {
            let answer = raw(&server, method, &path, &asks, None).await;
            let opened: Vec<_> = answer
                .headers
                .keys()
                .filter(|name| name.as_str().starts_with("access-control"))
                .collect();
            assert!(opened.is_empty(), "{path}: {opened:?}");
        }
    }
    // The client-server API is open to all sites, and stays so.
    let url = format!("{}/_matrix/client/versions", server.base_url());
    let answer = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .build()
        .unwrap()
        .get(url)
        .header("origin", "https://app.example")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.headers()["access-control-allow-origin"], "*");
}

#[tokio::test]
async fn bad_bodies_are_refused_with_a_reason() {
    let peer = Peer::start("irc").await;
    let server = server_for(&peer, &[]).await;
    let bearer = format!("Bearer {}", local_token(&server));
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
    ];
    let large = format!(r#"{{"reason":"{}"}}"#, "x".repeat(3 << 20));
    let long = format!(r#"{{"reason":"{}"}}"#, "x".repeat(1_001));
    for (path, body, expected) in [
        ("pause", "{", (400, "M_NOT_JSON")),
        ("pause", "[]", (400, "M_BAD_JSON")),
        ("pause", r#"{"reason":1}"#, (400, "M_BAD_JSON")),
        ("pause", r#"{"until_ms":"soon"}"#, (400, "M_BAD_JSON")),
        ("pause", r#"{"until_ms":1}"#, (400, "M_INVALID_PARAM")),
        ("pause", r#"{"resaon":"typo"}"#, (400, "M_BAD_JSON")),
        ("pause", &long, (400, "M_INVALID_PARAM")),
        ("pause", &large, (413, "M_TOO_LARGE")),
        ("skip", "{}", (400, "M_BAD_JSON")),
        ("skip", r#"{"transaction_id":7}"#, (400, "M_BAD_JSON")),
        ("replay", "{}", (400, "M_INVALID_PARAM")),
        (
            "replay",
            r#"{"after":1,"skip_id":1}"#,
            (400, "M_INVALID_PARAM"),
        ),
        ("replay", r#"{"after":-1}"#, (400, "M_BAD_JSON")),
        ("replay", r#"{"after":1e999}"#, (400, "M_BAD_JSON")),
        ("replay", r#"{"skip_id":9}"#, (404, "M_NOT_FOUND")),
    ] {
        let path = format!("/appservices/irc/{path}");
        let answer = raw(&server, Method::POST, &path, &headers, Some(body)).await;
        let shown = &body[..body.len().min(60)];
        assert_eq!(
            (answer.status, answer.errcode()),
            expected,
            "{path} {shown}"
        );
        assert!(answer.body["error"].is_string());
    }
    for body in [
        r#"{"skip_stuck_after":0}"#,
        r#"{"skip_stuck_after":1000001}"#,
    ] {
        let path = "/appservices/irc/policy";
        let answer = raw(&server, Method::PUT, path, &headers, Some(body)).await;
        assert_eq!(answer.errcode(), "M_INVALID_PARAM");
    }
    let unchanged = get(&local(&server), "/audit?service_id=irc").await;
    let entries = unchanged["entries"].as_array().unwrap();
    assert!(
        entries.iter().all(|act| act["who"] == "server"),
        "{entries:?}"
    );
}

#[tokio::test]
async fn what_is_not_there_is_said_so() {
    let server = TestServer::start().await.unwrap();
    let bearer = format!("Bearer {}", local_token(&server));
    let headers = [("authorization", bearer.as_str())];
    for (method, path, expected) in [
        (Method::GET, "/nothing", (404, "M_UNRECOGNIZED")),
        (Method::PATCH, "/appservices", (405, "M_UNRECOGNIZED")),
        (Method::GET, "/appservices/none", (404, "M_NOT_FOUND")),
        (
            Method::POST,
            "/appservices/none/pause",
            (404, "M_NOT_FOUND"),
        ),
        (Method::GET, "/appservices/none/skips", (404, "M_NOT_FOUND")),
        (
            Method::GET,
            "/appservices/none/transaction",
            (404, "M_NOT_FOUND"),
        ),
        (Method::DELETE, "/operators/none", (404, "M_NOT_FOUND")),
        (Method::GET, "/audit?limit=many", (400, "M_INVALID_PARAM")),
    ] {
        let answer = raw(&server, method, path, &headers, None).await;
        assert_eq!((answer.status, answer.errcode()), expected, "{path}");
    }
}
