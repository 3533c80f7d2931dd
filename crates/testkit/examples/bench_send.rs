//! Load generator of `cargo xtask bench send`: ghosts of one service send into bridged rooms, and
//! the service's own record says when each event arrived.
//!
//! Closed loop: each sender waits for its answer before it sends again. Latency is measured from
//! the first byte of the request to the event's arrival in a transaction. Everything is on
//! loopback, bounded in count, and the server runs as its own process with full durability.
//!
//! The client side is hand-made HTTP/1.1 over one connection a sender, so that the machine's two
//! cores go to the server and not to the measuring.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use axum::{Json, Router, body::Bytes, extract::State, routing::put};
use bridgehead_testkit::{AppserviceOptions, Client, RecordingAppservice, ServerProcess};
use serde::Deserialize;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

const ROOMS: usize = 16;
const PATIENCE: Duration = Duration::from_secs(60);

/// What the service has seen, by the number each event carries.
struct Record {
    started: Instant,
    /// Microseconds since `started` at which number `n` arrived; 0: not yet.
    arrived: Vec<AtomicU64>,
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

async fn receive(State(record): State<Arc<Record>>, body: Bytes) -> Json<serde_json::Value> {
    let now = elapsed_us(record.started);
    record.transactions.fetch_add(1, Ordering::Relaxed);
    if let Ok(transaction) = serde_json::from_slice::<Transaction>(&body) {
        let mut fresh = 0;
        for n in transaction
            .events
            .iter()
            .filter_map(|event| event.content.n)
        {
            if record
                .arrived
                .get(n)
                .is_some_and(|at| at.swap(now, Ordering::Relaxed) == 0)
            {
                fresh += 1;
            }
        }
        record.count.fetch_add(fresh, Ordering::Relaxed);
        record.news.notify_waiters();
    }
    Json(json!({}))
}

fn elapsed_us(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros())
        .unwrap_or(u64::MAX)
        .max(1)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let binary = PathBuf::from(
        arguments
            .next()
            .context("first argument: the server's binary")?,
    );
    let seconds: f64 = arguments.next().as_deref().unwrap_or("5").parse()?;
    println!(
        "{:>11} {:>10} {:>11} {:>11} {:>10} {:>10} {:>10} {:>10} {:>8}",
        "concurrency",
        "events",
        "accepted/s",
        "delivered/s",
        "p50 ms",
        "p99 ms",
        "send p50",
        "send p99",
        "txns"
    );
    for concurrency in [1, 16, 64] {
        run(&binary, concurrency, seconds).await?;
    }
    Ok(())
}

async fn run(binary: &std::path::Path, concurrency: usize, seconds: f64) -> anyhow::Result<()> {
    // The recorder's port and registration come from the test kit; the server of the measured
    // service is this file's own.
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let capacity = 2_000_000;
    let record = Arc::new(Record {
        started: Instant::now(),
        arrived: (0..capacity).map(|_| AtomicU64::new(0)).collect(),
        count: AtomicUsize::new(0),
        transactions: AtomicUsize::new(0),
        news: Notify::new(),
    });
    let router = Router::new()
        .route("/_matrix/app/v1/transactions/{txn_id}", put(receive))
        .layer(axum::extract::DefaultBodyLimit::max(64 << 20))
        .with_state(record.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });

    let template =
        RecordingAppservice::start(AppserviceOptions::with_users("bench", "bench_")).await?;
    let folder = tempfile::TempDir::new()?;
    let file = folder.path().join("bench.yaml");
    std::fs::write(
        &file,
        template.registration().replace(&template.url(), &url),
    )?;
    let server = ServerProcess::start(binary, &[file]).await?;
    let bot = server.client().with_token(&template.as_token());
    let rooms = prepare(&bot, concurrency).await?;

    let next = Arc::new(AtomicUsize::new(0));
    let deadline = Instant::now() + Duration::from_secs_f64(seconds);
    let begun = Instant::now();
    let mut senders = tokio::task::JoinSet::new();
    for index in 0..concurrency {
        let sender = Sender {
            stream: TcpStream::connect(("127.0.0.1", server.port())).await?,
            room: rooms[index % rooms.len()].clone(),
            user: format!("%40bench_{index}%3Alocalhost"),
            token: template.as_token(),
            next: next.clone(),
            record: record.clone(),
        };
        senders.spawn(sender.run(deadline));
    }
    let mut sends = Vec::new();
    while let Some(result) = senders.join_next().await {
        sends.extend(result??);
    }
    let accepted_in = begun.elapsed();
    wait_for_all(&record, sends.len()).await?;
    let delivered_in = begun.elapsed();

    let mut latencies = Vec::with_capacity(sends.len());
    let mut answers = Vec::with_capacity(sends.len());
    for (n, sent_at, answered_at) in &sends {
        latencies.push(
            record.arrived[*n]
                .load(Ordering::Relaxed)
                .saturating_sub(*sent_at),
        );
        answers.push(answered_at - sent_at);
    }
    latencies.sort_unstable();
    answers.sort_unstable();
    println!(
        "{concurrency:>11} {:>10} {:>11.0} {:>11.0} {:>10.2} {:>10.2} {:>10.2} {:>10.2} {:>8}",
        sends.len(),
        sends.len() as f64 / accepted_in.as_secs_f64(),
        sends.len() as f64 / delivered_in.as_secs_f64(),
        percentile(&latencies, 50),
        percentile(&latencies, 99),
        percentile(&answers, 50),
        percentile(&answers, 99),
        record.transactions.load(Ordering::Relaxed),
    );
    Ok(())
}

