//! A service that fetches its transactions.

use std::time::{Duration, Instant};

use bridgehead_testkit::{Client, TestServer};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    calls::{call, code, query},
    peer::{PATIENT, Peer, QUICK, joined_ghost, server_with, start_again},
    support::public_room,
    websocket::{Socket, event_ids, without_address},
};

const OWN: &str = "/_matrix/client/unstable/org.bridgehead.appservice/irc";

async fn started(settings: &[(&str, &str)]) -> (TestServer, Peer, Client, String) {
    let peer = Peer::start("irc").await;
    let server = server_with(&[without_address(&peer, Value::Null)], settings).await;
    let alice = server.user("alice").await.unwrap();
    let room = public_room(&alice).await;
    joined_ghost(&server, &peer, &room).await;
    (server, peer, alice, room)
}

async fn poll(client: &Client, wait_ms: u64) -> (u16, Value) {
    let path = format!("{OWN}/transactions/next");
    let wait = wait_ms.to_string();
    query(client, Method::GET, &path, &[("wait", &wait)], Value::Null).await
}

/// A poll that must bring a transaction.
async fn fetch(client: &Client) -> Value {
    let (status, transaction) = poll(client, 30_000).await;
    assert_eq!(status, 200, "{transaction}");
    transaction
}

async fn answer(client: &Client, transaction: &Value, body: Value) -> (u16, Value) {
    let id = transaction["txn_id"].as_str().unwrap();
    call(
        client,
        Method::POST,
        &format!("{OWN}/transactions/{id}"),
        body,
    )
    .await
}

async fn acknowledge(client: &Client, transaction: &Value) {
    assert_eq!(
        answer(client, transaction, json!({})).await,
        (200, json!({}))
    );
}

/// Fetches and acknowledges until there is nothing more; the events.
async fn fetch_all(client: &Client) -> Vec<String> {
    let mut events = Vec::new();
    loop {
        let (status, transaction) = poll(client, 300).await;
        if status == 204 {
            return events;
        }
        events.extend(event_ids(&transaction));
        acknowledge(client, &transaction).await;
    }
}

#[tokio::test]
async fn transactions_are_fetched_in_order_and_the_same_one_until_it_is_acknowledged() {
    let (server, peer, alice, room) = started(QUICK).await;
    let bot = peer.client(&server);
    let first = fetch(&bot).await;
    assert_eq!(fetch(&bot).await, first);
    assert_eq!(fetch(&bot).await, first);
    acknowledge(&bot, &first).await;
    // Saying it twice does no harm.
    acknowledge(&bot, &first).await;
    let mut sent = Vec::new();
    for number in ["1", "2", "3"] {
        sent.push(alice.send_text(&room, number, number).await.unwrap());
    }
    let mut events = event_ids(&first);
    events.extend(fetch_all(&bot).await);
    events.retain(|id| sent.contains(id));
    assert_eq!(events, sent);
}

#[tokio::test]
async fn a_poll_ends_when_something_happens_or_its_wait_is_over() {
    let (server, peer, alice, room) = started(&[]).await;
    let bot = peer.client(&server);
    fetch_all(&bot).await;
    let started = Instant::now();
    assert_eq!(poll(&bot, 0).await, (204, Value::Null));
    assert!(started.elapsed() < Duration::from_secs(10));
    let polling = {
        let bot = bot.clone();
        tokio::spawn(async move { fetch(&bot).await })
    };
    let sent = alice.send_text(&room, "1", "one").await.unwrap();
    let transaction = polling.await.unwrap();
    assert_eq!(event_ids(&transaction), [sent]);
    let keys = transaction.as_object().unwrap();
    assert!(keys.contains_key("txn_id") && keys.contains_key("io.bridgehead.seq"));
}

#[tokio::test]
async fn a_refusal_is_told_to_whoever_looks() {
    let (server, peer, _, _) = started(PATIENT).await;
    let bot = peer.client(&server);
    let first = fetch(&bot).await;
    let no = json!({ "error": { "errcode": "M_UNKNOWN", "error": "not now" } });
    assert_eq!(answer(&bot, &first, no).await.0, 200);
    // Coming again is a sign of life: no backoff is waited for.
    assert_eq!(fetch(&bot).await, first);
    let (_, status) = call(&bot, Method::GET, &format!("{OWN}/status"), Value::Null).await;
    assert_eq!(status["transport"], "pull");
    assert_eq!(status["last_error"]["body"], "M_UNKNOWN: not now");
    acknowledge(&bot, &first).await;
}

