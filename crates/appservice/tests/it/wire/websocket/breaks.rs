//! How it ends, and comes back or does not.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use axum_server::tls_rustls::RustlsConfig;
use bridgehead_appservice::{Websocket, WebsocketState};
use futures_util::future::BoxFuture;
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::host::{Host, ask, connected, hear, say};
use crate::{
    harness::PATIENCE,
    rig::{Log, Rig, message, recorder, self_signed},
};

/// How a connection comes to its end.
type Break = fn(WebSocket) -> BoxFuture<'static, ()>;

#[tokio::test]
async fn it_comes_back_after_every_end() -> anyhow::Result<()> {
    let breaks: [Break; 6] = [
        |socket| Box::pin(async move { drop(socket) }),
        |mut socket| {
            Box::pin(async move {
                socket.send(Message::Binary(vec![0; 8].into())).await.ok();
            })
        },
        |mut socket| {
            // Larger than any transaction may be.
            let huge = Message::Text("x".repeat((64 << 20) + (65 << 10)).into());
            Box::pin(async move {
                socket.send(huge).await.ok();
            })
        },
        |socket| {
            closed_with(
                socket,
                4002,
                r#"{"status":"transactions_not_acknowledged"}"#,
            )
        },
        |socket| closed_with(socket, 1012, r#"{"status":"server_shutting_down"}"#),
        |socket| closed_with(socket, 1000, "no JSON"),
    ];
    let log = Log::default();
    let mut host = Host::start().await?;
    let (rig, _link) = connected(recorder(&log), &host).await?;
    for (index, end) in breaks.into_iter().enumerate() {
        end(host.socket().await?).await;
        let mut socket = host.socket().await?;
        let event = format!("${index}");
        let frame = json!({ "id": 1, "command": "transaction", "txn_id": event, "events": [message(&event)] });
        say(&mut socket, frame).await?;
        assert_eq!(hear(&mut socket).await?["command"], "response", "{index}");
    }
    rig.settled().await?;
    assert_eq!(*log.lock(), ["$0", "$1", "$2", "$3", "$4", "$5"]);
    Ok(())
}

fn closed_with(mut socket: WebSocket, code: u16, reason: &'static str) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        let reason = reason.into();
        socket
            .send(Message::Close(Some(CloseFrame { code, reason })))
            .await
            .ok();
    })
}

#[tokio::test]
async fn who_is_replaced_does_not_come_back() -> anyhow::Result<()> {
    for (code, reason) in [
        (4001, ""),
        (1000, r#"{"command":"disconnect","status":"conn_replaced"}"#),
    ] {
        let mut host = Host::start().await?;
        let (_rig, link) = connected(recorder(&Log::default()), &host).await?;
        closed_with(host.socket().await?, code, reason).await;
        assert_eq!(link.ended().await, WebsocketState::Replaced);
        assert!(host.opened.try_recv().is_err());
    }
    Ok(())
}

#[tokio::test]
async fn a_homeserver_of_which_nothing_is_heard_is_left() -> anyhow::Result<()> {
    let mut host = Host::start().await?;
    let rig = Rig::start(recorder(&Log::default())).await?;
    let mut settings = host.settings();
    settings.ping_every = Duration::from_millis(30);
    let _link = rig.running.open_websocket(settings)?;
    // Nobody reads this one, so pings are not answered; the next one is opened all the same.
    let silent = host.socket().await?;
    let next = host.socket().await?;
    drop((silent, next));
    Ok(())
}

#[tokio::test]
async fn answers_that_are_no_websocket_are_not_taken_for_one() -> anyhow::Result<()> {
    let answers = [
        "HTTP/1.1 401 Unauthorized\r\ncontent-length: 29\r\n\r\n{\"errcode\":\"M_UNKNOWN_TOKEN\"}",
        "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n<html>hi</html>",
        "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n",
        "220 mail.example.org ESMTP\r\n",
        "",
    ];
    let rig = Rig::start(recorder(&Log::default())).await?;
    for answer in answers {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let settings = Websocket::default()
            .to(&format!("http://{}", listener.local_addr()?))
            .waits(Duration::from_millis(5), Duration::from_millis(20));
        let link = rig.running.open_websocket(settings)?;
        for _ in 0..3 {
            let (mut stream, _) = tokio::time::timeout(PATIENCE, listener.accept()).await??;
            let mut head = vec![0; 4096];
            assert!(stream.read(&mut head).await? > 0);
            stream.write_all(answer.as_bytes()).await?;
            stream.shutdown().await?;
        }
        assert_eq!(link.state(), WebsocketState::Connecting, "{answer}");
        link.stop().await;
    }
    Ok(())
}

#[tokio::test]
async fn tls_is_spoken_with_those_who_are_trusted_only() -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    let (certificate, key) = self_signed(folder.path())?;
    let pem = std::fs::read(&certificate)?;
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    let tls = RustlsConfig::from_pem_file(certificate, key);
    let mut host = Host::start_with(Some(tls.await?)).await?;
    let log = Log::default();
    let rig = Rig::start(recorder(&log)).await?;
    let untrusting = rig.running.open_websocket(host.settings())?;
    let link = rig.running.open_websocket(host.settings().trust(pem))?;
    let mut socket = host.socket().await?;
    let frame =
        json!({ "id": 1, "command": "transaction", "txn_id": "1", "events": [message("$a")] });
    say(&mut socket, frame).await?;
    assert_eq!(hear(&mut socket).await?["command"], "response");
    rig.settled().await?;
    assert_eq!(*log.lock(), ["$a"]);
    assert_eq!(link.connected().await, WebsocketState::Connected);
    assert_eq!(untrusting.state(), WebsocketState::Connecting);
    assert!(host.opened.try_recv().is_err());
    let wrong = rig
        .running
        .open_websocket(host.settings().trust("no certificate"));
    assert!(wrong.is_err_and(|error| error.to_string().contains("certificates")));
    Ok(())
}

#[tokio::test]
async fn the_end_of_the_service_is_the_end_of_its_websocket() -> anyhow::Result<()> {
    let mut host = Host::start().await?;
    let (rig, link) = connected(recorder(&Log::default()), &host).await?;
    let mut socket = host.socket().await?;
    ask(&mut socket, "ping", json!({})).await?;
    let stopping = rig.running.stop();
    let (message, ()) = tokio::join!(tokio::time::timeout(PATIENCE, socket.recv()), stopping);
    assert!(
        matches!(&message, Ok(Some(Ok(Message::Close(_))))),
        "{message:?}"
    );
    drop(socket);
    assert_eq!(link.ended().await, WebsocketState::Stopped);
    assert!(host.opened.try_recv().is_err());
    Ok(())
}
