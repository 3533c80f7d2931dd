//! All that happened, as a text that is the same for the same run: for snapshots, and to read.
//!
//! First the rooms, one line an event: its number, who sent it, its type, what it says. Then the
//! seam, one line a request between host and services, in the order in which they ended.

use std::fmt::Write as _;

use bridgehead_appservice::Event;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::{
    faults::Side,
    journal::{Entry, Journal},
    names::Names,
};

/// Characters of a content that are shown.
const SHOWN: usize = 160;

/// A room, as far as anybody of the lab can see it.
pub(super) struct SeenRoom {
    pub(super) id: String,
    /// `None`: nobody of the lab may look into it.
    pub(super) events: Option<Vec<Event>>,
}

/// The whole transcript.
pub(super) fn render(mut names: Names, rooms: &[SeenRoom], journal: &Journal) -> String {
    for room in rooms {
        let events = room.events.iter().flatten();
        if let Some(title) = events.filter_map(title).next_back() {
            names.name_room(&room.id, &title);
        }
    }
    let mut text = String::new();
    for room in rooms {
        let name = names.room(&room.id);
        line(&mut text, &format!("room {name}"));
        match &room.events {
            None => line(&mut text, "  nobody of the lab may look into it"),
            Some(events) => {
                for event in events {
                    let shown = show_event(&mut names, event);
                    line(&mut text, &format!("  {shown}"));
                }
            }
        }
    }
    let (entries, dropped) = journal.entries();
    if !entries.is_empty() {
        line(&mut text, "seam");
    }
    for entry in &entries {
        show_entry(&mut names, &mut text, entry);
    }
    if dropped > 0 {
        line(&mut text, &format!("  and {dropped} more"));
    }
    text
}

fn line(text: &mut String, line: &str) {
    // Writing to a string cannot fail.
    writeln!(text, "{}", line.trim_end()).ok();
}

/// What a room is called by this event.
fn title(event: &Event) -> Option<String> {
    let (key, from) = match event.kind.as_str() {
        "m.room.name" => ("name", 0),
        "m.room.canonical_alias" => ("alias", 1),
        _ => return None,
    };
    let text = event.content[key].as_str()?.get(from..)?;
    let name = text.split(':').next().unwrap_or(text);
    (!name.is_empty()).then(|| name.to_owned())
}

fn show_event(names: &mut Names, event: &Event) -> String {
    let id = names.name(event.id.as_str());
    let sender = names.user(event.sender.as_str());
    let what = content_of(names, event);
    format!("{id} {sender} {} {what}", event.kind)
}

fn content_of(names: &mut Names, event: &Event) -> String {
    let content = &event.content;
    let empty = content.as_object().is_none_or(serde_json::Map::is_empty);
    if empty && event.unsigned.get("redacted_because").is_some() {
        return "(redacted)".to_owned();
    }
    match event.kind.as_str() {
        "m.room.message" => message(names, content),
        "m.room.member" => member(names, event),
        "m.reaction" => {
            let relation = &content["m.relates_to"];
            let to = names.name(relation["event_id"].as_str().unwrap_or_default());
            format!("{} to {to}", relation["key"].as_str().unwrap_or_default())
        }
        "m.room.redaction" => {
            let what = event.redacts.as_ref().map_or("", |id| id.as_str());
            format!("of {}", names.name(what))
        }
        "m.room.power_levels" => {
            // Who has power is what changes; the rest is long.
            let mut tidy = names.tidy(content);
            let users = tidy
                .as_object_mut()
                .and_then(|levels| levels.remove("users"));
            let users = users.unwrap_or_default();
            short(&format!("users {users} of {tidy}"))
        }
        _ => {
            let tidy = short(&names.tidy(content).to_string());
            match event.state_key.as_deref() {
                None | Some("") => tidy,
                Some(key) => format!("[{}] {tidy}", names.name(key)),
            }
        }
    }
}

fn message(names: &mut Names, content: &Value) -> String {
    let kind = content["msgtype"].as_str().unwrap_or("without msgtype");
    let body = content["body"].as_str().unwrap_or_default();
    let mut text = match kind {
        "m.text" => format!("{body:?}"),
        kind => format!("{kind} {body:?}"),
    };
    if let Some(media) = content["url"].as_str() {
        text = format!("{text} {}", names.name(media));
    }
    let relation = &content["m.relates_to"];
    let related = relation["event_id"].as_str();
    let replied = relation["m.in_reply_to"]["event_id"].as_str();
    if let Some(event) = related.or(replied) {
        let kind = relation["rel_type"].as_str().unwrap_or("reply");
        text = format!("{text} ({kind} to {})", names.name(event));
    }
    short(&text)
}

