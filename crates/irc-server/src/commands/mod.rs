//! What clients may ask for: one file for each family of commands.
//!
//! [`take`] reads a line, looks the command up in a table and lets its file do the rest. Files of this folder change the
//! state and say who is told; how a line is dressed for each client is the state's affair.

mod about;
mod authenticate;
mod away;
mod batch;
mod cap;
mod chathistory;
mod invite;
mod join;
mod kick;
mod list;
mod mode;
mod monitor;
mod names;
mod nick;
mod oper;
mod part;
mod ping;
mod redact;
mod register;
mod relaymsg;
mod rename;
mod say;
mod setname;
mod table;
#[cfg(test)]
mod tests;
mod topic;
mod webirc;
mod who;
mod whois;

use bridgehead_irc_protocol::Line;
use tokio::time::Instant;

use self::table::Stage;
pub(crate) use self::{
    authenticate::log_in, cap::announce as announce_cap, mode::set_as_server,
    nick::change as change_nick, oper::kill_client, register::welcome, setname::change_host,
};
use crate::{
    state::{
        State,
        client::{Client, ClientId},
        knobs::Fate,
    },
    wire::cut::{self, Came},
};

/// Takes a line of somebody, without its end.
pub(crate) fn take(state: &mut State, id: ClientId, bytes: &[u8]) {
    if state.client(id).is_none() {
        return;
    }
    if is_flood(state, id) {
        state.close(id, "Excess Flood", "Excess Flood");
        return;
    }
    let Came::Taken(bytes) = cut::incoming(bytes, &state.dialect) else {
        state.reply(id, "417", ["Input line was too long"]);
        return;
    };
    let Some(line) = read(state, &bytes) else {
        return;
    };
    state.write_log(id, &line);
    let nick = state.client(id).map_or("", Client::name).to_owned();
    let nick = state.fold(&nick);
    match state.knobs.count(&nick, &line.command) {
        Fate::Obeyed => obey(state, id, &line),
        Fate::Last => {
            deafen(state, id);
            obey(state, id, &line);
            state.drop_client(id, "Connection closed", true);
        }
        Fate::Lost => {
            deafen(state, id);
            state.drop_client(id, "Connection closed", true);
        }
    }
}

/// Counts the line, and says whether it is one too many.
fn is_flood(state: &mut State, id: ClientId) -> bool {
    let now = Instant::now();
    let flood = state.dialect.flood;
    let Some(client) = state.client_mut(id) else {
        return false;
    };
    client.heard_at = now;
    client.pinged_at = None;
    let Some(flood) = flood.filter(|_| client.is_socket()) else {
        return false;
    };
    let is_old = |at: &&Instant| now.duration_since(**at) > flood.within;
    let old = client.recent.iter().take_while(is_old).count();
    client.recent.drain(..old);
    client.recent.push_back(now);
    client.recent.len() > flood.lines
}

/// Reads a line. Where the server knows no tags they are taken for the command.
fn read(state: &State, bytes: &[u8]) -> Option<Line> {
    if bytes.starts_with(b"@") && !state.dialect.has_tags() {
        let mut words = bytes.split(|byte| *byte == b' ');
        let command = String::from_utf8_lossy(words.next()?).into_owned();
        return Some(Line {
            command,
            params: words.map(<[u8]>::to_vec).collect(),
            ..Line::default()
        });
    }
    Line::parse(bytes).ok()
}

fn deafen(state: &mut State, id: ClientId) {
    if let Some(client) = state.client_mut(id) {
        client.is_deaf = true;
    }
}

/// Does what the line asks for, and answers with its label if it has one.
fn obey(state: &mut State, id: ClientId, line: &Line) {
    if state.knobs.ignored.contains(&line.command) {
        return;
    }
    let knows_labels = state
        .client(id)
        .is_some_and(|client| client.has("labeled-response"));
    if let Some(label) = line.tags.get("label").filter(|_| knows_labels) {
        state.begin_answer(id, label);
    }
    run(state, id, line);
    state.end_answer();
}

fn is_utf8(line: &Line) -> bool {
    line.params
        .iter()
        .all(|param| std::str::from_utf8(param).is_ok())
}

fn run(state: &mut State, id: ClientId, line: &Line) {
    let answers = state.knobs.answers.iter();
    let mut answer = answers
        .filter(|(command, _)| *command == line.command)
        .map(|(_, line)| line);
    if let Some(answer) = answer.next().cloned() {
        state.reply(id, &answer.command, answer.params);
        return;
    }
    if state.dialect.is_utf8_only && !is_utf8(line) {
        let text = "Message rejected, your IRC software MUST use UTF-8 encoding on this network";
        state.fail(id, &line.command, "INVALID_UTF8", &[text]);
        return;
    }
    if batch::take_part(state, id, line) {
        return;
    }
    let Some(command) = table::find(&line.command, state) else {
        state.reply(id, "421", [line.command.as_str(), "Unknown command"]);
        return;
    };
    let is_registered = state.client(id).is_some_and(Client::is_registered);
    match command.stage {
        Stage::Registered if !is_registered => {
            let names_it = state.dialect.quirks.names_early_commands;
            let named = names_it.then_some(line.command.as_str()).into_iter();
            state.reply(id, "451", named.chain(["You have not registered"]));
        }
        Stage::Registering if is_registered => {
            state.reply(id, "462", ["You may not reregister"]);
        }
        _ if line.params.len() < command.params => {
            state.reply(id, "461", [line.command.as_str(), "Not enough parameters"]);
        }
        _ => (command.run)(state, id, line),
    }
}
