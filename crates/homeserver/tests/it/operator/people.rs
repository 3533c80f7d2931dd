//! Operators, the file with the first one's token, and the audit log.

use std::os::unix::fs::PermissionsExt as _;

use bridgehead_testkit::TestServer;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{ask, get, local, local_token, new_operator};
use crate::calls::code;

#[tokio::test]
async fn operators_are_made_listed_and_removed() {
    let server = TestServer::start().await.unwrap();
    let token = new_operator(&server, "ann", "read").await;
    let ann = server.client().with_token(&token);
    assert_eq!(get(&ann, "/session").await["name"], "ann");
    let list = get(&local(&server), "/operators").await;
    let names: Vec<_> = list["operators"]
        .as_array()
        .unwrap()
        .iter()
        .map(|operator| (operator["name"].as_str(), operator["role"].as_str()))
        .collect();
    assert_eq!(
        names,
        [(Some("ann"), Some("read")), (Some("local"), Some("act"))]
    );
    assert!(list["operators"][0]["last_used_at_ms"].as_i64() > Some(0));
    assert!(!list.to_string().contains(&token));

    let again = ask(
        &local(&server),
        Method::POST,
        "/operators",
        json!({ "name": "ann", "role": "act" }),
    )
    .await;
    assert_eq!(code(&again), (409, "M_CONFLICT"));
    for body in [
        json!({ "name": "", "role": "act" }),
        json!({ "name": "a b", "role": "act" }),
        json!({ "name": "bob", "role": "king" }),
        json!({ "name": "bob", "role": "act", "token": "mine" }),
    ] {
        let (status, answer) = ask(&local(&server), Method::POST, "/operators", body).await;
        assert_eq!(status, 400, "{answer}");
    }
    let stays = ask(
        &local(&server),
        Method::DELETE,
        "/operators/local",
        Value::Null,
    )
    .await;
    assert_eq!(code(&stays), (409, "M_CONFLICT"));

    let gone = ask(
        &local(&server),
        Method::DELETE,
        "/operators/ann",
        Value::Null,
    )
    .await;
    assert_eq!(gone.0, 204);
    let refused = ask(&ann, Method::GET, "/session", Value::Null).await;
    assert_eq!(code(&refused), (401, "M_UNKNOWN_TOKEN"));

    let acts = get(&local(&server), "/audit").await;
    let acts: Vec<_> = acts["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|act| [&act["who"], &act["action"], &act["detail"]])
        .collect();
    assert_eq!(
        acts,
        [
            ["local", "operator_remove", "ann"],
            ["local", "operator_add", "ann, role read"],
            [
                "server",
                "operator_add",
                "local, role act, from operator.token"
            ],
        ]
    );
}

#[tokio::test]
async fn the_audit_log_is_read_in_pages() {
    let server = TestServer::start().await.unwrap();
    for name in ["a", "b", "c"] {
        new_operator(&server, name, "read").await;
    }
    let client = local(&server);
    let mut seen = Vec::new();
    let mut next = String::new();
    loop {
        let page = get(&client, &format!("/audit?limit=2{next}")).await;
        let entries = page["entries"].as_array().unwrap().clone();
        assert!((1..=2).contains(&entries.len()));
        seen.extend(entries.iter().map(|act| act["audit_id"].as_u64().unwrap()));
        match page["next"].as_u64() {
            Some(before) => next = format!("&before={before}"),
            None => break,
        }
    }
    assert_eq!(seen.len(), 4);
    assert!(seen.is_sorted_by(|a, b| a > b), "{seen:?}");
}

#[tokio::test]
async fn the_first_token_is_for_its_owner_alone_and_made_again_when_lost() {
    let server = TestServer::start().await.unwrap();
    let file = server.folder().join("data/operator.token");
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let token = local_token(&server);
    assert!(token.len() >= 40, "{} characters", token.len());

    let old = local(&server);
    let folder = server.stop().await;
    let file = folder.path().join("data/operator.token");
    std::fs::remove_file(&file).unwrap();
    let server = TestServer::start_in(folder, Vec::new(), &[]).await.unwrap();
    assert_ne!(local_token(&server), token);
    assert_eq!(get(&local(&server), "/session").await["name"], "local");
    let old = server.client().with_token(old.access_token().unwrap());
    assert_eq!(ask(&old, Method::GET, "/session", Value::Null).await.0, 401);

    // One that somebody has put there is taken.
    let folder = server.stop().await;
    let own = "0123456789abcdef0123456789abcdef";
    std::fs::write(folder.path().join("data/operator.token"), own).unwrap();
    let server = TestServer::start_in(folder, Vec::new(), &[]).await.unwrap();
    assert_eq!(get(&local(&server), "/session").await["name"], "local");
}

#[tokio::test]
async fn a_token_file_that_is_open_or_none_stops_the_start() {
    for (text, mode, reason) in [
        (
            "0123456789abcdef0123456789abcdef",
            0o644,
            "may be read by others",
        ),
        ("short", 0o600, "does not hold an operator's token"),
        ("", 0o600, "does not hold an operator's token"),
        (
            "two words in a file that is long enough",
            0o600,
            "does not hold",
        ),
    ] {
        let folder = TempDir::new().unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        let file = folder.path().join("data/operator.token");
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        let started = TestServer::start_in(folder, Vec::new(), &[]).await;
        let error = format!("{:#}", started.err().unwrap());
        assert!(error.contains(reason), "{error}");
        assert!(text.is_empty() || !error.contains(text), "{error}");
    }
}
