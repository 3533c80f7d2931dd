//! From the log to a transaction's body.
//!
//! Application-service API, `PUT /_matrix/app/v1/transactions/{txnId}`. A batch is cut when it is
//! sent, never when an event is written: at most `max_transaction_events` events and
//! `max_transaction_bytes` bytes, in log order. To-device messages stand before the room events
//! they may unlock.

use bridgehead_store::{
    FrozenTransaction, LogEntry, LogKind, Result, Snapshot, StreamPosition, TimelineEvent,
    ToDeviceRow,
};
use serde_json::{Value, json};

use super::device_news::{self, Cause, DeviceNews, Entry};
use crate::{
    appservices::{Appservice, Registry, registration::Registration},
    rooms::format::{Format, Object},
};

/// Log rows looked at in one step.
const SCAN: usize = 128;
/// Log rows that one look spans at most: it holds a snapshot, which the database cannot tidy up
/// behind, and a connection that others wait for.
const MAX_SPAN: u64 = 10_000;
/// Bytes kept free for the body's keys.
const ENVELOPE: usize = 512;
/// Bytes of a to-device message beside its content, about.
const TO_DEVICE_ENVELOPE: usize = 512;
/// Receipts in a transaction at most; older ones are dropped.
const MAX_RECEIPTS: usize = 100;
/// Receipts older than this are not told any more, ms.
const RECEIPT_TTL_MS: i64 = 300_000;

/// What a transaction will hold.
#[derive(Default)]
pub(crate) struct Batch {
    from: StreamPosition,
    upto: StreamPosition,
    /// Rows of the log that are for the service.
    entries: u64,
    /// What of them the body holds, ephemeral data aside.
    items: usize,
    /// The first of those rows, and when it was written.
    first: Option<(StreamPosition, i64)>,
    events: Vec<String>,
    to_device: Vec<ToDeviceRow>,
    receipts: Vec<String>,
    devices: DeviceNews,
    bytes: usize,
    full: bool,
    /// The log goes on after `upto`.
    more: bool,
}

/// Where a transaction stands in the row of all: the body says so, so that a service can tell
/// that it has missed nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sequence {
    /// Where the one before it ended.
    pub(crate) prev: StreamPosition,
    /// It is sent once more, and no part of that row.
    pub(crate) replay: bool,
}

/// Limits of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Room events, to-device messages and device-list changes together.
    pub(crate) events: usize,
    /// Bytes of events and to-device messages together.
    pub(crate) bytes: usize,
}

/// What reading the log for one service takes.
pub(crate) struct Reader<'a> {
    pub(crate) snapshot: &'a Snapshot<'a>,
    pub(crate) service: &'a Appservice,
    pub(crate) registry: &'a Registry,
    pub(crate) interested: &'a dyn Fn(&LogEntry) -> bool,
    pub(crate) limits: Limits,
    /// Whether what is told and not kept may be in it.
    pub(crate) ephemeral: bool,
    pub(crate) now_ms: i64,
}

