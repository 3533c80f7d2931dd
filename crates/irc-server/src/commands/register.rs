//! `PASS`, `USER`, and the welcome.

use bridgehead_irc_protocol::Line;

use super::about;
use crate::{
    clock, names,
    state::{
        State,
        client::{Client, ClientId},
    },
};

pub(super) fn pass(state: &mut State, id: ClientId, line: &Line) {
    let password = line.text(0).into_owned();
    if let Some(client) = state.client_mut(id) {
        client.progress.password = Some(password);
    }
}

/// `USER user mode * :real name`. A `~` says that no ident server vouches for the user.
pub(super) fn user(state: &mut State, id: ClientId, line: &Line) {
    let limits = state.dialect.limits.clone();
    let is_marked = state.dialect.quirks.marks_all_users || state.dialect.ident_port.is_some();
    let asked = line.text(0).replace(['!', '@', ' '], "");
    let realname = names::shortened(line.last(), limits.text_bytes);
    let Some(client) = state.client_mut(id) else {
        return;
    };
    let user = match &client.peer.ident {
        Some(ident) => ident.clone(),
        None if is_marked => format!("~{asked}"),
        None => asked,
    };
    let user = names::shortened(user.as_bytes(), limits.user_bytes);
    client.user = String::from_utf8_lossy(&user).into_owned();
    client.realname = realname;
    client.progress.has_user = true;
    try_welcome(state, id);
}

/// Welcomes somebody who has said all that is needed.
pub(super) fn try_welcome(state: &mut State, id: ClientId) {
    let Some(client) = state.client(id) else {
        return;
    };
    let progress = &client.progress;
    let is_negotiating = progress.is_negotiating && state.dialect.quirks.waits_for_cap_end;
    if progress.is_registered || is_negotiating || !progress.has_user || client.nick.is_empty() {
        return;
    }
    if state.dialect.password.is_some() && progress.password != state.dialect.password {
        state.reply(id, "464", ["Password incorrect"]);
        state.close(id, "Bad password", "Bad password");
        return;
    }
    if state.dialect.wants_account && client_account(state, id).is_none() {
        let text = "*** You need to log in with SASL to use this server";
        let notice = state.by_server(Line::new("NOTICE", ["*", text]));
        state.send(id, notice);
        state.close(id, "SASL access only", "SASL access only");
        return;
    }
    if !state.dialect.quirks.has_ping_cookie || has_cookie(state, id) {
        welcome(state, id);
    }
}

fn client_account(state: &State, id: ClientId) -> Option<&String> {
    state.client(id)?.account.as_ref()
}

/// Whether the `PING` that goes before the welcome was answered. It is sent where it was not.
fn has_cookie(state: &mut State, id: ClientId) -> bool {
    let cookie = format!("cookie{}", state.next_id());
    let Some(client) = state.client_mut(id) else {
        return false;
    };
    if let Some((_, is_answered)) = &client.progress.cookie {
        return *is_answered;
    }
    client.progress.cookie = Some((cookie.clone(), false));
    state.send(id, Line::new("PING", [cookie]));
    false
}

/// Takes the answer to that `PING`.
pub(super) fn take_cookie(state: &mut State, id: ClientId, text: &str) {
    let cookie = state
        .client_mut(id)
        .and_then(|client| client.progress.cookie.as_mut());
    if let Some((_, is_answered)) = cookie.filter(|(wanted, _)| wanted == text) {
        *is_answered = true;
        try_welcome(state, id);
    }
}

/// Says who they are and what the server is: 001 to 005, `LUSERS` and the message of the day.
pub(crate) fn welcome(state: &mut State, id: ClientId) {
    let now_s = state.now_s();
    let Some(client) = state.client_mut(id) else {
        return;
    };
    client.progress.is_registered = true;
    client.signed_on_s = now_s;
    client.spoke_s = now_s;
    let source = client.source().to_string();
    let nick = client.nick.clone();
    let created = clock::write_time(state.started_s.saturating_mul(1000));
    let dialect = &state.dialect;
    let (server, version) = (dialect.server_name.clone(), dialect.version.clone());
    let texts = [
        (
            "001",
            format!("Welcome to the {} IRC Network {source}", dialect.network),
        ),
        (
            "002",
            format!("Your host is {server}, running version {version}"),
        ),
        ("003", format!("This server was created {created}")),
    ];
    for (numeric, text) in texts {
        state.reply(id, numeric, [text]);
    }
    let channel_modes: String = state.dialect.channel_modes.concat();
    let user_modes = state.dialect.user_modes.clone();
    state.reply(id, "004", [server, version, user_modes, channel_modes]);
    for line in state.dialect.isupport_lines(&nick) {
        let line = state.by_server(line);
        state.send(id, line);
    }
    about::tell_lusers(state, id);
    about::tell_motd(state, id);
    state.tell_watchers(&nick, true);
}

/// Tells somebody who they are now, where the host has changed (396).
pub(super) fn tell_host(state: &mut State, id: ClientId) {
    let host = state.client(id).map(|client: &Client| client.host.clone());
    if let Some(host) = host {
        state.reply(id, "396", [host.as_str(), "is now your displayed host"]);
    }
}
