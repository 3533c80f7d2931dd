//! Taking a transaction: read leniently, stored as a whole, then acknowledged.

use std::sync::{Arc, atomic::Ordering};

use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use sha2::{Digest as _, Sha256};

use super::Inbox;
use crate::{
    metrics::catalogue::{EPHEMERAL_DROPPED, EVENTS_RECEIVED, TRANSACTIONS},
    store::{InboxKind, InboxRow, NewInboxRow, StoreError},
    trace::Trace,
};

/// Why a transaction is not taken. The homeserver keeps it and comes again.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// The body is no transaction.
    #[error("the body is no transaction: {0}")]
    BadJson(String),
    /// As many events wait as may.
    #[error("{0} events wait to be handled: come back later")]
    Full(usize),
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A transaction as homeservers send it (specification, *Application Service API*, *Pushing events*), with the keys
/// of the proposals that came before.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, default)]
    events: Vec<&'a RawValue>,
    #[serde(borrow, default, alias = "de.sorunome.msc2409.ephemeral")]
    ephemeral: Vec<&'a RawValue>,
    #[serde(borrow, default, alias = "de.sorunome.msc2409.to_device")]
    to_device: Vec<&'a RawValue>,
    #[serde(default, alias = "org.matrix.msc3202.device_lists")]
    device_lists: Option<Value>,
    #[serde(
        default,
        alias = "org.matrix.msc3202.device_one_time_keys_count",
        alias = "org.matrix.msc3202.device_one_time_key_counts"
    )]
    device_one_time_keys_count: Option<Value>,
    #[serde(default, alias = "org.matrix.msc3202.device_unused_fallback_key_types")]
    device_unused_fallback_key_types: Option<Value>,
}

/// What lanes and duplicates need of an event.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    event_id: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow)]
    room_id: Option<std::borrow::Cow<'a, str>>,
}

/// Lane of what has no room.
const NO_ROOM: &str = "?";

impl Inbox {
    /// Takes a transaction: returns once it is on disk. A repeat changes nothing, and returns `false`.
    ///
    /// # Errors
    /// When it cannot be read or stored, or the inbox is full: it is to be sent again.
    pub(crate) async fn take(
        &self,
        txn_id: &str,
        body: &[u8],
        now_ms: i64,
    ) -> Result<bool, TakeError> {
        let taken = self.take_whole(txn_id, body, now_ms).await;
        let outcome = match &taken {
            Ok(true) => "received",
            Ok(false) => "repeated",
            Err(TakeError::BadJson(_)) => "refused",
            Err(TakeError::Full(_) | TakeError::Store(_)) => "deferred",
        };
        self.metrics.count(&TRANSACTIONS, &[outcome], 1);
        taken
    }

    async fn take_whole(&self, txn_id: &str, body: &[u8], now_ms: i64) -> Result<bool, TakeError> {
        let body: Body<'_> =
            serde_json::from_slice(body).map_err(|error| TakeError::BadJson(error.to_string()))?;
        let depth = self.depth();
        if depth >= self.high_water {
            return Err(TakeError::Full(depth));
        }
        let rows = rows_of(&body);
        let digest = digest_of(txn_id, &rows);
        let txn = txn_id.to_owned();
        let begun = self.taking.lock().await;
        let taken = self
            .store
            .write(move |unit| {
                if !unit.take_transaction(&digest, now_ms)? {
                    return Ok(None);
                }
                let rows = rows.iter().map(|row| unit.insert_inbox(row, &txn, now_ms));
                rows.collect::<Result<Vec<_>, _>>().map(Some)
            })
            .await?;
        let Some(rows) = taken else { return Ok(false) };
        let queued = self.queue(rows.into_iter().flatten(), *begun);
        self.metrics.count(&EVENTS_RECEIVED, &[], queued as u64);
        self.queue_ephemeral(&body.ephemeral);
        Ok(true)
    }

