//! `kill -9` while messages are sent, with the receiving service as the only judge.
//!
//! Four senders, a person and a ghost in each of two rooms, send numbered messages and repeat each with the same
//! `client_txn_id` until it is accepted. The server is killed ten times: now somewhere between the requests, now
//! while a transaction waits for its answer, so that it must be repeated after the restart.

use crate::BRIDGEHEAD;
use anyhow::{Context as _, bail, ensure};
use axum::http::{Method, StatusCode};
use bridgehead_testkit::{
    Answer, AppserviceOptions, Client, Record, RecordingAppservice, ServerProcess, Verdict,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;

const KILLS: usize = 10;
/// How many messages are accepted before the server is killed again.
const ACCEPTED_BETWEEN_KILLS: usize = 40;
/// How long one message may take to be accepted, restarts included.
const ACCEPTED_WITHIN: Duration = Duration::from_secs(60);
const RETRY_AFTER: Duration = Duration::from_millis(10);
/// How long the service keeps a transaction waiting: longer than it takes to kill the server.
const HELD_FOR: Duration = Duration::from_secs(5);
const SOON: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn what_was_accepted_arrives_once_and_in_order_through_ten_kills() {
    let mut setup = Setup::start().await.unwrap();
    let lanes = setup.start_lanes().await.unwrap();
    setup.kill_repeatedly(&lanes).await.unwrap();
    let accepted = finish(lanes).await.unwrap();
    setup.wait_for_all(&accepted).await.unwrap();
    check(&setup.appservice, &accepted).unwrap();
}

struct Setup {
    server: ServerProcess,
    appservice: RecordingAppservice,
    /// Set: keep the next transaction waiting. The service unsets it.
    hold_next: Arc<AtomicBool>,
    _folder: TempDir,
}

impl Setup {
    async fn start() -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix("bridgehead-kill-")?;
        let options = AppserviceOptions::with_users("judge", "judge_");
        let appservice = RecordingAppservice::start(options).await?;
        let hold_next = Arc::new(AtomicBool::new(false));
        let hold = hold_next.clone();
        appservice.answer_with(move |_| {
            if hold.swap(false, Ordering::SeqCst) {
                Answer::After(HELD_FOR, StatusCode::OK)
            } else {
                Answer::Status(StatusCode::OK)
            }
        });
        let registration = appservice.write_registration(folder.path())?;
        let server = ServerProcess::start(BRIDGEHEAD, &[registration]).await?;
        Ok(Self {
            server,
            appservice,
            hold_next,
            _folder: folder,
        })
    }

    /// Two rooms, in each a person and a ghost that start to send.
    async fn start_lanes(&self) -> anyhow::Result<Vec<Lane>> {
        let service = self.server.client().with_token(&self.appservice.as_token());
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
            let invite = json!({ "invite": [ghost.user_id()] });
            let room_id = person.create_room(&invite).await?;
            ghost.join(&room_id).await?;
            lanes.push(Lane::start(person, &room_id));
            lanes.push(Lane::start(ghost, &room_id));
        }
        Ok(lanes)
    }

    async fn kill_repeatedly(&mut self, lanes: &[Lane]) -> anyhow::Result<()> {
        for kill in 0..KILLS {
            let goal = accepted_by(lanes) + ACCEPTED_BETWEEN_KILLS;
            wait_for_accepted(lanes, goal).await?;
            if kill % 2 == 1 {
                self.wait_for_a_held_transaction().await?;
            }
            self.server.kill9().await?;
            self.server
                .restart()
                .await
                .with_context(|| format!("after kill {kill}"))?;
        }
        wait_for_accepted(lanes, accepted_by(lanes) + ACCEPTED_BETWEEN_KILLS).await
    }

    async fn wait_for_a_held_transaction(&self) -> anyhow::Result<()> {
        self.hold_next.store(true, Ordering::SeqCst);
        let held = |_: &[Record]| !self.hold_next.load(Ordering::SeqCst);
        self.appservice
            .wait_for("a transaction to hold", SOON, held)
            .await
    }

    async fn wait_for_all(&self, accepted: &[Vec<String>]) -> anyhow::Result<()> {
        let mut missing = accepted
            .iter()
            .flatten()
            .map(String::as_str)
            .collect::<BTreeSet<_>>();
        let mut looked_at = 0;
        let all_arrived = |records: &[Record]| {
            for event in records[looked_at..].iter().flat_map(Record::events) {
                missing.remove(event["event_id"].as_str().unwrap_or_default());
            }
            looked_at = records.len();
            missing.is_empty()
        };
        self.appservice
            .wait_for("all accepted events", SOON, all_arrived)
            .await
            .with_context(|| format!("{} accepted events are missing", missing.len()))
    }
}

