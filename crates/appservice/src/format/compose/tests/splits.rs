//! Cutting and shortening.

use super::{super::*, *};
use crate::{
    format::{
        Inline, Mentions,
        content::{Content, Kind},
    },
    id::EventId,
};

/// The parts of a text, by their beginnings and ends if they are long.
fn check(rich: &Rich, budget: Budget, expected: &[&str]) {
    let parts = split_with(rich, budget, &Irc);
    let values: Vec<_> = parts.iter().map(|part| part.value.as_str()).collect();
    assert_eq!(values, expected);
    let mut at = 0;
    for part in &parts {
        assert!(
            part.value.len() <= budget.max_bytes.max(64),
            "{}",
            part.value.len()
        );
        assert_eq!(part.range.start, at);
        at = part.range.end;
    }
    assert_eq!(
        at,
        if parts.is_empty() {
            0
        } else {
            rich.text().len()
        }
    );
}

const BUDGET: Budget = Budget::line(64);

#[test]
fn a_line_that_fits_is_one_part() {
    check(&Rich::plain("hello"), BUDGET, &["hello"]);
    check(&Rich::default(), BUDGET, &[]);
    check(&Rich::plain("  \n "), BUDGET, &[]);
}

#[test]
fn every_line_is_a_part_of_its_own() {
    check(&Rich::plain("a\n\nb\n \nc"), BUDGET, &["a", "b", "c"]);
    check(
        &rich("<p>a</p><ul><li>b</li><li>c<br>d</li></ul>"),
        BUDGET,
        &["a", "• b", "• c", "  d"],
    );
    check(
        &rich("<pre>if x:\n\n    y()</pre>"),
        BUDGET,
        &["if x:", "    y()"],
    );
}

#[test]
fn long_lines_are_cut_at_spaces() {
    check(
        &Rich::plain("one two three four five six seven eight nine ten eleven twelve thirteen"),
        BUDGET,
        &[
            "one two three four five six seven eight nine ten eleven twelve",
            "thirteen",
        ],
    );
    check(
        &Rich::plain("This is a sentence of some length, as they are. And then this one goes on."),
        BUDGET,
        &[
            "This is a sentence of some length, as they are.",
            "And then this one goes on.",
        ],
    );
}

/// Servers cut at 512 bytes without a word, in the middle of a character.
#[test]
fn characters_are_never_cut() {
    let family = "👨‍👩‍👧‍👦";
    check(
        &Rich::plain(&family.repeat(5)),
        BUDGET,
        &[&family.repeat(2), &family.repeat(2), family],
    );
    check(
        &Rich::plain(&"ü".repeat(33)),
        BUDGET,
        &[&"ü".repeat(32), "ü"],
    );
}

#[test]
fn an_address_is_kept_whole_if_it_fits() {
    check(
        &Rich::plain("a few words before the address https://example.org/a-long-path/to/it"),
        BUDGET,
        &[
            "a few words before the address",
            "https://example.org/a-long-path/to/it",
        ],
    );
}

#[test]
fn marks_are_closed_and_opened_again() {
    check(
        &rich("<b>one two three four five six seven eight nine ten eleven twelve thirteen</b> end"),
        BUDGET,
        &[
            "\u{2}one two three four five six seven eight nine ten eleven twelve\u{2}",
            "\u{2}thirteen\u{2} end",
        ],
    );
}

#[test]
fn mentions_stay_whole() {
    let html = format!(
        "{} <a href='matrix:u/mary:x.org'>Mary Poppins</a>!",
        "word ".repeat(11)
    );
    check(
        &rich(&html),
        BUDGET,
        &[
            "word word word word word word word word word word word",
            "mary poppins!",
        ],
    );
    let long = format!("<a href='matrix:u/mary:x.org'>{}</a>", "Mary ".repeat(30));
    let parts = split_with(&rich(&long), BUDGET, &Irc);
    assert_eq!(parts.len(), 3, "too long for any part, so it is cut");
}

#[test]
fn quotes_and_items_go_on_where_they_were_cut() {
    let words = "one two three four five six seven eight nine ten eleven twelve";
    check(
        &rich(&format!(
            "<blockquote><ul><li>{words}</li></ul></blockquote>"
        )),
        BUDGET,
        &[
            "> • one two three four five six seven eight nine ten eleven",
            ">   twelve",
        ],
    );
}

#[test]
fn the_lead_of_deep_quotes_leaves_room() {
    let html = format!("{}{}", "<blockquote>".repeat(20), "word ".repeat(40));
    let parts = split(&rich(&html), BUDGET);
    assert!(
        parts
            .iter()
            .all(|part| part.value.len() <= 64 && part.value.contains("word"))
    );
}

#[test]
fn links_tell_their_address() {
    check(
        &rich("<a href='https://x.org'>look</a> here"),
        BUDGET,
        &["look (https://x.org) here"],
    );
    check(
        &rich("<a href='https://x.org/'>x.org</a>"),
        BUDGET,
        &["x.org"],
    );
    check(
        &rich("<a href='mailto:a@x.org'>a@x.org</a>"),
        BUDGET,
        &["a@x.org"],
    );
}

#[test]
fn parts_of_many_lines() {
    let text = "one\n\ntwo\nthree\nfour";
    check(
        &Rich::plain(text),
        Budget {
            max_bytes: 64,
            max_lines: 3,
        },
        &["one\n\ntwo", "three\nfour"],
    );
    check(&Rich::plain(text), Budget::bytes(64), &[text]);
    let long = "a line of more than thirty bytes";
    check(
        &Rich::plain(&[long; 3].join("\n")),
        Budget::bytes(70),
        &[&[long; 2].join("\n"), long],
    );
}

