//! `PRIVMSG`, `NOTICE` and `TAGMSG`: what is said in channels and between two.

use bridgehead_irc_protocol::{Line, Tags};

use crate::state::{
    State,
    client::{Client, ClientId, Part},
    history::Message,
};

/// Something to be said.
pub(super) struct Said<'a> {
    pub(super) command: &'a str,
    /// Nothing for a `TAGMSG`, and for a message of several lines.
    pub(super) text: Option<&'a [u8]>,
    pub(super) tags: &'a Tags,
    pub(super) parts: Vec<Part>,
}

/// Why something cannot be said: a numeric and its text.
type Refusal = (&'static str, String);

pub(super) fn run(state: &mut State, id: ClientId, line: &Line) {
    if line.params.is_empty() {
        let text = format!("No recipient given ({})", line.command);
        state.reply(id, "411", [text]);
        return;
    }
    if line.param(1).unwrap_or_default().is_empty() {
        state.reply(id, "412", ["No text to send"]);
        return;
    }
    to_each(state, id, line, line.param(1));
}

pub(super) fn tagmsg(state: &mut State, id: ClientId, line: &Line) {
    // Without tags that may be passed on there is nothing to say.
    if line.tags.iter().any(|(key, _)| key.starts_with('+')) {
        to_each(state, id, line, None);
    }
}

fn to_each(state: &mut State, id: ClientId, line: &Line, text: Option<&[u8]>) {
    let targets = line.text(0).into_owned();
    let targets: Vec<&str> = targets
        .split(',')
        .filter(|target| !target.is_empty())
        .collect();
    if targets.len() > state.dialect.limits.targets {
        state.reply(id, "407", [targets[0], "Too many targets"]);
        return;
    }
    for target in targets {
        let said = Said {
            command: &line.command,
            text,
            tags: &line.tags,
            parts: Vec::new(),
        };
        say(state, id, target, said);
    }
}

/// Says something to a channel, to those of a standing in it, or to somebody.
pub(super) fn say(state: &mut State, id: ClientId, target: &str, said: Said<'_>) {
    let now_s = state.now_s();
    if let Some(client) = state.client_mut(id) {
        client.spoke_s = now_s;
    }
    if state.knobs.swallowed.contains(&state.fold(target)) {
        return;
    }
    let (status, name) = state.isupport.target(target);
    let (status, name) = (status, name.to_owned());
    let result = match state.isupport.is_channel(&name) {
        true => in_channel(state, id, status, &name, &said),
        false => to_somebody(state, id, &name, &said),
    };
    if let Err((numeric, text)) = result
        && (said.command == "PRIVMSG" || state.dialect.answers_notices)
    {
        state.reply(id, numeric, [target, &text]);
    }
}

fn in_channel(
    state: &mut State,
    id: ClientId,
    status: Option<char>,
    name: &str,
    said: &Said<'_>,
) -> Result<(), Refusal> {
    if let Some(refusal) = refusal(state, id, name, said) {
        return Err(refusal);
    }
    let Some(channel) = state.channel(name) else {
        return Ok(());
    };
    let shown = status
        .into_iter()
        .chain(channel.name.chars())
        .collect::<String>();
    let lowest = status.and_then(|prefix| state.isupport.mode_of(prefix));
    let hears = |member: &ClientId| {
        lowest.is_none_or(|mode| channel.stands(*member, mode, &state.isupport))
    };
    let members = state.members(id, name).into_iter();
    let hearers: Vec<ClientId> = members
        .filter(|member| *member != id && hears(member))
        .collect();
    let message = message(state, id, &shown, said);
    for hearer in hearers {
        deliver(state, hearer, &message);
    }
    echo(state, id, &message);
    if status.is_none() {
        keep(state, id, name, message);
    }
    Ok(())
}

/// Why somebody may not speak in a channel.
fn refusal(state: &State, id: ClientId, name: &str, said: &Said<'_>) -> Option<Refusal> {
    let Some(channel) = state.channel(name) else {
        return Some(match state.dialect.quirks.unknown_channel_is_401 {
            true => ("401", "No such nick or channel name".to_owned()),
            false => ("403", "No such channel".to_owned()),
        });
    };
    let client = state.client(id)?;
    let flag = |flag| channel.flags.contains(&flag);
    let has_voice = channel.rank(id, &state.isupport).is_some();
    let is_member = channel.members.contains_key(&id);
    let who = client.source();
    let case_mapping = state.dialect.case_mapping;
    let is_muted = state
        .dialect
        .mute_prefix
        .as_ref()
        .is_some_and(|prefix| channel.mutes(prefix, &who, case_mapping));
    let is_quiet = channel.lists('q', &who, case_mapping) || channel.lists('b', &who, case_mapping);
    let is_ctcp = said
        .text
        .is_some_and(|text| text.starts_with(b"\x01") && !text.starts_with(b"\x01ACTION"));
    if !is_member && flag('n') {
        return Some(cannot(state, 'n'));
    }
    if flag('m') && !has_voice {
        return Some(cannot(state, 'm'));
    }
    if flag('M') && !has_voice && client.account.is_none() {
        let text = "You need to be identified to a registered account to message this channel";
        return Some(("477", text.to_owned()));
    }
    if (is_muted || is_quiet) && !has_voice && !channel.lists('e', &who, case_mapping) {
        return Some(cannot(state, 'b'));
    }
    (flag('C') && is_ctcp).then(|| cannot(state, 'C'))
}

fn cannot(state: &State, mode: char) -> Refusal {
    ("404", state.dialect.quirks.refusals.text(mode))
}

fn to_somebody(
    state: &mut State,
    id: ClientId,
    nick: &str,
    said: &Said<'_>,
) -> Result<(), Refusal> {
    let Some(target) = state.find(id, nick) else {
        return to_nobody(state, id, nick, said);
    };
    let Some(client) = state.client(target) else {
        return Ok(());
    };
    let (shown, away) = (client.nick.clone(), client.away.clone());
    let message = message(state, id, &shown, said);
    deliver(state, target, &message);
    echo(state, id, &message);
    if let Some(away) = away.filter(|_| said.command == "PRIVMSG") {
        state.reply(id, "301", [shown.as_bytes(), &away]);
    }
    keep(state, id, &shown, message);
    Ok(())
}

/// Says something to a nick that nobody has: where it is an account's, it is kept for that.
fn to_nobody(state: &mut State, id: ClientId, nick: &str, said: &Said<'_>) -> Result<(), Refusal> {
    let Some(account) = state.resting_account(nick) else {
        return Err(("401", "No such nick".to_owned()));
    };
    let account = state.accounts.get(&account);
    let shown = account.map_or_else(|| nick.to_owned(), |account| account.name.clone());
    let message = message(state, id, &shown, said);
    echo(state, id, &message);
    keep(state, id, &shown, message);
    Ok(())
}

fn message(state: &mut State, id: ClientId, target: &str, said: &Said<'_>) -> Message {
    let params = std::iter::once(target.as_bytes()).chain(said.text);
    let mut line = Line::new(said.command, params);
    // Of what a client puts on a line only its own tags are passed on.
    for (key, value) in said.tags.iter().filter(|(key, _)| key.starts_with('+')) {
        line.tags.set(key, value);
    }
    let line = state.stamp(id, line);
    state.message(line, said.parts.clone())
}

/// Gives somebody a message in the form that they know.
pub(super) fn deliver(state: &mut State, to: ClientId, message: &Message) {
    let knows_tags = state
        .client(to)
        .is_some_and(|client| client.has("message-tags"));
    if message.line.command == "TAGMSG" && !knows_tags {
        return;
    }
    for line in state.render(to, message) {
        state.send(to, line);
    }
}

fn echo(state: &mut State, id: ClientId, message: &Message) {
    if state
        .client(id)
        .is_some_and(|client: &Client| client.has("echo-message"))
    {
        deliver(state, id, message);
    }
}

fn keep(state: &mut State, id: ClientId, target: &str, message: Message) {
    let is_typing = message.line.tags.get("+typing").is_some();
    if message.line.command != "TAGMSG" || !is_typing {
        state.keep_message(id, target, message);
    }
}
