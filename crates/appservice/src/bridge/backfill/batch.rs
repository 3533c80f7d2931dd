//! History in batches, for homeservers that take them (`com.beeper.backfill`).
//!
//! The events have ids of our own making, from the remote network's ids: the homeserver keeps them, and a batch that is sent
//! again after a crash makes no other events.

use std::collections::{HashSet, VecDeque};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{
    Backfill, BackfillError, HistoryMessage,
    run::{PageOutcome, Place, is_of_the_message},
};
use crate::{
    Error, Urgency,
    client::{Call, escape},
    id::{EventId, UserId},
};

/// Events of a batch at most.
const BATCH: usize = 100;

/// JSON bytes of a batch's events at most, unless a single one is larger.
const BATCH_BYTES: usize = 512 << 10;

#[derive(Deserialize)]
struct Sent {
    event_ids: Vec<EventId>,
}

/// A message on its way, and its event.
struct Prepared<'a> {
    message: &'a HistoryMessage,
    event: Value,
}

impl Backfill {
    /// Brings a page. What the homeserver refuses for good is left out and counted; for that a batch with something in
    /// it that is refused is halved, until it is known what.
    pub(super) async fn send_batches(
        &self,
        messages: &[HistoryMessage],
        place: &Place,
    ) -> Result<PageOutcome, BackfillError> {
        let mut outcome = PageOutcome::default();
        let barred = self.let_in(messages).await?;
        let is_barred = |message: &&HistoryMessage| barred.contains(&message.sender);
        let ids = messages.iter().filter(|message| !is_barred(message));
        let ids: HashSet<&str> = ids.map(|message| &*message.remote_id).collect();
        let mut events = Vec::new();
        for message in messages {
            match self.known(&message.remote_id).await? {
                Some(known) => outcome.has(known.event),
                None if is_barred(&message) => outcome.failed += 1,
                None => {
                    let event = self.event(message, &ids).await?;
                    events.push(Prepared { message, event });
                }
            }
        }
        let mut waiting = VecDeque::from(batches(&events));
        while let Some(batch) = waiting.pop_front() {
            if place.is_stopped() {
                return Err(BackfillError::Cancelled);
            }
            let Err(error) = self.send_batch(batch, &mut outcome).await else {
                continue;
            };
            match batch {
                [_, _, ..] if is_of_a_message(&error) => {
                    let (first, second) = batch.split_at(batch.len() / 2);
                    waiting.push_front(second);
                    waiting.push_front(first);
                }
                [one] if is_of_a_message(&error) => {
                    self.leave_out(one.message, &error);
                    outcome.failed += 1;
                }
                _ => return Err(error.into()),
            }
        }
        Ok(outcome)
    }

