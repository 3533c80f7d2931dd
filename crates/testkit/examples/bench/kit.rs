//! The kit: events through an empty handler with the inbox on disk; the same logging by the kit and by mautrix-python,
//! each as a process of its own, in turns; and the memory that ghosts cost.
//!
//! The homeserver's part in the first two is played by this program: transactions of a hundred events, one after
//! another on one connection, as homeservers send them. `BRIDGEHEAD_TEST_PYTHON` names a Python with mautrix.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use bridgehead_appservice::{
    Database, Running, Service, Setup, Timeline, registration::Generated,
    surroundings::Surroundings,
};
use bridgehead_testkit::{Process, SERVER_NAME, ServerProcess, free_port};
use rand::Rng as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::Arguments;

/// Events in a transaction.
const BATCH: usize = 100;
/// Rooms that the events are of.
const ROOMS: usize = 50;
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(600);

pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let events = arguments.get("events", 20_000)?;
    let rounds = arguments.get("rounds", 3)?;
    empty_handler(events * 10).await?;
    println!("\nlogging {events} events, one line of JSON each, in turns:");
    println!(
        "{:>16} {:>14} {:>14} {:>10}",
        "", "acknowledged/s", "written/s", "RSS MiB"
    );
    for _ in 0..rounds {
        log_with("kit", events).await?;
        log_with("mautrix-python", events).await?;
    }
    ghosts(
        &arguments.binary,
        arguments.get("ghosts", 10_000)?,
        arguments.get("rooms", 1_000)?,
    )
    .await
}

async fn empty_handler(events: usize) -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    let service = Service::new("empty")
        .bot("empty")
        .on(|_: Timeline| async {});
    let port = free_port()?;
    let generated = generate(&service, port)?;
    let running = start(
        service,
        &generated,
        "http://127.0.0.1:9",
        folder.path(),
        Some(NoHomeserver),
    )
    .await?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    let router = running.router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let begun = Instant::now();
    push(port, &generated, events).await?;
    let acknowledged = begun.elapsed();
    while !running.is_settled() {
        anyhow::ensure!(begun.elapsed() < PATIENCE, "not handled in time");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let handled = begun.elapsed();
    println!(
        "empty handler, inbox on disk: {events} events, acknowledged {:.0}/s, handled {:.0}/s",
        rate(events, acknowledged),
        rate(events, handled)
    );
    running.stop().await;
    Ok(())
}

/// Answers what a service asks at its start; these measurements have no homeserver.
struct NoHomeserver;

impl bridgehead_appservice::surroundings::Transport for NoHomeserver {
    fn call(
        &self,
        _: http::Request<bytes::Bytes>,
        _: usize,
    ) -> futures_util::future::BoxFuture<
        '_,
        Result<http::Response<bytes::Bytes>, bridgehead_appservice::surroundings::TransportError>,
    > {
        Box::pin(async { Ok(http::Response::new(bytes::Bytes::from_static(b"{}"))) })
    }
}

async fn start(
    service: Service,
    generated: &Generated,
    homeserver: &str,
    folder: &Path,
    transport: Option<NoHomeserver>,
) -> anyhow::Result<Running> {
    let surroundings = Surroundings {
        transport: transport.map(|transport| std::sync::Arc::new(transport) as _),
        ..Surroundings::default()
    };
    let setup = Setup {
        registration: generated.registration.clone(),
        server_name: SERVER_NAME.to_owned(),
        homeserver: homeserver.to_owned(),
        database: Database::File(folder.join("service.db")),
        surroundings,
    };
    Ok(service.start(setup).await?)
}

fn generate(service: &Service, port: u16) -> anyhow::Result<Generated> {
    let draft = service.registration(Some(&format!("http://127.0.0.1:{port}")), SERVER_NAME)?;
    let made = draft.generate(|bytes| rand::rng().fill_bytes(bytes));
    made.map_err(|errors| anyhow::anyhow!("{errors:?}"))
}

/// Brings events as a homeserver does.
async fn push(port: u16, generated: &Generated, events: usize) -> anyhow::Result<()> {
    // Reqwest is built without one of its own. It may be there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .no_proxy()
        .tcp_nodelay(true)
        .build()?;
    let token = generated.registration.hs_token.expose();
    for txn in 0..events / BATCH {
        let batch: Vec<Value> = (0..BATCH).map(|index| event(txn * BATCH + index)).collect();
        let url = format!("http://127.0.0.1:{port}/_matrix/app/v1/transactions/{txn}");
        let request = client
            .put(url)
            .bearer_auth(token)
            .json(&json!({ "events": batch }));
        request.send().await?.error_for_status()?;
    }
    Ok(())
}

fn event(number: usize) -> Value {
    json!({
        "event_id": format!("$event_{number}"),
        "room_id": format!("!room{}:{SERVER_NAME}", number % ROOMS),
        "sender": format!("@user{}:{SERVER_NAME}", number % 97),
        "type": "m.room.message",
        "origin_server_ts": 1_700_000_000_000_u64 + number as u64,
        "unsigned": { "age": 12 },
        "content": { "msgtype": "m.text", "body": format!("This is message number {number} of many.") },
    })
}

