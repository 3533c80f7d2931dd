//! `KICK`.

use bridgehead_irc_protocol::Line;

use crate::{
    names,
    state::{
        State,
        client::{Client, ClientId},
    },
};

pub(super) fn run(state: &mut State, id: ClientId, line: &Line) {
    let (name, nicks) = (line.text(0).into_owned(), line.text(1).into_owned());
    let own = state.client(id).map_or("*", Client::name).to_owned();
    let reason = line.param(2).unwrap_or(own.as_bytes());
    let reason = names::shortened(reason, state.dialect.limits.text_bytes);
    let targets = state.dialect.limits.targets;
    for nick in nicks
        .split(',')
        .filter(|nick| !nick.is_empty())
        .take(targets)
    {
        match refusal(state, id, &name, nick) {
            Some((numeric, params)) => state.reply(id, numeric, params),
            None => kick(state, id, &name, nick, &reason),
        }
    }
}

fn refusal(
    state: &State,
    id: ClientId,
    name: &str,
    nick: &str,
) -> Option<(&'static str, Vec<String>)> {
    let refused = |numeric, params: &[&str]| {
        Some((
            numeric,
            params.iter().map(|param| (*param).to_owned()).collect(),
        ))
    };
    let Some(channel) = state.channel(name) else {
        return refused("403", &[name, "No such channel"]);
    };
    if !channel.members.contains_key(&id) {
        return refused("442", &[name, "You're not on that channel"]);
    }
    let Some(target) = state.find(id, nick) else {
        return refused("401", &[nick, "No such nick"]);
    };
    if !channel.members.contains_key(&target) {
        return refused("441", &[nick, name, "They aren't on that channel"]);
    }
    // Half-operators may kick those who stand below them, operators all who do not stand above.
    let own = channel.rank(id, &state.isupport);
    let is_above = match (own, channel.rank(target, &state.isupport)) {
        (Some(own), Some(theirs)) => {
            own < theirs || (own == theirs && channel.stands(id, 'o', &state.isupport))
        }
        (Some(_), None) => channel.stands(id, 'h', &state.isupport),
        (None, _) => false,
    };
    if !is_above {
        return refused("482", &[name, "You're not a channel operator"]);
    }
    None
}

fn kick(state: &mut State, id: ClientId, name: &str, nick: &str, reason: &[u8]) {
    let (Some(target), Some(channel)) = (state.find(id, nick), state.channel(name)) else {
        return;
    };
    let name = channel.name.clone();
    let nick = state.client(target).map_or(nick, Client::name).to_owned();
    let line = Line::new("KICK", [name.as_bytes(), nick.as_bytes(), reason]);
    state.announce(id, &name, line);
    let key = state.fold(&name);
    state.remove_member(&key, target);
}