    /// Lets the senders of messages into the room; those whom it refuses for good are given back.
    async fn let_in(&self, messages: &[HistoryMessage]) -> Result<HashSet<UserId>, Error> {
        let mut barred = HashSet::new();
        for sender in senders(messages) {
            match self.core().ensure_joined(sender, self.room()).await {
                Ok(()) => {}
                Err(error) if is_of_a_message(&error) => {
                    let room = self.room();
                    tracing::warn!(%room, %sender, %error, "what they have said in the past is left out");
                    barred.insert(sender.clone());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(barred)
    }

    /// Sends what the room has not got in the meantime.
    async fn send_batch(
        &self,
        batch: &[Prepared<'_>],
        outcome: &mut PageOutcome,
    ) -> Result<(), Error> {
        let mut new = Vec::new();
        for prepared in batch {
            match self.known(&prepared.message.remote_id).await? {
                Some(known) => outcome.has(known.event),
                None => new.push(prepared),
            }
        }
        if new.is_empty() {
            return Ok(());
        }
        let path = format!(
            "/_matrix/client/unstable/com.beeper.backfill/rooms/{}/batch_send",
            escape(self.room().as_str())
        );
        let events: Vec<&Value> = new.iter().map(|prepared| &prepared.event).collect();
        let mut body = json!({ "forward": true, "send_notification": false, "events": events });
        if let Some(reader) = self.readers().first() {
            body["mark_read_by"] = json!(reader);
        }
        let call = Call::post(path, &body).urgency(Urgency::Backfill);
        let sent: Sent = self.core().client.ask(&call).await?;
        outcome.sent += new.len();
        outcome.last_event = sent.event_ids.last().cloned().or(outcome.last_event.take());
        let messages = new.iter().map(|prepared| prepared.message.clone());
        self.link(messages.zip(sent.event_ids).collect()).await
    }

    /// The event of a message; `page` are the remote ids of those that are sent with it.
    async fn event(&self, message: &HistoryMessage, page: &HashSet<&str>) -> Result<Value, Error> {
        let answered = match &message.reply_to {
            Some(id) => match self.known(id).await? {
                Some(known) => Some(known.event),
                // It has its id from this history too; what a portal does not know was never in it.
                None if !self.has_book() || page.contains(&**id) => {
                    EventId::parse(&self.event_id(id)).ok()
                }
                None => None,
            },
            None => None,
        };
        let content = self.content(message, answered);
        let kind = content.event_type().to_owned();
        let mut content = content.into_json();
        self.core()
            .client
            .puppets()
            .mark(&message.sender, &mut content);
        Ok(json!({
            "event_id": self.event_id(&message.remote_id),
            "type": kind,
            "sender": message.sender.as_str(),
            "origin_server_ts": message.sent_ms,
            "content": content,
        }))
    }

    /// An event's id, the same whenever it is asked for.
    fn event_id(&self, remote_id: &str) -> String {
        let hash = Sha256::digest(self.key(remote_id).as_bytes());
        let server = &self.core().server_name;
        format!("${}:{server}", URL_SAFE_NO_PAD.encode(hash))
    }
}

/// Whether a no is about a message or its sender, so that others may go.
fn is_of_a_message(error: &Error) -> bool {
    is_of_the_message(error) && !error.is_transient() && error.errcode() != Some("M_UNRECOGNIZED")
}

fn senders(messages: &[HistoryMessage]) -> Vec<&UserId> {
    let mut senders: Vec<_> = messages.iter().map(|message| &message.sender).collect();
    senders.sort();
    senders.dedup();
    senders
}

/// Cuts events into batches, in order.
fn batches<'a, 'b>(events: &'a [Prepared<'b>]) -> Vec<&'a [Prepared<'b>]> {
    let (mut batches, mut start, mut bytes) = (Vec::new(), 0, 0);
    for (at, event) in events.iter().enumerate() {
        let size = event.event.to_string().len();
        let is_full = at - start >= BATCH || bytes + size > BATCH_BYTES;
        if is_full && at > start {
            batches.push(&events[start..at]);
            (start, bytes) = (at, 0);
        }
        bytes += size;
    }
    if start < events.len() {
        batches.push(&events[start..]);
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_keep_the_order_and_their_bounds() {
        let sender = UserId::parse("@a:b").expect("a user");
        let message = HistoryMessage::new("1", &sender, 0, "hi");
        let sizes = |events: Vec<Value>| {
            let message = &message;
            let prepared = events.iter().cloned();
            let prepared: Vec<_> = prepared.map(|event| Prepared { message, event }).collect();
            let cut = batches(&prepared);
            let in_order = cut.iter().flat_map(|batch| batch.iter());
            let in_order: Vec<_> = in_order.map(|prepared| prepared.event.clone()).collect();
            assert_eq!(in_order, events);
            cut.iter().map(|batch| batch.len()).collect::<Vec<_>>()
        };
        let small = (0..250).map(|n| json!({ "n": n })).collect();
        assert_eq!(sizes(small), [100, 100, 50]);
        let large = (0..5).map(|_| json!("x".repeat(200 << 10))).collect();
        assert_eq!(sizes(large), [2, 2, 1]);
        assert_eq!(sizes(vec![json!("x".repeat(1 << 20)), json!(1)]), [1, 1]);
        assert!(sizes(Vec::new()).is_empty());
    }
}
