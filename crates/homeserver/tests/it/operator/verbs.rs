//! What an operator sees of services, and the verbs.

use bridgehead_admin_api::{PausedBy, Service, State, Transport};
use bridgehead_testkit::Client;
use reqwest::Method;
use serde_json::{Value, json};

use super::{ask, get, local, show, show_when};
use crate::{
    calls::code,
    peer::{PATIENT, Peer, QUICK, Reply, room_with_ghost, server_for, yes},
};

/// A verb on the service `irc` that must succeed; the service after it.
async fn order(operator: &Client, verb: &str, body: Value) -> Service {
    let (status, answer) = try_order(operator, verb, body).await;
    assert_eq!(status, 200, "{verb}: {answer}");
    serde_json::from_value(answer).unwrap()
}

async fn try_order(operator: &Client, verb: &str, body: Value) -> (u16, Value) {
    let method = if verb == "policy" {
        Method::PUT
    } else {
        Method::POST
    };
    ask(operator, method, &format!("/appservices/irc/{verb}"), body).await
}

/// The sentence of a verb that is in conflict with how things are.
async fn conflict(operator: &Client, verb: &str, body: Value) -> String {
    let answer = try_order(operator, verb, body).await;
    assert_eq!(code(&answer), (409, "M_CONFLICT"), "{verb}: {answer:?}");
    answer.1["error"].as_str().unwrap().to_owned()
}

fn refuses(status: u16) -> impl Fn(&crate::peer::Asked) -> Reply + Send + Sync {
    move |asked| {
        if asked.txn_id().is_some() {
            Reply::Json(
                status,
                json!({ "errcode": "M_UNKNOWN", "error": "no room in the inn" }),
            )
        } else {
            yes()
        }
    }
}

#[tokio::test]
async fn a_service_is_shown_as_it_is() {
    let peer = Peer::start("irc").await;
    let server = server_for(&peer, PATIENT).await;
    let operator = local(&server);
    let (alice, _, room) = room_with_ghost(&server, &peer).await;
    let sent = alice.send_text(&room, "1", "hello").await.unwrap();
    peer.wait_event(&sent).await;
    let calm = show_when(&operator, "irc", |s| {
        s.in_flight.is_none() && s.depth == 0 && s.last_success_at_ms.is_some()
    })
    .await;
    assert_eq!(calm.sender, "@irc-bot:localhost");
    assert_eq!(calm.transport, Transport::Http);
    assert!(calm.rates.delivered_last_minute > 0, "{calm:?}");
    assert!(calm.source.ends_with("irc.yaml"), "{}", calm.source);
    assert!(calm.paused.is_none() && calm.stuck.is_none());
    assert_eq!(calm.state, State::Idle);

    let list = get(&operator, "/appservices").await;
    assert_eq!(list["server_name"], "localhost");
    assert!(list["position"].as_u64() >= Some(calm.cursor));
    assert_eq!(list["services"].as_array().unwrap().len(), 1);
    assert_eq!(list["services"][0]["id"], "irc");
    let text = list.to_string();
    assert!(!text.contains("token-of"), "{text}");

    peer.reply(refuses(503));
    alice.send_text(&room, "2", "again").await.unwrap();
    let troubled = show_when(&operator, "irc", |s| s.state == State::Retrying).await;
    let error = troubled.last_error.unwrap();
    assert_eq!(error.status, Some(503));
    assert!(error.body.unwrap().contains("no room in the inn"));
    assert!(troubled.next_try_at_ms.is_some());
    assert!(troubled.depth >= 1 && troubled.oldest_waiting_ms.is_some());
    let in_flight = troubled.in_flight.unwrap();
    assert_eq!(in_flight.failed_attempts, 1);

    let view = get(&operator, "/appservices/irc/transaction").await;
    assert_eq!(view["transaction_id"], in_flight.transaction_id.as_str());
    assert_eq!(view["failed_attempts"], 1);
    assert_eq!(view["bytes"], in_flight.bytes);
    assert_eq!(view["events"][0]["sender"], "@alice:localhost");
    assert_eq!(view["events"][0]["type"], "m.room.message");
    assert_eq!(view["body"]["events"][0]["content"]["body"], "again");
}

