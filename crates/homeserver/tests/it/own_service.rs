//! What a service does about its own delivery.

use std::path::Path;

use bridgehead_store::Store;
use bridgehead_testkit::{Client, SERVER_NAME, TestServer};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    calls::{call, code},
    peer::{Peer, QUICK, room_with_ghost, server_with},
    support::put,
    websocket::Socket,
};

const OWN: &str = "/_matrix/client/unstable/org.bridgehead.appservice/irc";

async fn set_state(client: &Client, body: Value) -> (u16, Value) {
    call(client, Method::PUT, &format!("{OWN}/state"), body).await
}

async fn status(client: &Client) -> Value {
    let (status, body) = call(client, Method::GET, &format!("{OWN}/status"), Value::Null).await;
    assert_eq!(status, 200, "{body}");
    body
}

/// Waits until the status satisfies the condition.
async fn wait_status(client: &Client, condition: impl Fn(&Value) -> bool) -> Value {
    let deadline = tokio::time::Instant::now() + crate::peer::SOON;
    loop {
        let status = status(client).await;
        if condition(&status) {
            return status;
        }
        assert!(tokio::time::Instant::now() < deadline, "not soon: {status}");
        tokio::task::yield_now().await;
    }
}

/// A server, its service (with an address), and a room of its interest with all told.
async fn started() -> (TestServer, Peer, Client, Client, String) {
    let peer = Peer::start("irc").await;
    let mut registration = peer.registration();
    registration["receive_ephemeral"] = json!(true);
    let server = server_with(&[registration], QUICK).await;
    let (alice, _, room) = room_with_ghost(&server, &peer).await;
    let sent = alice.send_text(&room, "0", "before").await.unwrap();
    peer.wait_event(&sent).await;
    let bot = peer.client(&server);
    (server, peer, bot, alice, room)
}

/// What the service has done by the audit log, oldest first.
async fn audit(folder: &Path) -> Vec<(String, String)> {
    let store = Store::open(&folder.join("data/bridgehead.db"), SERVER_NAME).unwrap();
    let rows = store.read(|s| s.audit_page(None, Some("irc"), 100)).await;
    let rows: bridgehead_store::Result<_> = rows;
    let rows: Vec<bridgehead_store::AuditRow> = rows.unwrap();
    store.close().await;
    let acts = rows.into_iter().rev();
    let acts = acts.filter(|row| row.who != "server");
    acts.map(|row| (row.who, row.action)).collect()
}

#[tokio::test]
async fn off_line_nothing_is_sent_and_on_line_all_of_it() {
    let (server, peer, bot, alice, room) = started().await;
    let state = json!({ "state": "offline", "reason": "moving house" });
    assert_eq!(set_state(&bot, state).await, (200, json!({})));
    let paused = status(&bot).await;
    assert_eq!(paused["paused"]["by"], "service");
    assert_eq!(paused["paused"]["reason"], "moving house");

    let before = peer.asked().len();
    let first = alice.send_text(&room, "1", "one").await.unwrap();
    let typing = format!("/rooms/{room}/typing/{}", alice.user_id());
    put(
        &alice,
        &typing,
        json!({ "typing": true, "timeout": 30_000 }),
    )
    .await;
    let last = alice.send_text(&room, "2", "two").await.unwrap();
    // Questions are answered for it: not available.
    let alias = "/_matrix/client/v3/directory/room/%23irc_new:localhost";
    let asked = call(&alice, Method::GET, alias, Value::Null).await;
    assert_eq!(asked.0, 408, "{}", asked.1);
    let waiting = wait_status(&bot, |status| status["depth"].as_u64() >= Some(2)).await;
    assert_eq!(waiting["state"], "idle");
    assert_eq!(peer.asked().len(), before, "nothing was tried");

    assert_eq!(set_state(&bot, json!({ "state": "online" })).await.0, 200);
    peer.wait_event(&last).await;
    let told = peer.events();
    let place = |id: &String| told.iter().position(|event| event["event_id"] == **id);
    assert!(place(&first).unwrap() < place(&last).unwrap());
    let all = peer
        .asked()
        .iter()
        .map(|asked| String::from_utf8_lossy(&asked.body).into_owned())
        .collect::<String>();
    assert!(
        !all.contains("m.typing"),
        "what is told while it is away is of no interest later"
    );
    assert!(status(&bot).await["paused"].is_null());

    let folder = server.stop().await;
    let acts = [("service:irc", "offline"), ("service:irc", "online")];
    let acts = acts.map(|(who, action)| (who.to_owned(), action.to_owned()));
    assert_eq!(audit(folder.path()).await, acts);
}

