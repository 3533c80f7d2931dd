//! Registrations at run time, over the operator API.

use bridgehead_testkit::{Client, TestServer};
use reqwest::Method;
use serde_json::{Value, json};

use super::{ask, get, local, new_operator, show, show_when};
use crate::{
    calls::code,
    peer::{Peer, QUICK, room_with_ghost, server_for},
};

async fn add(operator: &Client, peer: &Peer, dry_run: bool) -> (u16, Value) {
    let body = json!({
        "yaml": peer.registration().to_string(),
        "dry_run": dry_run,
        "reason": "a new bridge",
    });
    ask(operator, Method::POST, "/appservices", body).await
}

#[tokio::test]
async fn a_service_is_added_while_the_server_runs() {
    let server = TestServer::start().await.unwrap();
    let operator = local(&server);
    let peer = Peer::start("irc").await;
    let (status, would) = add(&operator, &peer, true).await;
    assert_eq!((status, &would["id"]), (200, &json!("irc")), "{would}");
    let none = get(&operator, "/appservices").await;
    assert_eq!(none["services"], json!([]));

    let (status, made) = add(&operator, &peer, false).await;
    assert_eq!((status, &made["id"]), (201, &json!("irc")), "{made}");
    assert!(made["revision"].as_u64() > Some(0) && made["findings"].is_array());
    let (alice, _, room) = room_with_ghost(&server, &peer).await;
    let sent = alice.send_text(&room, "1", "hello").await.unwrap();
    peer.wait_event(&sent).await;
    let service = show(&operator, "irc").await;
    assert_eq!(service.source, "api");
    assert_eq!(json!(service.revision), made["revision"]);
    let again = add(&operator, &peer, false).await;
    assert_eq!(code(&again), (409, "M_CONFLICT"), "{again:?}");

    let acts = get(&operator, "/audit?service_id=irc").await;
    let act = &acts["entries"][0];
    assert_eq!(
        (&act["action"], &act["who"]),
        (&json!("add"), &json!("local"))
    );
    assert_eq!(act["reason"], "a new bridge");
    assert_eq!(acts["entries"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_text_that_is_no_registration_is_explained() {
    let server = TestServer::start().await.unwrap();
    let operator = local(&server);
    for yaml in ["", "- 1", "id: irc", "{{{{"] {
        let refused = ask(
            &operator,
            Method::POST,
            "/appservices",
            json!({ "yaml": yaml }),
        )
        .await;
        assert_eq!(code(&refused), (400, "M_INVALID_PARAM"), "{refused:?}");
        let finding = &refused.1["findings"][0];
        assert!(
            finding["message"].is_string() && finding["cure"].is_string(),
            "{finding}"
        );
    }
    for body in [
        json!({}),
        json!({ "yaml": 1 }),
        json!({ "yaml": "", "revsion": 1 }),
    ] {
        let refused = ask(&operator, Method::POST, "/appservices", body).await;
        assert_eq!(code(&refused), (400, "M_BAD_JSON"));
    }
}

#[tokio::test]
async fn a_registration_is_shown_without_tokens_and_changed_by_its_revision() {
    let server = TestServer::start().await.unwrap();
    let operator = local(&server);
    let peer = Peer::start("irc").await;
    add(&operator, &peer, false).await;
    let path = "/appservices/irc/registration";
    let shown = get(&operator, path).await;
    let yaml = shown["yaml"].as_str().unwrap();
    assert!(yaml.contains("***") && !yaml.contains("token-of"), "{yaml}");
    assert_eq!(shown["source"], json!({ "kind": "api" }));
    let revision = shown["revision"].as_u64().unwrap();
    let changed_text = yaml.replace("@irc_.*", "@irc_[a-z]+");
    assert_ne!(changed_text, yaml);
    let change =
        |revision: u64| json!({ "yaml": changed_text, "revision": revision, "reason": "narrower" });
    let stale = ask(&operator, Method::PUT, path, change(revision + 7)).await;
    assert_eq!(code(&stale), (409, "M_CONFLICT"));
    assert_eq!(stale.1["revision"], revision);
    let (status, changed) = ask(&operator, Method::PUT, path, change(revision)).await;
    assert_eq!(status, 200, "{changed}");
    assert!(changed["revision"].as_u64() > Some(revision));
    let stale = ask(&operator, Method::PUT, path, change(revision)).await;
    assert_eq!(code(&stale), (409, "M_CONFLICT"));
    let shown = get(&operator, path).await;
    assert!(shown["yaml"].as_str().unwrap().contains("@irc_[a-z]+"));
    // The tokens are what they were.
    peer.client(&server)
        .register_ghost("irc_anna")
        .await
        .unwrap();
}

#[tokio::test]
async fn tokens_are_rotated_with_an_overlap() {
    let server = TestServer::start().await.unwrap();
    let operator = local(&server);
    let peer = Peer::start("irc").await;
    add(&operator, &peer, false).await;
    let path = "/appservices/irc/rotate";
    let (status, rotated) = ask(&operator, Method::POST, path, json!({})).await;
    assert_eq!(status, 200, "{rotated}");
    assert!(rotated["overlap_until_ms"].is_i64());
    let fresh = server
        .client()
        .with_token(rotated["as_token"].as_str().unwrap());
    for client in [&fresh, &peer.client(&server)] {
        let me = client
            .get("/_matrix/client/v3/account/whoami")
            .await
            .unwrap();
        assert_eq!(me.1["user_id"], "@irc-bot:localhost", "{me:?}");
    }
    let at_once = json!({ "overlap_ms": 0 });
    let (_, second) = ask(&operator, Method::POST, path, at_once).await;
    assert!(second["overlap_until_ms"].is_null());
    let me = fresh
        .get("/_matrix/client/v3/account/whoami")
        .await
        .unwrap();
    assert_eq!(me.0, 401);
    let text = get(&operator, "/audit").await.to_string();
    for secret in [&rotated, &second].map(|r| r["as_token"].as_str().unwrap().to_owned()) {
        assert!(!text.contains(&secret));
    }
}

#[tokio::test]
async fn a_service_is_removed_with_what_it_left_behind() {
    let server = TestServer::start().await.unwrap();
    let operator = local(&server);
    let peer = Peer::start("irc").await;
    add(&operator, &peer, false).await;
    room_with_ghost(&server, &peer).await;
    show_when(&operator, "irc", |s| s.depth == 0 && s.in_flight.is_none()).await;
    let dry = "/appservices/irc?purge=true&dry_run=true";
    let (status, would) = ask(&operator, Method::DELETE, dry, Value::Null).await;
    assert_eq!(status, 200, "{would}");
    assert_eq!(
        (&would["dry_run"], &would["ghosts"]),
        (&json!(true), &json!(1))
    );
    show(&operator, "irc").await;
    let path = "/appservices/irc?purge=true&reason=moved";
    let (status, mut report) = ask(&operator, Method::DELETE, path, Value::Null).await;
    assert_eq!(status, 200, "{report}");
    let started = std::time::Instant::now();
    while report["finished"] != true {
        assert!(started.elapsed() < crate::peer::SOON, "{report}");
        report = ask(&operator, Method::DELETE, path, Value::Null).await.1;
    }
    assert_eq!(report["ghosts"], 1);
    let gone = ask(&operator, Method::GET, "/appservices/irc", Value::Null).await;
    assert_eq!(code(&gone), (404, "M_NOT_FOUND"));
    for bad in ["purge=perhaps", "dry_run=1x"] {
        let path = format!("/appservices/irc?{bad}");
        let refused = ask(&operator, Method::DELETE, &path, Value::Null).await;
        assert_eq!(code(&refused), (400, "M_INVALID_PARAM"));
    }
}

#[tokio::test]
async fn a_file_is_not_removed_over_the_api() {
    let peer = Peer::start("irc").await;
    let server = server_for(&peer, QUICK).await;
    let operator = local(&server);
    let refused = ask(&operator, Method::DELETE, "/appservices/irc", Value::Null).await;
    assert_eq!(code(&refused), (409, "M_CONFLICT"), "{refused:?}");
    assert!(
        refused.1["error"].as_str().unwrap().contains("irc.yaml"),
        "{refused:?}"
    );
    let shown = get(&operator, "/appservices/irc/registration").await;
    assert_eq!(shown["source"]["kind"], "file");
}

#[tokio::test]
async fn readers_may_lint() {
    let peer = Peer::start("irc").await;
    let server = server_for(&peer, QUICK).await;
    let token = new_operator(&server, "rita", "read").await;
    let reader = server.client().with_token(&token);
    let mut other = Peer::start("mail").await.registration();
    other["namespaces"]["users"][0]["regex"] = json!("@irc_a.*");
    let body = json!({ "yaml": other.to_string() });
    let (status, report) = ask(&reader, Method::POST, "/lint", body).await;
    assert_eq!(status, 200, "{report}");
    let findings = report["findings"].as_array().unwrap();
    let overlap = findings.iter().find(|f| f["kind"] == "exclusive_overlap");
    let overlap = overlap.unwrap_or_else(|| panic!("{report}"));
    assert!(
        overlap["witnesses"][0]
            .as_str()
            .unwrap()
            .starts_with("@irc_a")
    );
    assert!(!report.to_string().contains("token-of"));
    let (status, all) = ask(&reader, Method::POST, "/lint", json!({})).await;
    assert_eq!(status, 200, "{all}");

    // A file that is refused is found, too.
    std::fs::write(server.folder().join("irc.yaml"), "id: [").unwrap();
    let started = std::time::Instant::now();
    loop {
        let (_, all) = ask(&reader, Method::POST, "/lint", json!({})).await;
        if all.to_string().contains("irc.yaml") {
            assert_eq!(all["findings"][0]["severity"], "error", "{all}");
            break;
        }
        assert!(started.elapsed() < crate::peer::SOON, "{all}");
    }
    assert_eq!(show(&reader, "irc").await.id, "irc");
}
