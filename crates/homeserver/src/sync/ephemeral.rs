//! Typing and receipts, as ephemeral events of a room.

use std::collections::BTreeMap;

use bridgehead_store::{ReceiptRow, Result, StreamPosition};
use serde_json::{Value, json, value::RawValue};

use super::{
    filter::{wants_section, wants_type},
    look::Look,
    response::Events,
};
use crate::rooms::format::raw;

/// The room's ephemeral events: who types (`None`: no news), and receipts after `after`.
pub(crate) fn read(
    look: &Look<'_>,
    room_id: &str,
    typing: Option<&[String]>,
    after: StreamPosition,
) -> Result<Events> {
    let filter = &look.reader.filter.room.ephemeral;
    let wanted = |event_type| {
        wants_section(filter, room_id)
            && wants_type(filter.types.as_deref(), &filter.not_types, event_type)
    };
    let mut events = Vec::new();
    if let Some(users) = typing.filter(|_| wanted("m.typing")) {
        events.push(to_raw(&typing_event(users)));
    }
    if wanted("m.receipt") {
        let receipts = look.snapshot.receipts_since(room_id, after, look.upto)?;
        events.extend(receipt_event(&receipts, look).map(|event| to_raw(&event)));
    }
    Ok(Events { events })
}

/// `m.typing`.
pub(crate) fn typing_event(users: &[String]) -> Value {
    json!({ "type": "m.typing", "content": { "user_ids": users } })
}

/// `m.receipt` with those receipts that the reader may see: private ones are their owner's alone.
pub(crate) fn receipt_event(receipts: &[ReceiptRow], look: &Look<'_>) -> Option<Value> {
    let mut content: BTreeMap<&str, BTreeMap<&str, BTreeMap<&str, Value>>> = BTreeMap::new();
    for receipt in receipts {
        let own = receipt.user_id == look.user_id();
        let public = receipt.kind == "m.read" && !look.ignores(&receipt.user_id);
        if !public && !own {
            continue;
        }
        let mut details = json!({ "ts": receipt.ts });
        if !receipt.thread_id.is_empty() {
            details["thread_id"] = json!(receipt.thread_id);
        }
        content
            .entry(&receipt.event_id)
            .or_default()
            .entry(&receipt.kind)
            .or_default()
            .insert(&receipt.user_id, details);
    }
    (!content.is_empty()).then(|| json!({ "type": "m.receipt", "content": content }))
}

/// A value as raw JSON.
pub(crate) fn to_raw(value: &Value) -> Box<RawValue> {
    raw(value.to_string())
}
