//! Cuts a text into what fits into Matrix events.

use super::parts::Part;
use crate::format::{Rich, cuts::Cuts};

/// The room that an event's texts may take, by [`event_bytes`].
///
/// An event is at most 65,536 bytes (Client-Server API, "Size limits"), with its hashes, signatures and links to other
/// events, for which 8 KiB are left; and an edit carries the text twice.
pub const EVENT_TEXT_BYTES: usize = (65_536 - 8_192) / 2;

/// How many bytes a text takes in an event: its `body`, `formatted_body` and `m.mentions` as JSON.
#[must_use]
pub fn event_bytes(rich: &Rich) -> usize {
    let html = if rich.is_plain() {
        0
    } else {
        json_bytes(&rich.to_html())
    };
    let users = rich.mentions().users;
    let mentions: usize = users.iter().map(|user| json_bytes(user.as_str()) + 1).sum();
    json_bytes(&rich.to_plain()) + html + mentions
}

fn json_bytes(text: &str) -> usize {
    let escaped = |c: char| match c {
        '"' | '\\' | '\n' | '\r' | '\t' => 2,
        c if c < ' ' => 6,
        c => c.len_utf8(),
    };
    text.chars().map(escaped).sum::<usize>() + 2
}

/// Cuts a text into several, each of which fits into one event and into an edit of it.
#[must_use]
pub fn split_events(rich: &Rich) -> Vec<Part<Rich>> {
    split_by(rich, &|part| event_bytes(part) <= EVENT_TEXT_BYTES)
}

/// Cuts a text into several that all fit, as `fits` says; quotes, lists and marks go on in the next one. Places to cut
/// are chosen as by [`super::split`], between lines if possible. Where not even one character fits, it is a part alone.
#[must_use]
pub fn split_by(rich: &Rich, fits: &dyn Fn(&Rich) -> bool) -> Vec<Part<Rich>> {
    let text = rich.text();
    if rich.is_empty() || fits(rich) {
        let whole = Part {
            value: rich.clone(),
            range: 0..text.len(),
        };
        return Vec::from_iter((!rich.is_empty()).then_some(whole));
    }
    let cuts = Cuts::new(&text, &rich.wholes());
    let mut parts: Vec<Part<Rich>> = Vec::new();
    let mut from = 0;
    while from < text.len() {
        let to = cuts.next(from, &mut |to| fits(&rich.slice(from..to)));
        let value = rich.slice(from..to);
        match parts.last_mut() {
            // Nothing but the end of a line.
            Some(last) if value.is_empty() => last.range.end = to,
            _ => parts.push(Part {
                value,
                range: from..to,
            }),
        }
        from = to;
    }
    parts
}