    /// Counts rows whose ids are the newest, and brings them to their lanes if handling has begun; to be called with
    /// `taking` held. Gives back how many there were.
    pub(super) fn queue(&self, rows: impl IntoIterator<Item = InboxRow>, begun: bool) -> usize {
        let mut queued = 0;
        for row in rows {
            queued += 1;
            self.lanes.work().depth.fetch_add(1, Ordering::Relaxed);
            if begun {
                let lane = row.lane.clone();
                self.lanes.push(&lane, row);
            }
        }
        queued
    }

    fn queue_ephemeral(&self, events: &[&RawValue]) {
        for event in events {
            let Ok(value) = serde_json::from_str::<Value>(event.get()) else {
                continue;
            };
            self.ephemeral_waiting.fetch_add(1, Ordering::AcqRel);
            if self.ephemeral.try_send(Arc::new(value)).is_err() {
                self.ephemeral_waiting.fetch_sub(1, Ordering::AcqRel);
                self.metrics.count(&EPHEMERAL_DROPPED, &[], 1);
                tracing::debug!("an ephemeral event is dropped: too many wait");
            }
        }
    }
}

fn rows_of(body: &Body<'_>) -> Vec<NewInboxRow> {
    let mut rows: Vec<NewInboxRow> = body.events.iter().map(|event| event_row(event)).collect();
    rows.extend(body.to_device.iter().map(|message| NewInboxRow {
        lane: "to-device".to_owned(),
        kind: InboxKind::ToDevice,
        body: message.get().to_owned(),
        digest: None,
        trace: None,
    }));
    rows.extend(devices_row(body));
    if let Some(trace) = Trace::current() {
        for row in &mut rows {
            row.trace = Some(trace.as_str().to_owned());
        }
    }
    rows
}

fn event_row(event: &RawValue) -> NewInboxRow {
    // What has no id or room is kept all the same: it will be parked, alone.
    let head = serde_json::from_str::<Head<'_>>(event.get()).ok();
    let lane = head
        .as_ref()
        .and_then(|head| head.room_id.as_deref())
        .unwrap_or(NO_ROOM);
    let id = head.as_ref().and_then(|head| head.event_id.as_deref());
    NewInboxRow {
        lane: lane.chars().take(255).collect(),
        kind: InboxKind::Event,
        body: event.get().to_owned(),
        digest: id.map(|id| short_digest(&[id.as_bytes()])),
        trace: None,
    }
}

fn devices_row(body: &Body<'_>) -> Option<NewInboxRow> {
    let (lists, keys, fallback) = (
        &body.device_lists,
        &body.device_one_time_keys_count,
        &body.device_unused_fallback_key_types,
    );
    let is_empty = |value: &Option<Value>| match value {
        None | Some(Value::Null) => true,
        Some(Value::Object(map)) => map
            .values()
            .all(|value| value.as_array().is_some_and(Vec::is_empty)),
        Some(_) => false,
    };
    if is_empty(lists) && is_empty(keys) && is_empty(fallback) {
        return None;
    }
    let news =
        json!({ "device_lists": lists, "one_time_keys": keys, "unused_fallback_keys": fallback });
    Some(NewInboxRow {
        lane: "devices".to_owned(),
        kind: InboxKind::Devices,
        body: news.to_string(),
        digest: None,
        trace: None,
    })
}

/// What recognises a transaction. Not its id alone: a homeserver that was restored or reset counts from the start
/// again, and its first transaction is no repeat of the one from back then. Not its bytes: homeservers that keep
/// events and make the body anew write another `age` each time.
fn digest_of(txn_id: &str, rows: &[NewInboxRow]) -> [u8; 16] {
    let contents = rows.iter().map(|row| match &row.digest {
        Some(digest) => &digest[..],
        None => row.body.as_bytes(),
    });
    let parts: Vec<&[u8]> = std::iter::once(txn_id.as_bytes()).chain(contents).collect();
    short_digest(&parts)
}

fn short_digest(parts: &[&[u8]]) -> [u8; 16] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let mut short = [0; 16];
    short.copy_from_slice(&hash.finalize()[..16]);
    short
}
