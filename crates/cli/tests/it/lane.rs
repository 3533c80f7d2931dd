//! Senders of numbered messages that know what was accepted, and the check that it arrived so.

use anyhow::{Context as _, bail, ensure};
use bridgehead_testkit::{Client, Record, RecordingAppservice, Verdict};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long one message may take to be accepted, restarts included.
const ACCEPTED_WITHIN: Duration = Duration::from_secs(60);
const RETRY_AFTER: Duration = Duration::from_millis(10);
/// How long anything else may take.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// What a lane sends, and what it takes for an answer.
#[derive(Clone, Default)]
pub(crate) struct Sending {
    /// Bytes of each message's text beside its number.
    pub(crate) filler_bytes: usize,
    /// Says whether a refusal is one that may pass; the message is sent again then. Without it, any refusal ends
    /// the lane.
    pub(crate) may_pass: Option<fn(StatusCode, &Value) -> anyhow::Result<()>>,
    /// The device of a user that is sent a to-device message before each event, with the same number.
    pub(crate) device: Option<(String, String)>,
}

/// One sender, which has at most one message under way.
pub(crate) struct Lane {
    /// Ids of the accepted events, in the order of acceptance.
    accepted: watch::Receiver<Vec<String>>,
    /// How often a message was refused and sent again.
    refusals: Arc<AtomicUsize>,
    stop: watch::Sender<bool>,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Lane {
    pub(crate) fn start(client: Client, room_id: &str, sending: Sending) -> Self {
        let (accepted_sender, accepted) = watch::channel(Vec::new());
        let (stop, stopped) = watch::channel(false);
        let refusals = Arc::new(AtomicUsize::new(0));
        let sender = Sender {
            client,
            room_id: room_id.to_owned(),
            sending,
            refusals: refusals.clone(),
        };
        let task = tokio::spawn(async move {
            while !*stopped.borrow() {
                let number = accepted_sender.borrow().len();
                let event_id = sender.send(number).await?;
                accepted_sender.send_modify(|accepted| accepted.push(event_id));
            }
            Ok(())
        });
        Self {
            accepted,
            refusals,
            stop,
            task,
        }
    }

    pub(crate) fn refusals(&self) -> usize {
        self.refusals.load(Ordering::SeqCst)
    }
}

struct Sender {
    client: Client,
    room_id: String,
    sending: Sending,
    refusals: Arc<AtomicUsize>,
}

impl Sender {
    async fn send(&self, number: usize) -> anyhow::Result<String> {
        if let Some((user_id, device_id)) = &self.sending.device {
            let path = format!("/_matrix/client/v3/sendToDevice/m.numbered/txn-{number}");
            let content = json!({ "number": number });
            let messages = json!({ "messages": { user_id: { device_id: content } } });
            self.until_accepted(&path, &messages).await?;
        }
        let path = Client::send_path(&self.room_id, "m.room.message", &format!("txn-{number}"));
        let content = json!({
            "msgtype": "m.text",
            "body": body(self.client.user_id(), number),
            "filler": "x".repeat(self.sending.filler_bytes),
        });
        let answer = self.until_accepted(&path, &content).await?;
        let event_id = answer["event_id"].as_str();
        Ok(event_id
            .with_context(|| format!("no event_id in {answer}"))?
            .to_owned())
    }

    async fn until_accepted(&self, path: &str, content: &Value) -> anyhow::Result<Value> {
        let started_at = Instant::now();
        while started_at.elapsed() < ACCEPTED_WITHIN {
            match self
                .client
                .request(Method::PUT, path, &[], Some(content))
                .await
            {
                Ok((StatusCode::OK, answer)) => return Ok(answer),
                Ok((status, answer)) => {
                    let Some(may_pass) = self.sending.may_pass else {
                        bail!("{path} was answered {status}: {answer}");
                    };
                    may_pass(status, &answer)?;
                    self.refusals.fetch_add(1, Ordering::SeqCst);
                    tokio::time::sleep(RETRY_AFTER).await;
                }
                // The server is down, or went down before it answered: whether it took the message is not known.
                Err(_) => tokio::time::sleep(RETRY_AFTER).await,
            }
        }
        bail!("{path} was not accepted within {ACCEPTED_WITHIN:?}")
    }
}

fn body(user_id: &str, number: usize) -> String {
    format!("{user_id} says {number}")
}

pub(crate) fn accepted_by(lanes: &[Lane]) -> usize {
    lanes.iter().map(|lane| lane.accepted.borrow().len()).sum()
}

/// Waits until this many more messages were accepted.
pub(crate) async fn wait_for_more(lanes: &[Lane], more: usize) -> anyhow::Result<()> {
    let goal = accepted_by(lanes) + more;
    wait_until(lanes, &format!("{goal} accepted messages"), || {
        accepted_by(lanes) >= goal
    })
    .await
}

/// Waits for a condition while the lanes run.
pub(crate) async fn wait_until(
    lanes: &[Lane],
    what: &str,
    mut condition: impl FnMut() -> bool,
) -> anyhow::Result<()> {
    let started_at = Instant::now();
    while !condition() {
        ensure!(started_at.elapsed() < SOON, "no {what} within {SOON:?}");
        ensure!(
            !lanes.iter().any(|lane| lane.task.is_finished()),
            "a sender gave up while waiting for {what}"
        );
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

/// Lets each lane finish the message it is sending; gives back what was accepted from each.
pub(crate) async fn finish(lanes: Vec<Lane>) -> anyhow::Result<Vec<Vec<String>>> {
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

/// Waits until the service has all these events.
pub(crate) async fn wait_for_all(
    appservice: &RecordingAppservice,
    accepted: &[Vec<String>],
) -> anyhow::Result<()> {
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
    appservice
        .wait_for("all accepted events", SOON, all_arrived)
        .await
        .with_context(|| format!("{} accepted events are missing", missing.len()))
}

/// Judges what the service received: each lane's events all, once, in order, and no message that was not accepted.
pub(crate) fn check(
    appservice: &RecordingAppservice,
    accepted: &[Vec<String>],
) -> anyhow::Result<Verdict> {
    let mut verdict = None;
    for lane in accepted {
        verdict = Some(appservice.judge(lane)?);
    }
    let verdict = verdict.context("there are lanes")?;
    check_messages(&verdict, accepted)?;
    ensure!(
        appservice.refused_tokens() == 0,
        "requests with a wrong token"
    );
    Ok(verdict)
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
    number_of(text).is_some_and(|number| *text == body(sender, number))
}

/// The number in a message's text.
pub(crate) fn number_of(text: &Value) -> Option<usize> {
    text.as_str()?.rsplit(' ').next()?.parse().ok()
}
