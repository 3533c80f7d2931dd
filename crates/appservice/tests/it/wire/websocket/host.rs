//! A homeserver of which the test is the voice.

use std::time::Duration;

use axum::{
    Router,
    extract::{
        State, WebSocketUpgrade,
        ws::{Message, WebSocket},
    },
    http::HeaderMap,
    routing::get,
};
use axum_server::tls_rustls::RustlsConfig;
use bridgehead_appservice::{Service, Websocket, WebsocketLink};
use serde_json::{Value, json};
use tokio::{sync::mpsc, task::JoinSet};

use crate::{
    harness::PATIENCE,
    rig::{Rig, anywhere},
};

const PATH: &str = "/_matrix/client/unstable/fi.mau.as_sync";

/// Ended when dropped.
pub(super) struct Host {
    url: String,
    pub(super) opened: mpsc::Receiver<(HeaderMap, WebSocket)>,
    _serving: JoinSet<()>,
}

impl Host {
    pub(super) async fn start() -> anyhow::Result<Self> {
        Self::start_with(None).await
    }

    pub(super) async fn start_with(tls: Option<RustlsConfig>) -> anyhow::Result<Self> {
        let (sender, opened) = mpsc::channel(16);
        let router = Router::new().route(PATH, get(upgrade)).with_state(sender);
        let listener = std::net::TcpListener::bind(anywhere())?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let mut serving = JoinSet::new();
        let make = router.into_make_service();
        let url = match tls {
            Some(tls) => {
                let server = axum_server::from_tcp_rustls(listener, tls)?;
                serving.spawn(async move { server.serve(make).await.expect("it serves") });
                format!("wss://localhost:{port}")
            }
            None => {
                let server = axum_server::from_tcp(listener)?;
                serving.spawn(async move { server.serve(make).await.expect("it serves") });
                format!("ws://127.0.0.1:{port}")
            }
        };
        Ok(Self {
            url,
            opened,
            _serving: serving,
        })
    }

    pub(super) fn settings(&self) -> Websocket {
        Websocket::default()
            .to(&self.url)
            .waits(Duration::from_millis(5), Duration::from_millis(20))
    }

    /// The next websocket that the service opens, with the headers that it has sent.
    pub(super) async fn opened(&mut self) -> anyhow::Result<(HeaderMap, WebSocket)> {
        let opened = tokio::time::timeout(PATIENCE, self.opened.recv()).await?;
        opened.ok_or_else(|| anyhow::anyhow!("the server has ended"))
    }

    pub(super) async fn socket(&mut self) -> anyhow::Result<WebSocket> {
        let (_, mut socket) = self.opened().await?;
        say(
            &mut socket,
            json!({ "command": "connect", "status": "connected" }),
        )
        .await?;
        Ok(socket)
    }
}

async fn upgrade(
    State(opened): State<mpsc::Sender<(HeaderMap, WebSocket)>>,
    headers: HeaderMap,
    socket: WebSocketUpgrade,
) -> axum::response::Response {
    socket
        .max_message_size(16 << 20)
        .on_upgrade(async move |socket| {
            opened.send((headers, socket)).await.ok();
        })
}

pub(super) async fn say(socket: &mut WebSocket, frame: Value) -> anyhow::Result<()> {
    Ok(socket.send(Message::Text(frame.to_string().into())).await?)
}

/// The service's next frame.
pub(super) async fn hear(socket: &mut WebSocket) -> anyhow::Result<Value> {
    loop {
        let message = tokio::time::timeout(PATIENCE, socket.recv()).await?;
        match message.ok_or_else(|| anyhow::anyhow!("it was closed"))?? {
            Message::Text(text) => return Ok(serde_json::from_str(&text)?),
            Message::Ping(_) | Message::Pong(_) => {}
            other => anyhow::bail!("no frame: {other:?}"),
        }
    }
}

/// What the service answers to a command.
pub(super) async fn ask(
    socket: &mut WebSocket,
    command: &str,
    data: Value,
) -> anyhow::Result<Value> {
    say(socket, json!({ "id": 5, "command": command, "data": data })).await?;
    let answer = hear(socket).await?;
    assert_eq!(answer["id"], 5, "{answer}");
    Ok(answer)
}

pub(super) async fn connected(
    service: Service,
    host: &Host,
) -> anyhow::Result<(Rig, WebsocketLink)> {
    let rig = Rig::start(service).await?;
    let link = rig.running.open_websocket(host.settings())?;
    Ok((rig, link))
}
