//! What keeps a service from being reached.

use bridgehead_admin_api::{DoctorReport, StepOutcome};
use bridgehead_testkit::TestServer;
use reqwest::Method;
use serde_json::{Value, json};

use super::{ask, local, show_when};
use crate::peer::{Asked, PATIENT, Peer, Reply, room_with_ghost, server_for, server_with, yes};

const ORDER: [&str; 7] = ["dns", "tcp", "tls", "path", "token", "ping", "round_trip"];

async fn examine(server: &TestServer) -> DoctorReport {
    let path = "/appservices/irc/doctor";
    let (status, report) = ask(&local(server), Method::POST, path, Value::Null).await;
    assert_eq!(status, 200, "{report}");
    let text = report.to_string();
    assert!(!text.contains("token-of"), "{text}");
    let report: DoctorReport = serde_json::from_value(report).unwrap();
    let names: Vec<_> = report.steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(names, ORDER, "{report:?}");
    for step in &report.steps {
        let has_cure = step.cure.is_some();
        let needs_one = matches!(step.outcome, StepOutcome::Failed | StepOutcome::Warning);
        assert_eq!(has_cure, needs_one, "{step:?}");
        assert!(!step.detail.is_empty(), "{step:?}");
    }
    report
}

/// How the steps went, a letter each: ok, warning, failed, skipped.
fn outcomes(report: &DoctorReport) -> String {
    let letter = |outcome| match outcome {
        StepOutcome::Ok => 'o',
        StepOutcome::Warning => 'w',
        StepOutcome::Failed => 'f',
        StepOutcome::Skipped => 's',
    };
    report
        .steps
        .iter()
        .map(|step| letter(step.outcome))
        .collect()
}

/// What was found at a step, and its cure.
fn told(report: &DoctorReport, name: &str) -> String {
    let step = report.steps.iter().find(|step| step.name == name).unwrap();
    format!(
        "{} | {}",
        step.detail,
        step.cure.as_deref().unwrap_or_default()
    )
}

/// Compares the token, as services should.
fn careful(hs_token: String) -> impl Fn(&Asked) -> Reply + Send + Sync {
    move |asked| {
        if asked.authorization == format!("Bearer {hs_token}") {
            yes()
        } else {
            Reply::Json(
                403,
                json!({ "errcode": "M_FORBIDDEN", "error": "wrong token" }),
            )
        }
    }
}

/// A server whose service is registered at this address.
async fn server_at(url: &str) -> TestServer {
    let mut registration = Peer::start("irc").await.registration();
    registration["url"] = json!(url);
    server_with(&[registration], PATIENT).await
}

#[tokio::test]
async fn a_healthy_service_is_found_healthy_and_is_told_nothing() {
    let peer = Peer::start("irc").await;
    peer.reply(careful(peer.hs_token()));
    let server = server_for(&peer, PATIENT).await;
    let report = examine(&server).await;
    assert_eq!(outcomes(&report), "sosoooo", "{report:?}");
    assert!(report.healthy);
    let asked = peer.asked();
    let pings = asked.iter().filter(|a| a.path.ends_with("/ping")).count();
    assert_eq!(pings, 2, "{asked:?}");
    let transactions = peer.records();
    assert_eq!(transactions.len(), 1, "{asked:?}");
    assert_eq!(transactions[0].parsed["events"], json!([]));
    assert_eq!(
        transactions[0].parsed.as_object().unwrap().get("ephemeral"),
        None
    );
    // The ids go on growing after it, and nothing is left over.
    let operator = local(&server);
    show_when(&operator, "irc", |s| s.in_flight.is_none() && s.depth == 0).await;
    let (alice, _, room) = room_with_ghost(&server, &peer).await;
    let sent = alice.send_text(&room, "1", "hello").await.unwrap();
    peer.wait_event(&sent).await;
    let ids: Vec<u64> = peer
        .records()
        .iter()
        .map(|r| r.txn_id.parse().unwrap())
        .collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
}

#[tokio::test]
async fn a_service_that_takes_any_token_is_warned_of() {
    let peer = Peer::start("irc").await;
    let server = server_for(&peer, PATIENT).await;
    let report = examine(&server).await;
    assert_eq!(outcomes(&report), "sosowoo", "{report:?}");
    assert!(report.healthy);
    assert!(told(&report, "token").contains("any token"));
}

#[tokio::test]
async fn a_token_that_differs_is_named_with_the_file() {
    let peer = Peer::start("irc").await;
    peer.reply(careful("another".to_owned()));
    let server = server_for(&peer, PATIENT).await;
    let report = examine(&server).await;
    assert_eq!(outcomes(&report), "sosofss", "{report:?}");
    assert!(!report.healthy);
    let text = told(&report, "token");
    assert!(
        text.contains("hs_token") && text.contains("irc.yaml"),
        "{text}"
    );
    assert!(peer.records().is_empty());
}

