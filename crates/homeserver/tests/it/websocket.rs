//! Transactions over the websocket `fi.mau.as_sync`, spoken as mautrix-go of 2025 speaks it.

mod commands;
mod garbage;
mod proxy;

use std::time::Duration;

use bridgehead_testkit::{Client, TestServer};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest as _, http::HeaderValue},
};

use crate::{
    calls::code,
    peer::Peer,
    peer::{PATIENT, QUICK, SOON, joined_ghost, server_with, start_again},
    support::public_room,
};

const PATH: &str = "/_matrix/client/unstable/fi.mau.as_sync";

/// The service's end of a websocket.
pub(crate) struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    /// Opens it and reads the hello.
    pub(crate) async fn open(server: &TestServer, peer: &Peer) -> Self {
        let mut socket = Self::try_open(server, &peer.as_token()).await.unwrap();
        let hello = socket.frame().await;
        assert_eq!(
            hello,
            json!({ "status": "connected", "command": "connect" })
        );
        socket
    }

    async fn try_open(server: &TestServer, token: &str) -> Result<Self, Error> {
        let url = format!("{}{PATH}", server.base_url().replace("http:", "ws:"));
        let mut request = url.into_client_request().unwrap();
        let header = |text: &str| HeaderValue::from_str(text).unwrap();
        let headers = request.headers_mut();
        headers.insert("authorization", header(&format!("Bearer {token}")));
        headers.insert("x-mautrix-websocket-version", header("3"));
        headers.insert("x-mautrix-process-id", header("test"));
        Ok(Self(connect_async(request).await?.0))
    }

    async fn message(&mut self) -> Message {
        loop {
            let message = tokio::time::timeout(SOON, self.0.next()).await;
            match message.expect("a message soon").unwrap().unwrap() {
                Message::Ping(_) | Message::Pong(_) => {}
                message => return message,
            }
        }
    }

    /// The next frame; what it says is read by heisenbridge too, which wants a status in each.
    pub(crate) async fn frame(&mut self) -> Value {
        let frame: Value = match self.message().await {
            Message::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("no frame: {other:?}"),
        };
        assert!(frame["status"].is_string(), "{frame}");
        frame
    }

    /// The next frame, which must be a transaction.
    pub(crate) async fn transaction(&mut self) -> Value {
        let frame = self.frame().await;
        assert_eq!(frame["command"], "transaction", "{frame}");
        assert_eq!(frame["status"], "ok");
        assert!(frame["id"].as_u64() > Some(0) && frame["txn_id"].is_string());
        frame
    }

    pub(crate) async fn send(&mut self, frame: Value) {
        let text = Message::Text(frame.to_string().into());
        self.0.send(text).await.unwrap();
    }

    /// Acknowledges as mautrix-go does.
    pub(crate) async fn acknowledge(&mut self, transaction: &Value) {
        let data = json!({ "txn_id": transaction["txn_id"] });
        self.respond(transaction, data).await;
    }

    pub(crate) async fn respond(&mut self, to: &Value, data: Value) {
        self.send(json!({ "id": to["id"], "command": "response", "data": data }))
            .await;
    }

    pub(crate) async fn refuse(&mut self, to: &Value, data: Value) {
        self.send(json!({ "id": to["id"], "command": "error", "data": data }))
            .await;
    }

    /// Asks for something; the answer must be the next frame.
    async fn ask(&mut self, command: &str, data: Value) -> Value {
        self.send(json!({ "id": 77, "command": command, "data": data }))
            .await;
        let answer = self.frame().await;
        assert_eq!(answer["id"], 77, "{answer}");
        answer
    }

    /// Code and reason with which the server closes.
    pub(crate) async fn closed(&mut self) -> (u16, Value) {
        match self.message().await {
            Message::Close(Some(frame)) => (
                frame.code.into(),
                serde_json::from_str(&frame.reason).unwrap(),
            ),
            other => panic!("not closed: {other:?}"),
        }
    }

    /// Takes transactions until one holds the event; all events so far, in order.
    pub(crate) async fn take_until(&mut self, event_id: &str) -> Vec<String> {
        let mut ids = Vec::new();
        while !ids.iter().any(|id| id == event_id) {
            let transaction = self.transaction().await;
            self.acknowledge(&transaction).await;
            ids.extend(event_ids(&transaction));
        }
        ids
    }
}

pub(crate) fn event_ids(transaction: &Value) -> Vec<String> {
    let events = transaction["events"].as_array().unwrap();
    let id = |event: &Value| event["event_id"].as_str().unwrap().to_owned();
    events.iter().map(id).collect()
}

pub(crate) fn disconnect(status: &str) -> Value {
    json!({ "command": "disconnect", "status": status })
}

/// A registration without an address.
pub(crate) fn without_address(peer: &Peer, url: Value) -> Value {
    let mut registration = peer.registration();
    registration["url"] = url;
    registration
}

