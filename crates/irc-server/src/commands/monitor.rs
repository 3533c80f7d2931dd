//! `MONITOR`: being told when somebody comes or goes (IRCv3 monitor).

use bridgehead_irc_protocol::Line;

use crate::state::{State, client::ClientId};

/// Bytes of one list of nicks.
const LIST_BYTES: usize = 380;

pub(super) fn run(state: &mut State, id: ClientId, line: &Line) {
    let nicks = line.text(1).into_owned();
    let nicks: Vec<&str> = nicks.split(',').filter(|nick| !nick.is_empty()).collect();
    match &*line.text(0).to_ascii_uppercase() {
        "+" => add(state, id, &nicks),
        "-" => remove(state, id, &nicks),
        "C" => {
            if let Some(client) = state.client_mut(id) {
                client.watched.clear();
            }
        }
        "L" => {
            let watched = watched(state, id);
            tell(state, id, "732", &watched);
            state.reply(id, "733", ["End of MONITOR list"]);
        }
        "S" => {
            let watched = watched(state, id);
            tell_state(state, id, &watched);
        }
        _ => {}
    }
}

fn add(state: &mut State, id: ClientId, nicks: &[&str]) {
    let limit = state.dialect.limits.monitors.unwrap_or_default();
    let mut added = Vec::new();
    for (at, nick) in nicks.iter().enumerate() {
        let folded = state.fold(nick);
        let Some(client) = state.client_mut(id) else {
            return;
        };
        if client.watched.len() >= limit && !client.watched.contains_key(&folded) {
            let (limit, rest) = (limit.to_string(), nicks[at..].join(","));
            state.reply(id, "734", [limit.as_str(), &rest, "Monitor list is full."]);
            break;
        }
        // Of whom is watched already InspIRCd and Solanum say nothing.
        let before = client.watched.insert(folded, (*nick).to_owned());
        if before.is_none() {
            added.push((*nick).to_owned());
        }
    }
    tell_state(state, id, &added);
}

fn remove(state: &mut State, id: ClientId, nicks: &[&str]) {
    for nick in nicks {
        let folded = state.fold(nick);
        if let Some(client) = state.client_mut(id) {
            client.watched.remove(&folded);
        }
    }
}

fn watched(state: &State, id: ClientId) -> Vec<String> {
    let watched = state.client(id).map(|client| &client.watched);
    watched
        .into_iter()
        .flatten()
        .map(|(_, nick)| nick.clone())
        .collect()
}

/// Who of them is here (730) and who is not (731).
fn tell_state(state: &mut State, id: ClientId, nicks: &[String]) {
    let (mut here, mut gone) = (Vec::new(), Vec::new());
    for nick in nicks {
        match state.find(id, nick).and_then(|found| state.client(found)) {
            Some(client) if state.dialect.quirks.monitor_shows_masks => {
                here.push(client.source().to_string());
            }
            Some(client) => here.push(client.nick.clone()),
            None => gone.push(nick.clone()),
        }
    }
    tell(state, id, "730", &here);
    tell(state, id, "731", &gone);
}

fn tell(state: &mut State, id: ClientId, numeric: &str, names: &[String]) {
    let mut lists: Vec<String> = Vec::new();
    for name in names {
        match lists.last_mut() {
            Some(list) if list.len() + name.len() < LIST_BYTES => {
                list.push(',');
                list.push_str(name);
            }
            _ => lists.push(name.clone()),
        }
    }
    for list in lists {
        state.reply(id, numeric, [list]);
    }
}
