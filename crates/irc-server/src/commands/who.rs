//! `WHO`, also with fields (WHOX).

use bridgehead_irc_protocol::{Line, mask};

use crate::state::{
    State,
    client::{Client, ClientId},
};

/// Rows of one answer at most.
const MAX_ROWS: usize = 2_000;

pub(super) fn run(state: &mut State, id: ClientId, line: &Line) {
    let (target, options) = (line.text(0).into_owned(), line.text(1).into_owned());
    let has_fields = state.dialect.tokens.iter().any(|token| token == "WHOX");
    let fields = options
        .split_once('%')
        .filter(|_| has_fields)
        .map(|(_, fields)| fields);
    let is_for_opers = options
        .split('%')
        .next()
        .is_some_and(|flags| flags.contains('o'));
    let mut found = find(state, id, &target);
    found.retain(|who| !is_for_opers || state.client(*who).is_some_and(Client::is_oper));
    found.truncate(MAX_ROWS);
    for who in found {
        match fields {
            Some(fields) => tell_fields(state, id, &target, who, fields),
            None => tell(state, id, &target, who),
        }
    }
    let shown = if target.is_empty() { "*" } else { &target };
    state.reply(id, "315", [shown, "End of /WHO list."]);
}

fn find(state: &State, id: ClientId, target: &str) -> Vec<ClientId> {
    if state.isupport.is_channel(target) {
        let is_open = |members: &[ClientId]| {
            let flags = state.channel(target).map(|channel| &channel.flags);
            members.contains(&id) || flags.is_some_and(|flags| !flags.contains(&'s'))
        };
        return Some(state.members(id, target))
            .filter(|members| is_open(members))
            .unwrap_or_default();
    }
    let pattern = if matches!(target, "" | "0") {
        "*"
    } else {
        target
    };
    let case_mapping = state.dialect.case_mapping;
    let seen = state
        .clients
        .iter()
        .filter(|(who, client)| client.is_registered() && state.sees(id, **who));
    let meant = seen.filter(|(_, client)| {
        let source = client.source().to_string();
        [client.nick.as_str(), &client.host, &source]
            .iter()
            .any(|text| mask::is_match(pattern, text, case_mapping))
    });
    meant.map(|(who, _)| *who).collect()
}

/// The channel in which somebody is shown, `*` for none, and how they are marked there.
fn place(state: &State, id: ClientId, target: &str, who: ClientId) -> (String, String) {
    let all = state
        .client(id)
        .is_some_and(|client| client.has("multi-prefix"));
    let mut flags = String::new();
    if let Some(client) = state.client(who) {
        flags.push(if client.away.is_some() { 'G' } else { 'H' });
        flags.extend(client.is_oper().then_some('*'));
        flags.extend(client.modes.contains(&'B').then_some('B'));
    }
    match state.channel(target) {
        Some(channel) => {
            flags.push_str(&channel.prefixes(who, &state.isupport, all));
            (channel.name.clone(), flags)
        }
        None => ("*".to_owned(), flags),
    }
}

fn tell(state: &mut State, id: ClientId, target: &str, who: ClientId) {
    let (channel, flags) = place(state, id, target, who);
    let server = state.dialect.server_name.clone();
    let Some(client) = state.client(who) else {
        return;
    };
    let realname = [b"0 ", client.realname.as_slice()].concat();
    let params: Vec<Vec<u8>> = [
        &channel,
        &client.user,
        &client.host,
        &server,
        &client.nick,
        &flags,
    ]
    .map(|text| text.as_bytes().to_vec())
    .into_iter()
    .chain([realname])
    .collect();
    state.reply(id, "352", params);
}

/// The fields that are asked for, in the order of the protocol: `%tcuihsnfdlaor,token`.
fn tell_fields(state: &mut State, id: ClientId, target: &str, who: ClientId, fields: &str) {
    let (fields, token) = fields.split_once(',').unwrap_or((fields, "0"));
    let (channel, flags) = place(state, id, target, who);
    let server = state.dialect.server_name.clone();
    let idle = state.now_s();
    let Some(client) = state.client(who) else {
        return;
    };
    let idle = (idle - client.spoke_s).to_string();
    let account = client.account.as_deref().unwrap_or("0");
    let values: [(char, &[u8]); 13] = [
        ('t', token.as_bytes()),
        ('c', channel.as_bytes()),
        ('u', client.user.as_bytes()),
        ('i', client.peer.ip.as_bytes()),
        ('h', client.host.as_bytes()),
        ('s', server.as_bytes()),
        ('n', client.nick.as_bytes()),
        ('f', flags.as_bytes()),
        ('d', b"0"),
        ('l', idle.as_bytes()),
        ('a', account.as_bytes()),
        ('o', b"n/a"),
        ('r', &client.realname),
    ];
    let wanted = values.iter().filter(|(field, _)| fields.contains(*field));
    let params: Vec<Vec<u8>> = wanted.map(|(_, value)| value.to_vec()).collect();
    state.reply(id, "354", params);
}