#[tokio::test]
async fn a_service_without_ping_is_judged_by_the_round_trip() {
    let peer = Peer::start("irc").await;
    peer.reply(|asked| {
        if asked.path.ends_with("/ping") {
            Reply::Html(404)
        } else {
            yes()
        }
    });
    let server = server_for(&peer, PATIENT).await;
    let report = examine(&server).await;
    assert_eq!(outcomes(&report), "soswswo", "{report:?}");
    assert!(report.healthy);

    // Another program at that address knows neither.
    let stranger = Peer::start("irc").await;
    stranger.reply(|_| Reply::Html(404));
    let server = server_for(&stranger, PATIENT).await;
    let report = examine(&server).await;
    assert_eq!(outcomes(&report), "soswswf", "{report:?}");
    assert!(told(&report, "path").contains("with a page for browsers"));
    assert!(told(&report, "round_trip").contains("path"));
}

#[tokio::test]
async fn nobody_there_and_no_such_name() {
    let mut peer = Peer::start("irc").await;
    let server = server_for(&peer, PATIENT).await;
    peer.close().await;
    let report = examine(&server).await;
    assert_eq!(outcomes(&report), "sfsssss", "{report:?}");
    let text = told(&report, "tcp");
    assert!(
        text.contains("nobody listens") && text.contains("container"),
        "{text}"
    );

    let server = server_at("http://no-such-name.invalid:29318").await;
    let report = examine(&server).await;
    assert_eq!(outcomes(&report), "fssssss", "{report:?}");
    assert!(told(&report, "dns").contains("no-such-name.invalid"));
}

#[tokio::test]
async fn tls_that_does_not_come_about() {
    let files = crate::tls::Files::new();
    let tls = files.start().await.unwrap();
    let port = tls.server().addresses()[0].port();

    let server = server_at(&format!("https://localhost:{port}")).await;
    let report = examine(&server).await;
    assert_eq!(outcomes(&report), "oofssss", "{report:?}");
    let text = told(&report, "tls");
    assert!(text.contains("trusted certificates"), "{text}");

    let server = server_at(&format!("http://localhost:{port}")).await;
    let report = examine(&server).await;
    assert_eq!(outcomes(&report), "oosfsss", "{report:?}");
    let text = told(&report, "path");
    assert!(text.contains("https://"), "{text}");

    let plain = Peer::start("irc").await;
    let url = plain.registration()["url"]
        .as_str()
        .unwrap()
        .replace("http:", "https:");
    let server = server_at(&url).await;
    let report = examine(&server).await;
    assert_eq!(outcomes(&report), "sofssss", "{report:?}");
    let text = told(&report, "tls");
    assert!(text.contains("http:// in the url"), "{text}");
}

#[tokio::test]
async fn a_service_that_hangs_or_sits_behind_a_dead_proxy() {
    let peer = Peer::start("irc").await;
    let server = server_for(&peer, PATIENT).await;
    for (reply, expected, word) in [
        (Reply::Hang, "sosfsss", "hangs"),
        (Reply::Drop, "sosfsss", "log"),
        (Reply::Html(502), "sosfsss", "proxy"),
        (Reply::Empty(302), "sosfsss", "redirects"),
    ] {
        peer.reply(move |_| reply.clone());
        let report = examine(&server).await;
        assert_eq!(outcomes(&report), expected, "{report:?}");
        let text = told(&report, "path");
        assert!(text.contains(word), "{text}");
    }
}

#[tokio::test]
async fn a_refused_transaction_is_told_with_the_answer() {
    let peer = Peer::start("irc").await;
    let hs_token = peer.hs_token();
    let careful = careful(hs_token);
    peer.reply(move |asked| match asked.txn_id() {
        Some(_) => Reply::Json(500, json!({ "error": "out of cheese" })),
        None => careful(asked),
    });
    let server = server_for(&peer, PATIENT).await;
    let report = examine(&server).await;
    assert_eq!(outcomes(&report), "sosooof", "{report:?}");
    let text = told(&report, "round_trip");
    assert!(
        text.contains("out of cheese") && text.contains("log"),
        "{text}"
    );
    // And again, while that one is in flight.
    let report = examine(&server).await;
    assert_eq!(outcomes(&report), "sosooof", "{report:?}");
}

#[tokio::test]
async fn what_persons_have_ordered_is_respected() {
    let peer = Peer::start("irc").await;
    peer.reply(careful(peer.hs_token()));
    let server = server_for(&peer, PATIENT).await;
    let operator = local(&server);
    ask(&operator, Method::POST, "/appservices/irc/pause", json!({})).await;
    show_when(&operator, "irc", |s| s.paused.is_some()).await;
    let report = examine(&server).await;
    assert_eq!(outcomes(&report), "sosooos", "{report:?}");
    assert!(told(&report, "round_trip").contains("paused by an operator"));
    assert!(peer.records().is_empty());
}

#[tokio::test]
async fn a_service_without_an_address_is_told_how_to_get_one() {
    for (url, word) in [
        (Value::Null, "no url"),
        (json!("websocket"), "websocket"),
        (json!("unix:/run/irc.sock"), "port"),
    ] {
        let mut registration = Peer::start("irc").await.registration();
        registration["url"] = url;
        let server = server_with(&[registration], PATIENT).await;
        let report = examine(&server).await;
        assert_eq!(outcomes(&report), "ssssssf", "{report:?}");
        let text = told(&report, "round_trip");
        assert!(text.contains(word), "{text}");
    }
}
