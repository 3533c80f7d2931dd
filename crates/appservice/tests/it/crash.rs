//! `kill -9` at random points under load: every message handled, every committed effect once, every answer once, each
//! room in order.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use anyhow::Context as _;
use bridgehead_appservice::{Service, registration::Generated};
use bridgehead_testkit::{Client, Process, TestServer, free_port};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::harness::{generate, until};

/// Histories in an ordinary run; more with this variable, which `cargo xtask crash` sets.
const SEEDS: u64 = 4;
const SEEDS_VARIABLE: &str = "BRIDGEHEAD_CRASH_SEEDS";
/// One history alone.
const SEED_VARIABLE: &str = "BRIDGEHEAD_CRASH_SEED";
const ROOMS: usize = 3;
const MESSAGES: usize = 25;
const KILLS: usize = 8;

/// Who answers each message, and how: the service's own user, and a ghost.
const ANSWERS: [(&str, &str); 2] = [
    ("@ledger:localhost", "noted"),
    ("@_ledger_witness:localhost", "seen"),
];

struct Ledger {
    folder: TempDir,
    port: u16,
    homeserver: String,
    process: Option<Process>,
}

impl Ledger {
    fn start(&mut self) -> anyhow::Result<()> {
        let mut command = Command::new(example("ledger")?);
        command
            .arg(self.folder.path().join("registration.yaml"))
            .args([&self.homeserver, "localhost"])
            .arg(self.folder.path().join("ledger.db"))
            .arg(format!("127.0.0.1:{}", self.port));
        self.process = Some(Process::spawn("ledger", command)?);
        Ok(())
    }

    async fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut process) = self.process.take() {
            process.kill9().await?;
        }
        Ok(())
    }

    async fn rows(&self) -> anyhow::Result<Vec<[String; 2]>> {
        let url = format!("http://127.0.0.1:{}/ledger", self.port);
        Ok(reqwest::get(url).await?.json().await?)
    }
}

/// The example as it was built with this test.
pub(crate) fn example(name: &str) -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe()?;
    let target = test
        .parent()
        .and_then(|deps| deps.parent())
        .context("the test lies in target/…/deps")?;
    let path = target.join("examples").join(name);
    anyhow::ensure!(
        path.is_file(),
        "{} is missing: build with `cargo build --examples`",
        path.display()
    );
    Ok(path)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_and_nothing_is_there_twice() -> anyhow::Result<()> {
    let seeds = match number(SEED_VARIABLE)? {
        Some(seed) => seed..=seed,
        None => 0..=number(SEEDS_VARIABLE)?.unwrap_or(SEEDS).saturating_sub(1),
    };
    let count = seeds.clone().count();
    for seed in seeds {
        history(seed)
            .await
            .with_context(|| format!("seed {seed}: {SEED_VARIABLE}={seed} repeats its kills"))?;
    }
    // One line for whoever counts.
    let (kills, messages) = (count * KILLS, count * ROOMS * MESSAGES);
    let answers = messages * ANSWERS.len();
    println!("crash: seeds={count} kills={kills} messages={messages} answers={answers}");
    Ok(())
}

/// A number from the environment.
fn number(variable: &str) -> anyhow::Result<Option<u64>> {
    let Ok(text) = std::env::var(variable) else {
        return Ok(None);
    };
    let number = text.trim().parse();
    Ok(Some(number.with_context(|| {
        format!("{variable} is no number: {text}")
    })?))
}

async fn history(seed: u64) -> anyhow::Result<()> {
    let mut chance = StdRng::seed_from_u64(seed);
    let folder = TempDir::new()?;
    let port = free_port()?;
    let declared = Service::new("ledger").bot("ledger").users("_ledger_{name}");
    let generated: Generated = generate(&declared, Some(&format!("http://127.0.0.1:{port}")))?;
    let file = folder.path().join("registration.yaml");
    std::fs::write(&file, generated.text.expose())?;
    let host = TestServer::start_with(&[file], &[]).await?;
    let mut ledger = Ledger {
        folder,
        port,
        homeserver: host.base_url(),
        process: None,
    };
    ledger.start()?;
    let alice = host.user("alice").await?;
    let rooms = invited(&alice).await?;
    let sending = tokio::spawn(send_all(alice.clone(), rooms.clone(), seed));
    for _ in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(chance.random_range(5..250))).await;
        ledger.kill().await?;
        ledger.start()?;
    }
    sending.await??;
    until("every message is in the ledger", || async {
        ledger
            .rows()
            .await
            .is_ok_and(|rows| rows.len() >= ROOMS * MESSAGES)
    })
    .await?;
    judge(&ledger.rows().await?, &alice, &rooms).await
}

/// Rooms that the ledger is invited to.
async fn invited(alice: &Client) -> anyhow::Result<Vec<String>> {
    let mut rooms = Vec::new();
    for _ in 0..ROOMS {
        let room = alice
            .create_room(&json!({ "preset": "public_chat" }))
            .await?;
        until("the ledger can be invited", || async {
            alice.invite(&room, "@ledger:localhost").await.is_ok()
        })
        .await?;
        rooms.push(room);
    }
    for room in &rooms {
        until("the ledger has joined", || async {
            let member = alice
                .state(room, "m.room.member", "@ledger:localhost")
                .await;
            member.is_ok_and(|member| member.to_string().contains("\"join\""))
        })
        .await?;
    }
    Ok(rooms)
}

async fn send_all(alice: Client, rooms: Vec<String>, seed: u64) -> anyhow::Result<()> {
    let mut chance = StdRng::seed_from_u64(!seed);
    for number in 0..MESSAGES {
        for room in &rooms {
            alice
                .send_text(room, &format!("t{number}"), &format!("message {number}"))
                .await?;
        }
        tokio::time::sleep(Duration::from_millis(chance.random_range(0..60))).await;
    }
    Ok(())
}

async fn judge(rows: &[[String; 2]], alice: &Client, rooms: &[String]) -> anyhow::Result<()> {
    let expected: Vec<String> = (0..MESSAGES)
        .map(|number| format!("message {number}"))
        .collect();
    let mut by_room: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for [room, body] in rows {
        by_room.entry(room).or_default().push(body.clone());
    }
    for room in rooms {
        assert_eq!(
            by_room.get(room.as_str()),
            Some(&expected),
            "the ledger's rows of {room}, in order and once each"
        );
        for (who, did) in ANSWERS {
            let noted: Vec<String> = expected
                .iter()
                .map(|body| format!("{did}: {body}"))
                .collect();
            until("every message is answered", || async {
                let answers = answered(alice, room, who).await;
                answers.is_ok_and(|answers| answers.len() >= MESSAGES)
            })
            .await?;
            assert_eq!(
                answered(alice, room, who).await?,
                noted,
                "the answers of {who} in {room}, in order and once each"
            );
        }
    }
    Ok(())
}

/// Somebody's answers in a room, oldest first.
async fn answered(alice: &Client, room: &str, who: &str) -> anyhow::Result<Vec<String>> {
    let path = format!("/_matrix/client/v3/rooms/{room}/messages?dir=b&limit=500");
    let (_, page) = alice.get(&path).await?;
    let events = page["chunk"].as_array().cloned().unwrap_or_default();
    let is_answer = |event: &&Value| event["sender"] == who && event["type"] == "m.room.message";
    let answers = events.iter().rev().filter(is_answer);
    Ok(answers
        .map(|event| {
            event["content"]["body"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        })
        .collect())
}
