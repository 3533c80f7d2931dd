//! Long texts: each line fits, is one and can be seen; nothing is lost but spaces at which it was cut, nothing changes its
//! look, and no mark is parted from its letter.

#![no_main]

use bridgehead_fuzz::is_code;
use bridgehead_irc_protocol::{
    Source,
    formatting::{Style, parse},
    split::{Budget, MIN_BYTES, split},
};
use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    bytes: u16,
    source: &'a str,
    target: &'a str,
    text: &'a str,
    times: u8,
}

fuzz_target!(|input: Input<'_>| {
    let budget = Budget::new(512, &Source::parse(input.source));
    assert!(budget.payload_bytes("PRIVMSG", input.target) >= MIN_BYTES);
    let text = input.text.repeat(usize::from(input.times % 16) + 1);
    let bytes = usize::from(input.bytes % 600);
    let lines = split(&text, bytes);
    for line in &lines {
        assert!(line.len() <= bytes.max(MIN_BYTES), "{line:?}");
        assert!(!line.contains(['\r', '\n', '\0']), "{line:?}");
        assert!(!seen(line).is_empty(), "a blank line {line:?}");
    }
    let after: Vec<_> = lines.iter().flat_map(|line| seen(line)).collect();
    assert_eq!(after, seen(&text), "{lines:?}");
    // What is parted already, by a break or by another look, is not one character.
    if text.contains(|c: char| matches!(c, '\r' | '\n' | '\0') || is_code(c)) {
        return;
    }
    for (before, line) in lines.iter().zip(&lines[1.min(lines.len())..]) {
        is_whole(before, line);
    }
});

/// What is seen of a text: each character, and how it looks.
fn seen(text: &str) -> Vec<(char, Style)> {
    let spans = parse(text).into_iter();
    let chars = spans.flat_map(|span| {
        let style = span.style;
        let chars: Vec<char> = span.text.chars().collect();
        chars.into_iter().map(move |c| (c, style))
    });
    chars
        .filter(|(c, _)| !c.is_whitespace() && *c != '\0')
        .collect()
}

/// No line begins with a mark of a letter that the line before ends with, but where the marks alone fill lines.
fn is_whole(before: &str, line: &str) {
    let is_mark = |c: char| matches!(c, '\u{300}'..='\u{36f}');
    let words = |text: &str| -> String { parse(text).into_iter().map(|span| span.text).collect() };
    let (before, line) = (words(before), words(line));
    if !line.starts_with(is_mark) {
        return;
    }
    let letter = before.trim_end_matches(is_mark);
    let marks = before.len() - letter.len();
    let has_letter = letter.ends_with(|c: char| c.is_alphabetic());
    // A line takes half of these for codes at most.
    assert!(
        !has_letter || marks + 32 >= MIN_BYTES,
        "{before:?} {line:?}"
    );
}
