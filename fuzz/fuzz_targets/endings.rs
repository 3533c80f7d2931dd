//! What servers say in words: refusals, endings, netsplits, times, and what clients ask each other.

#![no_main]

use std::time::Duration;

use bridgehead_irc_protocol::{
    Line,
    channels::{server_time, server_time_ms},
    ctcp::{Ctcp, Facts, MAX_ANSWER_BYTES, unmarked},
    ending::Ending,
    netsplit::netsplit,
    numerics::{Explanation, explain, explain_fail},
};
use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    numeric: u16,
    ms: i64,
    text: &'a str,
    words: Vec<&'a str>,
}

/// The last millisecond of the year 9999.
const LAST_MS: i64 = 253_402_300_799_999;

fuzz_target!(|input: Input<'_>| {
    ended(input.numeric, input.text);
    refused(input.numeric, input.text, &input.words);
    asked(input.text, &input.words);
    if let Some((near, far)) = netsplit(input.text) {
        assert_eq!(format!("{near} {far}"), input.text);
        assert!(near.contains('.') && far.contains('.'));
    }
    // The leap second of the last day that can be written is behind it.
    if let Some(ms) = server_time_ms(input.text).filter(|ms| *ms <= LAST_MS) {
        assert_eq!(
            server_time_ms(&server_time(ms)),
            Some(ms),
            "{:?}",
            input.text
        );
    }
    let ms = input.ms % (LAST_MS + 1);
    if ms >= 0 {
        assert_eq!(server_time_ms(&server_time(ms)), Some(ms));
    }
});

fn ended(numeric: u16, text: &str) {
    let of_numeric = Ending::of_numeric(numeric % 1_000, text);
    for ending in [Ending::of_error(text), Ending::of_kill(text)]
        .into_iter()
        .chain(of_numeric)
    {
        if let Ending::Throttled {
            retry_after: Some(wait),
        } = ending
        {
            assert!(wait <= Duration::from_secs(24 * 60 * 60));
        }
    }
}

fn refused(numeric: u16, text: &str, words: &[&str]) {
    let params: Vec<&str> = words.iter().copied().chain([text]).collect();
    let _ = explain(numeric % 1_000, &params);
    let [command, code] = [0, 1].map(|at| words.get(at).copied().unwrap_or_default());
    let _ = explain_fail(command, code, text);
    let line = Line::new(&format!("{:03}", numeric % 1_000), &params);
    let _ = Explanation::of_line(&line);
    let _ = Explanation::of_line(&Line::new("FAIL", &params));
}

fn asked(text: &str, words: &[&str]) {
    let facts = Facts {
        version: words.first().copied().unwrap_or_default(),
        source: words.get(1).copied().unwrap_or_default(),
        time: words.get(2).copied().unwrap_or_default(),
    };
    if let Some(answer) = facts.answer("PRIVMSG", text) {
        assert!(answer.len() <= MAX_ANSWER_BYTES);
        assert!(!answer.contains(['\r', '\n', '\0']));
        assert_eq!(facts.answer("NOTICE", &answer), None);
        assert!(Ctcp::parse(&answer).is_some());
    }
    if let Some(ctcp) = Ctcp::parse(text) {
        let written = ctcp.write();
        assert!(!written.contains(['\r', '\n', '\0']));
        assert!(!written.trim_matches('\x01').contains('\x01'));
    }
    assert_eq!(Ctcp::parse(&unmarked(text)), None);
}