/// One sender, which has at most one message under way.
struct Lane {
    /// Ids of the accepted events, in the order of acceptance.
    accepted: watch::Receiver<Vec<String>>,
    stop: watch::Sender<bool>,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Lane {
    fn start(client: Client, room_id: &str) -> Self {
        let (accepted_sender, accepted) = watch::channel(Vec::new());
        let (stop, stopped) = watch::channel(false);
        let room_id = room_id.to_owned();
        let task = tokio::spawn(async move {
            while !*stopped.borrow() {
                let number = accepted_sender.borrow().len();
                let event_id = send_until_accepted(&client, &room_id, number).await?;
                accepted_sender.send_modify(|accepted| accepted.push(event_id));
            }
            Ok(())
        });
        Self {
            accepted,
            stop,
            task,
        }
    }
}

async fn send_until_accepted(
    client: &Client,
    room_id: &str,
    number: usize,
) -> anyhow::Result<String> {
    let path = Client::send_path(room_id, "m.room.message", &format!("txn-{number}"));
    let content = json!({ "msgtype": "m.text", "body": body(client.user_id(), number) });
    let started_at = Instant::now();
    while started_at.elapsed() < ACCEPTED_WITHIN {
        match client
            .request(Method::PUT, &path, &[], Some(&content))
            .await
        {
            Ok((StatusCode::OK, answer)) => {
                let event_id = answer["event_id"].as_str();
                return Ok(event_id
                    .with_context(|| format!("no event_id in {answer}"))?
                    .to_owned());
            }
            Ok((status, answer)) => bail!(
                "message {number} of {} was answered {status}: {answer}",
                client.user_id()
            ),
            // The server is down, or went down before it answered: whether it took the message is not known.
            Err(_) => tokio::time::sleep(RETRY_AFTER).await,
        }
    }
    bail!(
        "message {number} of {} was not accepted within {ACCEPTED_WITHIN:?}",
        client.user_id()
    )
}

fn body(user_id: &str, number: usize) -> String {
    format!("{user_id} says {number}")
}

fn accepted_by(lanes: &[Lane]) -> usize {
    lanes.iter().map(|lane| lane.accepted.borrow().len()).sum()
}

async fn wait_for_accepted(lanes: &[Lane], goal: usize) -> anyhow::Result<()> {
    let started_at = Instant::now();
    while accepted_by(lanes) < goal {
        ensure!(
            started_at.elapsed() < SOON,
            "not {goal} messages were accepted within {SOON:?}"
        );
        ensure!(
            !lanes.iter().any(|lane| lane.task.is_finished()),
            "a sender gave up"
        );
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

/// Lets each lane finish the message it is sending; gives back what was accepted from each.
async fn finish(lanes: Vec<Lane>) -> anyhow::Result<Vec<Vec<String>>> {
    let mut all = Vec::new();
    for lane in &lanes {
        lane.stop.send(true).ok();
    }
    for lane in lanes {
        lane.task.await??;
        all.push(lane.accepted.borrow().clone());
    }
    Ok(all)
}

fn check(appservice: &RecordingAppservice, accepted: &[Vec<String>]) -> anyhow::Result<()> {
    let mut verdict = None;
    for lane in accepted {
        verdict = Some(appservice.judge(lane)?);
    }
    let verdict = verdict.context("there are lanes")?;
    check_messages(&verdict, accepted)?;
    let held = KILLS / 2;
    ensure!(
        verdict.repeats >= held,
        "{held} transactions lost their answer, and only {} requests were repeats",
        verdict.repeats
    );
    ensure!(
        appservice.refused_tokens() == 0,
        "requests with a wrong token"
    );
    Ok(())
}

/// Each message was received as often as it was accepted: once, however often it was sent.
fn check_messages(verdict: &Verdict, accepted: &[Vec<String>]) -> anyhow::Result<()> {
    let messages = verdict
        .events
        .iter()
        .filter(|event| event["type"] == "m.room.message");
    let mut received = messages
        .map(|event| (&event["sender"], &event["content"]["body"]))
        .collect::<Vec<_>>();
    received.sort_by_key(|(sender, body)| (sender.to_string(), body.to_string()));
    let count = received.len();
    received.dedup();
    ensure!(
        received.len() == count,
        "{} messages were made into more than one event",
        count - received.len()
    );
    let accepted_count = accepted.iter().map(Vec::len).sum::<usize>();
    ensure!(
        count == accepted_count,
        "{accepted_count} messages were accepted and {count} received"
    );
    for (sender, text) in received {
        let sender = sender.as_str().unwrap_or_default();
        ensure!(is_numbered(sender, text), "{sender} did not send {text}");
    }
    Ok(())
}

fn is_numbered(sender: &str, text: &Value) -> bool {
    let number = text
        .as_str()
        .and_then(|text| text.rsplit(' ').next()?.parse::<usize>().ok());
    number.is_some_and(|number| *text == body(sender, number))
}
