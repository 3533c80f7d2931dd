//! `CHATHISTORY`: what was said before (draft/chathistory).

mod select;

use bridgehead_irc_protocol::Line;

use self::select::{Place, Span, is_at, place, select, time_of};
use crate::{
    clock,
    state::{State, client::ClientId, history::Message},
};

pub(super) fn run(state: &mut State, id: ClientId, line: &Line) {
    let sub = line.text(0).to_ascii_uppercase();
    let (target, first, second) = (line.text(1), line.text(2), line.text(3));
    if line.params.len() < 4 {
        fail(
            state,
            id,
            "INVALID_PARAMS",
            &[&sub, "Insufficient parameters"],
        );
        return;
    }
    if sub == "TARGETS" && state.dialect.quirks.lists_talks {
        targets(state, id, &target, &first, &second);
        return;
    }
    let span = match sub.as_str() {
        "LATEST" if first == "*" => Some(Span::latest(None)),
        "LATEST" => place(&first).map(|after| Span::latest(Some(after))),
        "BEFORE" => place(&first).map(Span::before),
        "AFTER" => place(&first).map(Span::after),
        "AROUND" => return around(state, id, &target, &first, &second),
        "BETWEEN" => return between(state, id, line),
        _ => {
            fail(state, id, "INVALID_PARAMS", &[&sub, "Unknown command"]);
            return;
        }
    };
    match span {
        Some(span) => tell(state, id, &sub, &target, &span, &second),
        None => fail(
            state,
            id,
            "INVALID_MSGREFTYPE",
            &[&sub, &first, "Invalid message reference"],
        ),
    }
}

fn between(state: &mut State, id: ClientId, line: &Line) {
    let (Some(one), Some(other)) = (place(&line.text(2)), place(&line.text(3))) else {
        let text = "Invalid message reference";
        fail(
            state,
            id,
            "INVALID_MSGREFTYPE",
            &["BETWEEN", &line.text(2), text],
        );
        return;
    };
    let target = line.text(1);
    let key = state.history_key(id, &target);
    // Given backwards, the last ones are wanted.
    let is_backwards = time_of(state, &key, &one) > time_of(state, &key, &other);
    let (after, before) = if is_backwards {
        (other, one)
    } else {
        (one, other)
    };
    let span = Span {
        after: Some(after),
        before: Some(before),
        takes_last: is_backwards,
    };
    tell(state, id, "BETWEEN", &target, &span, &line.text(4));
}

fn around(state: &mut State, id: ClientId, target: &str, middle: &str, limit: &str) {
    let (Some(before), Some(after)) = (place(middle), place(middle)) else {
        fail(
            state,
            id,
            "INVALID_MSGREFTYPE",
            &["AROUND", middle, "Invalid message reference"],
        );
        return;
    };
    let Some(limit) = read_limit(state, limit) else {
        fail(state, id, "INVALID_PARAMS", &["AROUND", "Invalid limit"]);
        return;
    };
    let Some(key) = readable(state, id, "AROUND", target) else {
        return;
    };
    let half = limit.div_ceil(2);
    let (earlier, later) = (Span::before(before), Span::after(after));
    let mut messages = select(state, id, &key, &earlier, half);
    let place = place(middle);
    let itself = state
        .history(&key)
        .into_iter()
        .flat_map(|history| &history.messages);
    let itself = itself.filter(|message| place.as_ref().is_some_and(|place| is_at(message, place)));
    messages.extend(itself.cloned());
    messages.extend(select(state, id, &key, &later, half));
    messages.truncate(limit);
    send(state, id, target, messages);
}

fn tell(state: &mut State, id: ClientId, sub: &str, target: &str, span: &Span, limit: &str) {
    let Some(limit) = read_limit(state, limit) else {
        fail(state, id, "INVALID_PARAMS", &[sub, "Invalid limit"]);
        return;
    };
    if let Some(key) = readable(state, id, sub, target) {
        let messages = select(state, id, &key, span, limit);
        send(state, id, target, messages);
    }
}

/// What a history is kept under, if somebody may read it.
fn readable(state: &mut State, id: ClientId, sub: &str, target: &str) -> Option<String> {
    let is_member = |state: &State| {
        let channel = state.channel(target);
        channel.is_some_and(|channel| channel.members.contains_key(&id))
    };
    if state.isupport.is_channel(target) && !is_member(state) {
        let text = "Messages could not be retrieved";
        fail(state, id, "INVALID_TARGET", &[sub, target, text]);
        return None;
    }
    Some(state.history_key(id, target))
}

fn send(state: &mut State, id: ClientId, target: &str, messages: Vec<Message>) {
    let mut lines = Vec::new();
    for message in &messages {
        lines.extend(state.render(id, message));
    }
    state.send_batch(id, "chathistory", &[target], lines);
}

/// Shows who joins what was said last, where the channel is set so: `+H 50:1d`, of InspIRCd.
pub(super) fn replay(state: &mut State, id: ClientId, name: &str) {
    let Some(channel) = state.channel(name) else {
        return;
    };
    let wanted = channel
        .settings
        .get(&'H')
        .and_then(|value| value.split(':').next());
    let Some(limit) = wanted.and_then(|limit| read_limit(state, limit)) else {
        return;
    };
    let last = Span::latest(None);
    let key = state.fold(name);
    let mut messages = select(state, id, &key, &last, limit);
    messages.retain(|message| !message.is_event());
    if !messages.is_empty() {
        send(state, id, name, messages);
    }
}

/// `CHATHISTORY TARGETS timestamp=… timestamp=… limit`: where something was said in that time.
fn targets(state: &mut State, id: ClientId, one: &str, other: &str, limit: &str) {
    let (Some(Place::AtMs(one)), Some(Place::AtMs(other))) = (place(one), place(other)) else {
        fail(
            state,
            id,
            "INVALID_PARAMS",
            &["TARGETS", "Invalid timestamps"],
        );
        return;
    };
    let Some(limit) = read_limit(state, limit) else {
        fail(state, id, "INVALID_PARAMS", &["TARGETS", "Invalid limit"]);
        return;
    };
    let (after, before) = (one.min(other), one.max(other));
    let mut found: Vec<(i64, String)> = state
        .histories()
        .filter(|(_, history)| (after..=before).contains(&history.last_ms()))
        .filter_map(|(key, history)| {
            Some((history.last_ms(), own_name(state, id, key, &history.name)?))
        })
        .collect();
    found.sort();
    found.truncate(limit);
    let lines = found.into_iter().map(|(at_ms, name)| {
        let params = ["TARGETS".to_owned(), name, clock::write_time(at_ms)];
        state.by_server(Line::new("CHATHISTORY", params))
    });
    let lines = lines.collect();
    state.send_batch(id, "draft/chathistory-targets", &[], lines);
}

/// What a history is called by one who may read it.
fn own_name(state: &State, id: ClientId, key: &str, name: &str) -> Option<String> {
    if let Some(partner) = state.partner(id, key) {
        return Some(partner);
    }
    let channel = state.channels.get(key)?;
    channel.members.contains_key(&id).then(|| name.to_owned())
}

fn read_limit(state: &State, text: &str) -> Option<usize> {
    let limit: usize = text.parse().ok().filter(|limit| *limit > 0)?;
    Some(limit.min(state.dialect.limits.history))
}

/// Says why nothing comes (IRCv3 standard-replies).
fn fail(state: &mut State, id: ClientId, code: &str, rest: &[&str]) {
    state.fail(id, "CHATHISTORY", code, rest);
}
