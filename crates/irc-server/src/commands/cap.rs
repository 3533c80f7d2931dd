//! `CAP`: what the server offers, and what the client wants of it (IRCv3 capability-negotiation).

use bridgehead_irc_protocol::Line;

use super::register;
use crate::state::{State, client::ClientId};

/// Bytes of one list of capabilities.
const LIST_BYTES: usize = 300;

pub(super) fn run(state: &mut State, id: ClientId, line: &Line) {
    let sub = line.text(0).to_ascii_uppercase();
    match sub.as_str() {
        "LS" => list_offers(state, id, line),
        "LIST" => list_granted(state, id),
        "REQ" => request(state, id, &line.text(1)),
        "END" => {
            if let Some(client) = state.client_mut(id) {
                client.progress.is_negotiating = false;
            }
            register::try_welcome(state, id);
        }
        _ => state.reply(id, "410", [sub.as_str(), "Invalid CAP command"]),
    }
}

fn begin(state: &mut State, id: ClientId) {
    if let Some(client) = state
        .client_mut(id)
        .filter(|client| !client.is_registered())
    {
        client.progress.is_negotiating = true;
    }
}

fn list_offers(state: &mut State, id: ClientId, line: &Line) {
    begin(state, id);
    let version: u32 = line.text(1).parse().unwrap_or_default();
    let has_cap_notify = state.dialect.offers("cap-notify");
    if let Some(client) = state.client_mut(id) {
        let version = version.max(client.progress.cap_version);
        client.progress.cap_version = version;
        // Who asks for 302 is told of changes without having to ask for it.
        if version >= 302 && has_cap_notify {
            client.caps.insert("cap-notify".to_owned());
        }
    }
    let has_values = state
        .client(id)
        .is_some_and(|client| client.progress.cap_version >= 302);
    let offers: Vec<String> = state
        .dialect
        .caps
        .iter()
        .map(|cap| shown(cap, has_values))
        .collect();
    tell_list(state, id, "LS", &offers, has_values);
}

fn list_granted(state: &mut State, id: ClientId) {
    let Some(client) = state.client(id) else {
        return;
    };
    let granted: Vec<String> = client.caps.iter().cloned().collect();
    let may_split = client.progress.cap_version >= 302;
    tell_list(state, id, "LIST", &granted, may_split);
}

/// Sends a list; in several lines where the client knows such lists.
fn tell_list(state: &mut State, id: ClientId, sub: &str, caps: &[String], may_split: bool) {
    let mut lists = vec![String::new()];
    for cap in caps {
        let last = lists.len() - 1;
        if may_split && lists[last].len() + cap.len() > LIST_BYTES {
            lists.push(String::new());
        }
        if let Some(list) = lists.last_mut() {
            if !list.is_empty() {
                list.push(' ');
            }
            list.push_str(cap);
        }
    }
    let last = lists.len() - 1;
    for (at, list) in lists.into_iter().enumerate() {
        if at < last {
            tell(state, id, &[sub, "*", &list]);
        } else {
            tell(state, id, &[sub, &list]);
        }
    }
}

/// Grants all that is asked for, or nothing.
fn request(state: &mut State, id: ClientId, asked: &str) {
    begin(state, id);
    let is_granted = asked.split_ascii_whitespace().all(|cap| {
        let name = cap.strip_prefix('-').unwrap_or(cap);
        // What is to be known of TLS is no capability to have (IRCv3 sts).
        let is_trap = name == "sts" || name.ends_with("/poison");
        state.dialect.offers(name) && !state.knobs.naks.contains(name) && !is_trap
    });
    if !is_granted {
        tell(state, id, &["NAK", asked]);
        return;
    }
    tell(state, id, &["ACK", asked]);
    if let Some(client) = state.client_mut(id) {
        for cap in asked.split_ascii_whitespace() {
            match cap.strip_prefix('-') {
                Some(cap) => client.caps.remove(cap),
                None => client.caps.insert(cap.to_owned()),
            };
        }
    }
}

/// Tells everybody who wants to know that a capability is there, or is no more.
pub(crate) fn announce(state: &mut State, sub: &str, cap: &str) {
    let ids: Vec<ClientId> = state.clients.keys().copied().collect();
    let name = cap.split('=').next().unwrap_or(cap);
    for id in ids {
        let Some(client) = state.client_mut(id) else {
            continue;
        };
        let is_told = client.has("cap-notify");
        let has_values = client.progress.cap_version >= 302;
        if sub == "DEL" {
            client.caps.remove(name);
        }
        if is_told {
            let shown = if has_values && sub == "NEW" {
                cap
            } else {
                name
            };
            tell(state, id, &[sub, shown]);
        }
    }
}

fn tell(state: &mut State, id: ClientId, params: &[&str]) {
    let nick = state
        .client(id)
        .map_or("*", |client| client.name())
        .to_owned();
    let params = std::iter::once(nick.as_str()).chain(params.iter().copied());
    let line = state.by_server(Line::new("CAP", params));
    state.send(id, line);
}

fn shown((name, value): &(String, Option<String>), has_values: bool) -> String {
    match value.as_ref().filter(|_| has_values) {
        Some(value) => format!("{name}={value}"),
        None => name.clone(),
    }
}