fn percentile(sorted_us: &[u64], percent: usize) -> f64 {
    sorted_us
        .get(sorted_us.len() * percent / 100)
        .map_or(f64::NAN, |us| *us as f64 / 1000.0)
}

async fn wait_for_all(record: &Record, expected: usize) -> anyhow::Result<()> {
    let wait = async {
        loop {
            let news = record.news.notified();
            if record.count.load(Ordering::Relaxed) >= expected {
                return;
            }
            news.await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.with_context(|| {
        format!(
            "{} of {expected} events arrived",
            record.count.load(Ordering::Relaxed)
        )
    })
}

/// Ghosts, and rooms they are all joined to.
async fn prepare(bot: &Client, ghosts: usize) -> anyhow::Result<Vec<String>> {
    let mut members = Vec::new();
    for index in 0..ghosts {
        members.push(bot.register_ghost(&format!("bench_{index}")).await?);
    }
    let mut rooms = Vec::new();
    for index in 0..ROOMS.min(ghosts) {
        let room = members[index]
            .create_room(&json!({ "preset": "public_chat" }))
            .await?;
        for member in members.iter().skip(index).step_by(ROOMS) {
            member.join(&room).await?;
        }
        rooms.push(room);
    }
    Ok(rooms)
}

struct Sender {
    stream: TcpStream,
    room: String,
    user: String,
    token: String,
    next: Arc<AtomicUsize>,
    record: Arc<Record>,
}

impl Sender {
    /// Sends until the deadline; gives back (number, sent at, answered at) in microseconds.
    async fn run(mut self, deadline: Instant) -> anyhow::Result<Vec<(usize, u64, u64)>> {
        self.stream.set_nodelay(true)?;
        let mut sends = Vec::new();
        while Instant::now() < deadline {
            let n = self.next.fetch_add(1, Ordering::Relaxed);
            if n >= self.record.arrived.len() {
                break;
            }
            let sent_at = elapsed_us(self.record.started);
            self.send(n).await?;
            sends.push((n, sent_at, elapsed_us(self.record.started)));
        }
        Ok(sends)
    }

    async fn send(&mut self, n: usize) -> anyhow::Result<()> {
        let body = format!(
            r#"{{"msgtype":"m.text","body":"a message of usual length, number {n}, as people write them","n":{n}}}"#
        );
        let room = self.room.replace('!', "%21").replace(':', "%3A");
        let request = format!(
            "PUT /_matrix/client/v3/rooms/{room}/send/m.room.message/{n}?user_id={} HTTP/1.1\r\n\
             host: localhost\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            self.user,
            self.token,
            body.len()
        );
        self.stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::with_capacity(512);
        let mut chunk = [0; 2048];
        loop {
            let length = self.stream.read(&mut chunk).await?;
            if length == 0 {
                bail!("the server closed the connection");
            }
            answer.extend_from_slice(&chunk[..length]);
            if is_complete(&answer) {
                break;
            }
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
