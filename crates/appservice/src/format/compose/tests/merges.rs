//! Joining quick lines.

use super::{super::*, *};

fn heard(sender: &str, at_ms: u64, text: &str) -> Heard {
    Heard {
        sender: sender.to_owned(),
        kind: "m.text".to_owned(),
        at_ms,
        rich: Rich::from_markdown(text),
    }
}

fn check(lines: Vec<Heard>, budget: Budget, expected: &[&str]) {
    let count = lines.len();
    let merged = merge(lines, Pace::default(), budget);
    let texts: Vec<_> = merged
        .iter()
        .map(|message| message.rich.to_plain())
        .collect();
    assert_eq!(texts, expected);
    let mut next = 0;
    for message in &merged {
        assert_eq!(
            (message.lines.start, message.lines.len()),
            (next, message.ranges.len())
        );
        next = message.lines.end;
    }
    assert_eq!(next, count);
}

const WIDE: Budget = Budget::bytes(60_000);

#[test]
fn quick_lines_are_one_message() {
    check(
        vec![
            heard("a", 0, "one"),
            heard("a", 100, "two"),
            heard("a", 150, "three"),
        ],
        WIDE,
        &["one\ntwo\nthree"],
    );
    check(
        vec![heard("a", 0, "one"), heard("a", 101, "two")],
        WIDE,
        &["one", "two"],
    );
    check(
        vec![
            heard("a", 0, "one"),
            heard("b", 1, "two"),
            heard("a", 2, "three"),
        ],
        WIDE,
        &["one", "two", "three"],
    );
}

#[test]
fn a_message_does_not_grow_for_ever() {
    let lines = (0..25).map(|n| heard("a", n * 90, "x")).collect();
    check(
        lines,
        WIDE,
        &["x\n".repeat(12).trim(), "x\n".repeat(12).trim(), "x"],
    );
    let lines = (0..4).map(|n| heard("a", n, &"x".repeat(30))).collect();
    let two = format!("{0}\n{0}", "x".repeat(30));
    check(lines, Budget::bytes(70), &[&two, &two]);
    let lines = (0..3).map(|n| heard("a", n, "x")).collect();
    check(
        lines,
        Budget {
            max_bytes: 1_000,
            max_lines: 2,
        },
        &["x\nx", "x"],
    );
}

#[test]
fn kinds_are_not_mixed() {
    let mut emote = heard("a", 1, "waves");
    emote.kind = "m.emote".to_owned();
    check(vec![heard("a", 0, "hi"), emote], WIDE, &["hi", "waves"]);
}

#[test]
fn a_clock_that_goes_back_joins_nothing_late() {
    check(
        vec![
            heard("a", 5_000, "one"),
            heard("a", 4_000, "two"),
            heard("a", 9_000, "three"),
        ],
        WIDE,
        &["one\ntwo", "three"],
    );
}

#[test]
fn each_line_is_found_again() {
    let merged = merge(
        vec![
            heard("a", 0, "**one**"),
            heard("a", 1, "- two"),
            heard("a", 2, "three\nfour"),
        ],
        Pace::default(),
        WIDE,
    );
    let message = &merged[0];
    assert_eq!(
        message.rich.to_html(),
        "<p><strong>one</strong></p><ul><li>two</li></ul><p>three<br>four</p>"
    );
    let text = message.rich.text();
    let lines: Vec<_> = message
        .ranges
        .iter()
        .map(|range| &text[range.clone()])
        .collect();
    assert_eq!(lines, ["one", "two", "three\nfour"]);
}