/// What decides whether a text is too much for a channel is how many lines it makes there
/// (matrix-appservice-irc 1603), not how many it has.
#[test]
fn parts_are_counted_after_cutting() {
    let text = "word ".repeat(100);
    assert_eq!(text.lines().count(), 1);
    assert_eq!(split(&Rich::plain(&text), BUDGET).len(), 8);
}

#[test]
fn a_mark_larger_than_the_budget_is_left_out() {
    struct Loud;
    impl Encoder for Loud {
        fn change(&self, _: &Style, to: &Style, out: &mut String) {
            out.push_str(&"!".repeat(if to.bold { 100 } else { 0 }));
        }
    }
    let parts = split_with(&rich("a <b>b</b> c"), BUDGET, &Loud);
    assert!(parts.iter().all(|part| part.value.len() <= 64));
    assert_eq!(
        squeezed(
            &parts
                .iter()
                .map(|part| part.value.as_str())
                .collect::<String>()
        ),
        "abc"
    );
}

#[test]
fn parts_are_found_again() {
    let rich = Rich::plain("one\ntwo\nthree");
    let map = PartMap::new(&split(&rich, BUDGET));
    let json = serde_json::to_string(&map).unwrap();
    assert_eq!(
        json,
        r#"[{"start":0,"end":4},{"start":4,"end":8},{"start":8,"end":13}]"#
    );
    assert_eq!(serde_json::from_str::<PartMap>(&json).unwrap(), map);
    let found: Vec<_> = [0, 3, 4, 12, 99]
        .iter()
        .map(|byte| map.part_at(*byte))
        .collect();
    assert_eq!(found, [Some(0), Some(0), Some(1), Some(2), Some(2)]);
    assert_eq!(PartMap::default().part_at(0), None);
}

/// However long a text is, each of its events can be sent, and edited.
#[test]
fn events_have_room_for_their_edits() {
    let paragraph = |n: u32| {
        let words = "wörd ".repeat(300);
        let pills = (0..30).map(|m| format!("<a href='matrix:u/user_{n}_{m}:example.org'>U</a> "));
        let pills: String = pills.collect();
        format!("<b>{words}</b> <a href='https://x.org/?a&b'>\"x\"</a> {pills}")
    };
    let blocks = (0..60).flat_map(|n| rich(&paragraph(n)).into_blocks());
    let long = Rich::from_blocks(blocks.collect());
    let parts = split_events(&long);
    assert!(parts.len() > 2);
    let mut words = String::new();
    for part in &parts {
        let content = Content::message(Kind::Text, &part.value)
            .as_edit_of(&EventId::parse("$event").unwrap(), &Mentions::none());
        let bytes = serde_json::to_vec(&content).unwrap().len();
        assert!(bytes <= 65_536 - 4_096, "{bytes}");
        words += &part.value.to_plain();
    }
    assert_eq!(squeezed(&words), squeezed(&long.to_plain()));
}

#[test]
fn events_keep_what_is_around() {
    let code = Rich::from_markdown(&format!(
        "> - a\n>\n> ```rust\n{}> ```\n",
        "> let x = 1;\n".repeat(4_000)
    ));
    let parts = split_events(&code);
    assert_eq!(parts.len(), 4);
    for part in &parts[1..] {
        assert!(
            part.value
                .to_html()
                .starts_with("<blockquote><pre><code class=\"language-rust\">let x = 1;\n")
        );
    }
    let list = Rich::from_markdown(
        &(1..200)
            .map(|n| format!("{n}. {}\n", "word ".repeat(100)))
            .collect::<String>(),
    );
    let parts = split_events(&list);
    let second = parts[1].value.to_html();
    let number = second.split('"').nth(1).unwrap();
    assert!(
        second.starts_with(&format!("<ol start=\"{number}\"><li>word")) && number != "1",
        "{}",
        &second[..40]
    );
}

fn check_truncated(text: &str, budget: Budget, more: &[Inline], expected: Option<&str>) {
    let shortened = truncate(&Rich::plain(text), budget, more);
    assert_eq!(
        shortened.map(|rich| rich.to_plain()).as_deref(),
        expected,
        "{text}"
    );
}

#[test]
fn shortened_texts_say_so() {
    let more = [Inline::text("all of it", Style::link("https://x.org"))];
    let words = "one two three four five six seven eight nine ten eleven twelve thirteen";
    check_truncated("short", BUDGET, &more, None);
    check_truncated(
        words,
        BUDGET,
        &[],
        Some("one two three four five six seven eight nine ten eleven…"),
    );
    check_truncated(
        words,
        BUDGET,
        &more,
        Some("one two three four five six seven… all of it (https://x.org)"),
    );
    let lines = Budget {
        max_bytes: 400,
        max_lines: 2,
    };
    check_truncated("a\nb\nc", lines, &[], Some("a\nb…"));
    check_truncated("a\n\nb\nc", lines, &[], Some("a…"));
}

#[test]
fn shortened_texts_keep_their_marks() {
    let shortened = truncate(
        &rich(&format!("<b>{}</b>", "word ".repeat(30))),
        BUDGET,
        &[],
    )
    .unwrap();
    let html = format!("<strong>{}word</strong>…", "word ".repeat(11));
    assert_eq!(shortened.to_html(), html);
}
