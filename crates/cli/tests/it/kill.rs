//! `kill -9` while messages are sent, with the receiving services as the only judges.
//!
//! Four senders, a person and a ghost in each of two rooms, send numbered messages and repeat each with the same
//! `client_txn_id` until it is accepted; one of them sends a to-device message with the same number first. The
//! server is killed ten times: now somewhere between the requests, now while a transaction waits for its answer, so
//! that it must be repeated after the restart. A second service is told the same and refuses every third request.

use crate::BRIDGEHEAD;
use crate::lane::{self, Lane, SOON, Sending, wait_for_more};
use anyhow::{Context as _, ensure};
use bridgehead_testkit::{
    Answer, AppserviceOptions, Client, Record, RecordingAppservice, ServerProcess,
};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tempfile::TempDir;

const KILLS: usize = 10;
/// How many messages are accepted before the server is killed again.
const ACCEPTED_BETWEEN_KILLS: usize = 40;
/// How long the service keeps a transaction waiting: longer than it takes to kill the server.
const HELD_FOR: Duration = Duration::from_secs(5);
/// The device to which messages are sent.
const DEVICE: &str = "BRIDGE";
const TO_DEVICE: &str = "de.sorunome.msc2409.to_device";

#[tokio::test(flavor = "multi_thread")]
async fn what_was_accepted_arrives_once_and_in_order_through_ten_kills() {
    let mut setup = Setup::start().await.unwrap();
    let lanes = setup.start_lanes().await.unwrap();
    setup.kill_repeatedly(&lanes).await.unwrap();
    let accepted = lane::finish(lanes).await.unwrap();
    for service in [&setup.steady, &setup.flapping] {
        lane::wait_for_all(service, &accepted).await.unwrap();
    }
    let verdict = lane::check(&setup.steady, &accepted).unwrap();
    let held = KILLS / 2;
    assert!(
        verdict.repeats >= held,
        "{held} transactions lost their answer, and only {} requests were repeats",
        verdict.repeats
    );
    check_to_device(&setup.steady.records(), accepted[0].len()).unwrap();
    let verdict = lane::check(&setup.flapping, &accepted).unwrap();
    assert!(verdict.repeats > 0, "nothing was refused");
}

struct Setup {
    server: ServerProcess,
    steady: RecordingAppservice,
    flapping: RecordingAppservice,
    /// Set: keep the next transaction waiting. The service unsets it.
    hold_next: Arc<AtomicBool>,
    _folder: TempDir,
}

impl Setup {
    async fn start() -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix("bridgehead-kill-")?;
        let options = AppserviceOptions::with_users("steady", "judge_");
        let steady = RecordingAppservice::start(options).await?;
        let hold_next = Arc::new(AtomicBool::new(false));
        let hold = hold_next.clone();
        steady.answer_with(move |_| {
            if hold.swap(false, Ordering::SeqCst) {
                Answer::After(HELD_FOR, StatusCode::OK)
            } else {
                Answer::Status(StatusCode::OK)
            }
        });
        let options = AppserviceOptions::with_users("flapping", "flap_");
        let flapping = RecordingAppservice::start(options).await?;
        let mut asked = 0;
        flapping.answer_with(move |_| {
            asked += 1;
            Answer::Status(if asked % 3 == 0 {
                StatusCode::SERVICE_UNAVAILABLE
            } else {
                StatusCode::OK
            })
        });
        let files = [
            encrypting(&steady, folder.path())?,
            flapping.write_registration(folder.path())?,
        ];
        let server = ServerProcess::start(BRIDGEHEAD, &files).await?;
        Ok(Self {
            server,
            steady,
            flapping,
            hold_next,
            _folder: folder,
        })
    }

    /// Two rooms, in each a person and a ghost that start to send, and a ghost of the other service that listens.
    async fn start_lanes(&self) -> anyhow::Result<Vec<Lane>> {
        let service = self.server.client().with_token(&self.steady.as_token());
        let other = self.server.client().with_token(&self.flapping.as_token());
        let listener = other.register_ghost("flap_listener").await?;
        let mut lanes = Vec::new();
        for number in 1..=2 {
            let person_name = format!("person{number}");
            let person = self
                .server
                .client()
                .register(&person_name, "a password for a person")
                .await?;
            let ghost = service
                .register_ghost(&format!("judge_ghost{number}"))
                .await?;
            let invite = json!({ "invite": [ghost.user_id(), listener.user_id()] });
            let room_id = person.create_room(&invite).await?;
            ghost.join(&room_id).await?;
            listener.join(&room_id).await?;
            let mut sending = Sending::default();
            if number == 1 {
                sending.device = Some(make_device(&ghost).await?);
            }
            lanes.push(Lane::start(person, &room_id, sending));
            lanes.push(Lane::start(ghost, &room_id, Sending::default()));
        }
        Ok(lanes)
    }

    async fn kill_repeatedly(&mut self, lanes: &[Lane]) -> anyhow::Result<()> {
        for kill in 0..KILLS {
            wait_for_more(lanes, ACCEPTED_BETWEEN_KILLS).await?;
            if kill % 2 == 1 {
                self.wait_for_a_held_transaction().await?;
            }
            self.server.kill9().await?;
            self.server
                .restart()
                .await
                .with_context(|| format!("after kill {kill}"))?;
        }
        wait_for_more(lanes, ACCEPTED_BETWEEN_KILLS).await
    }

    async fn wait_for_a_held_transaction(&self) -> anyhow::Result<()> {
        self.hold_next.store(true, Ordering::SeqCst);
        let held = |_: &[Record]| !self.hold_next.load(Ordering::SeqCst);
        self.steady
            .wait_for("a transaction to hold", SOON, held)
            .await
    }
}

/// The registration of a service that is sent its ghosts' to-device messages.
fn encrypting(service: &RecordingAppservice, folder: &Path) -> anyhow::Result<PathBuf> {
    let mut registration: Value = serde_json::from_str(&service.registration())?;
    registration["org.matrix.msc3202"] = json!(true);
    let path = folder.join("encrypting.yaml");
    std::fs::write(&path, registration.to_string())?;
    Ok(path)
}

async fn make_device(ghost: &Client) -> anyhow::Result<(String, String)> {
    let path = format!("/_matrix/client/v3/devices/{DEVICE}");
    ghost
        .expect_ok(Method::PUT, &path, &[], Some(&json!({})))
        .await?;
    Ok((ghost.user_id().to_owned(), DEVICE.to_owned()))
}

/// To-device messages arrived each once, in order, and no later than the event they were sent before.
fn check_to_device(records: &[Record], sent: usize) -> anyhow::Result<()> {
    let mut seen = BTreeSet::new();
    let (mut messages, mut events) = (Vec::new(), Vec::new());
    for record in records.iter().filter(|r| seen.insert(r.txn_id.clone())) {
        for message in record.ephemeral(TO_DEVICE) {
            messages.push(message["content"]["number"].as_u64());
        }
        let from_it = |event: &&Value| event["sender"] == "@person1:localhost";
        let texts = record.events().iter().filter(from_it);
        let numbers = texts.filter_map(|event| lane::number_of(&event["content"]["body"]));
        for number in numbers {
            events.push(number);
            ensure!(
                messages.contains(&Some(number as u64)),
                "event {number} arrived before its to-device message"
            );
        }
    }
    let expected: Vec<_> = (0..sent as u64).map(Some).collect();
    ensure!(
        messages == expected,
        "{sent} to-device messages were sent, and {messages:?} received"
    );
    ensure!(events.len() == sent, "{} of {sent} events", events.len());
    Ok(())
}
