//! `WHOIS` and `WHOWAS`.

use bridgehead_irc_protocol::Line;

use crate::{
    clock,
    state::{
        State,
        client::{Client, ClientId},
    },
};

pub(super) fn run(state: &mut State, id: ClientId, line: &Line) {
    // With two parameters the first is the server to ask.
    let nick = line.text(line.params.len() - 1).into_owned();
    let nick = nick.split(',').next().unwrap_or_default();
    match state.find(id, nick) {
        Some(who) => tell(state, id, who),
        None if line.params.len() > 1 && state.dialect.quirks.unknown_whois_is_402 => {
            return state.reply(id, "402", [nick, "No such server"]);
        }
        None => state.reply(id, "401", [nick, "No such nick"]),
    }
    state.reply(id, "318", [nick, "End of /WHOIS list."]);
}

fn tell(state: &mut State, id: ClientId, who: ClientId) {
    let now_s = state.now_s();
    let server = state.dialect.server_name.clone();
    let network = state.dialect.network.clone();
    let channels = channels(state, id, who);
    let Some(client) = state.client(who) else {
        return;
    };
    let nick = client.nick.clone();
    let texts = |texts: &[&str]| -> Vec<Vec<u8>> {
        texts.iter().map(|text| text.as_bytes().to_vec()).collect()
    };
    let mut person = texts(&[&nick, &client.user, &client.host, "*"]);
    person.push(client.realname.clone());
    let mut rows = vec![("311", person)];
    if !channels.is_empty() {
        rows.push(("319", texts(&[&nick, &channels])));
    }
    rows.push(("312", texts(&[&nick, &server, &network])));
    if client.is_oper() {
        rows.push(("313", texts(&[&nick, "is an IRC operator"])));
    }
    if let Some(account) = &client.account {
        rows.push(("330", texts(&[&nick, account, "is logged in as"])));
    }
    if client.modes.contains(&'B') {
        rows.push(("335", texts(&[&nick, "is a bot"])));
    }
    if client.peer.is_secure {
        rows.push(("671", texts(&[&nick, "is using a secure connection"])));
    }
    if let Some(fingerprint) = client.peer.fingerprint.as_ref().filter(|_| id == who) {
        let text = format!("has client certificate fingerprint {fingerprint}");
        rows.push(("276", texts(&[&nick, &text])));
    }
    if let Some(away) = &client.away {
        rows.push(("301", vec![nick.clone().into_bytes(), away.clone()]));
    }
    let (idle, since) = (
        (now_s - client.spoke_s).to_string(),
        client.signed_on_s.to_string(),
    );
    rows.push((
        "317",
        texts(&[&nick, &idle, &since, "seconds idle, signon time"]),
    ));
    for (numeric, params) in rows {
        state.reply(id, numeric, params);
    }
}

/// The channels of somebody that the asker may know of, with prefixes.
fn channels(state: &State, id: ClientId, who: ClientId) -> String {
    let all = state
        .client(id)
        .is_some_and(|client: &Client| client.has("multi-prefix"));
    let joined = state
        .channels
        .values()
        .filter(|channel| channel.members.contains_key(&who));
    let shown = joined.filter(|channel| {
        let is_hidden = channel.flags.contains(&'s') || channel.flags.contains(&'p');
        !is_hidden || channel.members.contains_key(&id)
    });
    let names = shown.map(|channel| {
        let prefixes = channel.prefixes(who, &state.isupport, all);
        format!("{prefixes}{}", channel.name)
    });
    names.collect::<Vec<_>>().join(" ")
}

pub(super) fn whowas(state: &mut State, id: ClientId, line: &Line) {
    let nick = line.text(0).into_owned();
    let case_mapping = state.dialect.case_mapping;
    let count = line.text(1).parse().unwrap_or(usize::MAX);
    let gone = state
        .gone
        .iter()
        .filter(|gone| case_mapping.is_same(&gone.nick, &nick));
    let gone: Vec<_> = gone.take(count).cloned().collect();
    if gone.is_empty() {
        state.reply(id, "406", [nick.as_str(), "There was no such nickname"]);
    }
    let server = state.dialect.server_name.clone();
    for gone in gone {
        let person = [
            gone.nick.as_bytes(),
            gone.user.as_bytes(),
            gone.host.as_bytes(),
            b"*",
            &gone.realname,
        ];
        state.reply(id, "314", person);
        let at = clock::write_time(gone.at_s.saturating_mul(1000));
        state.reply(id, "312", [&gone.nick, &server, &at]);
    }
    state.reply(id, "369", [nick.as_str(), "End of WHOWAS"]);
}
