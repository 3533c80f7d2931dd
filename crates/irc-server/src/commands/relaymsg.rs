//! `RELAYMSG #channel nick/tag :text`: saying something in the name of somebody elsewhere (draft/relaymsg).

use bridgehead_irc_protocol::{Line, Source};

use super::say;
use crate::state::{
    State,
    client::{Client, ClientId},
};

pub(super) fn run(state: &mut State, id: ClientId, line: &Line) {
    let (name, nick) = (line.text(0).into_owned(), line.text(1).into_owned());
    let Some(channel) = state.channel(&name) else {
        state.reply(id, "403", [name.as_str(), "No such channel"]);
        return;
    };
    let shown = channel.name.clone();
    let may =
        channel.stands(id, 'h', &state.isupport) || state.client(id).is_some_and(Client::is_oper);
    if !may {
        let text = "You cannot relay messages to this channel";
        state.fail(id, "RELAYMSG", "PRIVS_NEEDED", &[&name, text]);
        return;
    }
    if !is_relay_nick(state, &nick) {
        let text = "Invalid nickname for relayed message";
        state.fail(id, "RELAYMSG", "INVALID_NICK", &[&nick, text]);
        return;
    }
    let text = line.param(2).unwrap_or_default().to_vec();
    if text.is_empty() {
        state.fail(
            id,
            "RELAYMSG",
            "BLANK_MSG",
            &["The message must not be blank"],
        );
        return;
    }
    relay(state, id, &shown, &nick, &text);
}

/// Relayed nicks hold one of the marks that the capability names, so that nobody is taken for somebody here.
fn is_relay_nick(state: &State, nick: &str) -> bool {
    let marks = state.dialect.cap_value("draft/relaymsg").unwrap_or("/");
    nick.contains(|c| marks.contains(c))
        && !nick.contains(['!', '@', '*', '?', ',', ':', '#', ' '])
        && nick.len() <= state.dialect.limits.nick_bytes
}

fn relay(state: &mut State, id: ClientId, channel: &str, nick: &str, text: &[u8]) {
    let line = Line::new("PRIVMSG", [channel.as_bytes(), text]);
    let own = state.client(id).map_or("*", Client::name).to_owned();
    let mut line = state.stamp(id, line).tag("draft/relaymsg", &own);
    line.source = Some(Source {
        name: nick.to_owned(),
        user: Some("relay".to_owned()),
        host: Some("relayed.test.invalid".to_owned()),
    });
    let message = state.message(line, Vec::new());
    for member in state.members(id, channel) {
        let hears = member != id
            || state
                .client(id)
                .is_some_and(|client| client.has("echo-message"));
        if hears {
            say::deliver(state, member, &message);
        }
    }
    state.keep_message(id, channel, message);
}