#[tokio::test]
async fn a_paused_service_gets_nothing_until_it_is_resumed() {
    let peer = Peer::start("irc").await;
    let server = server_for(&peer, QUICK).await;
    let operator = local(&server);
    let (alice, _, room) = room_with_ghost(&server, &peer).await;
    show_when(&operator, "irc", |s| s.depth == 0 && s.in_flight.is_none()).await;
    let text = conflict(&operator, "resume", json!({})).await;
    assert!(text.contains("not paused"), "{text}");

    let paused = order(&operator, "pause", json!({ "reason": " moving house " })).await;
    let pause = paused.paused.unwrap();
    assert_eq!(pause.by, PausedBy::Operator);
    assert_eq!(pause.reason.as_deref(), Some("moving house"));
    assert_eq!(pause.until_ms, None);
    let before = peer.records().len();
    alice.send_text(&room, "1", "held").await.unwrap();
    let waiting = show_when(&operator, "irc", |s| s.depth == 1).await;
    assert_eq!(waiting.state, State::Idle);
    assert_eq!(peer.records().len(), before);
    let text = conflict(&operator, "retry", json!({})).await;
    assert!(text.contains("resume it"), "{text}");
    let text = conflict(&operator, "drain", json!({})).await;
    assert!(text.contains("resume it first"), "{text}");

    let resumed = order(&operator, "resume", json!({})).await;
    assert!(resumed.paused.is_none());
    show_when(&operator, "irc", |s| s.depth == 0).await;
    assert!(peer.records().len() > before);

    let acts = get(&operator, "/audit?service_id=irc").await;
    let acts: Vec<_> = acts["entries"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|act| act["who"] == "local")
        .collect();
    assert_eq!(acts[0]["action"], "resume");
    assert_eq!(acts[1]["action"], "pause");
    assert_eq!(acts[1]["reason"], "moving house");
    assert_eq!(acts.len(), 2, "refused acts are none");
}

#[tokio::test]
async fn a_pause_outlasts_a_restart_and_ends_at_its_time() {
    let peer = Peer::start("irc").await;
    let server = server_for(&peer, QUICK).await;
    let (alice, _, room) = room_with_ghost(&server, &peer).await;
    order(&local(&server), "pause", json!({ "reason": "night" })).await;
    let sent = alice.send_text(&room, "1", "held").await.unwrap();
    let folder = server.stop().await;
    let server = crate::peer::start_again(folder, QUICK).await;
    let operator = local(&server);
    let paused = show_when(&operator, "irc", |s| s.paused.is_some()).await;
    assert_eq!(paused.paused.unwrap().reason.as_deref(), Some("night"));
    let soon = paused_until(&operator).await;
    peer.wait_event(&sent).await;
    show_when(&operator, "irc", |s| s.paused.is_none()).await;
    assert!(soon > 0);
}

/// Pauses for a moment; until when.
async fn paused_until(operator: &Client) -> i64 {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let until = i64::try_from(now.as_millis()).unwrap() + 1_500;
    let paused = order(operator, "pause", json!({ "until_ms": until })).await;
    assert_eq!(paused.paused.unwrap().until_ms, Some(until));
    until
}

#[tokio::test]
async fn a_retry_does_not_wait_for_the_backoff() {
    let peer = Peer::start("irc").await;
    let server = server_for(&peer, PATIENT).await;
    let operator = local(&server);
    let (alice, _, room) = room_with_ghost(&server, &peer).await;
    show_when(&operator, "irc", |s| s.depth == 0 && s.in_flight.is_none()).await;
    let text = conflict(&operator, "retry", json!({})).await;
    assert!(text.contains("nothing to retry"), "{text}");
    peer.reply(refuses(503));
    let sent = alice.send_text(&room, "1", "hello").await.unwrap();
    show_when(&operator, "irc", |s| s.state == State::Retrying).await;
    peer.reply(|_| yes());
    order(&operator, "retry", json!({ "reason": "mended" })).await;
    peer.wait_event(&sent).await;
    show_when(&operator, "irc", |s| s.depth == 0).await;
}

#[tokio::test]
async fn a_service_is_given_up_and_brought_back() {
    let peer = Peer::start("irc").await;
    let server = server_for(&peer, QUICK).await;
    let operator = local(&server);
    let (alice, _, room) = room_with_ghost(&server, &peer).await;
    show_when(&operator, "irc", |s| s.depth == 0 && s.in_flight.is_none()).await;
    let text = conflict(&operator, "fail", json!({})).await;
    assert!(text.contains("pause this one"), "{text}");
    peer.reply(refuses(503));
    let sent = alice.send_text(&room, "1", "hello").await.unwrap();
    show_when(&operator, "irc", |s| s.last_error.is_some()).await;
    order(&operator, "fail", json!({ "reason": "gone for good" })).await;
    let failed = show_when(&operator, "irc", |s| s.state == State::Failed).await;
    assert!(failed.next_try_at_ms.is_none(), "{failed:?}");
    peer.reply(|_| yes());
    let text = conflict(&operator, "fail", json!({})).await;
    assert!(text.contains("already"), "{text}");
    let text = conflict(&operator, "drain", json!({})).await;
    assert!(text.contains("retry"), "{text}");
    assert_eq!(show(&operator, "irc").await.state, State::Failed);
    let back = order(&operator, "retry", json!({})).await;
    assert_ne!(back.state, State::Failed);
    peer.wait_event(&sent).await;
    show_when(&operator, "irc", |s| s.depth == 0).await;
}