impl Reader<'_> {
    /// Collects what is of interest after `cursor`, up to the limits, `upto`, the end of the log,
    /// or [`MAX_SPAN`].
    pub(crate) fn collect(&self, cursor: StreamPosition, upto: StreamPosition) -> Result<Batch> {
        let mut batch = Batch {
            from: cursor,
            upto: cursor,
            ..Batch::default()
        };
        while !batch.full {
            let rows = self.snapshot.log_after(batch.upto, SCAN)?;
            let last = rows.len() < SCAN || rows.last().is_some_and(|row| row.pos >= upto);
            for row in rows.into_iter().take_while(|row| row.pos <= upto) {
                if (self.interested)(&row) {
                    self.add(&mut batch, &row)?;
                    if batch.full {
                        break;
                    }
                    batch.entries += 1;
                    batch.first.get_or_insert((row.pos, row.at_ms));
                }
                batch.upto = row.pos;
            }
            batch.more = !last;
            if last || batch.upto.0 - cursor.0 >= MAX_SPAN {
                break;
            }
        }
        Ok(batch)
    }

    fn registration(&self) -> &Registration {
        &self.service.registration
    }

    fn add(&self, batch: &mut Batch, row: &LogEntry) -> Result<()> {
        match row.kind {
            LogKind::Event => {
                if let Some(event) = self.snapshot.event_at(row.pos)? {
                    let text = self.format(&event)?;
                    batch.add_event(text, self.limits);
                }
            }
            LogKind::ToDevice if self.registration().features.msc3202 => {
                for message in self.snapshot.to_device_at(row.pos)? {
                    batch.add_to_device(message, self.limits);
                }
            }
            LogKind::DeviceList | LogKind::Met | LogKind::Parted | LogKind::KeyCounts
                if self.registration().features.msc3202 =>
            {
                if let Some(entry) = self.device_news(batch, row)? {
                    batch.add_devices(entry, self.limits);
                }
            }
            LogKind::Receipt if self.wants_ephemeral() => self.add_receipt(batch, row)?,
            LogKind::ToDevice
            | LogKind::DeviceList
            | LogKind::Met
            | LogKind::Parted
            | LogKind::KeyCounts
            | LogKind::Receipt
            | LogKind::AccountData
            | LogKind::Aliases => {}
        }
        Ok(())
    }

    fn wants_ephemeral(&self) -> bool {
        self.ephemeral && self.service.takes_ephemeral()
    }

    /// The event with the copies of the protocol's first version, which old services read and
    /// nobody minds.
    fn format(&self, event: &TimelineEvent) -> Result<String> {
        let because = match &event.redacted_by {
            Some(redaction) => self.snapshot.event(redaction)?.map(|redaction| {
                Format {
                    now_ms: self.now_ms,
                    ..Format::default()
                }
                .event(&redaction)
            }),
            None => None,
        };
        let stripped = self.stripped_state(event)?;
        let format = Format {
            now_ms: self.now_ms,
            legacy: true,
            redacted_because: because.as_deref(),
            stripped_state: stripped.as_ref().map(|(key, state)| (*key, state.as_str())),
            ..Format::default()
        };
        Ok(format.event(event))
    }

    fn stripped_state(&self, event: &TimelineEvent) -> Result<Option<(&'static str, String)>> {
        if event.event_type != "m.room.member" {
            return Ok(None);
        }
        let key = match bridgehead_room::Membership::from_content_text(&event.content) {
            Some(bridgehead_room::Membership::Invite) => "invite_room_state",
            Some(bridgehead_room::Membership::Knock) => "knock_room_state",
            _ => return Ok(None),
        };
        let state = crate::rooms::stripped::stripped_state_at(self.snapshot, event)?;
        Ok(Some((key, state)))
    }

    fn add_receipt(&self, batch: &mut Batch, row: &LogEntry) -> Result<()> {
        // A later receipt of the same user may have replaced the one of this row.
        let Some(receipt) = self.snapshot.receipt_at(row.pos)? else {
            return Ok(());
        };
        if self.now_ms - receipt.ts > RECEIPT_TTL_MS {
            return Ok(());
        }
        let mut data = json!({ "ts": receipt.ts });
        if !receipt.thread_id.is_empty() {
            data["thread_id"] = json!(receipt.thread_id);
        }
        let event = json!({
            "type": "m.receipt",
            "room_id": receipt.room_id,
            "content": { receipt.event_id: { receipt.kind: { receipt.user_id: data } } },
        });
        if batch.receipts.len() >= MAX_RECEIPTS {
            let dropped = batch.receipts.remove(0);
            batch.bytes -= self.ephemeral_bytes(&dropped);
        }
        let event = event.to_string();
        let bytes = self.ephemeral_bytes(&event);
        if batch.has_something() && bytes > batch.free_bytes(self.limits) {
            batch.full = true;
            return Ok(());
        }
        batch.bytes += bytes;
        batch.receipts.push(event);
        Ok(())
    }

    /// What an ephemeral event takes in the body: it stands there under each key asked for.
    fn ephemeral_bytes(&self, event: &str) -> usize {
        let features = &self.registration().features;
        let keys =
            usize::from(features.receive_ephemeral) + usize::from(features.push_ephemeral_unstable);
        (event.len() + 1) * keys
    }

    fn device_news(&self, batch: &mut Batch, row: &LogEntry) -> Result<Option<Entry>> {
        let Some(user_id) = &row.user_id else {
            return Ok(None);
        };
        let reader = device_news::Reader {
            snapshot: self.snapshot,
            service: self.service,
            registry: self.registry,
        };
        let cause = match row.kind {
            LogKind::KeyCounts => return batch.devices.counts(self.snapshot, user_id),
            LogKind::Met => Cause::Met,
            LogKind::Parted => Cause::Parted,
            _ => Cause::Changed,
        };
        batch.devices.of_user(&reader, cause, user_id)
    }
}

impl Batch {
    /// Whether the service has to be told anything.
    pub(crate) fn has_something(&self) -> bool {
        !(self.events.is_empty()
            && self.to_device.is_empty()
            && self.receipts.is_empty()
            && self.devices.is_empty())
    }

    /// The cursor after this batch.
    pub(crate) fn upto(&self) -> StreamPosition {
        self.upto
    }

