//! Edits and replies.

use super::{super::*, *};

fn numbered(changes: &[PartChange<String>]) -> Vec<String> {
    let named = changes.iter().map(|change| match change {
        PartChange::Keep { old, .. } => format!("keep {old}"),
        PartChange::Edit { old, part } => format!("edit {old} {}", part.value),
        PartChange::Add(part) => format!("add {}", part.value),
        PartChange::Remove { old } => format!("remove {old}"),
    });
    named.collect()
}

/// What an edit changes of a message that was sent in lines of 64 bytes.
fn check(old: &str, new: &str, expected: &[&str]) {
    let (old, new) = (Rich::from_markdown(old), Rich::from_markdown(new));
    let cut = |rich: &Rich| split(rich, Budget::line(64));
    let map = PartMap::new(&cut(&old));
    let changes = edit_parts(&old, &map, &new, &cut);
    assert_eq!(numbered(&changes), expected);
    let mut at = 0;
    for range in PartMap::after(&changes).ranges {
        assert_eq!(range.start, at);
        at = range.end;
    }
    let end = if expected.iter().all(|change| change.starts_with("remove")) {
        0
    } else {
        new.text().len()
    };
    assert_eq!(at, end);
}

#[test]
fn an_edit_changes_the_part_that_it_touches() {
    check(
        "one\ntwo\nthree",
        "one\n2\nthree",
        &["keep 0", "edit 1 2", "keep 2"],
    );
    check(
        "one\ntwo\nthree",
        "one\ntwo\n3",
        &["keep 0", "keep 1", "edit 2 3"],
    );
    check("one\ntwo", "one\n**two**", &["keep 0", "edit 1 two"]);
    check("one\ntwo", "one\ntwo", &["keep 0", "keep 1"]);
}

#[test]
fn an_edit_of_a_long_line_leaves_its_other_parts() {
    let long = "word ".repeat(30);
    let edited = long
        .replacen("word", "Word", 15)
        .replacen("Word", "word", 14);
    check(
        &long,
        &edited,
        &[
            "keep 0",
            "edit 1 word Word word word word word word word word word word word word",
            "keep 2",
        ],
    );
}

#[test]
fn what_is_new_at_the_end_is_added() {
    check(
        "one\ntwo",
        "one\ntwo\nthree",
        &["keep 0", "keep 1", "add three"],
    );
    check(
        "one",
        "one\ntwo\nthree",
        &["keep 0", "add two", "add three"],
    );
}

#[test]
fn a_word_that_grows_is_an_edit() {
    check("one\ntwo", "one\ntwofold", &["keep 0", "edit 1 twofold"]);
    check("one\ntwo", "one\nno two", &["keep 0", "edit 1 no two"]);
    check("one", "none", &["edit 0 none"]);
}

#[test]
fn what_is_gone_is_removed() {
    check(
        "one\ntwo\nthree",
        "one\nthree",
        &["keep 0", "remove 1", "keep 2"],
    );
    check(
        "one\ntwo\nthree",
        "one",
        &["keep 0", "remove 1", "remove 2"],
    );
    check("one\ntwo", "", &["remove 0", "remove 1"]);
}

/// Nothing can be sent between two messages.
#[test]
fn what_is_new_in_the_middle_moves_the_rest() {
    check(
        "one\nthree\nfour",
        "one\ntwo\nthree\nfour",
        &["keep 0", "edit 1 two", "edit 2 three", "add four"],
    );
}

fn check_text(style: EditStyle, old: &str, new: &str, expected: Option<&str>) {
    let said = edit_as_text(&Rich::from_markdown(old), &Rich::from_markdown(new), style);
    assert_eq!(
        said.map(|rich| rich.to_plain()).as_deref(),
        expected,
        "{old:?} → {new:?}"
    );
}

#[test]
fn edits_in_words() {
    let check = |old, new, expected| check_text(EditStyle::Replacement, old, new, expected);
    check(
        "see you tomorow",
        "see you tomorrow",
        Some("s/tomorow/tomorrow/"),
    );
    check("a b c d", "a x y d", Some("s/b c/x y/"));
    check("I can do it", "I can not do it", Some("s/do/not do/"));
    check("I do not know", "I do know", Some("s/not //"));
    check(
        "the cat and the dog",
        "the cat and a dog",
        Some("s/and the/and a/"),
    );
    check("a a a a", "a a b a", Some("* a a b a"));
    check("good", "bad", Some("s/good/bad/"));
    check(
        "one two three four five six",
        "1 2 3 4 5 6",
        Some("* 1 2 3 4 5 6"),
    );
    check("in /etc/a", "in /etc/b", Some("* in /etc/b"));
    check("one\ntwo\nthree", "one\n2\nthree", Some("s/two/2/"));
    check("x a\nb b b b b", "x a\nc c c c c", Some("* c c c c c"));
    check("one\ntwo", "one", Some("* one"));
    check("same", "**same**", None);
    check("", "new", Some("* new"));
}

#[test]
fn edits_in_full() {
    check_text(EditStyle::Star, "teh cat", "the cat", Some("* the cat"));
    check_text(
        EditStyle::Edited,
        "teh cat",
        "the cat",
        Some("edited: the cat"),
    );
    check_text(EditStyle::Edited, "same", "same", None);
    let said = edit_as_text(
        &Rich::plain("a"),
        &Rich::from_markdown("- **b**"),
        EditStyle::Star,
    )
    .unwrap();
    assert_eq!(
        said.to_html(),
        "*<ul><li><strong>b</strong></li></ul>",
        "marks are kept"
    );
}

fn check_quote(original: &str, limit: usize, expected: &str) {
    assert_eq!(quote_of("bob", &rich(original), limit), expected);
}

#[test]
fn quotes() {
    check_quote("hello", 32, "<bob: hello>");
    check_quote(
        "one two three four five six seven",
        20,
        "<bob: one two three…>",
    );
    check_quote("one<br>two<p><b>three</b></p>", 32, "<bob: one two three>");
    check_quote("", 32, "<bob>");
    check_quote("unbreakable", 8, "<bob: unbre…>");
    check_quote(
        "he dies: <span data-mx-spoiler>the hero</span>!",
        32,
        "<bob: he dies: …!>",
    );
    check_quote("👨‍👩‍👧‍👦👨‍👩‍👧‍👦", 20, "<bob: …>");
}

fn check_reply(original: Option<&str>, style: ReplyStyle, expected: &str) {
    let original = original.map(Rich::plain);
    let said = reply_as_text(
        "bob",
        original.as_ref(),
        &Rich::from_markdown("**yes**\nyes"),
        style,
    );
    assert_eq!(said.to_markdown(), expected);
}

#[test]
fn replies_in_words() {
    check_reply(Some("coffee?"), ReplyStyle::Nick, "bob: **yes**\nyes");
    check_reply(
        Some("coffee?"),
        ReplyStyle::Quote(32),
        "\\<bob: coffee?\\> **yes**\nyes",
    );
    check_reply(None, ReplyStyle::Quote(32), "bob: **yes**\nyes");
}

#[test]
fn names_without_ping() {
    assert_eq!(without_ping("bob"), "b\u{200b}ob");
    assert_eq!(without_ping("🇩🇪x"), "🇩🇪\u{200b}x");
    assert_eq!(
        (without_ping("b").as_str(), without_ping("").as_str()),
        ("b", "")
    );
}
