//! Taking a transaction: read leniently, stored as a whole, then acknowledged.

use std::{
    collections::HashMap,
    sync::{Arc, Weak, atomic::Ordering},
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use sha2::{Digest as _, Sha256};

use super::Inbox;
use crate::{
    Event,
    metrics::catalogue::{EPHEMERAL_DROPPED, EVENTS_RECEIVED, TRANSACTIONS},
    state::Rooms,
    store::{InboxKind, InboxRow, NewInboxRow, StoreError},
    trace::Trace,
};

/// Events and messages of one transaction at most; homeservers send some hundred.
const MAX_ITEMS: usize = 100_000;

/// Transactions without anything to store that are recognised.
const PASSING: usize = 64;

/// Why a transaction is not taken. The homeserver keeps it and comes again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TakeError {
    /// The body is not JSON.
    #[error("the body is not JSON: {0}")]
    NotJson(String),
    /// The body is JSON, and no transaction.
    #[error("the body is no transaction: {0}")]
    BadJson(String),
    /// More is in it than may be.
    #[error("the transaction has {0} events and messages; {MAX_ITEMS} are the most")]
    TooMany(usize),
    /// As many events wait as may.
    #[error("{0} events wait to be handled: come back later")]
    Full(usize),
    /// The service is being ended.
    #[error("the service is being ended: come back later")]
    Stopping,
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A transaction as homeservers send it (specification, *Application Service API*, *Pushing events*), with the keys
/// of the proposals that came before. Where both are there, the specification's own counts.
struct Body<'a> {
    events: Vec<&'a RawValue>,
    ephemeral: Vec<&'a RawValue>,
    to_device: Vec<&'a RawValue>,
    devices: DeviceNews<'a>,
}

/// Whose devices have changed, and how many keys are left.
#[derive(Serialize)]
struct DeviceNews<'a> {
    device_lists: Option<&'a RawValue>,
    one_time_keys: Option<&'a RawValue>,
    unused_fallback_keys: Option<&'a RawValue>,
}

/// The keys of a JSON object; of the same key twice the last one counts.
struct Keys<'a>(HashMap<String, &'a RawValue>);

impl<'a> Keys<'a> {
    /// The value under the first of these names that says anything.
    fn first(&self, names: &[&str]) -> Option<&'a RawValue> {
        let mut found = names.iter().filter_map(|name| self.0.get(*name).copied());
        found.find(|value| !matches!(value.get(), "null" | "[]" | "{}"))
    }

    /// The items of a list. What is no list counts as its only item: it is set aside then, alone, instead of coming
    /// back for ever.
    fn list(&self, names: &[&str]) -> Vec<&'a RawValue> {
        let Some(value) = self.first(names) else {
            return Vec::new();
        };
        serde_json::from_str(value.get()).unwrap_or_else(|_| vec![value])
    }
}

impl<'a> Body<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, TakeError> {
        let not_json = |error: &dyn std::fmt::Display| TakeError::NotJson(error.to_string());
        let text = std::str::from_utf8(bytes).map_err(|error| not_json(&error))?;
        let keys = Keys(serde_json::from_str(text).map_err(|error| {
            if error.is_data() {
                TakeError::BadJson(error.to_string())
            } else {
                not_json(&error)
            }
        })?);
        let body = Self {
            events: keys.list(&["events"]),
            ephemeral: keys.list(&["ephemeral", "de.sorunome.msc2409.ephemeral"]),
            to_device: keys.list(&["to_device", "de.sorunome.msc2409.to_device"]),
            devices: DeviceNews {
                device_lists: keys.first(&["device_lists", "org.matrix.msc3202.device_lists"]),
                one_time_keys: keys.first(&[
                    "device_one_time_keys_count",
                    "org.matrix.msc3202.device_one_time_keys_count",
                    "org.matrix.msc3202.device_one_time_key_counts",
                ]),
                unused_fallback_keys: keys.first(&[
                    "device_unused_fallback_key_types",
                    "org.matrix.msc3202.device_unused_fallback_key_types",
                ]),
            },
        };
        let items = body.events.len() + body.ephemeral.len() + body.to_device.len();
        if items > MAX_ITEMS {
            return Err(TakeError::TooMany(items));
        }
        Ok(body)
    }
}

/// What lanes and duplicates need of an event.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    event_id: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow)]
    room_id: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow, rename = "type")]
    kind: Option<std::borrow::Cow<'a, str>>,
    state_key: Option<serde::de::IgnoredAny>,
}

