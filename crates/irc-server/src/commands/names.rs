//! `NAMES`.

use bridgehead_irc_protocol::Line;

use crate::state::{State, client::ClientId};

/// Bytes of names in one line.
const NAMES_BYTES: usize = 380;

pub(super) fn run(state: &mut State, id: ClientId, line: &Line) {
    let channels = line.text(0).into_owned();
    if channels.is_empty() {
        state.reply(id, "366", ["*", "End of /NAMES list."]);
    }
    for name in channels.split(',').filter(|name| !name.is_empty()) {
        tell(state, id, name);
    }
}

/// Lists the members of a channel (353, 366). What is secret shows nobody to those outside.
pub(super) fn tell(state: &mut State, id: ClientId, name: &str) {
    let (shown, symbol) = match state.channel(name) {
        Some(channel) => (channel.name.clone(), symbol(&channel.flags)),
        None => (name.to_owned(), "="),
    };
    for names in lists(state, id, name) {
        state.reply(id, "353", [symbol, shown.as_str(), names.as_str()]);
    }
    state.reply(id, "366", [shown.as_str(), "End of /NAMES list."]);
}

fn symbol(flags: &std::collections::BTreeSet<char>) -> &'static str {
    match (flags.contains(&'s'), flags.contains(&'p')) {
        (true, _) => "@",
        (_, true) => "*",
        _ => "=",
    }
}

fn lists(state: &State, id: ClientId, name: &str) -> Vec<String> {
    let (Some(channel), Some(viewer)) = (state.channel(name), state.client(id)) else {
        return Vec::new();
    };
    let is_hidden = channel.flags.contains(&'s') || channel.flags.contains(&'p');
    if is_hidden && !channel.members.contains_key(&id) {
        return Vec::new();
    }
    let mut lists: Vec<String> = Vec::new();
    for member in state.members(id, name) {
        let Some(client) = state.client(member) else {
            continue;
        };
        let prefixes = channel.prefixes(member, &state.isupport, viewer.has("multi-prefix"));
        let shown = match viewer.has("userhost-in-names") {
            true => format!("{prefixes}{}", client.source()),
            false => format!("{prefixes}{}", client.nick),
        };
        match lists.last_mut() {
            Some(list) if list.len() + shown.len() < NAMES_BYTES => {
                list.push(' ');
                list.push_str(&shown);
            }
            _ => lists.push(shown),
        }
    }
    lists
}
