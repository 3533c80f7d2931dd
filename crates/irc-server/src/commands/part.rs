//! `PART`.

use bridgehead_irc_protocol::Line;

use crate::{
    names,
    state::{State, client::ClientId},
};

pub(super) fn run(state: &mut State, id: ClientId, line: &Line) {
    let channels = line.text(0).into_owned();
    let reason = line
        .param(1)
        .map(|reason| names::shortened(reason, state.dialect.limits.text_bytes));
    for name in channels.split(',').filter(|name| !name.is_empty()) {
        match state.channel(name) {
            None => state.reply(id, "403", [name, "No such channel"]),
            Some(channel) if !channel.members.contains_key(&id) => {
                state.reply(id, "442", [name, "You're not on that channel"]);
            }
            Some(_) => leave(state, id, name, reason.as_deref()),
        }
    }
}

/// Takes somebody out of a channel, and tells everybody in it.
pub(super) fn leave(state: &mut State, id: ClientId, name: &str, reason: Option<&[u8]>) {
    let Some(channel) = state.channel(name) else {
        return;
    };
    let name = channel.name.clone();
    let params = std::iter::once(name.as_bytes()).chain(reason);
    state.announce(id, &name, Line::new("PART", params));
    let key = state.fold(&name);
    state.remove_member(&key, id);
}