#[tokio::test]
async fn a_skip_hits_the_one_that_is_meant_and_can_be_replayed() {
    let peer = Peer::start("irc").await;
    let server = server_for(&peer, PATIENT).await;
    let operator = local(&server);
    let (alice, _, room) = room_with_ghost(&server, &peer).await;
    show_when(&operator, "irc", |s| s.depth == 0 && s.in_flight.is_none()).await;
    let none = json!({ "transaction_id": "1" });
    let text = conflict(&operator, "skip", none.clone()).await;
    assert!(text.contains("nothing to skip"), "{text}");
    peer.reply(refuses(503));
    let poison = alice.send_text(&room, "1", "poison").await.unwrap();
    let stuck = show_when(&operator, "irc", |s| s.state == State::Retrying).await;
    let txn = stuck.in_flight.unwrap().transaction_id;
    let text = conflict(&operator, "skip", none).await;
    assert!(text.contains(&txn), "{text}");
    peer.reply(|_| yes());
    let skip = json!({ "transaction_id": txn, "reason": "it is poison" });
    let skipped = order(&operator, "skip", skip.clone()).await;
    assert!(
        skipped.in_flight.is_none() && skipped.skipped == 1,
        "{skipped:?}"
    );
    let text = conflict(&operator, "skip", skip).await;
    assert!(text.contains("not in flight"), "{text}");
    let next = alice.send_text(&room, "2", "behind").await.unwrap();
    peer.wait_event(&next).await;

    let skips = get(&operator, "/appservices/irc/skips").await;
    let skip = &skips["skips"][0];
    assert_eq!(skip["transaction_id"], txn.as_str());
    assert_eq!(skip["by"], "local");
    assert_eq!(skip["reason"], "it is poison");
    assert_eq!(skip["events"][0]["event_id"], poison.as_str());
    assert!(skip["replayed_at_ms"].is_null());

    let seen = |records: &[bridgehead_testkit::Record]| {
        let events = records
            .iter()
            .skip(1)
            .flat_map(bridgehead_testkit::Record::events);
        events
            .filter(|event| event["event_id"] == poison.as_str())
            .count()
    };
    let before = seen(&peer.records());
    order(&operator, "replay", json!({ "skip_id": skip["skip_id"] })).await;
    show_when(&operator, "irc", |s| s.replay.is_none() && s.skipped == 0).await;
    peer.wait(|asked| asked.len() > 1).await;
    show_when(&operator, "irc", |s| {
        s.in_flight.is_none() && s.state == State::Idle
    })
    .await;
    assert_eq!(seen(&peer.records()), before + 1);
    let skips = get(&operator, "/appservices/irc/skips").await;
    assert!(skips["skips"][0]["replayed_at_ms"].as_i64() > Some(0));
}

#[tokio::test]
async fn what_was_delivered_is_replayed_in_its_order() {
    let peer = Peer::start("irc").await;
    let server = server_for(&peer, QUICK).await;
    let operator = local(&server);
    let (alice, _, room) = room_with_ghost(&server, &peer).await;
    let calm = |s: &Service| s.depth == 0 && s.in_flight.is_none() && s.replay.is_none();
    let start = show_when(&operator, "irc", calm).await.cursor;
    let mut sent = Vec::new();
    for number in 0..5 {
        let txn = number.to_string();
        sent.push(alice.send_text(&room, &txn, "message").await.unwrap());
    }
    peer.wait_event(&sent[4]).await;
    let end = show_when(&operator, "irc", calm).await.cursor;
    let ids = |peer: &Peer| -> Vec<String> {
        let events = peer.events().into_iter();
        let ids = events.map(|event| event["event_id"].as_str().unwrap().to_owned());
        ids.filter(|id| sent.contains(id)).collect()
    };
    assert_eq!(ids(&peer), sent);
    let text = conflict(&operator, "replay", json!({ "after": end })).await;
    assert!(text.contains("nothing to replay"), "{text}");
    order(
        &operator,
        "replay",
        json!({ "after": start, "reason": "database lost" }),
    )
    .await;
    peer.wait(|_| ids(&peer).len() >= 10).await;
    assert_eq!(ids(&peer)[5..], sent);
    let after = show_when(&operator, "irc", calm).await;
    assert_eq!(after.cursor, end);
    // Everything since the epoch is everything.
    order(&operator, "replay", json!({ "since_ms": 0 })).await;
    peer.wait(|_| ids(&peer).len() >= 15).await;
    assert_eq!(ids(&peer)[10..], sent);
}