/// An event that says something of a room's state, if it can be read.
fn state_of(head: &Head<'_>, event: &RawValue) -> Option<Arc<Event>> {
    let is_redaction = head.kind.as_deref() == Some("m.room.redaction");
    if head.state_key.is_none() && !is_redaction {
        return None;
    }
    Event::parse(event).ok().map(Arc::new)
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
            Err(TakeError::NotJson(_) | TakeError::BadJson(_) | TakeError::TooMany(_)) => "refused",
            Err(TakeError::Full(_) | TakeError::Stopping | TakeError::Store(_)) => "deferred",
        };
        self.metrics.count(&TRANSACTIONS, &[outcome], 1);
        taken
    }

    async fn take_whole(&self, txn_id: &str, body: &[u8], now_ms: i64) -> Result<bool, TakeError> {
        let body = Body::parse(body)?;
        let depth = self.depth();
        if depth >= self.high_water {
            return Err(TakeError::Full(depth));
        }
        let mut rows = rows_of(&body);
        if rows.is_empty() {
            return Ok(self.take_passing(txn_id, &body));
        }
        let digest = digest_of(txn_id, &rows);
        for row in &mut rows {
            if row.kind != InboxKind::Event {
                row.name = Some(self.randomness.hex(16));
            }
        }
        let txn = txn_id.to_owned();
        let interest = self.rooms.interest().clone();
        let begun = self.taking.lock().await;
        let taken = self
            .store
            .write(move |unit| {
                if !unit.take_transaction(&digest, now_ms)? {
                    return Ok(None);
                }
                let mut new = Vec::with_capacity(rows.len());
                let mut news = Vec::new();
                for row in &rows {
                    let Some(stored) = unit.insert_inbox(row, &txn, now_ms)? else {
                        continue;
                    };
                    new.push(stored);
                    // Whatever becomes of its handlers, it is the room's state.
                    if let Some(event) = &row.state {
                        news.extend(Rooms::hear(&interest, unit, event, now_ms)?);
                    }
                }
                Ok(Some((new, news)))
            })
            .await?;
        let Some((rows, news)) = taken else {
            return Ok(false);
        };
        self.rooms.remember(&news);
        let core = self.lanes.work().core.get().and_then(Weak::upgrade);
        let opened = core.as_ref().map(|core| core.overheard(&news));
        if let Some(core) = &core {
            core.policies.hear(&news, &core.bot);
        }
        let changes = rows.iter().filter(|row| may_change_others(row)).count();
        let queued = self.queue(rows, *begun);
        if changes > 0 {
            self.changes.send_modify(|count| *count += 1);
        }
        if let (Some(core), Some(opened)) = (core, opened) {
            core.reopen(opened).await;
            core.release_held(&news).await;
        }
        self.metrics.count(&EVENTS_RECEIVED, &[], queued as u64);
        self.queue_ephemeral(&body.ephemeral);
        Ok(true)
    }

    /// Takes what leaves nothing to be kept: typing and the like may be lost, and are known again for a while only.
    /// Otherwise each of them would be a write, remembered for ever.
    fn take_passing(&self, txn_id: &str, body: &Body<'_>) -> bool {
        let contents = body.ephemeral.iter().map(|event| event.get().as_bytes());
        let parts: Vec<&[u8]> = std::iter::once(txn_id.as_bytes()).chain(contents).collect();
        let digest = short_digest(&parts);
        {
            let mut passing = self.passing.lock();
            if passing.contains(&digest) {
                return false;
            }
            passing.truncate(PASSING - 1);
            passing.push_front(digest);
        }
        self.queue_ephemeral(&body.ephemeral);
        true
    }

    /// Counts rows whose ids are the newest, and brings them to their lanes if handling has begun; to be called with
    /// `taking` held. Gives back how many there were.
    pub(super) fn queue(&self, rows: impl IntoIterator<Item = InboxRow>, begun: bool) -> usize {
        let mut queued = 0;
        for row in rows {
            queued += 1;
            self.lanes.work().add();
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

/// Whether it may be an edit or a redaction.
fn may_change_others(row: &InboxRow) -> bool {
    ["m.replace", "m.room.redaction"]
        .iter()
        .any(|mark| row.body.contains(mark))
}

fn rows_of(body: &Body<'_>) -> Vec<NewInboxRow> {
    let mut rows: Vec<NewInboxRow> = body.events.iter().map(|event| event_row(event)).collect();
    rows.extend(body.to_device.iter().map(|message| NewInboxRow {
        lane: "to-device".to_owned(),
        kind: InboxKind::ToDevice,
        body: message.get().to_owned(),
        digest: None,
        trace: None,
        name: None,
        state: None,
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
        name: None,
        state: head.as_ref().and_then(|head| state_of(head, event)),
    }
}

fn devices_row(body: &Body<'_>) -> Option<NewInboxRow> {
    let news = &body.devices;
    let is_empty = |value: Option<&RawValue>| {
        value.is_none_or(|value| {
            // What cannot be read here is kept, and set aside with its error.
            let lists = serde_json::from_str::<HashMap<&str, Vec<&RawValue>>>(value.get());
            lists.is_ok_and(|lists| lists.values().all(Vec::is_empty))
        })
    };
    let parts = [
        news.device_lists,
        news.one_time_keys,
        news.unused_fallback_keys,
    ];
    if parts.into_iter().all(is_empty) {
        return None;
    }
    Some(NewInboxRow {
        lane: "devices".to_owned(),
        kind: InboxKind::Devices,
        body: serde_json::to_string(news).ok()?,
        digest: None,
        trace: None,
        name: None,
        state: None,
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
