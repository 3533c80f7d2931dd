//! What a user's clients keep on the server: global, and of rooms.

use std::collections::BTreeMap;

use bridgehead_store::{AccountDataRow, Result};
use ruma::{events::push_rules::PushRulesEventContent, push::Ruleset};
use serde_json::value::RawValue;

use super::{
    filter::{wants, wants_section, wants_type},
    look::Look,
    response::Events,
};
use crate::rooms::format::{Object, raw};

/// The account data that changed.
#[derive(Default)]
pub(crate) struct AccountDataNews {
    /// What is about no room.
    pub(crate) global: Events,
    /// By room.
    pub(crate) rooms: BTreeMap<String, Vec<AccountDataRow>>,
}

/// Reads what was set since the last time; everything on the first.
pub(crate) fn read(look: &Look<'_>) -> Result<AccountDataNews> {
    let rows =
        look.snapshot
            .account_data_since(look.user_id(), look.since_position(), look.upto)?;
    let filter = &look.reader.filter.account_data;
    let mut news = AccountDataNews::default();
    let mut has_rules = false;
    for row in rows {
        if !row.room_id.is_empty() {
            news.rooms.entry(row.room_id.clone()).or_default().push(row);
            continue;
        }
        has_rules |= row.kind == "m.push_rules";
        if wants(filter, &row.kind, None) {
            news.global.events.push(event(&row.kind, &row.content));
        }
    }
    // Everybody has push rules, also who has never changed them.
    if look.since.is_none() && !has_rules && wants(filter, "m.push_rules", None) {
        let rules = PushRulesEventContent::new(Ruleset::server_default(&look.reader.user_id));
        if let Ok(content) = serde_json::to_string(&rules) {
            news.global.events.push(event("m.push_rules", &content));
        }
    }
    Ok(news)
}

/// The wanted account data of one room.
pub(crate) fn of_room(look: &Look<'_>, room_id: &str, rows: &[AccountDataRow]) -> Events {
    let filter = &look.reader.filter.room.account_data;
    if !wants_section(filter, room_id) {
        return Events::default();
    }
    Events {
        events: rows
            .iter()
            .filter(|row| wants_type(filter.types.as_deref(), &filter.not_types, &row.kind))
            .map(|row| event(&row.kind, &row.content))
            .collect(),
    }
}

/// A piece of account data as an event.
pub(crate) fn event(kind: &str, content: &str) -> Box<RawValue> {
    let mut out = Object::with_capacity(content.len() + kind.len() + 32);
    out.raw("content", content);
    out.string("type", kind);
    raw(out.finish())
}
