//! A service that notes when each event arrived, senders that cost little, and what to do with the figures.
//!
//! The client side is hand-made HTTP/1.1 over one connection a sender, so that the machine's cores go to the server
//! and not to the measuring.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use axum::{Json, Router, body::Bytes, extract::State, routing::put};
use bridgehead_testkit::{Client, ServerProcess};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinHandle,
};

/// How long anything may take that is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// When numbered events were sent and arrived.
pub(crate) struct Arrivals {
    started: Instant,
    /// Microseconds since `started` at which number `n` arrived; 0: not yet.
    at: Vec<AtomicU64>,
    count: AtomicUsize,
    transactions: AtomicUsize,
    news: Notify,
}

#[derive(Deserialize)]
struct Transaction {
    events: Vec<Event>,
}

#[derive(Deserialize)]
struct Event {
    content: Content,
}

#[derive(Deserialize)]
struct Content {
    n: Option<usize>,
}

impl Arrivals {
    pub(crate) fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            started: Instant::now(),
            at: (0..capacity).map(|_| AtomicU64::new(0)).collect(),
            count: AtomicUsize::new(0),
            transactions: AtomicUsize::new(0),
            news: Notify::new(),
        })
    }

    /// Microseconds since the beginning, never 0.
    pub(crate) fn now_us(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros())
            .unwrap_or(u64::MAX)
            .max(1)
    }

    pub(crate) fn capacity(&self) -> usize {
        self.at.len()
    }

    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    pub(crate) fn transactions(&self) -> usize {
        self.transactions.load(Ordering::Relaxed)
    }

    /// When number `n` arrived.
    pub(crate) fn of(&self, n: usize) -> Option<u64> {
        let at = self.at.get(n)?.load(Ordering::Relaxed);
        (at > 0).then_some(at)
    }

    fn take(&self, body: &[u8]) {
        let now = self.now_us();
        self.transactions.fetch_add(1, Ordering::Relaxed);
        if let Ok(transaction) = serde_json::from_slice::<Transaction>(body) {
            let numbers = transaction
                .events
                .iter()
                .filter_map(|event| event.content.n);
            let is_first = |n: &usize| {
                self.at
                    .get(*n)
                    .is_some_and(|at| at.swap(now, Ordering::Relaxed) == 0)
            };
            let fresh = numbers.filter(is_first).count();
            self.count.fetch_add(fresh, Ordering::Relaxed);
        }
        self.news.notify_waiters();
    }

    /// Waits until this many numbers have arrived.
    pub(crate) async fn wait_for(&self, expected: usize, within: Duration) -> anyhow::Result<()> {
        let wait = async {
            loop {
                let news = self.news.notified();
                if self.count() >= expected {
                    return;
                }
                news.await;
            }
        };
        tokio::time::timeout(within, wait)
            .await
            .with_context(|| format!("{} of {expected} events arrived", self.count()))
    }
}

/// A service's name, address and registration.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) id: String,
    pub(crate) port: u16,
}

impl Identity {
    pub(crate) fn as_token(&self) -> String {
        format!("as-token-of-{}", self.id)
    }

    /// Its ghosts are `@<id>_…`; `more` are further patterns of user ids.
    pub(crate) fn write_registration(
        &self,
        folder: &Path,
        more: &[String],
    ) -> anyhow::Result<PathBuf> {
        let own = format!("@{}_.*", self.id);
        let users = std::iter::once(&own)
            .chain(more)
            .map(|regex| json!({ "regex": regex, "exclusive": true }));
        let registration = json!({
            "id": self.id,
            "url": format!("http://127.0.0.1:{}", self.port),
            "as_token": self.as_token(),
            "hs_token": format!("hs-token-of-{}", self.id),
            "sender_localpart": format!("{}-bot", self.id),
            "rate_limited": false,
            "namespaces": { "users": users.collect::<Value>() },
        });
        let path = folder.join(format!("{}.yaml", self.id));
        std::fs::write(&path, registration.to_string())?;
        Ok(path)
    }

    pub(crate) fn client(&self, server: &ServerProcess) -> Client {
        server.client().with_token(&self.as_token())
    }
}

/// A service that answers at once and notes what came when.
pub(crate) struct MeasuredService {
    pub(crate) identity: Identity,
    pub(crate) arrivals: Arc<Arrivals>,
    stop: Arc<Notify>,
    task: JoinHandle<()>,
}

impl MeasuredService {
    pub(crate) async fn start(id: &str, arrivals: Arc<Arrivals>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let identity = Identity {
            id: id.to_owned(),
            port: listener.local_addr()?.port(),
        };
        Ok(Self::listen(identity, arrivals, listener))
    }

