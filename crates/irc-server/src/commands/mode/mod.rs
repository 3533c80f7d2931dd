//! `MODE`: of channels and of users.

mod apply;
mod channel;
pub(super) mod user;

use bridgehead_irc_protocol::{Line, ModeChange};

use crate::state::{State, client::ClientId};

pub(super) fn run(state: &mut State, id: ClientId, line: &Line) {
    if state.isupport.is_channel(&line.text(0)) {
        channel::run(state, id, line);
    } else {
        user::run(state, id, line);
    }
}

/// Sets modes as the server itself, whoever may or may not: services do so.
pub(crate) fn set_as_server(state: &mut State, name: &str, modes: &str, params: &[String]) {
    let by = state.dialect.server_name.clone();
    let changes = ModeChange::parse(&state.isupport, modes, params);
    let done: Vec<ModeChange> = changes
        .into_iter()
        .filter_map(|change| apply::apply(state, &by, name, change).ok().flatten())
        .collect();
    for params in ModeChange::commands(&state.isupport, &done) {
        let params = std::iter::once(name.to_owned()).chain(params);
        state.announce_by_server(name, Line::new("MODE", params));
    }
}
