//! Processes stopped in their tracks (SIGSTOP): the system accepts connections for them, and nobody answers.

use crate::lane::{self, Lane, SOON, Sending, wait_for_more};
use crate::{BRIDGEHEAD, fixture, python};
use anyhow::{Context as _, ensure};
use bridgehead_testkit::{
    AppserviceOptions, Process, Record, RecordingAppservice, ServerOptions, ServerProcess,
    free_port, judge,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::process::Command;

/// Messages accepted while somebody is stopped.
const MEANWHILE: usize = 60;
/// How long the server waits for an answer: soon over.
const PATIENCE_MS: &str = "1000";

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_service_holds_nobody_up_and_gets_everything_afterwards() {
    let mut setup = Setup::start().await.unwrap();
    let room_id = setup.make_room().await.unwrap();
    let lanes = vec![Lane::start(setup.alice(), &room_id, Sending::default())];
    wait_for_more(&lanes, 10).await.unwrap();

    setup.frozen.process.freeze().await.unwrap();
    wait_for_more(&lanes, MEANWHILE).await.unwrap();
    // The other service has the news while the stopped one has none of it.
    setup.wait_for_a_timeout().await.unwrap();
    let before = setup.frozen.records().unwrap().len();
    let events = events_of(&setup.steady.records());
    wait_for_more(&lanes, MEANWHILE).await.unwrap();
    let goal = events + MEANWHILE / 2;
    setup
        .steady
        .wait_for("news", SOON, |records| events_of(records) >= goal)
        .await
        .unwrap();
    assert_eq!(setup.frozen.records().unwrap().len(), before);
    setup.frozen.process.thaw().await.unwrap();

    let accepted = lane::finish(lanes).await.unwrap();
    lane::wait_for_all(&setup.steady, &accepted).await.unwrap();
    lane::check(&setup.steady, &accepted).unwrap();
    let records = setup.frozen.wait_for_all(&accepted[0]).await.unwrap();
    let verdict = judge(&records, &accepted[0]).unwrap();
    assert!(verdict.repeats > 0, "no request was given up and repeated");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_server_goes_on_where_it_was() {
    let mut setup = Setup::start().await.unwrap();
    let room_id = setup.make_room().await.unwrap();
    let service = setup.server.client().with_token(&setup.steady.as_token());
    let ghost = service.acting_as("@steady_ghost:localhost");
    let lanes = vec![
        Lane::start(setup.alice(), &room_id, Sending::default()),
        Lane::start(ghost, &room_id, Sending::default()),
    ];
    for _ in 0..3 {
        wait_for_more(&lanes, MEANWHILE).await.unwrap();
        setup.server.process().freeze().await.unwrap();
        // Whatever was on its way is answered by nobody now.
        let client = setup.server.client();
        let asked = client.get("/_matrix/client/versions");
        let answer = tokio::time::timeout(Duration::from_millis(300), asked).await;
        assert!(answer.is_err(), "a stopped server answered: {answer:?}");
        setup.server.process().thaw().await.unwrap();
    }
    wait_for_more(&lanes, MEANWHILE).await.unwrap();
    let accepted = lane::finish(lanes).await.unwrap();
    lane::wait_for_all(&setup.steady, &accepted).await.unwrap();
    lane::check(&setup.steady, &accepted).unwrap();
    for lane in &accepted {
        let records = setup.frozen.wait_for_all(lane).await.unwrap();
        judge(&records, lane).unwrap();
    }
}

struct Setup {
    server: ServerProcess,
    steady: RecordingAppservice,
    frozen: SeparateService,
    alice: bridgehead_testkit::Client,
    _folder: TempDir,
}

impl Setup {
    async fn start() -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix("bridgehead-freeze-")?;
        let options = AppserviceOptions::with_users("steady", "steady_");
        let steady = RecordingAppservice::start(options).await?;
        let frozen = SeparateService::start(&folder).await?;
        let files = [
            steady.write_registration(folder.path())?,
            frozen.registration(&folder)?,
        ];
        let options = ServerOptions::with_settings(&[
            ("BRIDGEHEAD_APPSERVICES_REQUEST_TIMEOUT_MS", PATIENCE_MS),
            ("BRIDGEHEAD_APPSERVICES_BACKOFF_MIN_MS", "5000"),
        ]);
        let server = ServerProcess::start_with(BRIDGEHEAD, &files, options).await?;
        let alice = server
            .client()
            .register("alice", "a password of alice")
            .await?;
        Ok(Self {
            server,
            steady,
            frozen,
            alice,
            _folder: folder,
        })
    }

    fn alice(&self) -> bridgehead_testkit::Client {
        self.alice.clone()
    }

    /// A room with alice and a ghost of each service.
    async fn make_room(&self) -> anyhow::Result<String> {
        let room_id = self
            .alice
            .create_room(&json!({ "preset": "public_chat" }))
            .await?;
        let tokens = [
            (self.steady.as_token(), "steady_ghost"),
            (SeparateService::AS_TOKEN.to_owned(), "frozen_ghost"),
        ];
        for (token, name) in tokens {
            let service = self.server.client().with_token(&token);
            service.register_ghost(name).await?.join(&room_id).await?;
        }
        Ok(room_id)
    }

    /// Waits until the server has given up on a request to the stopped service.
    async fn wait_for_a_timeout(&mut self) -> anyhow::Result<()> {
        let given_up =
            |lines: &[String]| lines.iter().any(|line| line.contains("no answer within"));
        self.server
            .process()
            .wait_for_output("that a request got no answer", SOON, given_up)
            .await
    }
}

fn events_of(records: &[Record]) -> usize {
    records.iter().map(|record| record.events().len()).sum()
}

/// A service that is a process of its own.
struct SeparateService {
    process: Process,
    port: u16,
    file: PathBuf,
}

impl SeparateService {
    const AS_TOKEN: &str = "as-token-of-frozen";

    async fn start(folder: &TempDir) -> anyhow::Result<Self> {
        let (port, file) = (free_port()?, folder.path().join("transactions"));
        std::fs::write(&file, "")?;
        let mut command = Command::new(python()?);
        command
            .arg(fixture("recording_service.py"))
            .arg(port.to_string())
            .arg(&file);
        let process = Process::spawn("service", command)?;
        process
            .wait_for_output("that it listens", SOON, |lines| {
                lines.iter().any(|line| line == "listening")
            })
            .await?;
        Ok(Self {
            process,
            port,
            file,
        })
    }

    fn registration(&self, folder: &TempDir) -> anyhow::Result<PathBuf> {
        let path = folder.path().join("frozen.yaml");
        let registration = json!({
            "id": "frozen",
            "url": format!("http://127.0.0.1:{}", self.port),
            "as_token": Self::AS_TOKEN,
            "hs_token": "hs-token-of-frozen",
            "sender_localpart": "frozen-bot",
            "rate_limited": false,
            "namespaces": { "users": [{ "regex": "@frozen_.*", "exclusive": true }] },
        });
        std::fs::write(&path, registration.to_string())?;
        Ok(path)
    }

    /// What it has written down.
    fn records(&self) -> anyhow::Result<Vec<Record>> {
        let text = std::fs::read_to_string(&self.file)?;
        // The last line may be half written.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(record).collect()
    }

    async fn wait_for_all(&self, expected: &[String]) -> anyhow::Result<Vec<Record>> {
        let started_at = Instant::now();
        loop {
            let records = self.records()?;
            let events = records.iter().flat_map(Record::events);
            let ids: BTreeSet<_> = events
                .filter_map(|event| event["event_id"].as_str())
                .collect();
            let missing = expected
                .iter()
                .filter(|id| !ids.contains(id.as_str()))
                .count();
            if missing == 0 {
                return Ok(records);
            }
            ensure!(
                started_at.elapsed() < SOON,
                "{missing} events are missing after {SOON:?}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn record(line: &str) -> anyhow::Result<Record> {
    let line: Value = serde_json::from_str(line)?;
    let text = |key: &str| line[key].as_str().context("the fixture writes texts");
    let body = text("body")?.to_owned();
    Ok(Record {
        txn_id: text("txn_id")?.to_owned(),
        parsed: serde_json::from_str(&body)?,
        body: body.into(),
        received_at: Instant::now(),
    })
}
