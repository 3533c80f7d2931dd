//! What the server says of itself and of who is there: `MOTD`, `LUSERS`, `VERSION`, `TIME`, `ADMIN`, `INFO`, `ISON`, `USERHOST`.

use bridgehead_irc_protocol::Line;

use crate::{
    clock,
    state::{
        State,
        client::{Client, ClientId},
    },
};

pub(super) fn motd(state: &mut State, id: ClientId, _line: &Line) {
    tell_motd(state, id);
}

pub(super) fn tell_motd(state: &mut State, id: ClientId) {
    let motd = state.dialect.motd.clone();
    if motd.is_empty() {
        state.reply(id, "422", ["MOTD File is missing"]);
        return;
    }
    let opening = format!("- {} Message of the day", state.dialect.server_name);
    state.reply(id, "375", [opening]);
    for text in motd {
        state.reply(id, "372", [format!("- {text}")]);
    }
    state.reply(id, "376", ["End of MOTD command"]);
}

pub(super) fn lusers(state: &mut State, id: ClientId, _line: &Line) {
    tell_lusers(state, id);
}

pub(super) fn tell_lusers(state: &mut State, id: ClientId) {
    let people = state
        .clients
        .values()
        .filter(|client| client.is_registered())
        .count();
    let unknown = state.clients.len() - people;
    let opers = state
        .clients
        .values()
        .filter(|client| client.is_oper())
        .count();
    let channels = state.channels.len();
    let text = format!("There are {people} users and 0 invisible on 1 servers");
    state.reply(id, "251", [text]);
    state.reply(
        id,
        "252",
        [opers.to_string().as_str(), "operator(s) online"],
    );
    state.reply(
        id,
        "253",
        [unknown.to_string().as_str(), "unknown connection(s)"],
    );
    state.reply(
        id,
        "254",
        [channels.to_string().as_str(), "channels formed"],
    );
    state.reply(
        id,
        "255",
        [format!("I have {people} clients and 0 servers")],
    );
}

pub(super) fn version(state: &mut State, id: ClientId, _line: &Line) {
    let (version, server) = (
        state.dialect.version.clone(),
        state.dialect.server_name.clone(),
    );
    state.reply(id, "351", [version.as_str(), server.as_str(), "in memory"]);
    let nick = state.client(id).map_or("*", Client::name).to_owned();
    for line in state.dialect.isupport_lines(&nick) {
        let line = state.by_server(line);
        state.send(id, line);
    }
}

pub(super) fn time(state: &mut State, id: ClientId, _line: &Line) {
    let now = clock::write_time(state.dialect.clock.now_ms());
    let server = state.dialect.server_name.clone();
    state.reply(id, "391", [server, now]);
}

pub(super) fn admin(state: &mut State, id: ClientId, _line: &Line) {
    let server = state.dialect.server_name.clone();
    state.reply(id, "256", [server.as_str(), "Administrative info"]);
    state.reply(id, "257", ["It runs in memory"]);
    state.reply(id, "258", ["and nobody looks after it"]);
    state.reply(id, "259", ["nobody@test.invalid"]);
}

pub(super) fn info(state: &mut State, id: ClientId, _line: &Line) {
    let text = format!("{} on behalf of tests", state.dialect.version);
    state.reply(id, "371", [text]);
    state.reply(id, "374", ["End of INFO list"]);
}

pub(super) fn ison(state: &mut State, id: ClientId, line: &Line) {
    let here = nicks(line).filter_map(|nick| {
        let found = state.find(id, &nick)?;
        state.client(found).map(|client| client.nick.clone())
    });
    let here: Vec<String> = here.collect();
    state.reply(id, "303", [here.join(" ")]);
}

pub(super) fn userhost(state: &mut State, id: ClientId, line: &Line) {
    let found = nicks(line).take(5).filter_map(|nick| {
        let client = state.client(state.find(id, &nick)?)?;
        let oper = if client.is_oper() { "*" } else { "" };
        let away = if client.away.is_some() { '-' } else { '+' };
        Some(format!(
            "{}{oper}={away}{}@{}",
            client.nick, client.user, client.host
        ))
    });
    let found: Vec<String> = found.collect();
    state.reply(id, "302", [found.join(" ")]);
}

/// The nicks in all parameters.
fn nicks(line: &Line) -> impl Iterator<Item = String> {
    let all: Vec<String> = (0..line.params.len())
        .map(|at| line.text(at).into_owned())
        .collect();
    let words = all.join(" ");
    words
        .split_ascii_whitespace()
        .map(str::to_owned)
        .collect::<Vec<_>>()
        .into_iter()
}
