//! `LIST`.

use bridgehead_irc_protocol::{Line, mask};

use crate::state::{State, channel::Channel, client::ClientId};

/// `LIST`, `LIST #a,#b`, `LIST *mask*`, `LIST >5`, `LIST <5`.
pub(super) fn run(state: &mut State, id: ClientId, line: &Line) {
    let wanted = line.text(0).into_owned();
    let wanted: Vec<&str> = wanted.split(',').filter(|name| !name.is_empty()).collect();
    let shown = state
        .channels
        .values()
        .filter(|channel| is_shown(channel, id));
    let shown = shown.filter(|channel| {
        wanted.is_empty()
            || wanted
                .iter()
                .any(|wanted| is_wanted(state, channel, wanted))
    });
    let rows: Vec<(String, usize, Vec<u8>)> = shown
        .map(|channel| {
            let topic = channel.topic.as_ref().map(|topic| topic.text.clone());
            (
                channel.name.clone(),
                channel.members.len(),
                topic.unwrap_or_default(),
            )
        })
        .collect();
    state.reply(id, "321", ["Channel", "Users Name"]);
    for (name, members, topic) in rows {
        let members = members.to_string();
        state.reply(id, "322", [name.as_bytes(), members.as_bytes(), &topic]);
    }
    state.reply(id, "323", ["End of channel list."]);
}

fn is_shown(channel: &Channel, id: ClientId) -> bool {
    let is_hidden = channel.flags.contains(&'s') || channel.flags.contains(&'p');
    !is_hidden || channel.members.contains_key(&id)
}

fn is_wanted(state: &State, channel: &Channel, wanted: &str) -> bool {
    let members = channel.members.len();
    let count = |text: &str| text.parse().unwrap_or(0_usize);
    match wanted.split_at_checked(1) {
        Some((">", least)) => members > count(least),
        Some(("<", most)) => members < count(most),
        _ => mask::is_match(wanted, &channel.name, state.dialect.case_mapping),
    }
}