#[tokio::test]
async fn a_ping_a_websocket_and_its_time_end_it() {
    let (server, peer, bot, alice, room) = started().await;
    let off = || async {
        let state = json!({ "state": "offline" });
        assert_eq!(set_state(&bot, state).await.0, 200);
        assert_eq!(status(&bot).await["paused"]["by"], "service");
    };
    off().await;
    let ping = "/_matrix/client/v1/appservice/irc/ping";
    assert_eq!(call(&bot, Method::POST, ping, json!({})).await.0, 200);
    let sent = alice.send_text(&room, "1", "one").await.unwrap();
    peer.wait_event(&sent).await;

    off().await;
    let mut socket = Socket::open(&server, &peer).await;
    let sent = alice.send_text(&room, "2", "two").await.unwrap();
    socket.take_until(&sent).await;
    off().await;
    socket
        .send(json!({ "id": 1, "command": "ping", "data": {} }))
        .await;
    assert_eq!(socket.frame().await["command"], "response");
    let sent = alice.send_text(&room, "3", "three").await.unwrap();
    socket.take_until(&sent).await;

    off().await;
    let soon = status(&bot).await["paused"]["since_ms"].as_i64().unwrap() + 300;
    let state = json!({ "state": "offline", "until_ms": soon });
    let set = set_state(&bot, state).await;
    assert!(set.0 == 200 || set.0 == 400, "{}", set.1);
    if set.0 == 200 {
        let sent = alice.send_text(&room, "4", "four").await.unwrap();
        socket.take_until(&sent).await;
    }
}

#[tokio::test]
async fn what_was_sent_is_sent_again_after_a_position() {
    let (server, peer, bot, alice, room) = started().await;
    let mut sent = Vec::new();
    for number in ["1", "2", "3"] {
        let id = alice.send_text(&room, number, number).await.unwrap();
        peer.wait_event(&id).await;
        sent.push(id);
    }
    let sequence = |id: &str| {
        let records = peer.records();
        let holds = |event: &Value| event["event_id"] == id;
        let record = records
            .iter()
            .find(|record| record.events().iter().any(holds));
        record.unwrap().parsed["io.bridgehead.seq"].clone()
    };
    let (first, second) = (sequence(&sent[0]), sequence(&sent[1]));
    // Each names the end of the one before: a service can see that it has missed nothing.
    assert_eq!(second["prev"], first["last"]);
    // Its acknowledgement has to be stored.
    let upto = sequence(&sent[2])["last"].as_u64();
    wait_status(&bot, |status| status["cursor"].as_u64() >= upto).await;

    let before = peer.records().len();
    let body = json!({ "after": first["last"] });
    let (status, answer) = call(&bot, Method::POST, &format!("{OWN}/replay"), body).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["after"], first["last"]);
    peer.wait(|asked| {
        let again = asked
            .iter()
            .filter(|asked| asked.txn_id().is_some())
            .skip(before);
        let texts: String = again
            .map(|asked| String::from_utf8_lossy(&asked.body).into_owned())
            .collect();
        texts.contains(&sent[2])
    })
    .await;
    let again: Vec<Value> = peer.records()[before..]
        .iter()
        .flat_map(|record| record.events().to_vec())
        .collect();
    let ids: Vec<&str> = again
        .iter()
        .filter_map(|event| event["event_id"].as_str())
        .collect();
    assert_eq!(ids, [&sent[1], &sent[2]]);

    // After the end there is nothing.
    let body = json!({ "after": 999_999 });
    let nothing = call(&bot, Method::POST, &format!("{OWN}/replay"), body).await;
    assert_eq!(nothing, (200, json!({})));
    let folder = server.stop().await;
    let acts = [("service:irc".to_owned(), "replay".to_owned())];
    assert_eq!(audit(folder.path()).await, acts);
}

#[tokio::test]
async fn only_the_service_itself_may_and_only_what_makes_sense() {
    let (_server, _peer, bot, alice, _) = started().await;
    for (method, end, body) in [
        (Method::PUT, "state", json!({ "state": "offline" })),
        (Method::GET, "status", Value::Null),
        (Method::POST, "replay", json!({ "after": 0 })),
    ] {
        let path = format!("{OWN}/{end}");
        let refused = call(&alice, method.clone(), &path, body.clone()).await;
        assert_eq!(code(&refused), (401, "M_UNKNOWN_TOKEN"), "{end}");
        let other = path.replace("/irc/", "/other/");
        let refused = call(&bot, method, &other, body).await;
        assert_eq!(code(&refused), (403, "M_FORBIDDEN"), "{end}");
    }
    for (body, errcode) in [
        (json!({}), "M_BAD_JSON"),
        (json!({ "state": "asleep" }), "M_BAD_JSON"),
        (
            json!({ "state": "offline", "until_ms": 1 }),
            "M_INVALID_PARAM",
        ),
        (
            json!({ "state": "offline", "until_ms": "now" }),
            "M_BAD_JSON",
        ),
    ] {
        let refused = set_state(&bot, body.clone()).await;
        assert_eq!(code(&refused), (400, errcode), "{body}");
    }
    assert!(status(&bot).await["paused"].is_null());
}
