//! History in batches, for homeservers that take them (`com.beeper.backfill`).
//!
//! The events have ids of our own making, from the remote network's ids: the homeserver keeps them, and a batch that is sent
//! again after a crash makes no other events.

use std::collections::HashSet;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Backfill, HistoryMessage, run::PageOutcome};
use crate::{
    Error, Urgency,
    client::{Call, escape},
    id::EventId,
};

/// Events of a batch at most.
const BATCH: usize = 100;

/// JSON bytes of a batch's events at most, unless a single one is larger.
const BATCH_BYTES: usize = 512 << 10;

#[derive(Deserialize)]
struct Sent {
    event_ids: Vec<EventId>,
}

impl Backfill {
    pub(super) async fn send_batches(
        &self,
        messages: &[HistoryMessage],
    ) -> Result<PageOutcome, Error> {
        let mut outcome = PageOutcome::default();
        let mut new = Vec::new();
        let mut events = Vec::new();
        let ids = messages.iter().map(|message| &*message.remote_id);
        let ids: HashSet<&str> = ids.collect();
        for message in messages {
            match self.known(&message.remote_id).await? {
                Some(known) => {
                    outcome.sent += 1;
                    outcome.last_event = Some(known.event);
                }
                None => {
                    events.push(self.event(message, &ids).await?);
                    new.push(message.clone());
                }
            }
        }
        for sender in senders(&new) {
            self.core().ensure_joined(sender, self.room()).await?;
        }
        let mut new = new.into_iter();
        for batch in batches(&events) {
            let path = format!(
                "/_matrix/client/unstable/com.beeper.backfill/rooms/{}/batch_send",
                escape(self.room().as_str())
            );
            let mut body = json!({ "forward": true, "send_notification": false, "events": batch });
            if let Some(reader) = self.readers().first() {
                body["mark_read_by"] = json!(reader);
            }
            let call = Call::post(path, &body).urgency(Urgency::Backfill);
            let sent: Sent = self.core().client.ask(&call).await?;
            outcome.sent += batch.len();
            outcome.last_event = sent.event_ids.last().cloned().or(outcome.last_event);
            let messages = new.by_ref().take(batch.len());
            self.link(messages.zip(sent.event_ids).collect()).await?;
        }
        Ok(outcome)
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

fn senders(messages: &[HistoryMessage]) -> Vec<&crate::id::UserId> {
    let mut senders: Vec<_> = messages.iter().map(|message| &message.sender).collect();
    senders.sort();
    senders.dedup();
    senders
}

/// Cuts events into batches, in order.
fn batches(events: &[Value]) -> Vec<&[Value]> {
    let (mut batches, mut start, mut bytes) = (Vec::new(), 0, 0);
    for (at, event) in events.iter().enumerate() {
        let size = event.to_string().len();
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
        let small: Vec<Value> = (0..250).map(|n| json!({ "n": n })).collect();
        let cut = batches(&small);
        assert_eq!(
            cut.iter().map(|batch| batch.len()).collect::<Vec<_>>(),
            [100, 100, 50]
        );
        assert_eq!(cut.concat(), small);
        let large: Vec<Value> = (0..5).map(|_| json!("x".repeat(200 << 10))).collect();
        assert_eq!(
            batches(&large)
                .iter()
                .map(|batch| batch.len())
                .collect::<Vec<_>>(),
            [2, 2, 1]
        );
        let huge = [json!("x".repeat(1 << 20)), json!(1)];
        assert_eq!(batches(&huge).len(), 2);
        assert!(batches(&[]).is_empty());
    }
}
