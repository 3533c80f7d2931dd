//! What one answer of a server holds: how much, and what of it is younger than what was heard.

use std::collections::BTreeSet;

use bridgehead_irc_protocol::{
    Line,
    channels::{Kind, Said},
};

use super::fetching::Held;

/// What an answer has brought.
#[derive(Debug, Default)]
pub(super) struct Fetched {
    /// What is to be brought, in order.
    pub(super) news: Vec<Said>,
    /// What has waited for it, in order.
    pub(super) held: Vec<Held>,
    /// With whom the talk goes on for longer than is fetched, and up to when it was.
    pub(super) cut: Option<(String, i64)>,
}

/// How many messages an answer holds. One of several lines is one of its lines.
pub(super) fn count(lines: &[Line], mut ids: BTreeSet<String>) -> usize {
    let mut nameless = 0;
    for line in lines.iter().filter(|line| line.command != "BATCH") {
        match line.tags.get("msgid") {
            Some(id) => drop(ids.insert(id.to_owned())),
            None => nameless += 1,
        }
    }
    nameless + ids.len()
}

/// Whether something was said behind what was heard. What was said in the same millisecond is known by its id; a notice,
/// which the bridge may tell in its own words, is not.
pub(super) fn is_younger(said: &Said, heard_ms: i64) -> bool {
    let is_known_by_id = said.msgid.is_some() && said.kind != Kind::Notice;
    said.time_ms.is_some_and(|at_ms| match is_known_by_id {
        true => at_ms >= heard_ms,
        false => at_ms > heard_ms,
    })
}

/// What is the same about something said, however it comes.
pub(super) fn key(said: &Said) -> String {
    match &said.msgid {
        Some(id) => format!("={id}"),
        None => {
            let text = String::from_utf8_lossy(&said.text);
            let at_ms = said.time_ms.unwrap_or_default();
            format!("{at_ms} {} {:?} {text}", said.who.name, said.kind)
        }
    }
}