fn member(names: &mut Names, event: &Event) -> String {
    let content = &event.content;
    let who = names.user(event.state_key.as_deref().unwrap_or_default());
    let membership = content["membership"].as_str().unwrap_or("nothing");
    let mut text = format!("{who} {membership}");
    let name = content["displayname"].as_str().filter(|name| *name != who);
    if let Some(name) = name {
        text = format!("{text} as {name:?}");
    }
    if let Some(reason) = content["reason"].as_str() {
        text = format!("{text} because {reason:?}");
    }
    short(&text)
}

fn show_entry(names: &mut Names, text: &mut String, entry: &Entry) {
    let service = &entry.service;
    let way = match entry.side {
        Side::Delivery => format!("host → {service}"),
        Side::Call => format!("{service} → host"),
    };
    let path = path_of(names, entry);
    let acting = entry.acting_as.as_deref();
    let acting = acting.map_or(String::new(), |user| format!(" as {}", names.user(user)));
    let body = body_of(names, entry);
    let end = match &entry.outcome {
        Ok((status, Value::Null)) => status.to_string(),
        Ok((status, told)) => {
            let told = names.tidy(told);
            format!("{status} {}", told.as_str().unwrap_or_default())
        }
        Err(why) => why.clone(),
    };
    let fault = entry.fault.as_deref();
    let fault = fault.map_or(String::new(), |fault| format!(" ({fault})"));
    let method = &entry.method;
    line(
        text,
        &format!("  {way}: {method} {path}{acting}{body}: {end}{fault}"),
    );
    if entry.side == Side::Delivery {
        show_transaction(names, text, &entry.body);
    }
}

/// What a transaction brings: events, and what is told and not kept. Each stands under one key
/// here, though it may stand under two there.
fn show_transaction(names: &mut Names, text: &mut String, body: &[u8]) {
    let Ok(body) = serde_json::from_slice::<Body>(body) else {
        return;
    };
    for event in body
        .events
        .iter()
        .filter_map(|event| Event::parse(event).ok())
    {
        let room = names.room(event.room_id.as_str());
        let shown = show_event(names, &event);
        line(text, &format!("    {room}: {shown}"));
    }
    let told = [
        ("ephemeral", body.ephemeral, body.ephemeral_unstable),
        ("to device", body.to_device, body.to_device_unstable),
    ];
    for (what, stable, unstable) in told {
        let told = if stable.is_empty() { unstable } else { stable };
        for event in &told {
            let tidy = names.tidy(event);
            line(text, &format!("    {what}: {}", short(&tidy.to_string())));
        }
    }
}

/// A transaction's body (application-service API, "Pushing events").
#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Body {
    events: Vec<Box<serde_json::value::RawValue>>,
    ephemeral: Vec<Value>,
    #[serde(rename = "de.sorunome.msc2409.ephemeral")]
    ephemeral_unstable: Vec<Value>,
    to_device: Vec<Value>,
    #[serde(rename = "de.sorunome.msc2409.to_device")]
    to_device_unstable: Vec<Value>,
}

/// The path's end, unescaped, with names in place of ids and transaction ids.
fn path_of(names: &mut Names, entry: &Entry) -> String {
    let segments: Vec<_> = entry
        .path
        .split('/')
        .filter(|part| !part.is_empty())
        .collect();
    // `_matrix/client/v3`, `_matrix/app/v1`
    let from = if segments.first() == Some(&"_matrix") {
        3
    } else {
        0
    };
    let segments = segments.get(from..).unwrap_or_default();
    let has_txn = segments.contains(&"transactions")
        || entry.method == http::Method::PUT
            && ["send", "redact", "sendToDevice"]
                .iter()
                .any(|verb| segments.contains(verb));
    let last = segments.len().saturating_sub(1);
    let shown = segments.iter().enumerate().map(|(index, part)| {
        let part = percent_decode_str(part).decode_utf8_lossy();
        if has_txn && index == last {
            // Each side of each service counts for itself.
            let list = format!("{:?} {}", entry.side, entry.service);
            names.number_in(&list, "T", &part)
        } else {
            names.name(&part)
        }
    });
    shown.collect::<Vec<_>>().join("/")
}

/// What a request says, where that is about rooms and people; never what logs somebody in.
fn body_of(names: &mut Names, entry: &Entry) -> String {
    let told = ["/rooms/", "/createRoom", "/join/", "/profile/"];
    let shows = entry.side == Side::Call && told.iter().any(|part| entry.path.contains(part));
    let body = serde_json::from_slice(&entry.body).unwrap_or(Value::Null);
    let is_empty = body.as_object().is_none_or(serde_json::Map::is_empty);
    if !shows || is_empty {
        return String::new();
    }
    format!(" {}", short(&names.tidy(&body).to_string()))
}

fn short(text: &str) -> String {
    if text.chars().count() <= SHOWN {
        return text.to_owned();
    }
    let head: String = text.chars().take(SHOWN).collect();
    format!("{head}…")
}