/// A server for a service that opens a websocket, and a room that it is interested in.
async fn started(settings: &[(&str, &str)]) -> (TestServer, Peer, Client, String) {
    let peer = Peer::start("irc").await;
    let registration = without_address(&peer, json!("websocket"));
    let server = server_with(&[registration], settings).await;
    let alice = server.user("alice").await.unwrap();
    let room = public_room(&alice).await;
    joined_ghost(&server, &peer, &room).await;
    (server, peer, alice, room)
}

/// Content and id of a transaction, without the number of its frame.
fn content(transaction: &Value) -> Value {
    let mut content = transaction.clone();
    content.as_object_mut().unwrap().remove("id");
    content
}

#[tokio::test]
async fn who_may_not_is_told_so_before_the_upgrade() {
    let (server, peer, alice, _) = started(&[]).await;
    let user = alice.access_token().unwrap();
    for token in [user, "nobody's"] {
        let Err(Error::Http(response)) = Socket::try_open(&server, token).await else {
            panic!("opened with {token}");
        };
        assert_eq!(response.status(), 401);
        let body: Value = serde_json::from_slice(response.body().as_ref().unwrap()).unwrap();
        assert_eq!(body["errcode"], "M_UNKNOWN_TOKEN");
    }
    let (status, body) = server.client().get(PATH).await.unwrap();
    assert_eq!(code(&(status.as_u16(), body)), (401, "M_MISSING_TOKEN"));
    let (status, body) = peer.client(&server).get(PATH).await.unwrap();
    assert_eq!(code(&(status.as_u16(), body)), (426, "M_UNKNOWN"));
}

#[tokio::test]
async fn transactions_come_in_order_and_the_next_one_after_the_answer() {
    let (server, peer, alice, room) = started(&[]).await;
    let mut sent = vec![alice.send_text(&room, "0", "waited").await.unwrap()];
    let mut socket = Socket::open(&server, &peer).await;
    let first = socket.transaction().await;
    for number in ["1", "2", "3"] {
        sent.push(alice.send_text(&room, number, number).await.unwrap());
    }
    // Were another one under way, it would come before this answer.
    let pong = socket.ask("ping", json!({ "timestamp": 1 })).await;
    assert_eq!(pong["command"], "response");
    socket.acknowledge(&first).await;
    let mut got = event_ids(&first);
    got.extend(socket.take_until(&sent[3]).await);
    got.retain(|id| sent.contains(id));
    assert_eq!(got, sent);
    // Nothing was pushed to an address.
    assert!(peer.asked().is_empty());
}

#[tokio::test]
async fn what_is_refused_comes_again_with_the_same_id_and_keys() {
    let (server, peer, alice, room) = started(QUICK).await;
    let sent = alice.send_text(&room, "1", "one").await.unwrap();
    let mut socket = Socket::open(&server, &peer).await;
    let first = socket.transaction().await;
    let error = json!({ "code": "M_UNKNOWN", "message": "not now" });
    socket.refuse(&first, error).await;
    let again = socket.transaction().await;
    assert_eq!(content(&again), content(&first));
    assert_ne!(again["id"], first["id"], "a frame of its own");
    let status = own_status(&server, &peer).await;
    assert_eq!(status["transport"], "websocket");
    assert_eq!(status["last_error"]["body"], "M_UNKNOWN: not now");
    socket.acknowledge(&again).await;
    if !event_ids(&first).contains(&sent) {
        socket.take_until(&sent).await;
    }
}

async fn own_status(server: &TestServer, peer: &Peer) -> Value {
    let path = "/_matrix/client/unstable/org.bridgehead.appservice/irc/status";
    let (status, body) = peer.client(server).get(path).await.unwrap();
    assert!(status.is_success(), "{body}");
    body
}

#[tokio::test]
async fn a_new_connection_replaces_the_old_one() {
    let (server, peer, _, _) = started(QUICK).await;
    let mut old = Socket::open(&server, &peer).await;
    let first = old.transaction().await;
    let mut new = Socket::open(&server, &peer).await;
    assert_eq!(old.closed().await, (4001, disconnect("conn_replaced")));
    let again = new.transaction().await;
    assert_eq!(content(&again), content(&first));
    new.acknowledge(&again).await;
}

#[tokio::test]
async fn without_an_answer_the_connection_is_closed() {
    let brief = [
        QUICK,
        &[("BRIDGEHEAD_APPSERVICES_REQUEST_TIMEOUT_MS", "200")],
    ]
    .concat();
    let (server, peer, _, _) = started(&brief).await;
    let mut socket = Socket::open(&server, &peer).await;
    let first = socket.transaction().await;
    let reason = disconnect("transactions_not_acknowledged");
    assert_eq!(socket.closed().await, (4002, reason));
    let mut socket = Socket::open(&server, &peer).await;
    let again = socket.transaction().await;
    assert_eq!(content(&again), content(&first));
}

