//! Beside homeservers that say anything.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{
        State, WebSocketUpgrade,
        ws::{CloseFrame, Message, WebSocket},
    },
    http::HeaderMap,
    routing::get,
};
use axum_server::tls_rustls::RustlsConfig;
use bridgehead_appservice::{Service, Websocket, WebsocketLink, WebsocketState, prelude::*};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    sync::{Semaphore, mpsc},
    task::JoinSet,
};

use crate::{
    harness::PATIENCE,
    rig::{Log, Rig, message, message_in, recorder},
};

const PATH: &str = "/_matrix/client/unstable/fi.mau.as_sync";

/// A homeserver of which the test is the voice.
struct Host {
    url: String,
    opened: mpsc::Receiver<(HeaderMap, WebSocket)>,
    _serving: JoinSet<()>,
}

impl Host {
    async fn start() -> anyhow::Result<Self> {
        Self::start_with(None).await
    }

    async fn start_with(tls: Option<RustlsConfig>) -> anyhow::Result<Self> {
        let (sender, opened) = mpsc::channel(16);
        let router = Router::new().route(PATH, get(upgrade)).with_state(sender);
        let listener = std::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
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

    fn settings(&self) -> Websocket {
        Websocket::default()
            .to(&self.url)
            .waits(Duration::from_millis(5), Duration::from_millis(20))
    }

    /// The next websocket that the service opens, with the headers that it has sent.
    async fn opened(&mut self) -> anyhow::Result<(HeaderMap, WebSocket)> {
        let opened = tokio::time::timeout(PATIENCE, self.opened.recv()).await?;
        opened.ok_or_else(|| anyhow::anyhow!("the server has ended"))
    }

    async fn socket(&mut self) -> anyhow::Result<WebSocket> {
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

async fn say(socket: &mut WebSocket, frame: Value) -> anyhow::Result<()> {
    Ok(socket.send(Message::Text(frame.to_string().into())).await?)
}

/// The service's next frame.
async fn hear(socket: &mut WebSocket) -> anyhow::Result<Value> {
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
async fn ask(socket: &mut WebSocket, command: &str, data: Value) -> anyhow::Result<Value> {
    say(socket, json!({ "id": 5, "command": command, "data": data })).await?;
    let answer = hear(socket).await?;
    assert_eq!(answer["id"], 5, "{answer}");
    Ok(answer)
}

async fn connected(service: Service, host: &Host) -> anyhow::Result<(Rig, WebsocketLink)> {
    let rig = Rig::start(service).await?;
    let link = rig.running.open_websocket(host.settings())?;
    Ok((rig, link))
}

#[tokio::test]
async fn it_says_who_it_is_and_acknowledges_what_is_on_disk() -> anyhow::Result<()> {
    let log = Log::default();
    let mut host = Host::start().await?;
    let (rig, link) = connected(recorder(&log), &host).await?;
    let (headers, mut socket) = host.opened().await?;
    let token = rig.generated.registration.as_token.expose();
    assert_eq!(headers["authorization"], format!("Bearer {token}"));
    assert_eq!(headers["x-mautrix-websocket-version"], "3");
    for (id, txn_id, events) in [
        (1, "a", json!([message("$a")])),
        (2, "a", json!([message("$a")])),
        (3, "b", json!([message("$b"), "nonsense"])),
    ] {
        // The third as proxies of before the commands sent it.
        let mut frame = json!({ "id": id, "status": "ok", "txn_id": txn_id, "events": events });
        if id < 3 {
            frame["command"] = json!("transaction");
        }
        say(&mut socket, frame).await?;
        let wanted = json!({ "id": id, "command": "response", "data": { "txn_id": txn_id } });
        assert_eq!(hear(&mut socket).await?, wanted);
    }
    rig.settled().await?;
    assert_eq!(*log.lock(), ["$a", "$b"]);
    assert_eq!(rig.running.parked(0, 10).await?.len(), 1);
    let closing = tokio::spawn(link.stop());
    let message = tokio::time::timeout(PATIENCE, socket.recv()).await?;
    assert!(matches!(message, Some(Ok(Message::Close(Some(frame)))) if frame.code == 1000));
    drop(socket);
    closing.await?;
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_taken_is_refused_and_comes_again() -> anyhow::Result<()> {
    let gate = Arc::new(Semaphore::new(0));
    let (log, waits) = (Log::default(), gate.clone());
    let sink = log.clone();
    let service = Service::new("gated")
        .limits(|limits| limits.inbox_high_water = 1)
        .on(move |event: Timeline| {
            let (log, gate) = (sink.clone(), waits.clone());
            async move {
                gate.acquire().await.expect("never closed").forget();
                log.lock().push(event.id.to_string());
            }
        });
    let mut host = Host::start().await?;
    let (rig, _link) = connected(service, &host).await?;
    let mut socket = host.socket().await?;
    let frame = |id: u64, event: &str| {
        let events = [message_in("!r:x", event)];
        json!({ "id": id, "command": "transaction", "txn_id": event, "events": events })
    };
    say(&mut socket, frame(1, "$a")).await?;
    assert_eq!(hear(&mut socket).await?["command"], "response");
    say(&mut socket, frame(2, "$b")).await?;
    let refused = hear(&mut socket).await?;
    assert_eq!(refused["command"], "error");
    assert_eq!(refused["data"]["code"], "M_LIMIT_EXCEEDED");
    gate.add_permits(10);
    rig.settled().await?;
    say(&mut socket, frame(3, "$b")).await?;
    assert_eq!(hear(&mut socket).await?["command"], "response");
    rig.settled().await?;
    assert_eq!(*log.lock(), ["$a", "$b"]);
    say(
        &mut socket,
        json!({ "id": 4, "command": "transaction", "events": [] }),
    )
    .await?;
    assert_eq!(hear(&mut socket).await?["data"]["code"], "M_BAD_JSON");
    Ok(())
}

#[tokio::test]
async fn questions_are_answered_by_the_same_routes() -> anyhow::Result<()> {
    let asked = Log::default();
    let sink = asked.clone();
    let page = || async { ([("x-kind", "page")], "<h1>no JSON</h1>") };
    let service = Service::new("asked")
        .aliases("#x_{name}")
        .on_alias(move |ask: AliasAsk| {
            sink.lock().push(ask.alias.to_string());
            async { None::<RoomPlan> }
        })
        .routes(Router::new().route("/page", get(page)));
    let mut host = Host::start().await?;
    let (rig, _link) = connected(service, &host).await?;
    let mut socket = host.socket().await?;
    let token = rig.generated.registration.hs_token.expose();
    let headers = json!({ "Authorization": [format!("Bearer {token}")] });
    let alias = |path: &str, escaped: bool, headers: &Value| {
        json!({
            "method": "GET", "path": path, "escaped_path": escaped, "query": "", "headers": headers,
        })
    };
    for (path, escaped) in [
        ("/_matrix/app/v1/rooms/%23x_a%3Alocalhost", true),
        ("/_matrix/app/v1/rooms/#x_a:localhost", false),
    ] {
        let answer = ask(&mut socket, "http_proxy", alias(path, escaped, &headers)).await?;
        assert_eq!(answer["command"], "response");
        assert_eq!(answer["data"]["status"], 404);
        assert_eq!(answer["data"]["body"]["errcode"], "M_NOT_FOUND");
    }
    assert_eq!(*asked.lock(), ["#x_a:localhost", "#x_a:localhost"]);
    let path = "/_matrix/app/v1/rooms/%23x_b:localhost";
    let answer = ask(&mut socket, "http_proxy", alias(path, true, &json!({}))).await?;
    assert_eq!(answer["data"]["status"], 401);
    let answer = ask(&mut socket, "http_proxy", alias("/page", true, &json!({}))).await?;
    assert_eq!(answer["data"]["status"], 200);
    assert_eq!(answer["data"]["headers"]["x-kind"], json!(["page"]));
    assert_eq!(answer["data"]["body"], "PGgxPm5vIEpTT048L2gxPg");
    let put = json!({
        "method": "PUT", "path": "/_matrix/app/v1/transactions/1", "escaped_path": true,
        "headers": headers, "body": { "events": [] },
    });
    let answer = ask(&mut socket, "http_proxy", put).await?;
    assert_eq!(
        (&answer["data"]["status"], &answer["data"]["body"]),
        (&json!(200), &json!({}))
    );
    let answer = ask(&mut socket, "ping", json!({ "timestamp": 1 })).await?;
    assert!(answer["data"]["timestamp"].is_i64(), "{answer}");
    Ok(())
}

#[tokio::test]
async fn a_question_that_takes_long_holds_nothing_up() -> anyhow::Result<()> {
    let gate = Arc::new(Semaphore::new(0));
    let waits = gate.clone();
    let service = recorder(&Log::default())
        .aliases("#x_{name}")
        .on_alias(move |_: AliasAsk| {
            let gate = waits.clone();
            async move {
                gate.acquire().await.expect("never closed").forget();
                None::<RoomPlan>
            }
        });
    let mut host = Host::start().await?;
    let (rig, _link) = connected(service, &host).await?;
    let mut socket = host.socket().await?;
    let token = rig.generated.registration.hs_token.expose();
    let question = json!({
        "method": "GET", "path": "/rooms/%23x_a:localhost", "escaped_path": true,
        "headers": { "Authorization": [format!("Bearer {token}")] },
    });
    for id in 1..=65 {
        say(
            &mut socket,
            json!({ "id": id, "command": "http_proxy", "data": question }),
        )
        .await?;
    }
    // One too many is refused, and transactions are taken.
    let refused = hear(&mut socket).await?;
    assert_eq!(
        (&refused["id"], &refused["command"]),
        (&json!(65), &json!("error"))
    );
    let frame =
        json!({ "id": 66, "command": "transaction", "txn_id": "1", "events": [message("$a")] });
    say(&mut socket, frame).await?;
    assert_eq!(hear(&mut socket).await?["id"], 66);
    gate.add_permits(64);
    for _ in 0..64 {
        assert_eq!(hear(&mut socket).await?["data"]["status"], 404);
    }
    Ok(())
}

#[tokio::test]
async fn odd_frames_are_answered_or_passed_over() -> anyhow::Result<()> {
    let mut host = Host::start().await?;
    let (_rig, link) = connected(recorder(&Log::default()), &host).await?;
    let mut socket = host.socket().await?;
    let deep = "[".repeat(100_000);
    for odd in [
        "",
        "no",
        "{",
        "[]",
        "null",
        "{\"id\":\"x\"}",
        "{\"command\":7}",
        &deep,
        "\u{0}",
    ] {
        socket.send(Message::Text(odd.to_owned().into())).await?;
    }
    for quiet in [
        json!({ "command": "response", "id": 9 }),
        json!({ "command": "error", "id": 9, "data": {} }),
        // Without an id no answer is wanted.
        json!({ "command": "ping" }),
        json!({ "command": "unheard_of" }),
    ] {
        say(&mut socket, quiet).await?;
    }
    let answer = ask(&mut socket, "unheard_of", json!(null)).await?;
    assert_eq!(answer["data"]["code"], "M_UNRECOGNIZED");
    for data in [
        json!(null),
        json!(7),
        json!({}),
        json!({ "method": "", "path": "/" }),
        json!({ "method": "G E T", "path": "/" }),
        json!({ "method": "GET", "path": "" }),
        json!({ "method": "GET", "path": "http://elsewhere/" }),
        json!({ "method": "GET", "path": "/\u{0} \n", "escaped_path": true }),
        json!({ "method": "GET", "path": "/", "headers": { "a b": ["x"] } }),
        json!({ "method": "GET", "path": "/", "headers": { "a": ["x\n"] } }),
    ] {
        let answer = ask(&mut socket, "http_proxy", data.clone()).await?;
        assert_eq!(answer["data"]["code"], "M_BAD_JSON", "{data}");
    }
    assert_eq!(link.state(), WebsocketState::Connected);
    Ok(())
}

/// How a connection comes to its end.
type Break = fn(WebSocket) -> futures_util::future::BoxFuture<'static, ()>;

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

fn closed_with(
    mut socket: WebSocket,
    code: u16,
    reason: &'static str,
) -> futures_util::future::BoxFuture<'static, ()> {
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
    let pem = certificate_in(folder.path())?;
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    let tls = RustlsConfig::from_pem_file(
        folder.path().join("cert.pem"),
        folder.path().join("key.pem"),
    );
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

/// Files of a certificate for `localhost` that has signed itself; its text.
fn certificate_in(folder: &Path) -> anyhow::Result<String> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    std::fs::write(folder.join("cert.pem"), made.cert.pem())?;
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem())?;
    Ok(made.cert.pem())
}

#[tokio::test]
async fn the_end_of_the_service_is_the_end_of_its_websocket() -> anyhow::Result<()> {
    let mut host = Host::start().await?;
    let (rig, link) = connected(recorder(&Log::default()), &host).await?;
    let mut socket = host.socket().await?;
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
