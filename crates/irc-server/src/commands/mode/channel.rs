//! Modes of channels: shown, listed, changed.

use bridgehead_irc_protocol::{Line, ModeChange, isupport::ModeKind};

use super::apply::{self, Refused, refused};
use crate::state::{State, channel::Channel, client::ClientId};

pub(super) fn run(state: &mut State, id: ClientId, line: &Line) {
    let name = line.text(0).into_owned();
    let Some(channel) = state.channel(&name) else {
        state.reply(id, "403", [name.as_str(), "No such channel"]);
        return;
    };
    let name = channel.name.clone();
    if line.params.len() == 1 {
        tell(state, id, &name);
        return;
    }
    let modes = line.text(1).into_owned();
    let params: Vec<String> = (2..line.params.len())
        .map(|at| line.text(at).into_owned())
        .collect();
    if params.is_empty() {
        tell_lists(state, id, &name, &modes);
    }
    change(state, id, &name, &modes, &params);
}

fn tell(state: &mut State, id: ClientId, name: &str) {
    let Some(channel) = state.channel(name) else {
        return;
    };
    let shows_key = channel.members.contains_key(&id);
    let params = std::iter::once(name.to_owned()).chain(channel.modes(shows_key));
    let (params, created): (Vec<String>, _) = (params.collect(), channel.created_s.to_string());
    state.reply(id, "324", params);
    state.reply(id, "329", [name, &created]);
}

/// The lists that are asked for by their letters alone.
fn tell_lists(state: &mut State, id: ClientId, name: &str, modes: &str) {
    let mut asked: Vec<char> = modes
        .chars()
        .filter(|mode| !matches!(mode, '+' | '-'))
        .collect();
    asked.dedup();
    asked.retain(|mode| state.isupport.mode_kind(*mode) == ModeKind::List);
    for mode in asked {
        tell_list(state, id, name, mode);
    }
}

fn tell_list(state: &mut State, id: ClientId, name: &str, mode: char) {
    let is_op = |channel: &Channel| channel.stands(id, 'h', &state.isupport);
    let Some(channel) = state.channel(name) else {
        return;
    };
    // Who is exempt is nobody's business but the operators'.
    if matches!(mode, 'e' | 'I') && !is_op(channel) {
        state.reply(id, "482", [name, "You're not a channel operator"]);
        return;
    }
    let (entry, end, text) = match mode {
        'e' => ("348", "349", "End of channel exception list"),
        'I' => ("346", "347", "End of channel invite exception list"),
        'q' => ("728", "729", "End of channel quiet list"),
        _ => ("367", "368", "End of channel ban list"),
    };
    // The list of quiets names its letter, and the others do not.
    let letter = (mode == 'q').then(|| mode.to_string());
    for found in channel.lists.get(&mode).cloned().unwrap_or_default() {
        let at_s = found.at_s.to_string();
        let letter = letter.as_deref();
        let params = [name].into_iter().chain(letter);
        let params: Vec<&str> = params.chain([&*found.mask, &*found.by, &*at_s]).collect();
        state.reply(id, entry, params);
    }
    let params: Vec<&str> = [name]
        .into_iter()
        .chain(letter.as_deref())
        .chain([text])
        .collect();
    state.reply(id, end, params);
}

/// Makes the changes that may be made, and tells everybody of them.
fn change(state: &mut State, id: ClientId, name: &str, modes: &str, params: &[String]) {
    let by = state.setter(id);
    let mut done = Vec::new();
    let mut with_param = 0;
    for change in ModeChange::parse(&state.isupport, modes, params) {
        with_param += usize::from(change.param.is_some());
        if with_param > state.dialect.limits.modes_at_once {
            break;
        }
        let result =
            check(state, id, name, &change).and_then(|()| apply::apply(state, &by, name, change));
        match result {
            Ok(change) => done.extend(change),
            Err((numeric, params)) => {
                state.reply(id, numeric, params);
                // One word about missing rights is enough.
                if numeric == "482" {
                    break;
                }
            }
        }
    }
    for params in ModeChange::commands(&state.isupport, &done) {
        let params = std::iter::once(name.to_owned()).chain(params);
        state.announce(id, name, Line::new("MODE", params));
    }
}

fn check(state: &State, id: ClientId, name: &str, change: &ModeChange) -> Result<(), Refused> {
    let (Some(channel), Some(client)) = (state.channel(name), state.client(id)) else {
        return refused("403", &[name, "No such channel"]);
    };
    let isupport = &state.isupport;
    let is_member_mode = isupport.prefix_of(change.mode).is_some();
    let known = state.dialect.channel_modes.concat();
    if !is_member_mode && !known.contains(change.mode) {
        return refused(
            "472",
            &[&change.mode.to_string(), "is unknown mode char to me"],
        );
    }
    // Half-operators may do all but make or unmake operators; who stands above can only be touched from there.
    let needed = match is_member_mode {
        true if change.mode == 'v' => 'h',
        true if isupport.rank(change.mode) < isupport.rank('o') => change.mode,
        true => 'o',
        false => 'h',
    };
    let gives_up = !change.is_set
        && is_member_mode
        && change
            .param
            .as_deref()
            .is_some_and(|nick| state.holder(nick) == Some(id));
    match gives_up || client.is_oper() || channel.stands(id, needed, isupport) {
        true => Ok(()),
        false => refused("482", &[name, "You're not a channel operator"]),
    }
}
