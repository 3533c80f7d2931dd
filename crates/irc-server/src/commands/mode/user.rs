//! Modes of users.

use bridgehead_irc_protocol::Line;

use crate::state::{
    State,
    client::{Client, ClientId},
};

pub(super) fn run(state: &mut State, id: ClientId, line: &Line) {
    let nick = line.text(0).into_owned();
    match state.holder(&nick) {
        None => state.reply(id, "401", [nick.as_str(), "No such nick"]),
        Some(holder) if holder != id => {
            state.reply(id, "502", ["Can't change mode for other users"]);
        }
        Some(_) if line.params.len() == 1 => {
            let modes = state.client(id).map(|client| client.modes.clone());
            let modes: String = std::iter::once('+')
                .chain(modes.unwrap_or_default())
                .collect();
            state.reply(id, "221", [modes]);
        }
        Some(_) => change(state, id, &line.text(1)),
    }
}

fn change(state: &mut State, id: ClientId, modes: &str) {
    let mut is_set = true;
    let mut told = String::new();
    let mut told_sign = None;
    let mut has_unknown = false;
    for mode in modes.chars() {
        match mode {
            '+' | '-' => is_set = mode == '+',
            _ if !state.dialect.user_modes.contains(mode) => has_unknown = true,
            // Operators are made by OPER, and logged in is who has logged in.
            'o' | 'r' if is_set => {}
            _ => {
                let Some(client) = state.client_mut(id) else {
                    return;
                };
                let has_changed = match is_set {
                    true => client.modes.insert(mode),
                    false => client.modes.remove(&mode),
                };
                if has_changed {
                    if told_sign != Some(is_set) {
                        told.push(if is_set { '+' } else { '-' });
                        told_sign = Some(is_set);
                    }
                    told.push(mode);
                }
            }
        }
    }
    if has_unknown {
        state.reply(id, "501", ["Unknown MODE flag"]);
    }
    if !told.is_empty() {
        tell(state, id, &told);
    }
}

/// Tells somebody which of their modes have changed.
pub(in crate::commands) fn tell(state: &mut State, id: ClientId, modes: &str) {
    let nick = state.client(id).map_or("*", Client::name).to_owned();
    let line = state.stamp(id, Line::new("MODE", [nick.as_str(), modes]));
    state.send(id, line);
}