async fn log_with(peer: &str, events: usize) -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    let port = free_port()?;
    let service = Service::new("logger")
        .bot("logging")
        .aliases("#logged_{topic}");
    let generated = generate(&service, port)?;
    let registration = folder.path().join("registration.yaml");
    std::fs::write(&registration, generated.text.expose())?;
    let log = folder.path().join("log.jsonl");
    let command = if peer == "kit" {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("kit-logger");
        command
    } else {
        let python = std::env::var_os("BRIDGEHEAD_TEST_PYTHON")
            .context("BRIDGEHEAD_TEST_PYTHON is not set")?;
        let mut command = Command::new(python);
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/mautrix_logger.py"));
        command
    };
    let mut command = command;
    command
        .args(["http://127.0.0.1:9", SERVER_NAME])
        .arg(&registration)
        .arg(&log)
        .current_dir(folder.path());
    let process = Process::spawn(peer, command)?;
    let listening = |lines: &[String]| lines.iter().any(|line| line.contains("listening"));
    process
        .wait_for_output("the logger listens", PATIENCE, listening)
        .await?;
    let begun = Instant::now();
    push(port, &generated, events).await?;
    let acknowledged = begun.elapsed();
    while lines(&log) < events {
        anyhow::ensure!(begun.elapsed() < PATIENCE, "not written in time");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let written = begun.elapsed();
    println!(
        "{peer:>16} {:>14.0} {:>14.0} {:>10.1}",
        rate(events, acknowledged),
        rate(events, written),
        process.memory()?.resident_bytes as f64 / f64::from(1 << 20)
    );
    Ok(())
}

fn lines(file: &Path) -> usize {
    let bytes = std::fs::read(file).unwrap_or_default();
    bytes.iter().filter(|byte| **byte == b'\n').count()
}

/// The kit's logger as a process: `kit-logger HOMESERVER SERVER_NAME REGISTRATION LOG`.
pub(crate) async fn logger(args: Vec<String>) -> anyhow::Result<()> {
    let [_, server_name, file, log] = &args[..] else {
        anyhow::bail!("four arguments");
    };
    let file = PathBuf::from(file);
    let (registration, _) =
        bridgehead_appservice::registration::parse(&file, &std::fs::read(&file)?)
            .map_err(|errors| anyhow::anyhow!("{errors:?}"))?;
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(log)?;
    let log = std::sync::Arc::new(parking_lot::Mutex::new(log));
    // Written line by line, as the other one does it.
    let service = Service::new("logger")
        .bot("logging")
        .aliases("#logged_{topic}")
        .on(move |event: Timeline| {
            let log = log.clone();
            async move { writeln!(log.lock(), "{}", event.raw()) }
        });
    let address = registration
        .url
        .as_ref()
        .map(|url| url.as_str().trim_start_matches("http://").to_owned());
    let setup = Setup {
        registration,
        server_name: server_name.clone(),
        homeserver: String::new(),
        database: Database::File(file.with_file_name("service.db")),
        surroundings: Surroundings {
            transport: Some(std::sync::Arc::new(NoHomeserver)),
            ..Surroundings::default()
        },
    };
    let running = service.start(setup).await?;
    let listener = tokio::net::TcpListener::bind(address.context("a url")?).await?;
    println!("listening");
    axum::serve(listener, running.router()).await?;
    Ok(())
}

/// Ghosts that have joined rooms and said something: what each costs the service in memory.
async fn ghosts(binary: &Path, ghosts: usize, rooms: usize) -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    let port = free_port()?;
    let service = Service::new("many")
        .bot("manybot")
        .users("_many_{name}")
        .on(|_: Timeline| async {});
    let generated = generate(&service, port)?;
    let registration = folder.path().join("registration.yaml");
    std::fs::write(&registration, generated.text.expose())?;
    let server = ServerProcess::start(binary, &[registration]).await?;
    let running = start(service, &generated, &server.base_url(), folder.path(), None).await?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    let router = running.router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let before = resident_bytes()?;
    let begun = Instant::now();
    let mut all = tokio::task::JoinSet::new();
    for index in 0..rooms {
        let (bot, many) = (running.bot(), running.ghosts());
        all.spawn(async move {
            let room = bot
                .create_room(bridgehead_appservice::RoomPlan::public())
                .await?;
            for ghost in (index..ghosts).step_by(rooms) {
                many.named(&ghost.to_string())?.send(&room, "hello").await?;
            }
            Ok::<_, bridgehead_appservice::Error>(())
        });
        // A service makes its rooms one after another, mostly.
        if all.len() >= 32 {
            all.join_next().await.context("there are some")???;
        }
    }
    while let Some(done) = all.join_next().await {
        done??;
    }
    while !running.is_settled() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let after = resident_bytes()?;
    println!(
        "\n{ghosts} ghosts in {rooms} rooms, each registered, joined and heard once: {:.1} s, resident {:.1} -> {:.1} MiB",
        begun.elapsed().as_secs_f64(),
        mib(before),
        mib(after)
    );
    running.stop().await;
    Ok(())
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Memory of this process that is in RAM.
fn resident_bytes() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .context("VmRSS")?;
    let kib: u64 = line
        .split_whitespace()
        .nth(1)
        .context("a number")?
        .parse()?;
    Ok(kib * 1024)
}

fn rate(events: usize, time: Duration) -> f64 {
    events as f64 / time.as_secs_f64()
}