    /// Whether there is more of the log to look at after it.
    pub(crate) fn has_more(&self) -> bool {
        self.more || self.full
    }

    /// What the limit leaves for more.
    pub(crate) fn free_bytes(&self, limits: Limits) -> usize {
        limits.bytes.saturating_sub(self.bytes + ENVELOPE)
    }

    /// Makes room for one more item of so many bytes; false: the batch is full.
    fn admit(&mut self, bytes: usize, limits: Limits) -> bool {
        // A lone item larger than the byte limit still has to go.
        let too_much = self.has_something() && bytes > self.free_bytes(limits);
        self.full |= too_much || self.items >= limits.events;
        if !self.full {
            self.items += 1;
            self.bytes += bytes;
        }
        !self.full
    }

    fn add_event(&mut self, text: String, limits: Limits) {
        let bytes = text.len() + 1;
        if !self.admit(bytes, limits) {
            return;
        }
        self.events.push(text);
    }

    fn add_to_device(&mut self, message: ToDeviceRow, limits: Limits) {
        // It stands in the body under two keys at most.
        let bytes = 2 * (message.content.len() + TO_DEVICE_ENVELOPE);
        if !self.admit(bytes, limits) {
            return;
        }
        self.to_device.push(message);
    }

    fn add_devices(&mut self, entry: Entry, limits: Limits) {
        let bytes = entry.bytes();
        if !self.admit(bytes, limits) {
            return;
        }
        self.devices.add(entry);
    }

    /// Rows of the log that are for the service, whether or not the body holds something of them.
    pub(crate) fn entries(&self) -> u64 {
        self.entries
    }

    /// Fixes the batch, with `lane` as its ephemeral news. Id and time are the caller's.
    pub(crate) fn freeze(
        self,
        registration: &Registration,
        lane: &[String],
        sequence: Sequence,
    ) -> FrozenTransaction {
        let mut body = Object::with_capacity(self.bytes + 256);
        let features = &registration.features;
        let unstable = features.push_ephemeral_unstable;
        // To-device messages first: readers that take the keys in order meet them before the
        // events they unlock.
        if !self.to_device.is_empty() {
            let messages: Vec<String> = self.to_device.iter().map(to_device_json).collect();
            let texts = || messages.iter().map(String::as_str);
            if features.receive_ephemeral {
                body.array("to_device", texts());
            }
            if unstable || features.msc3202 {
                body.array("de.sorunome.msc2409.to_device", texts());
            }
        }
        body.array("events", self.events.iter().map(String::as_str));
        let ephemeral = || self.receipts.iter().chain(lane).map(String::as_str);
        if ephemeral().next().is_some() {
            if features.receive_ephemeral {
                body.array("ephemeral", ephemeral());
            }
            if unstable {
                body.array("de.sorunome.msc2409.ephemeral", ephemeral());
            }
        }
        self.devices.write(&mut body);
        body.raw("io.bridgehead.seq", &self.sequence(sequence).to_string());
        FrozenTransaction {
            from: self.from,
            upto: self.upto,
            events: self.events.len() as u64,
            entries: self.entries,
            items: self.items as u64,
            oldest_at: self.first.map_or(0, |(_, at_ms)| at_ms),
            body: body.finish().into_bytes(),
            ..FrozenTransaction::default()
        }
    }
}

impl Batch {
    /// Positions of the log: what the body holds lies from `first` to `last`, and everything for
    /// the service between `prev` and `first` was in earlier transactions.
    fn sequence(&self, sequence: Sequence) -> Value {
        let first = self.first.map_or(self.upto, |(pos, _)| pos);
        let mut seq = json!({ "first": first, "last": self.upto, "prev": sequence.prev });
        if sequence.replay {
            seq["replay"] = json!(true);
        }
        seq
    }
}

/// Whether a frozen body holds typing, presence or receipts.
pub(crate) fn carries_ephemeral(body: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Keys<'a> {
        #[serde(borrow)]
        ephemeral: Option<&'a serde_json::value::RawValue>,
        #[serde(borrow, rename = "de.sorunome.msc2409.ephemeral")]
        unstable: Option<&'a serde_json::value::RawValue>,
    }
    serde_json::from_slice::<Keys<'_>>(body)
        .is_ok_and(|keys| keys.ephemeral.is_some() || keys.unstable.is_some())
}

fn to_device_json(message: &ToDeviceRow) -> String {
    let mut out = Object::with_capacity(message.content.len() + 192);
    out.raw("content", &message.content);
    out.string("sender", &message.sender);
    out.string("to_device_id", &message.device_id);
    out.string("to_user_id", &message.user_id);
    out.string("type", &message.kind);
    out.finish()
}