#[tokio::test]
async fn an_answer_after_its_time_or_after_a_restart_counts() {
    let brief = [
        QUICK,
        &[("BRIDGEHEAD_APPSERVICES_REQUEST_TIMEOUT_MS", "100")],
    ]
    .concat();
    let (server, peer, _, _) = started(&brief).await;
    let bot = peer.client(&server);
    let first = fetch(&bot).await;
    // Until the lease is over, and then some.
    let path = format!("{OWN}/status");
    while call(&bot, Method::GET, &path, Value::Null).await.1["last_error"].is_null() {
        tokio::task::yield_now().await;
    }
    acknowledge(&bot, &first).await;
    assert_eq!(fetch_all(&bot).await, Vec::<String>::new());

    let room = public_room(&bot).await;
    let second = fetch(&bot).await;
    let server = start_again(server.stop().await, &[]).await;
    let bot = peer.client(&server);
    acknowledge(&bot, &second).await;
    let rest = fetch_all(&bot).await;
    let told = event_ids(&second);
    assert!(rest.iter().all(|id| !told.contains(id)), "{room}: {rest:?}");
}

#[tokio::test]
async fn one_polls_at_a_time() {
    let (server, peer, alice, room) = started(&[]).await;
    let bot = peer.client(&server);
    fetch_all(&bot).await;
    let first = {
        let bot = bot.clone();
        tokio::spawn(async move { poll(&bot, 60_000).await })
    };
    let path = format!("{OWN}/status");
    while call(&bot, Method::GET, &path, Value::Null).await.1["transport"] != "pull" {
        tokio::task::yield_now().await;
    }
    let second = {
        let bot = bot.clone();
        tokio::spawn(async move { fetch(&bot).await })
    };
    assert_eq!(code(&first.await.unwrap()), (409, "M_UNKNOWN"));
    let sent = alice.send_text(&room, "1", "one").await.unwrap();
    let transaction = second.await.unwrap();
    assert_eq!(event_ids(&transaction), [sent]);
    acknowledge(&bot, &transaction).await;

    let socket = Socket::open(&server, &peer).await;
    assert_eq!(code(&poll(&bot, 0).await), (409, "M_UNKNOWN"));
    drop(socket);
}

#[tokio::test]
async fn nobody_else_may_and_nothing_else_is_answered() {
    let (server, peer, alice, _) = started(&[]).await;
    let bot = peer.client(&server);
    let first = fetch(&bot).await;
    let path = format!("{OWN}/transactions/{}", first["txn_id"].as_str().unwrap());
    let nobody = server.client();
    assert_eq!(code(&poll(&nobody, 0).await), (401, "M_MISSING_TOKEN"));
    assert_eq!(code(&poll(&alice, 0).await), (401, "M_UNKNOWN_TOKEN"));
    let refused = call(&alice, Method::POST, &path, json!({})).await;
    assert_eq!(code(&refused), (401, "M_UNKNOWN_TOKEN"));
    let other = path.replace("/irc/", "/other/");
    let refused = call(&bot, Method::POST, &other, json!({})).await;
    assert_eq!(code(&refused), (403, "M_FORBIDDEN"));
    for id in ["0", "12345", "x", "-1", "99999999999999999999999"] {
        let path = format!("{OWN}/transactions/{id}");
        let unknown = call(&bot, Method::POST, &path, json!({})).await;
        assert_eq!(code(&unknown), (404, "M_NOT_FOUND"), "{id}");
    }
    let bad = call(&bot, Method::POST, &path, json!([])).await;
    assert_eq!(code(&bad), (400, "M_BAD_JSON"));
    let next = format!("{OWN}/transactions/next");
    let bad = query(&bot, Method::GET, &next, &[("wait", "soon")], Value::Null).await;
    assert_eq!(code(&bad), (400, "M_INVALID_PARAM"));
    assert_eq!(fetch(&bot).await, first);
}

#[tokio::test]
async fn a_server_that_stops_ends_the_poll() {
    let (server, peer, _, _) = started(&[]).await;
    let bot = peer.client(&server);
    fetch_all(&bot).await;
    let polling = tokio::spawn({
        let bot = bot.clone();
        async move { poll(&bot, 60_000).await.0 }
    });
    let path = format!("{OWN}/status");
    while call(&bot, Method::GET, &path, Value::Null).await.1["transport"] != "pull" {
        tokio::task::yield_now().await;
    }
    let started = Instant::now();
    server.stop().await;
    assert_eq!(polling.await.unwrap(), 503);
    assert!(
        started.elapsed() < Duration::from_secs(9),
        "not at the end of the grace"
    );
}
