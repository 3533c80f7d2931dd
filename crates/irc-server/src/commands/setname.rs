//! `SETNAME`, and hosts that change (IRCv3 setname, chghost).

use bridgehead_irc_protocol::Line;

use super::register;
use crate::state::{State, client::ClientId};

pub(super) fn run(state: &mut State, id: ClientId, line: &Line) {
    let realname = line.last().to_vec();
    if realname.is_empty() || realname.len() > state.dialect.limits.text_bytes {
        let text = "Real name is not valid";
        state.fail(id, "SETNAME", "INVALID_REALNAME", &[text]);
        return;
    }
    if let Some(client) = state.client_mut(id) {
        client.realname.clone_from(&realname);
    }
    state.tell_peers(id, "setname", Line::new("SETNAME", [realname]), true);
}

/// Gives somebody another user name and host. Those who do not know chghost see them leave and come.
pub(crate) fn change_host(state: &mut State, id: ClientId, user: &str, host: &str) {
    let line = state.stamp(id, Line::new("CHGHOST", [user, host]));
    let quit = state.stamp(id, Line::new("QUIT", ["Changing host"]));
    let peers = state.peers(id);
    for peer in &peers {
        let knows = state
            .client(*peer)
            .is_some_and(|client| client.has("chghost"));
        state.send(*peer, if knows { line.clone() } else { quit.clone() });
    }
    if state.client(id).is_some_and(|client| client.has("chghost")) {
        state.send(id, line);
    }
    if let Some(client) = state.client_mut(id) {
        user.clone_into(&mut client.user);
        host.clone_into(&mut client.host);
    }
    register::tell_host(state, id);
    for key in state.channels_of(id) {
        for peer in state.members(id, &key) {
            let knows = state
                .client(peer)
                .is_none_or(|client| client.has("chghost"));
            if peer != id && !knows {
                for line in state.member_lines(peer, id, &key) {
                    state.send(peer, line);
                }
            }
        }
    }
}
