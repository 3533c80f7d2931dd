//! Questions to a service that has no address go through its websocket.

use bridgehead_testkit::{Client, TestServer};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Socket, started, without_address};
use crate::{
    calls::{call, code},
    peer::{Peer, server_with},
    support::public_room,
};

/// The next frame, which must be a forwarded request.
async fn forwarded(socket: &mut Socket, peer: &Peer) -> Value {
    let frame = socket.frame().await;
    assert_eq!(frame["command"], "http_proxy", "{frame}");
    let headers = &frame["data"]["headers"];
    let token = format!("Bearer {}", peer.hs_token());
    assert_eq!(headers["Authorization"], json!([token]), "{frame}");
    frame
}

fn answer(status: u16, body: Value) -> Value {
    json!({ "status": status, "headers": { "Content-Type": ["application/json"] }, "body": body })
}

/// An invite by alice, on its own.
fn invite(alice: &Client, room: &str, user_id: &str) -> tokio::task::JoinHandle<(u16, Value)> {
    let client = alice.clone();
    let path = format!("/_matrix/client/v3/rooms/{room}/invite");
    let body = json!({ "user_id": user_id });
    tokio::spawn(async move { call(&client, Method::POST, &path, body).await })
}

/// A server, its service's websocket with nothing under way, and a room that is none of its own.
async fn quiet() -> (TestServer, Peer, Socket, Client, String) {
    let (server, peer, alice, _) = started(&[]).await;
    let mut socket = Socket::open(&server, &peer).await;
    let first = socket.transaction().await;
    socket.acknowledge(&first).await;
    let room = public_room(&alice).await;
    (server, peer, socket, alice, room)
}

#[tokio::test]
async fn a_user_nobody_knows_is_asked_about() {
    let (server, peer, mut socket, alice, room) = quiet().await;
    let invited = invite(&alice, &room, "@irc_new:localhost");
    let question = forwarded(&mut socket, &peer).await;
    assert_eq!(question["data"]["method"], "GET");
    assert_eq!(
        question["data"]["path"],
        "/_matrix/app/v1/users/%40irc_new%3Alocalhost"
    );
    assert_eq!(question["data"]["escaped_path"], true);
    // The service calls back while it is asked.
    peer.client(&server)
        .register_ghost("irc_new")
        .await
        .unwrap();
    socket.respond(&question, answer(200, json!({}))).await;
    assert_eq!(invited.await.unwrap().0, 200);

    let refused = invite(&alice, &room, "@irc_nobody:localhost");
    loop {
        let frame = socket.frame().await;
        if frame["command"] == "transaction" {
            socket.acknowledge(&frame).await;
            continue;
        }
        let no = json!({ "errcode": "M_NOT_FOUND", "error": "nobody" });
        socket.respond(&frame, answer(404, no)).await;
        break;
    }
    assert_eq!(code(&refused.await.unwrap()), (404, "M_NOT_FOUND"));
}

#[tokio::test]
async fn a_ping_goes_through_it() {
    let (server, peer, mut socket, _, _) = quiet().await;
    let client = peer.client(&server);
    let ping = move || {
        let client = client.clone();
        let path = "/_matrix/client/v1/appservice/irc/ping";
        let body = json!({ "transaction_id": "t" });
        tokio::spawn(async move { call(&client, Method::POST, path, body).await })
    };
    let pinged = ping();
    let question = forwarded(&mut socket, &peer).await;
    assert_eq!(question["data"]["method"], "POST");
    assert_eq!(question["data"]["path"], "/_matrix/app/v1/ping");
    assert_eq!(question["data"]["body"], json!({ "transaction_id": "t" }));
    socket.respond(&question, answer(200, json!({}))).await;
    let (status, body) = pinged.await.unwrap();
    assert!(
        status == 200 && body["duration_ms"].as_u64() > Some(0),
        "{body}"
    );

    let pinged = ping();
    let question = forwarded(&mut socket, &peer).await;
    // A page that is no JSON comes in base64.
    socket
        .respond(&question, answer(500, json!("PGgxPm5vPC9oMT4")))
        .await;
    let failed = pinged.await.unwrap();
    assert_eq!(code(&failed), (502, "M_BAD_STATUS"));
    assert_eq!(failed.1["body"], "<h1>no</h1>");

    // A service that forwards nothing answers the websocket's own ping.
    let pinged = ping();
    let question = forwarded(&mut socket, &peer).await;
    socket
        .refuse(&question, json!({ "message": "unknown request type" }))
        .await;
    let question = socket.frame().await;
    assert_eq!(question["command"], "ping");
    assert!(question["data"]["timestamp"].is_i64());
    socket.respond(&question, json!({})).await;
    assert_eq!(pinged.await.unwrap().0, 200);

    drop(socket);
    let pinged = ping().await.unwrap();
    assert_eq!(code(&pinged), (400, "M_URL_NOT_SET"));
}

#[tokio::test]
async fn other_networks_are_looked_up_through_it() {
    let peer = Peer::start("irc").await;
    let mut registration = without_address(&peer, json!("websocket"));
    registration["protocols"] = json!(["irc"]);
    let server = server_with(&[registration], &[]).await;
    let alice = server.user("alice").await.unwrap();
    let mut socket = Socket::open(&server, &peer).await;
    let looked_up = {
        let path = "/_matrix/client/v3/thirdparty/user/irc?nick=a%20b";
        tokio::spawn(async move { call(&alice, Method::GET, path, Value::Null).await })
    };
    let question = forwarded(&mut socket, &peer).await;
    assert_eq!(
        question["data"]["path"],
        "/_matrix/app/v1/thirdparty/user/irc"
    );
    assert_eq!(question["data"]["query"], "nick=a+b");
    let found = json!([{ "userid": "@irc_a:localhost", "protocol": "irc", "fields": {} }]);
    socket.respond(&question, answer(200, found.clone())).await;
    assert_eq!(looked_up.await.unwrap(), (200, found));
}

#[tokio::test]
async fn a_service_that_does_not_forward_is_waited_for_once() {
    let brief = [("BRIDGEHEAD_APPSERVICES_USER_QUERY_TIMEOUT_MS", "100")];
    let (server, peer, alice, _) = started(&brief).await;
    let mut socket = Socket::open(&server, &peer).await;
    let first = socket.transaction().await;
    socket.acknowledge(&first).await;
    let room = public_room(&alice).await;
    let invited = invite(&alice, &room, "@irc_a:localhost");
    forwarded(&mut socket, &peer).await;
    assert_eq!(invited.await.unwrap().0, 408, "it may exist");
    // From now on it counts as one that answers no questions.
    assert_eq!(
        invite(&alice, &room, "@irc_b:localhost").await.unwrap().0,
        200
    );
    let told = socket.frame().await;
    assert_eq!(told["command"], "transaction", "{told}");
}
