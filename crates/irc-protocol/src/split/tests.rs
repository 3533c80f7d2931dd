use proptest::prelude::*;

use super::*;

#[test]
fn a_budget_is_what_the_source_leaves() {
    // What InspIRCd and ngIRCd were seen to cut at: 469 bytes behind a start of 41.
    let own = Source::parse("bridgetester!~bridge@127.0.0.1");
    let start = ":bridgetester!~bridge@127.0.0.1 PRIVMSG #chan :";
    let budget = Budget::new(512, &own);
    assert_eq!(budget.payload_bytes("PRIVMSG", "#chan"), 510 - start.len());
    let unknown = Budget::new(512, &Source::named("bridgetester"));
    let worst = format!(":bridgetester!{:011}@{:063} NOTICE ann :", 0, 0);
    assert_eq!(unknown.payload_bytes("NOTICE", "ann"), 510 - worst.len());
    let long = "#".repeat(600);
    assert_eq!(budget.payload_bytes("PRIVMSG", &long), MIN_BYTES);
}

#[test]
fn a_short_text_stays_as_it_is() {
    assert_eq!(split("  a \x02b\x02  ", 400), ["  a \x02b\x02  "]);
    assert_eq!(split(" \x02 \x0f", 400), Vec::<String>::new());
    assert_eq!(split("", 400), Vec::<String>::new());
}

#[test]
fn a_text_is_cut_between_words() {
    let word = "abcdefghi ".repeat(13);
    let whole = "abcdefghi ".repeat(6);
    assert_eq!(
        split(&word, MIN_BYTES),
        [whole.trim_end(), whole.trim_end(), "abcdefghi "]
    );
    // The word that would be cut goes whole, and a long one is cut where it must be.
    let link = format!("see {}", "x".repeat(64));
    assert_eq!(split(&link, 64), ["see".to_owned(), "x".repeat(64)]);
    let link = format!("see {}", "x".repeat(65));
    assert_eq!(
        split(&link, 64),
        ["see".to_owned(), "x".repeat(64), "x".to_owned()]
    );
    // Exactly one line, and the space behind it.
    let full = format!("{} y", "x".repeat(64));
    assert_eq!(split(&full, 64), ["x".repeat(64), "y".to_owned()]);
}

#[test]
fn what_is_written_without_spaces_is_cut_between_characters() {
    let kanji = "日本語".repeat(10);
    let lines = split(&format!("see {kanji}"), 64);
    assert_eq!(lines[0], format!("see {}", &kanji[..60]));
    assert_eq!(lines[1], kanji[60..]);
    // No line begins with what ends a phrase.
    let lines = split(&format!("{}。次", "日".repeat(21)), 64);
    assert_eq!(lines, ["日".repeat(20), "日。次".to_owned()]);
    let lines = split(&format!("{}   次", "日".repeat(21)), 64);
    assert_eq!(lines, ["日".repeat(21), "次".to_owned()]);
}

#[test]
fn spaces_at_which_a_line_is_cut_are_left_out() {
    let word = "x".repeat(60);
    assert_eq!(split(&format!("{word}      y"), 64), [&*word, "y"]);
    assert_eq!(split(&format!("{word}    y"), 64), [&*word, "y"]);
    assert_eq!(split(&format!("{word}   y"), 64), [format!("{word}   y")]);
    assert_eq!(
        split(&format!("  {word}  z\n  y"), 64),
        [format!("  {word}"), "z".to_owned(), "  y".to_owned()]
    );
}

#[test]
fn spaces_behind_a_line_break_stay() {
    let full = "x".repeat(64);
    assert_eq!(split(&format!("{full} \n  y"), 64), [&*full, "  y"]);
}

#[test]
fn line_breaks_end_lines() {
    assert_eq!(
        split("a\r\n\n  \n\x02b\nc\x02\0d", 400),
        ["a", "\x02b", "\x02c\x02d"]
    );
}

