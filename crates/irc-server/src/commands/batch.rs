//! `BATCH`: messages of several lines from clients (draft/multiline).

use bridgehead_irc_protocol::{Line, Tags};

use super::say::{self, Said};
use crate::state::{
    State,
    client::{ClientId, Incoming, Part},
};

/// Bytes and lines where the capability's value does not say.
const MAX_BYTES: usize = 4096;
const MAX_LINES: usize = 24;

pub(super) fn run(state: &mut State, id: ClientId, line: &Line) {
    let first = line.text(0).into_owned();
    match first.split_at_checked(1) {
        Some(("+", reference)) => open(state, id, reference, line),
        Some(("-", reference)) => close(state, id, reference),
        _ => fail(state, id, "MULTILINE_INVALID", &["Invalid multiline batch"]),
    }
}

fn open(state: &mut State, id: ClientId, reference: &str, line: &Line) {
    let is_known = line.text(1) == "draft/multiline"
        && !line.text(2).is_empty()
        && state
            .client(id)
            .is_some_and(|client| client.has("draft/multiline"));
    let is_open = state
        .client(id)
        .is_some_and(|client| client.incoming.is_some());
    if !is_known || is_open {
        fail(state, id, "MULTILINE_INVALID", &["Invalid multiline batch"]);
        return;
    }
    // The label's answer comes with the end of the batch.
    state.put_off_answer();
    if let Some(client) = state.client_mut(id) {
        client.incoming = Some(Incoming {
            reference: reference.to_owned(),
            opening: line.clone(),
            command: None,
            parts: Vec::new(),
        });
    }
}

/// Takes a line that belongs to a batch. `false` where it belongs to none.
pub(super) fn take_part(state: &mut State, id: ClientId, line: &Line) -> bool {
    let Some(reference) = line.tags.get("batch") else {
        return false;
    };
    let (max_bytes, max_lines) = limits(state);
    let incoming = state
        .client_mut(id)
        .and_then(|client| client.incoming.as_mut());
    let Some(incoming) = incoming.filter(|incoming| incoming.reference == reference) else {
        return false;
    };
    let target = incoming.opening.text(2).into_owned();
    let is_fitting = matches!(&*line.command, "PRIVMSG" | "NOTICE")
        && incoming
            .command
            .as_ref()
            .is_none_or(|command| *command == line.command);
    if !is_fitting {
        give_up(state, id, "MULTILINE_INVALID", &["Invalid multiline batch"]);
        return true;
    }
    if line.text(0) != target {
        let rest = [&*target, &*line.text(0), "Invalid multiline target"];
        give_up(state, id, "MULTILINE_INVALID_TARGET", &rest);
        return true;
    }
    incoming.command = Some(line.command.clone());
    incoming.parts.push(Part {
        text: line.param(1).unwrap_or_default().to_vec(),
        is_joined: line.tags.get("draft/multiline-concat").is_some(),
    });
    let lines = incoming.parts.len();
    let bytes: usize = incoming
        .parts
        .iter()
        .map(|part| part.text.len() + usize::from(!part.is_joined))
        .sum();
    if bytes > max_bytes + 1 {
        let limit = max_bytes.to_string();
        give_up(
            state,
            id,
            "MULTILINE_MAX_BYTES",
            &[&limit, "Multiline batch max-bytes exceeded"],
        );
    } else if lines > max_lines {
        let limit = max_lines.to_string();
        give_up(
            state,
            id,
            "MULTILINE_MAX_LINES",
            &[&limit, "Multiline batch max-lines exceeded"],
        );
    }
    true
}

fn close(state: &mut State, id: ClientId, reference: &str) {
    let incoming = state
        .client_mut(id)
        .and_then(|client| client.incoming.take());
    let Some(incoming) = incoming.filter(|incoming| incoming.reference == reference) else {
        fail(state, id, "MULTILINE_INVALID", &["Invalid multiline batch"]);
        return;
    };
    begin_answer(state, id, &incoming.opening.tags);
    let has_text = incoming.parts.iter().any(|part| !part.text.is_empty());
    let Some(command) = incoming.command.filter(|_| has_text) else {
        fail(
            state,
            id,
            "MULTILINE_INVALID",
            &["Invalid multiline batch with blank lines only"],
        );
        return;
    };
    let said = Said {
        command: &command,
        text: None,
        tags: &incoming.opening.tags,
        parts: incoming.parts,
    };
    say::say(state, id, &incoming.opening.text(2), said);
}

fn give_up(state: &mut State, id: ClientId, code: &str, rest: &[&str]) {
    let incoming = state
        .client_mut(id)
        .and_then(|client| client.incoming.take());
    if let Some(incoming) = incoming {
        begin_answer(state, id, &incoming.opening.tags);
    }
    fail(state, id, code, rest);
}

fn begin_answer(state: &mut State, id: ClientId, tags: &Tags) {
    let knows_labels = state
        .client(id)
        .is_some_and(|client| client.has("labeled-response"));
    if let Some(label) = tags.get("label").filter(|_| knows_labels) {
        state.begin_answer(id, label);
    }
}

fn fail(state: &mut State, id: ClientId, code: &str, rest: &[&str]) {
    state.fail(id, "BATCH", code, rest);
}

fn limits(state: &State) -> (usize, usize) {
    let value = state
        .dialect
        .cap_value("draft/multiline")
        .unwrap_or_default();
    let number = |key: &str| {
        let mut pairs = value.split(',').filter_map(|pair| pair.split_once('='));
        pairs.find(|(known, _)| *known == key)?.1.parse().ok()
    };
    (
        number("max-bytes").unwrap_or(MAX_BYTES),
        number("max-lines").unwrap_or(MAX_LINES),
    )
}
