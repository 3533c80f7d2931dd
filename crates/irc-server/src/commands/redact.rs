//! `REDACT target msgid [:reason]` (draft/message-redaction).

use bridgehead_irc_protocol::Line;

use crate::state::{
    State,
    client::{Client, ClientId},
};

pub(super) fn run(state: &mut State, id: ClientId, line: &Line) {
    let (target, msgid) = (line.text(0).into_owned(), line.text(1).into_owned());
    let Some(name) = reachable(state, id, &target) else {
        let text = "You cannot delete messages from this target";
        state.fail(id, "REDACT", "INVALID_TARGET", &[&target, text]);
        return;
    };
    let key = state.history_key(id, &target);
    let messages = state.history(&key).map(|history| &history.messages);
    let at =
        messages.and_then(|messages| messages.iter().position(|message| message.msgid == msgid));
    let Some(at) = at else {
        let text = "This message does not exist or is too old";
        state.fail(id, "REDACT", "UNKNOWN_MSGID", &[&target, &msgid, text]);
        return;
    };
    if !may(state, id, &key, at) {
        let text = "You are not authorised to delete this message";
        state.fail(id, "REDACT", "REDACT_FORBIDDEN", &[&target, &msgid, text]);
        return;
    }
    for key in state.history_keys(id, &target) {
        if let Some(history) = state.history_mut(&key) {
            history.messages.retain(|message| message.msgid != msgid);
        }
    }
    let params = [name.as_bytes(), msgid.as_bytes()]
        .into_iter()
        .chain(line.param(2));
    let redaction = state.stamp(id, Line::new("REDACT", params));
    tell(state, id, &name, &redaction);
}

/// The target as it is written, where somebody is in it or it is somebody.
fn reachable(state: &State, id: ClientId, target: &str) -> Option<String> {
    if state.isupport.is_channel(target) {
        let channel = state.channel(target)?;
        return channel
            .members
            .contains_key(&id)
            .then(|| channel.name.clone());
    }
    let found = state.find(id, target)?;
    state.client(found).map(|client| client.nick.clone())
}

/// Their own, and those of their channel if they are operators.
fn may(state: &State, id: ClientId, key: &str, at: usize) -> bool {
    let message = state
        .history(key)
        .and_then(|history| history.messages.get(at));
    let (Some(message), Some(client)) = (message, state.client(id)) else {
        return false;
    };
    let author = message.line.from_name();
    let is_own = state.dialect.case_mapping.is_same(author, &client.nick)
        && message.line.tags.get("account") == client.account.as_deref();
    let is_op = state
        .channels
        .get(key)
        .is_some_and(|channel| channel.stands(id, 'o', &state.isupport));
    is_own || is_op
}

fn tell(state: &mut State, id: ClientId, name: &str, redaction: &Line) {
    let mut told = match state.isupport.is_channel(name) {
        true => state.members(id, name),
        false => state.find(id, name).into_iter().collect(),
    };
    if !told.contains(&id) {
        told.push(id);
    }
    for to in told {
        let knows = |client: &Client| client.has("draft/message-redaction");
        if state.client(to).is_some_and(knows) {
            state.send(to, redaction.clone());
        }
    }
}
