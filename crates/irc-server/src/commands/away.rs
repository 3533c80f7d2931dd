//! `AWAY`.

use bridgehead_irc_protocol::Line;

use crate::{
    names,
    state::{State, client::ClientId},
};

pub(super) fn run(state: &mut State, id: ClientId, line: &Line) {
    let text = names::shortened(line.last(), state.dialect.limits.text_bytes);
    let away = (!text.is_empty()).then_some(text);
    let Some(client) = state.client_mut(id) else {
        return;
    };
    let has_changed = client.away != away;
    client.away.clone_from(&away);
    match &away {
        Some(_) => state.reply(id, "306", ["You have been marked as being away"]),
        None => state.reply(id, "305", ["You are no longer marked as being away"]),
    }
    if has_changed {
        state.tell_peers(id, "away-notify", Line::new("AWAY", away), false);
    }
}
