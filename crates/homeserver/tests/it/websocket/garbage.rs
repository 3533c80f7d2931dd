//! Peers that send what is no frame, or nothing.

use futures_util::SinkExt as _;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio_tungstenite::{MaybeTlsStream, tungstenite::Message};

use super::{Socket, content, disconnect, started};
use crate::peer::{QUICK, SOON};

#[tokio::test]
async fn what_is_no_frame_ends_the_connection_and_loses_nothing() {
    let (server, peer, _, _) = started(QUICK).await;
    let text = |text: &str| Message::Text(text.into());
    let huge = format!("{{\"command\":\"{}\"}}", "x".repeat(17 << 20));
    let mut expected: Option<Value> = None;
    for (garbage, close) in [
        (text("hello"), (1007, "not_json")),
        (text(""), (1007, "not_json")),
        (text("{\"command\":"), (1007, "not_json")),
        (
            Message::Binary(vec![0, 159, 146, 150].into()),
            (1003, "binary_frame"),
        ),
        (text(&huge), (1009, "frame_too_large")),
    ] {
        let mut socket = Socket::open(&server, &peer).await;
        let transaction = socket.transaction().await;
        let content = content(&transaction);
        assert_eq!(expected.get_or_insert_with(|| content.clone()), &content);
        // The server may have closed before all of it is sent.
        socket.0.send(garbage).await.ok();
        assert_eq!(socket.closed().await, (close.0, disconnect(close.1)));
    }
}

#[tokio::test]
async fn json_of_any_shape_is_answered_and_the_connection_goes_on() {
    let (server, peer, _, _) = started(&[]).await;
    let mut socket = Socket::open(&server, &peer).await;
    let first = socket.transaction().await;
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    for (text, code) in [
        ("1".to_owned(), "M_BAD_JSON"),
        ("[]".to_owned(), "M_BAD_JSON"),
        ("{}".to_owned(), "M_BAD_JSON"),
        (r#"{"command":null,"id":1}"#.to_owned(), "M_BAD_JSON"),
        (r#"{"command":"ping","id":-1}"#.to_owned(), "M_BAD_JSON"),
        (deep(500_000), "M_BAD_JSON"),
        (
            format!(
                r#"{{"command":"bridge_status","id":1,"data":{}}}"#,
                deep(500_000)
            ),
            "M_BAD_JSON",
        ),
        (
            format!(r#"{{"command":"x","id":1,"data":{}}}"#, deep(500_000)),
            "M_UNRECOGNIZED",
        ),
    ] {
        socket.0.send(Message::Text(text.into())).await.unwrap();
        let answer = socket.frame().await;
        assert_eq!(answer["command"], "error", "{answer}");
        assert_eq!(answer["data"]["code"], code, "{answer}");
    }
    socket.acknowledge(&first).await;
    assert_eq!(socket.ask("ping", json!({})).await["command"], "response");
}

#[tokio::test]
async fn a_peer_that_is_silent_is_given_up() {
    let settings = [QUICK, &[("BRIDGEHEAD_APPSERVICES_WEBSOCKET_PING_MS", "50")]].concat();
    let (server, peer, _, _) = started(&settings).await;
    let mut silent = Socket::open(&server, &peer).await;
    let first = silent.transaction().await;
    // From here on nobody answers pings.
    let MaybeTlsStream::Plain(stream) = silent.0.get_mut() else {
        panic!("not a plain connection");
    };
    let mut bytes = Vec::new();
    tokio::time::timeout(SOON, stream.read_to_end(&mut bytes))
        .await
        .expect("the server ends the connection")
        .ok();
    // One that reads, and so answers pings, is kept for longer than that.
    let mut socket = Socket::open(&server, &peer).await;
    let again = socket.transaction().await;
    assert_eq!(content(&again), content(&first));
    let quiet = tokio::time::timeout(std::time::Duration::from_millis(400), socket.message());
    quiet.await.expect_err("nothing to say, and not closed");
    socket.acknowledge(&again).await;
    assert_eq!(socket.ask("ping", json!({})).await["command"], "response");
}