#[tokio::test]
async fn a_drain_delivers_what_is_there_and_pauses() {
    let peer = Peer::start("irc").await;
    let server = server_for(&peer, PATIENT).await;
    let operator = local(&server);
    let (alice, _, room) = room_with_ghost(&server, &peer).await;
    show_when(&operator, "irc", |s| s.depth == 0 && s.in_flight.is_none()).await;
    peer.reply(refuses(503));
    let first = alice.send_text(&room, "1", "before").await.unwrap();
    show_when(&operator, "irc", |s| s.state == State::Retrying).await;
    let draining = order(&operator, "drain", json!({})).await;
    let drain = draining.drain.unwrap();
    assert!(drain.at < drain.upto, "{drain:?}");
    let later = alice.send_text(&room, "2", "after").await.unwrap();
    peer.reply(|_| yes());
    order(&operator, "retry", json!({})).await;
    let done = show_when(&operator, "irc", |s| s.paused.is_some()).await;
    assert_eq!(done.paused.unwrap().reason.as_deref(), Some("drained"));
    assert!(done.drain.is_none() && done.depth >= 1);
    peer.wait_event(&first).await;
    order(&operator, "resume", json!({})).await;
    peer.wait_event(&later).await;
}

#[tokio::test]
async fn a_policy_skips_a_stuck_event_by_itself() {
    let peer = Peer::start("irc").await;
    let server = server_for(&peer, QUICK).await;
    let operator = local(&server);
    let (alice, _, room) = room_with_ghost(&server, &peer).await;
    show_when(&operator, "irc", |s| s.depth == 0 && s.in_flight.is_none()).await;
    let set = order(&operator, "policy", json!({ "skip_stuck_after": 3 })).await;
    assert_eq!(set.skip_stuck_after, Some(3));
    peer.reply(|asked| {
        let is_poison = String::from_utf8_lossy(&asked.body).contains("poison");
        if is_poison {
            Reply::Json(400, json!({}))
        } else {
            yes()
        }
    });
    alice.send_text(&room, "1", "poison").await.unwrap();
    let next = alice.send_text(&room, "2", "behind").await.unwrap();
    peer.wait_event(&next).await;
    let after = show_when(&operator, "irc", |s| s.skipped == 1).await;
    assert!(after.stuck.is_none());
    let skips = get(&operator, "/appservices/irc/skips").await;
    assert_eq!(skips["skips"][0]["by"], "policy");
    let unset = order(&operator, "policy", json!({})).await;
    assert_eq!(unset.skip_stuck_after, None);
}

#[tokio::test]
async fn a_services_history_is_current() {
    let peer = Peer::start("irc").await;
    let server = server_for(&peer, QUICK).await;
    let operator = local(&server);
    let (alice, _, room) = room_with_ghost(&server, &peer).await;
    let sent = alice.send_text(&room, "1", "hello").await.unwrap();
    peer.wait_event(&sent).await;
    show_when(&operator, "irc", |s| s.depth == 0 && s.in_flight.is_none()).await;
    for (span, step_ms) in [("", 30_000), ("?span=hour", 30_000), ("?span=day", 600_000)] {
        let history = get(&operator, &format!("/appservices/irc/history{span}")).await;
        assert_eq!(history["step_ms"], step_ms);
        let samples = history["samples"].as_array().unwrap();
        let sum = |key: &str| {
            samples
                .iter()
                .map(|s| s[key].as_u64().unwrap())
                .sum::<u64>()
        };
        assert!(sum("delivered") >= 1, "{history}");
        assert_eq!(sum("failed"), 0);
        let last = &samples[samples.len() - 1];
        assert_eq!((&last["depth"], &last["lag_ms"]), (&json!(0), &json!(0)));
    }
    let path = "/appservices/irc/history?span=year";
    assert_eq!(ask(&operator, Method::GET, path, Value::Null).await.0, 400);
}
