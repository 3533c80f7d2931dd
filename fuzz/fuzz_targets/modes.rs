//! Mode strings by what any server says of itself: what was understood and is said again is understood as the same.

#![no_main]

use bridgehead_fuzz::isupport;
use bridgehead_irc_protocol::ModeChange;
use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    tokens: Vec<&'a str>,
    prefix: Option<&'a str>,
    chanmodes: Option<&'a str>,
    modes_at_once: Option<u8>,
    modes: &'a str,
    params: Vec<&'a str>,
}

fuzz_target!(|input: Input<'_>| {
    let named = [
        input.prefix.map(|prefix| format!("PREFIX={prefix}")),
        input.chanmodes.map(|kinds| format!("CHANMODES={kinds}")),
        input.modes_at_once.map(|modes| format!("MODES={modes}")),
    ];
    let tokens = named.iter().flatten().map(String::as_str);
    let tokens: Vec<&str> = tokens.chain(input.tokens.iter().copied()).collect();
    let isupport = isupport(&tokens);
    let params: Vec<String> = input
        .params
        .iter()
        .map(|param| (*param).to_owned())
        .collect();
    let changes = ModeChange::parse(&isupport, input.modes, &params);
    assert!(changes.len() <= input.modes.chars().count());
    let given: usize = changes
        .iter()
        .filter(|change| change.param.is_some())
        .count();
    assert!(given <= params.len());
    let commands = ModeChange::commands(&isupport, &changes);
    for command in &commands {
        assert!(command.len() <= 1 + isupport.modes_at_once());
    }
    let again = commands
        .iter()
        .flat_map(|command| ModeChange::parse(&isupport, &command[0], &command[1..]));
    assert_eq!(again.collect::<Vec<_>>(), changes, "{commands:?}");
});
