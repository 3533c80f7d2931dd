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
    let limits = limits(state);
    let incoming = state
        .client_mut(id)
        .and_then(|client| client.incoming.as_mut());
    let Some(incoming) = incoming.filter(|incoming| incoming.reference == reference) else {
        return false;
    };
    if let Err((code, rest)) = add(incoming, line, limits) {
        let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
        give_up(state, id, code, &rest);
    }
    true
}

/// Adds a line, or says why the whole batch is given up: a code and what stands behind it.
fn add(
    incoming: &mut Incoming,
    line: &Line,
    (max_bytes, max_lines): (usize, usize),
) -> Result<(), (&'static str, Vec<String>)> {
    let failed = |code, rest: &[&str]| {
        let rest = rest.iter().map(|part| (*part).to_owned());
        Err((code, rest.collect()))
    };
    let is_fitting = matches!(&*line.command, "PRIVMSG" | "NOTICE")
        && incoming
            .command
            .as_ref()
            .is_none_or(|command| *command == line.command);
    if !is_fitting {
        return failed("MULTILINE_INVALID", &["Invalid multiline batch"]);
    }
    let (target, other) = (incoming.opening.text(2), line.text(0));
    if target != other {
        let rest = [&*target, &*other, "Invalid multiline target"];
        return failed("MULTILINE_INVALID_TARGET", &rest);
    }
    incoming.command = Some(line.command.clone());
    incoming.parts.push(Part {
        text: line.param(1).unwrap_or_default().to_vec(),
        is_joined: line.tags.get("draft/multiline-concat").is_some(),
    });
    let parts = &incoming.parts;
    // The line breaks between lines that are not joined count as well.
    let breaks = parts.iter().skip(1).filter(|part| !part.is_joined).count();
    let bytes: usize = parts.iter().map(|part| part.text.len()).sum();
    if bytes + breaks > max_bytes {
        let rest = [
            &*max_bytes.to_string(),
            "Multiline batch max-bytes exceeded",
        ];
        return failed("MULTILINE_MAX_BYTES", &rest);
    }
    if parts.len() > max_lines {
        let rest = [
            &*max_lines.to_string(),
            "Multiline batch max-lines exceeded",
        ];
        return failed("MULTILINE_MAX_LINES", &rest);
    }
    Ok(())
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
