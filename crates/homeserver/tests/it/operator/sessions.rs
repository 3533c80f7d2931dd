//! Sessions of browsers.

use bridgehead_testkit::TestServer;
use reqwest::Method;
use serde_json::json;

use super::{Raw, ask, local, local_token, log_in, new_operator, raw};

const JSON: (&str, &str) = ("content-type", "application/json");

async fn try_token(server: &TestServer, token: &str, headers: &[(&str, &str)]) -> Raw {
    let body = json!({ "token": token }).to_string();
    raw(server, Method::POST, "/session", headers, Some(&body)).await
}

async fn who(server: &TestServer, cookie: &str) -> Raw {
    raw(server, Method::GET, "/session", &[("cookie", cookie)], None).await
}

#[tokio::test]
async fn a_browser_logs_in_and_out() {
    let server = TestServer::start().await.unwrap();
    let token = local_token(&server);
    let answer = try_token(&server, &token, &[JSON]).await;
    let set = answer.headers["set-cookie"].to_str().unwrap();
    for part in [
        "; HttpOnly",
        "; SameSite=Strict",
        "; Path=/_bridgehead;",
        "Max-Age=43200",
    ] {
        assert!(set.contains(part), "{set}");
    }
    assert!(!set.contains("Secure"), "{set}");
    assert!(!answer.body.to_string().contains(&token));
    assert_eq!(answer.body["name"], "local");
    assert_eq!(answer.body["role"], "act");

    let cookie = answer.cookie().to_owned();
    let me = who(&server, &cookie).await;
    assert_eq!(me.body, answer.body);
    let csrf = me.body["csrf_token"].as_str().unwrap();
    let out = [("cookie", cookie.as_str()), ("x-csrf-token", csrf)];
    let ended = raw(&server, Method::DELETE, "/session", &out, None).await;
    assert_eq!(ended.status, 204);
    assert!(
        ended.headers["set-cookie"]
            .to_str()
            .unwrap()
            .contains("Max-Age=0")
    );
    let after = who(&server, &cookie).await;
    assert_eq!((after.status, after.errcode()), (401, "M_UNKNOWN_TOKEN"));
    // The token is good all the same, and needs no CSRF token.
    let (status, me) = ask(&local(&server), Method::GET, "/session", json!(null)).await;
    assert_eq!((status, &me["csrf_token"]), (200, &json!(null)));
}

#[tokio::test]
async fn the_cookie_is_secure_where_the_browser_came_by_tls() {
    let server = TestServer::start().await.unwrap();
    let proxied = [JSON, ("x-forwarded-proto", "https")];
    let answer = try_token(&server, &local_token(&server), &proxied).await;
    let set = answer.headers["set-cookie"].to_str().unwrap();
    assert!(set.ends_with("; Secure"), "{set}");
}

#[tokio::test]
async fn another_sites_form_does_not_log_in() {
    let server = TestServer::start().await.unwrap();
    let token = local_token(&server);
    for kind in ["text/plain", "application/x-www-form-urlencoded"] {
        let answer = try_token(&server, &token, &[("content-type", kind)]).await;
        assert_eq!((answer.status, answer.errcode()), (400, "M_NOT_JSON"));
        assert!(!answer.headers.contains_key("set-cookie"));
    }
    let charset = [("content-type", "application/json; charset=utf-8")];
    assert_eq!(try_token(&server, &token, &charset).await.status, 200);
}

#[tokio::test]
async fn wrong_tokens_are_answered_alike_and_soon_limited() {
    let server = TestServer::start().await.unwrap();
    let token = local_token(&server);
    let nearly = format!("{}!", &token[..token.len() - 1]);
    let first = try_token(&server, &nearly, &[JSON]).await;
    let second = try_token(&server, "", &[JSON]).await;
    assert_eq!((first.status, first.errcode()), (403, "M_FORBIDDEN"));
    assert_eq!(first.body, second.body);
    let mut limited = None;
    for _ in 0..20 {
        let answer = try_token(&server, "guess", &[JSON]).await;
        if answer.status == 429 {
            limited = Some(answer);
            break;
        }
    }
    let limited = limited.expect("guesses are limited");
    assert_eq!(limited.errcode(), "M_LIMIT_EXCEEDED");
    assert!(limited.body["retry_after_ms"].as_u64() > Some(0));
    assert!(limited.headers.contains_key("retry-after"));
    // Another address is not kept out by it, nor is whoever has a token.
    let elsewhere = [JSON, ("x-forwarded-for", "192.0.2.7")];
    assert_eq!(try_token(&server, &token, &elsewhere).await.status, 200);
    let me = ask(&local(&server), Method::GET, "/session", json!(null)).await;
    assert_eq!(me.0, 200);
}

#[tokio::test]
async fn sessions_end_with_their_operator() {
    let server = TestServer::start().await.unwrap();
    let token = new_operator(&server, "ann", "act").await;
    let (cookie, _) = log_in(&server, &token).await;
    assert_eq!(who(&server, &cookie).await.body["name"], "ann");
    let removed = ask(
        &local(&server),
        Method::DELETE,
        "/operators/ann",
        json!(null),
    )
    .await;
    assert_eq!(removed.0, 204);
    assert_eq!(who(&server, &cookie).await.status, 401);
    // A new operator of the same name does not inherit them.
    new_operator(&server, "ann", "act").await;
    assert_eq!(who(&server, &cookie).await.status, 401);
    let old = server.client().with_token(&token);
    assert_eq!(ask(&old, Method::GET, "/session", json!(null)).await.0, 401);
}

#[tokio::test]
async fn a_restart_ends_sessions_but_no_token() {
    let server = TestServer::start().await.unwrap();
    let token = local_token(&server);
    let (cookie, _) = log_in(&server, &token).await;
    let folder = server.stop().await;
    let server = TestServer::start_in(folder, Vec::new(), &[]).await.unwrap();
    assert_eq!(who(&server, &cookie).await.status, 401);
    assert_eq!(local_token(&server), token);
    assert_eq!(
        ask(&local(&server), Method::GET, "/session", json!(null))
            .await
            .0,
        200
    );
}
