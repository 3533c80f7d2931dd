//! `NICK`.

use bridgehead_irc_protocol::Line;

use super::register;
use crate::{
    names,
    state::{
        State,
        client::{Client, ClientId},
    },
};

/// A nick that is too long or no nick is refused and never shortened; what follows the first word is passed over.
pub(super) fn run(state: &mut State, id: ClientId, line: &Line) {
    let wanted = line.text(0).into_owned();
    if wanted.is_empty() {
        state.reply(id, "431", ["No nickname given"]);
        return;
    }
    if !names::is_nick(&wanted, &state.dialect) {
        // A nick that holds a space could not be told from two.
        let shown = wanted.replace(' ', "_");
        state.reply(id, "432", [shown.as_str(), "Erroneous Nickname"]);
        return;
    }
    if state.holder(&wanted).is_some_and(|holder| holder != id) {
        state.reply(id, "433", [wanted.as_str(), "Nickname is already in use."]);
        return;
    }
    if state.client(id).is_some_and(Client::is_registered) {
        change(state, id, &wanted);
    } else {
        state.name(id, &wanted);
        register::try_welcome(state, id);
    }
}

/// Gives somebody who is registered another nick, and tells everybody around.
pub(crate) fn change(state: &mut State, id: ClientId, wanted: &str) {
    let previous = state.client(id).map_or("", Client::name).to_owned();
    if previous == wanted {
        return;
    }
    let line = state.stamp(id, Line::new("NICK", [wanted]));
    let is_other = state.fold(&previous) != state.fold(wanted);
    state.send(id, line.clone());
    for peer in state.peers(id) {
        state.send(peer, line.clone());
    }
    for key in state.channels_of(id) {
        let message = state.message(line.clone(), Vec::new());
        state.keep_message(id, &key, message);
    }
    state.name(id, wanted);
    if is_other {
        state.tell_watchers(&previous, false);
        state.tell_watchers(wanted, true);
    }
}
