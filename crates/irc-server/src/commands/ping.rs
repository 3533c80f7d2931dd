//! `PING`, `PONG` and `QUIT`.

use bridgehead_irc_protocol::Line;

use super::register;
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
    let server = state.dialect.server_name.clone();
    let pong = Line::new("PONG", [server.as_bytes(), &line.params[0]]);
    let pong = state.by_server(pong);
    state.send(id, pong);
}

/// A sign of life, which any line is; before the welcome it may be asked for.
pub(super) fn pong(state: &mut State, id: ClientId, line: &Line) {
    let text = String::from_utf8_lossy(line.last()).into_owned();
    register::take_cookie(state, id, &text);
}

pub(super) fn quit(state: &mut State, id: ClientId, line: &Line) {
    let text = names::shortened(line.last(), state.dialect.limits.text_bytes);
    let text = String::from_utf8_lossy(&text);
    let reason = match state.client(id).is_some_and(Client::is_registered) {
        true => format!("{}{text}", state.dialect.quirks.quit_prefix),
        false => "Client exited".to_owned(),
    };
    state.close(id, &reason, &reason);
}