    /// Listens where it is registered.
    pub(crate) async fn start_as(
        identity: Identity,
        arrivals: Arc<Arrivals>,
    ) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", identity.port)).await?;
        Ok(Self::listen(identity, arrivals, listener))
    }

    fn listen(identity: Identity, arrivals: Arc<Arrivals>, listener: TcpListener) -> Self {
        let receive = |State(arrivals): State<Arc<Arrivals>>, body: Bytes| async move {
            arrivals.take(&body);
            Json(json!({}))
        };
        let router = Router::new()
            .route("/_matrix/app/v1/transactions/{txn_id}", put(receive))
            .layer(axum::extract::DefaultBodyLimit::max(64 << 20))
            .with_state(arrivals.clone());
        let stop = Arc::new(Notify::new());
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let end = async move { stopped.notified().await };
            // Errors of single connections are dealt with inside.
            let _ = axum::serve(listener, router)
                .with_graceful_shutdown(end)
                .await;
        });
        Self {
            identity,
            arrivals,
            stop,
            task,
        }
    }

    /// Goes away: returns when nobody listens and all connections are closed.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.stop.notify_one();
        tokio::time::timeout(PATIENCE, &mut self.task).await??;
        Ok(())
    }
}

impl Drop for MeasuredService {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A connection over which one user sends.
pub(crate) struct Sender {
    stream: TcpStream,
    head: String,
    query: String,
    tail: String,
    filler: String,
}

impl Sender {
    pub(crate) async fn connect(
        server: &ServerProcess,
        token: &str,
        room: &str,
        user_id: &str,
    ) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", server.port())).await?;
        stream.set_nodelay(true)?;
        let escaped = |text: &str| {
            text.replace('!', "%21")
                .replace('@', "%40")
                .replace(':', "%3A")
        };
        Ok(Self {
            stream,
            head: format!(
                "PUT /_matrix/client/v3/rooms/{}/send/m.room.message/",
                escaped(room)
            ),
            query: format!("?user_id={}", escaped(user_id)),
            tail: format!(
                " HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\
                 content-type: application/json\r\n"
            ),
            filler: String::new(),
        })
    }

    /// Sends longer messages.
    pub(crate) fn with_filler(mut self, bytes: usize) -> Self {
        self.filler = "x".repeat(bytes);
        self
    }

    /// Sends the message with this number and waits until it is accepted.
    pub(crate) async fn send(&mut self, n: usize) -> anyhow::Result<()> {
        let body = format!(
            r#"{{"msgtype":"m.text","body":"a message of usual length, number {n}, as people write them{}","n":{n}}}"#,
            self.filler
        );
        let request = format!(
            "{}{n}{}{}content-length: {}\r\n\r\n{body}",
            self.head,
            self.query,
            self.tail,
            body.len()
        );
        self.stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::with_capacity(512);
        let mut chunk = [0; 2048];
        while !is_complete(&answer) {
            let length = self.stream.read(&mut chunk).await?;
            if length == 0 {
                bail!("the server closed the connection");
            }
            answer.extend_from_slice(&chunk[..length]);
        }
        if !answer.starts_with(b"HTTP/1.1 200") {
            bail!("refused: {}", String::from_utf8_lossy(&answer));
        }
        Ok(())
    }
}

fn is_complete(answer: &[u8]) -> bool {
    let Some(head) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return false;
    };
    let text = String::from_utf8_lossy(&answer[..head]).to_ascii_lowercase();
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .and_then(|value| value.trim().parse::<usize>().ok())
        .unwrap_or(0);
    answer.len() >= head + 4 + length
}

/// Senders that send one after the other until the deadline or the numbers end; how many were accepted.
pub(crate) async fn send_for(
    senders: Vec<Sender>,
    arrivals: &Arc<Arrivals>,
    until: Instant,
) -> anyhow::Result<usize> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for mut sender in senders {
        let (next, last) = (next.clone(), arrivals.capacity());
        tasks.spawn(async move {
            let mut sent = 0;
            while Instant::now() < until {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= last {
                    break;
                }
                sender.send(n).await?;
                sent += 1;
            }
            anyhow::Ok(sent)
        });
    }
    let mut sent = 0;
    while let Some(result) = tasks.join_next().await {
        sent += result??;
    }
    Ok(sent)
}

/// A public room of the first of these ghosts, which are made, with all of them in it.
pub(crate) async fn room_of_ghosts(
    server: &ServerProcess,
    ghosts: &[(&Identity, String)],
) -> anyhow::Result<String> {
    let mut room = None;
    for (service, name) in ghosts {
        let ghost = service.client(server).register_ghost(name).await?;
        match &room {
            None => {
                let public = json!({ "preset": "public_chat" });
                room = Some(ghost.create_room(&public).await?);
            }
            Some(room) => _ = ghost.join(room).await?,
        }
    }
    room.context("a room needs a ghost")
}

/// The value below which this many percent lie, in milliseconds.
pub(crate) fn percentile(sorted_us: &[u64], percent: usize) -> f64 {
    let last = sorted_us.len().saturating_sub(1);
    sorted_us
        .get((sorted_us.len() * percent / 100).min(last))
        .map_or(f64::NAN, |us| *us as f64 / 1000.0)
}

/// The middle one.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
