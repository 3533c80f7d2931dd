//! `PING`, `PONG` and `QUIT`.

use bridgehead_irc_protocol::Line;

use crate::{
    names,
    state::{
        State,
        client::{Client, ClientId},
    },
};

pub(super) fn ping(state: &mut State, id: ClientId, line: &Line) {
    if line.params.is_empty() {
        state.reply(id, "409", ["No origin specified"]);
        return;
    }
    if state.knobs.ignores_pings {
        return;
    }
    let server = state.dialect.server_name.clone();
    let pong = Line::new("PONG", [server.as_bytes(), &line.params[0]]);
    let pong = state.from_server(pong);
    state.send(id, pong);
}

/// A sign of life, which any line is.
pub(super) fn pong(_state: &mut State, _id: ClientId, _line: &Line) {}

pub(super) fn quit(state: &mut State, id: ClientId, line: &Line) {
    let text = names::shortened(line.last(), state.dialect.limits.text_bytes);
    let text = String::from_utf8_lossy(&text);
    let reason = match state.client(id).is_some_and(Client::is_registered) {
        true => format!("Quit: {text}"),
        false => "Client exited".to_owned(),
    };
    state.close(id, &reason, &reason);
}
