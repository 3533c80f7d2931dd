//! `TOPIC`.

use bridgehead_irc_protocol::Line;

use crate::{
    names,
    state::{State, channel::Topic, client::ClientId},
};

pub(super) fn run(state: &mut State, id: ClientId, line: &Line) {
    let name = line.text(0).into_owned();
    let Some(channel) = state.channel(&name) else {
        state.reply(id, "403", [name.as_str(), "No such channel"]);
        return;
    };
    let is_member = channel.members.contains_key(&id);
    let Some(text) = line.param(1) else {
        match is_member || !channel.flags.contains(&'s') {
            true => tell(state, id, &name, true),
            false => state.reply(id, "442", [name.as_str(), "You're not on that channel"]),
        }
        return;
    };
    if !is_member {
        state.reply(id, "442", [name.as_str(), "You're not on that channel"]);
        return;
    }
    let may = !channel.flags.contains(&'t') || channel.stands(id, 'h', &state.isupport);
    if !may {
        state.reply(id, "482", [name.as_str(), "You're not a channel operator"]);
        return;
    }
    set(state, id, &name, text);
}

fn set(state: &mut State, id: ClientId, name: &str, text: &[u8]) {
    let text = names::shortened(text, state.dialect.limits.topic_bytes);
    let topic = Topic {
        text: text.clone(),
        by: state.setter(id),
        at_s: state.now_s(),
    };
    let Some(channel) = state.channel_mut(name) else {
        return;
    };
    channel.topic = (!text.is_empty()).then_some(topic);
    let name = channel.name.clone();
    state.announce(id, &name, Line::new("TOPIC", [name.as_bytes(), &text]));
}

/// Says what a channel is about; where it is about nothing only if asked.
pub(super) fn tell(state: &mut State, id: ClientId, name: &str, is_asked: bool) {
    let Some(channel) = state.channel(name) else {
        return;
    };
    let name = channel.name.clone();
    match channel.topic.clone() {
        Some(topic) => {
            state.reply(id, "332", [name.as_bytes(), &topic.text]);
            let at_s = topic.at_s.to_string();
            state.reply(id, "333", [name.as_str(), topic.by.as_str(), &at_s]);
        }
        None if is_asked => state.reply(id, "331", [name.as_str(), "No topic is set"]),
        None => {}
    }
}