#[tokio::test]
async fn an_answer_that_is_lost_with_the_connection_is_asked_for_again() {
    let (server, peer, alice, room) = started(PATIENT).await;
    let mut socket = Socket::open(&server, &peer).await;
    let first = socket.transaction().await;
    drop(socket);
    // Connecting is a sign of life: no backoff is waited for.
    let mut socket = Socket::open(&server, &peer).await;
    let again = socket.transaction().await;
    assert_eq!(content(&again), content(&first));
    socket.acknowledge(&again).await;
    let sent = alice.send_text(&room, "1", "one").await.unwrap();
    socket.take_until(&sent).await;
}

#[tokio::test]
async fn what_happened_before_the_service_ever_came_is_kept() {
    for url in [json!("websocket"), Value::Null] {
        let peer = Peer::start("irc").await;
        let server = server_with(&[without_address(&peer, url)], &[]).await;
        let alice = server.user("alice").await.unwrap();
        let room = public_room(&alice).await;
        joined_ghost(&server, &peer, &room).await;
        let sent = alice.send_text(&room, "1", "one").await.unwrap();
        let server = start_again(server.stop().await, &[]).await;
        let mut socket = Socket::open(&server, &peer).await;
        assert!(socket.take_until(&sent).await.len() > 1);
    }
}

#[tokio::test]
async fn a_server_that_stops_takes_the_last_answer_and_says_goodbye() {
    let (server, peer, _, _) = started(&[]).await;
    let mut socket = Socket::open(&server, &peer).await;
    let first = socket.transaction().await;
    let stopping = tokio::spawn(server.stop());
    tokio::time::timeout(Duration::from_millis(100), socket.message())
        .await
        .expect_err("the answer is waited for");
    socket.acknowledge(&first).await;
    assert_eq!(
        socket.closed().await,
        (1012, disconnect("server_shutting_down"))
    );
    let server = start_again(stopping.await.unwrap(), &[]).await;
    let mut socket = Socket::open(&server, &peer).await;
    let next = socket.ask("ping", json!({})).await;
    assert_eq!(next["command"], "response", "the first one is not repeated");
}

#[tokio::test]
async fn a_websocket_ends_with_its_token_and_with_its_registration() {
    let folder = tempfile::TempDir::new().unwrap();
    let watched = folder.path().join("as");
    std::fs::create_dir(&watched).unwrap();
    let file = watched.join("irc.yaml");
    let peer = Peer::start("irc").await;
    let mut registration = without_address(&peer, json!("websocket"));
    std::fs::write(&file, registration.to_string()).unwrap();
    let settings = [
        ("BRIDGEHEAD_APPSERVICES_REGISTRATION_POLL_MS", "20"),
        ("BRIDGEHEAD_APPSERVICES_WEBSOCKET_PING_MS", "50"),
    ];
    let server = TestServer::start_in(folder, vec![watched], &settings)
        .await
        .unwrap();
    let mut socket = Socket::open(&server, &peer).await;
    registration["as_token"] = json!("another-as-token-of-irc");
    std::fs::write(&file, registration.to_string()).unwrap();
    assert_eq!(socket.closed().await, (1008, disconnect("token_revoked")));

    let opened = Socket::try_open(&server, "another-as-token-of-irc").await;
    let mut socket = opened.unwrap();
    socket.frame().await;
    std::fs::remove_file(&file).unwrap();
    let ended = socket.closed().await;
    assert_eq!(ended, (1012, disconnect("server_shutting_down")));
}

#[tokio::test]
async fn an_open_websocket_goes_before_the_url() {
    let peer = Peer::start("irc").await;
    let server = server_with(&[peer.registration()], &[]).await;
    let mut socket = Socket::open(&server, &peer).await;
    let alice = server.user("alice").await.unwrap();
    let room = public_room(&alice).await;
    joined_ghost(&server, &peer, &room).await;
    let sent = alice.send_text(&room, "1", "one").await.unwrap();
    socket.take_until(&sent).await;
    assert!(peer.records().is_empty());
    drop(socket);
    // Without it they go to the url again, from where it left off.
    let status = own_status_until(&server, &peer, "http").await;
    assert_eq!(status["transport"], "http");
    let sent = alice.send_text(&room, "2", "two").await.unwrap();
    peer.wait_event(&sent).await;
    assert_eq!(peer.events().len(), 1);
}

/// Asks for the status until the way is the one named.
async fn own_status_until(server: &TestServer, peer: &Peer, transport: &str) -> Value {
    let deadline = tokio::time::Instant::now() + SOON;
    loop {
        let status = own_status(server, peer).await;
        if status["transport"] == transport || tokio::time::Instant::now() > deadline {
            return status;
        }
        tokio::task::yield_now().await;
    }
}
