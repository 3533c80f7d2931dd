//! The logger made with mautrix-python (`peers/mautrix_logger.py`) behind Synapse.

use crate::SOON;
use anyhow::{Context as _, ensure};
use bridgehead_testkit::{Process, SERVER_NAME, Synapse, free_port};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::process::Command;

#[tokio::test]
async fn it_creates_the_room_and_writes_each_message_down() {
    creates_and_writes().await.unwrap();
}

async fn creates_and_writes() -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    let registration = folder.path().join("logger.yaml");
    std::fs::write(&registration, registration_text(free_port()?))?;
    let synapse = Synapse::start(std::slice::from_ref(&registration)).await?;
    let log = folder.path().join("events.jsonl");
    let _logger = start_logger(&synapse, folder.path(), &registration, &log).await?;

    let alice = synapse.user("alice").await?;
    let room_id = alice.join("#logged_test:localhost").await?;
    let mut sent = Vec::new();
    for n in 0..20 {
        let body = format!("message {n}");
        sent.push(alice.send_text(&room_id, &body, &body).await?);
    }
    let logged = wait_for_messages(&log, sent.len()).await?;
    let ids = logged.iter().map(|event| &event["event_id"]);
    ensure!(ids.eq(&sent), "logged were {logged:?}, sent were {sent:?}");
    Ok(())
}

fn registration_text(port: u16) -> String {
    let aliases = json!([{ "regex": "#logged_.*", "exclusive": true }]);
    json!({
        "id": "logger",
        "url": format!("http://127.0.0.1:{port}"),
        "as_token": "as-token-of-the-logger",
        "hs_token": "hs-token-of-the-logger",
        "sender_localpart": "logger-bot",
        "rate_limited": false,
        "namespaces": { "users": [], "aliases": aliases, "rooms": [] },
    })
    .to_string()
}

async fn start_logger(
    synapse: &Synapse,
    folder: &Path,
    registration: &Path,
    log: &Path,
) -> anyhow::Result<Process> {
    let python = std::env::var_os("BRIDGEHEAD_TEST_PYTHON").context(
        "BRIDGEHEAD_TEST_PYTHON is not set: run `cargo xtask test`, which installs mautrix",
    )?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/mautrix_logger.py");
    let mut command = Command::new(python);
    command
        .arg(script)
        .args([&synapse.base_url(), SERVER_NAME])
        .args([registration, log])
        .current_dir(folder);
    let logger = Process::spawn("mautrix", command)?;
    logger
        .wait_for_output("that it listens", SOON, |lines| {
            lines.iter().any(|line| line == "listening")
        })
        .await?;
    Ok(logger)
}

/// The messages in the log, once there are so many.
async fn wait_for_messages(log: &Path, count: usize) -> anyhow::Result<Vec<Value>> {
    let started_at = Instant::now();
    loop {
        let text = std::fs::read_to_string(log)?;
        // The last line may be half written.
        let events = text
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let messages = events
            .filter(|event| event["type"] == "m.room.message")
            .collect::<Vec<_>>();
        if messages.len() >= count {
            return Ok(messages);
        }
        ensure!(
            started_at.elapsed() < SOON,
            "within {SOON:?} the log has only {text}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
