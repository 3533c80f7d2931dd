//! `INVITE`.

use bridgehead_irc_protocol::Line;

use crate::state::{
    State,
    client::{Client, ClientId},
};

pub(super) fn run(state: &mut State, id: ClientId, line: &Line) {
    let (nick, name) = (line.text(0).into_owned(), line.text(1).into_owned());
    let Some(target) = state.find(id, &nick) else {
        state.reply(id, "401", [nick.as_str(), "No such nick"]);
        return;
    };
    let Some(channel) = state.channel(&name) else {
        state.reply(id, "403", [name.as_str(), "No such channel"]);
        return;
    };
    if !channel.members.contains_key(&id) {
        state.reply(id, "442", [name.as_str(), "You're not on that channel"]);
        return;
    }
    if channel.members.contains_key(&target) {
        state.reply(
            id,
            "443",
            [nick.as_str(), name.as_str(), "is already on channel"],
        );
        return;
    }
    if channel.flags.contains(&'i') && !channel.stands(id, 'h', &state.isupport) {
        state.reply(id, "482", [name.as_str(), "You're not a channel operator"]);
        return;
    }
    invite(state, id, target, &name);
}

fn invite(state: &mut State, id: ClientId, target: ClientId, name: &str) {
    let Some(channel) = state.channel_mut(name) else {
        return;
    };
    channel.invited.insert(target);
    let name = channel.name.clone();
    let Some(invited) = state.client(target) else {
        return;
    };
    let (nick, away) = (invited.nick.clone(), invited.away.clone());
    state.reply(id, "341", [nick.as_str(), name.as_str()]);
    if let Some(away) = away {
        state.reply(id, "301", [nick.as_bytes(), &away]);
    }
    let line = state.stamp(id, Line::new("INVITE", [&nick, &name]));
    state.send(target, line.clone());
    for member in state.members(id, &name) {
        let knows = |client: &Client| client.has("invite-notify");
        if member != id && state.client(member).is_some_and(knows) {
            state.send(member, line.clone());
        }
    }
}
