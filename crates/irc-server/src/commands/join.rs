//! `JOIN`.

use bridgehead_irc_protocol::Line;

use super::{chathistory, names, part, topic};
use crate::state::{
    State,
    channel::Channel,
    client::{Client, ClientId},
};

/// Channels in one `JOIN` at most.
const MAX_AT_ONCE: usize = 100;
/// Channels to which a join is forwarded one after the other.
const MAX_FORWARDS: usize = 3;

/// `JOIN #a,#b key` and `JOIN 0`, which leaves all.
pub(super) fn run(state: &mut State, id: ClientId, line: &Line) {
    let (channels, keys) = (line.text(0).into_owned(), line.text(1).into_owned());
    if channels == "0" {
        for key in state.channels_of(id) {
            part::leave(state, id, &key, Some(b"Left all channels"));
        }
        return;
    }
    let mut keys = keys.split(',');
    for name in channels
        .split(',')
        .filter(|name| !name.is_empty())
        .take(MAX_AT_ONCE)
    {
        join(
            state,
            id,
            name,
            keys.next().unwrap_or_default(),
            MAX_FORWARDS,
        );
    }
}

fn join(state: &mut State, id: ClientId, name: &str, key: &str, forwards: usize) {
    let is_member = |channel: &Channel| channel.members.contains_key(&id);
    if state.channel(name).is_some_and(is_member) {
        return;
    }
    if let Some((numeric, text)) = bad_name(state, id, name) {
        state.reply(id, numeric, [name, text]);
        return;
    }
    if let Some((numeric, text)) = refusal(state, id, name, key) {
        match forward(state, name).filter(|_| forwards > 0) {
            Some(other) => {
                state.reply(
                    id,
                    "470",
                    [name, other.as_str(), "Forwarding to another channel"],
                );
                join(state, id, &other, "", forwards - 1);
            }
            None => state.reply(id, numeric, [name, text]),
        }
        return;
    }
    enter(state, id, name);
}

fn bad_name(state: &State, id: ClientId, name: &str) -> Option<(&'static str, &'static str)> {
    let limits = &state.dialect.limits;
    if !state.isupport.is_channel(name) {
        return Some(("403", "No such channel"));
    }
    if !crate::names::is_channel(name, &state.dialect) {
        return Some(("476", "Invalid channel name"));
    }
    if state.channels_of(id).len() >= limits.channels_each {
        return Some(("405", "You have joined too many channels"));
    }
    let is_new = state.channel(name).is_none();
    (is_new && state.channels.len() >= limits.channels)
        .then_some(("437", "Channel is temporarily unavailable"))
}

/// Why somebody may not come in.
fn refusal(
    state: &State,
    id: ClientId,
    name: &str,
    key: &str,
) -> Option<(&'static str, &'static str)> {
    let (channel, client) = (state.channel(name)?, state.client(id)?);
    let (who, case_mapping) = (client.source(), state.dialect.case_mapping);
    let is_invited = channel.invited.contains(&id) || client.is_oper();
    let setting = |mode| channel.settings.get(&mode);
    if is_invited {
        return None;
    }
    let is_banned =
        channel.lists('b', &who, case_mapping) && !channel.lists('e', &who, case_mapping);
    if is_banned {
        return Some(("474", "Cannot join channel (+b)"));
    }
    if channel.flags.contains(&'i') && !channel.lists('I', &who, case_mapping) {
        return Some(("473", "Cannot join channel (+i)"));
    }
    if setting('k').is_some_and(|wanted| wanted != key) {
        return Some(("475", "Cannot join channel (+k)"));
    }
    let limit = setting('l').and_then(|limit| limit.parse().ok());
    if limit.is_some_and(|limit: usize| channel.members.len() >= limit) {
        return Some(("471", "Cannot join channel (+l)"));
    }
    let is_for_known = channel.flags.contains(&known_only(state));
    (is_for_known && client.account.is_none()).then_some((
        "477",
        "You need to be identified to a registered account to join this channel",
    ))
}

/// The flag of channels for those who are logged in: `R`, or `r` where the server has no `R`.
fn known_only(state: &State) -> char {
    let flags = &state.dialect.channel_modes[3];
    if flags.contains('R') { 'R' } else { 'r' }
}

fn forward(state: &State, name: &str) -> Option<String> {
    let channel = state.channel(name)?;
    channel.settings.get(&'f').cloned()
}

/// Lets somebody in, and shows them who and what is there.
fn enter(state: &mut State, id: ClientId, name: &str) {
    let key = state.fold(name);
    let now_s = state.now_s();
    let flags = state.dialect.default_flags.clone();
    let is_new = !state.channels.contains_key(&key);
    let channel = state
        .channels
        .entry(key.clone())
        .or_insert_with(|| Channel::new(name, &flags, now_s));
    channel.invited.remove(&id);
    let standing = is_new.then_some('o').into_iter().collect();
    channel.members.insert(id, standing);
    let name = channel.name.clone();
    let join = state.stamp(id, Line::new("JOIN", [&name]));
    for member in state.members(id, &name) {
        let join = state.extended(member, id, join.clone());
        state.send(member, join);
    }
    let message = state.message(join, Vec::new());
    state.keep_message(id, &name, message);
    tell_away(state, id, &name);
    topic::tell(state, id, &name, false);
    names::tell(state, id, &name);
    chathistory::replay(state, id, &name);
}

/// Who joins while away says so to those who want to know.
fn tell_away(state: &mut State, id: ClientId, name: &str) {
    let Some(away) = state.client(id).and_then(|client| client.away.clone()) else {
        return;
    };
    let line = state.stamp(id, Line::new("AWAY", [away]));
    for member in state.members(id, name) {
        let knows = |client: &Client| client.has("away-notify");
        if member != id && state.client(member).is_some_and(knows) {
            state.send(member, line.clone());
        }
    }
}
