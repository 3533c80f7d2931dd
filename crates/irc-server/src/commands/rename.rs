//! `RENAME #from #to [:reason]` (draft/channel-rename).

use bridgehead_irc_protocol::Line;

use super::{names, topic};
use crate::state::{
    State,
    client::{Client, ClientId},
};

pub(super) fn run(state: &mut State, id: ClientId, line: &Line) {
    let (from, to) = (line.text(0).into_owned(), line.text(1).into_owned());
    let Some(channel) = state.channel(&from) else {
        state.reply(id, "403", [from.as_str(), "No such channel"]);
        return;
    };
    let from = channel.name.clone();
    if !channel.members.contains_key(&id) {
        state.reply(id, "442", [from.as_str(), "You're not on that channel"]);
        return;
    }
    if !channel.stands(id, 'o', &state.isupport) {
        state.reply(id, "482", [from.as_str(), "You're not a channel operator"]);
        return;
    }
    let is_taken = state.channel(&to).is_some() && state.fold(&from) != state.fold(&to);
    if is_taken {
        let text = "Channel already exists";
        state.fail(id, "RENAME", "CHANNEL_NAME_IN_USE", &[&from, &to, text]);
        return;
    }
    if !crate::names::is_channel(&to, &state.dialect) || from == to {
        let text = "You cannot rename this channel to that";
        state.fail(id, "RENAME", "CANNOT_RENAME", &[&from, &to, text]);
        return;
    }
    rename(state, id, &from, &to, line.param(2).unwrap_or_default());
}

fn rename(state: &mut State, id: ClientId, from: &str, to: &str, reason: &[u8]) {
    let members = state.members(id, from);
    let line = state.stamp(
        id,
        Line::new("RENAME", [from.as_bytes(), to.as_bytes(), reason]),
    );
    let knows = |state: &State, member| {
        let client = state.client(member);
        client.is_some_and(|client: &Client| client.has("draft/channel-rename"))
    };
    for member in &members {
        if knows(state, *member) {
            state.send(*member, line.clone());
        } else {
            let part = Line::new("PART", [from.as_bytes(), b"Channel renamed"]);
            let part = state.stamp(*member, part);
            state.send(*member, part);
        }
    }
    let (old, new) = (state.fold(from), state.fold(to));
    if let Some(mut channel) = state.channels.remove(&old) {
        to.clone_into(&mut channel.name);
        state.channels.insert(new.clone(), channel);
    }
    state.rename_history(&old, &new, to);
    for member in members {
        if !knows(state, member) {
            let join = state.stamp(member, Line::new("JOIN", [to]));
            let join = state.extended(member, member, join);
            state.send(member, join);
            topic::tell(state, member, to, false);
            names::tell(state, member, to);
        }
    }
}