#[test]
fn formatting_goes_on_in_the_next_line() {
    let text = format!(
        "\x02{}\x0304{}\x02end",
        "bold ".repeat(20),
        "red ".repeat(20)
    );
    let lines = split(&text, 64);
    assert_eq!(
        lines[1],
        format!("\x02{}\x0304{}", "bold ".repeat(8), "red ".repeat(5)).trim_end()
    );
    assert!(lines[2].starts_with("\x0304\x02red"), "{:?}", lines[2]);
    assert_eq!(lines.last().map(String::as_str), Some("\x0304end"));
}

#[test]
fn what_is_seen_as_one_character_stays_whole() {
    for one in [
        "e\u{301}\u{323}",
        "👨\u{200d}👩\u{200d}👧\u{200d}👦",
        "👍🏽",
        "🇫🇷",
        "❤\u{fe0f}",
        "🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
        "नि",
        "กำ",
        "각",
        "\u{1100}\u{1161}\u{11a8}",
    ] {
        let text = one.repeat(3);
        assert_eq!(clusters(&text).collect::<Vec<_>>(), [one; 3], "{one}");
        for line in split(&one.repeat(40), 64) {
            assert_eq!(line.len() % one.len(), 0, "{one}");
        }
    }
    assert_eq!(clusters("a b").collect::<Vec<_>>(), ["a", " ", "b"]);
    assert_eq!(clusters(" \u{301}").count(), 2);
}

#[test]
fn a_heap_of_marks_is_cut_all_the_same() {
    let heap = format!("e{}", "\u{301}".repeat(100));
    let lines = split(&heap, 64);
    assert!(lines.iter().all(|line| line.len() <= 64));
    assert_eq!(lines.concat(), heap);
}

/// Each character that is no space, with its style.
fn seen(lines: &[String]) -> Vec<(char, Style)> {
    let spans = lines.iter().flat_map(|line| parse(line));
    spans
        .flat_map(|span| {
            span.text
                .chars()
                .map(move |c| (c, span.style))
                .collect::<Vec<_>>()
        })
        .filter(|(c, _)| !matches!(c, ' ' | '\n' | '\r' | '\0'))
        .collect()
}

proptest! {
    #[test]
    fn nothing_is_lost_and_every_line_fits(
        text in "([a-z]{0,12}[ ]{0,2}[\x02\x03\x04\x0f\x16\x1d]?[0-9,]{0,3}|.{0,9}|[\u{301}🇫👍🏽\u{200d}é日。ッ \n]{0,9}){0,30}",
        bytes in 0_usize..200,
    ) {
        let lines = split(&text, bytes);
        for line in &lines {
            prop_assert!(line.len() <= bytes.max(MIN_BYTES));
            prop_assert!(!strip(line).trim_matches(' ').is_empty());
            prop_assert!(!line.contains(['\r', '\n', '\0']));
        }
        let visible = |(c, _): &(char, Style)| !c.is_whitespace();
        let expected: Vec<_> = seen(&[text]).into_iter().filter(visible).collect();
        let kept: Vec<_> = seen(&lines).into_iter().filter(visible).collect();
        prop_assert_eq!(kept, expected);
    }

    #[test]
    fn words_come_back(text in "[a-zé]{1,20}( {1,3}[a-z\x02\x1d]{0,4}[a-zé👍]{1,12}){0,40}", bytes in MIN_BYTES..300) {
        let lines = split(&text, bytes);
        let joined = strip(&lines.join(" ")).into_owned();
        let whole = strip(&text).into_owned();
        prop_assert_eq!(
            joined.split_whitespace().collect::<Vec<_>>(),
            whole.split_whitespace().collect::<Vec<_>>()
        );
    }

    #[test]
    fn clusters_are_the_text(text in ".{0,40}|[\u{301}🇫👍🏽\u{200d}é각 ]{0,20}") {
        prop_assert_eq!(clusters(&text).collect::<String>(), text);
    }
}
