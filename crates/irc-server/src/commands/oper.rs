//! `OPER` and `KILL`.

use bridgehead_irc_protocol::Line;

use super::mode::user;
use crate::{
    names,
    state::{
        State,
        client::{Client, ClientId},
    },
};

pub(super) fn run(state: &mut State, id: ClientId, line: &Line) {
    let password = line.text(1).into_owned();
    if state.dialect.oper_password.as_ref() != Some(&password) {
        state.reply(id, "464", ["Password incorrect"]);
        return;
    }
    let is_new = state
        .client_mut(id)
        .is_some_and(|client| client.modes.insert('o'));
    state.reply(id, "381", ["You are now an IRC operator"]);
    if is_new {
        user::tell(state, id, "+o");
    }
}

pub(super) fn kill(state: &mut State, id: ClientId, line: &Line) {
    let nick = line.text(0).into_owned();
    if !state.client(id).is_some_and(Client::is_oper) {
        let text = "Permission Denied - You do not have the required operator privileges";
        state.reply(id, "481", [text]);
        return;
    }
    let Some(target) = state.find(id, &nick) else {
        state.reply(id, "401", [nick.as_str(), "No such nick"]);
        return;
    };
    let reason = line.param(1).unwrap_or(b"no reason");
    let reason = names::shortened(reason, state.dialect.limits.text_bytes);
    kill_client(state, Some(id), target, &String::from_utf8_lossy(&reason));
}

/// Kills somebody, as an operator or as the server.
pub(crate) fn kill_client(state: &mut State, by: Option<ClientId>, target: ClientId, reason: &str) {
    let nick = state.client(target).map_or("*", Client::name).to_owned();
    let line = Line::new("KILL", [&nick, reason]);
    let (line, killer) = match by {
        Some(by) => {
            let killer = state.client(by).map_or("*", Client::name).to_owned();
            (state.stamp(by, line), killer)
        }
        None => (state.by_server(line), state.dialect.server_name.clone()),
    };
    state.send(target, line);
    let text = format!("Killed ({killer} ({reason}))");
    state.close(target, &text, &text);
}
