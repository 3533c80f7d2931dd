//! Any lines in any order: the state stays whole.

use std::sync::Arc;

use proptest::prelude::*;

use super::take;
use crate::{
    Dialect,
    ear::Ear,
    state::{State, client::ClientId},
};

/// A server with four people in its memory, who know all that it offers.
fn peopled(dialect: Dialect) -> (State, Vec<ClientId>) {
    let mut state = State::new(dialect);
    let ids = ["ann", "bob", "cat", "dan"].map(|nick| {
        let id = state
            .open_person(nick, Arc::new(Ear::default()))
            .expect("a person");
        let caps: Vec<String> = state
            .dialect
            .caps
            .iter()
            .map(|(cap, _)| cap.clone())
            .collect();
        let client = state.client_mut(id).expect("a client");
        client.caps.extend(caps);
        id
    });
    (state, ids.to_vec())
}

/// What must be so whatever was said.
fn check(state: &State) {
    for (key, channel) in &state.channels {
        assert_eq!(
            *key,
            state.fold(&channel.name),
            "a channel is where its name says"
        );
        assert!(!channel.members.is_empty(), "{key} is empty");
        let gone = channel
            .members
            .keys()
            .find(|id| state.client(**id).is_none());
        assert_eq!(gone, None, "somebody who is gone is in {key}");
        let limit = state.dialect.limits.list_entries;
        assert!(channel.lists.values().all(|list| list.len() <= limit));
    }
    for (id, client) in &state.clients {
        assert_eq!(
            state.holder(&client.nick),
            Some(*id),
            "{} has a nick",
            client.nick
        );
    }
    for (_, history) in state.histories() {
        assert!(history.messages.len() <= state.dialect.limits.history);
    }
}

fn line() -> impl Strategy<Value = String> {
    let command = prop_oneof![
        6 => prop::sample::select(vec![
            "JOIN", "PART", "PRIVMSG", "NOTICE", "TAGMSG", "NICK", "MODE", "TOPIC", "KICK", "INVITE", "NAMES",
            "WHO", "WHOIS", "LIST", "AWAY", "MONITOR", "SETNAME", "BATCH", "REDACT", "RENAME", "RELAYMSG",
            "CHATHISTORY", "CAP", "PING", "WHOWAS", "USERHOST", "ISON", "OPER", "KILL", "AUTHENTICATE", "VERSION",
        ]).prop_map(str::to_owned),
        1 => "[A-Z0-9]{1,6}".prop_map(|word| word),
    ];
    let word = prop_oneof![
        6 => prop::sample::select(vec![
            "#tea", "#TEA", "#coffee", "@#tea", "ann", "bob", "cat", "Dan", "eve", "+o", "-o", "+b", "+beIq", "+kl",
            "-k", "+im", "+q", "key", "3", "*", "0", "LATEST", "BETWEEN", "AROUND", "TARGETS", "msgid=m9",
            "timestamp=2026-01-02T03:04:05.000Z", "+x", "-x", "draft/multiline", "REQ", "LS", "302", "L", "S", "a/b",
            "root", "%tcuihsnfdlaor,1", "PLAIN",
        ]).prop_map(str::to_owned),
        1 => "[^ \r\n\0]{0,12}".prop_map(|word| word),
    ];
    let tags = prop_oneof![
        3 => Just(String::new()),
        1 => prop::sample::select(vec!["@label=1 ", "@batch=x ", "@batch=x;label=2 ", "@+typing=active ", "@"])
            .prop_map(str::to_owned),
    ];
    (
        tags,
        command,
        prop::collection::vec(word, 0..5),
        prop::option::of("[^\r\n\0]{0,20}"),
    )
        .prop_map(|(tags, command, words, text)| {
            let text = text.map(|text| format!(" :{text}")).unwrap_or_default();
            format!("{tags}{command} {}{text}", words.join(" "))
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_lines_leave_the_state_whole(
        lines in prop::collection::vec((0_usize..4, line()), 0..60),
        which in 0_usize..6,
        split_at in 0_usize..60,
    ) {
        let dialects = [
            Dialect::modern, Dialect::ngircd, Dialect::inspircd, Dialect::ergo, Dialect::hybrid, Dialect::bare,
        ];
        let mut dialect = dialects[which]();
        dialect.oper_password = Some("root".to_owned());
        dialect.limits.list_entries = 3;
        dialect.limits.history = 5;
        let (mut state, ids) = peopled(dialect);
        for (at, (who, line)) in lines.iter().enumerate() {
            take(&mut state, ids[*who], line.as_bytes());
            if at == split_at {
                state.split(&["bob", "dan"]);
            }
            if at == split_at + 10 {
                state.rejoin();
            }
            state.close_marked();
            check(&state);
        }
    }

    #[test]
    fn any_bytes_leave_the_state_whole(lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..20)) {
        let (mut state, ids) = peopled(Dialect::modern());
        for line in &lines {
            take(&mut state, ids[0], line);
            check(&state);
        }
    }
}
