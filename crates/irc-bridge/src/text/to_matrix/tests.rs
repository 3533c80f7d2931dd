use bridgehead_appservice::id::UserId;
use proptest::prelude::*;
use serde_json::Value;

use super::*;

const NICKS: [&str; 9] = [
    "bob", "alice", "[x]", "al|away", "will", "o", "carol", "dan", "eve",
];

fn read(heard: Heard<'_>) -> Vec<Value> {
    let rules = MentionRules {
        words: ["will".to_owned()].into(),
        ..MentionRules::default()
    };
    let lookup = |nick: &str| {
        let known = NICKS
            .iter()
            .find(|known| known.eq_ignore_ascii_case(nick))?;
        let localpart = known.trim_matches(['[', ']']).replace('|', "-");
        let name = format!("{}'s name", known.to_uppercase());
        Some((UserId::new(&localpart, "x.org").unwrap(), name))
    };
    let people = People {
        lookup: &lookup,
        rules: &rules,
    };
    to_matrix(&heard, &people)
        .into_iter()
        .map(Content::into_json)
        .collect()
}

fn heard(text: &str) -> Heard<'_> {
    Heard {
        text,
        is_notice: false,
        voice: Voice::Own,
    }
}

fn one(heard: Heard<'_>) -> Value {
    let mut contents = read(heard);
    assert_eq!(contents.len(), 1, "{contents:?}");
    contents.remove(0)
}

#[test]
fn formatting_becomes_html() {
    let check =
        |text: &str, html: &str| assert_eq!(one(heard(text))["formatted_body"], html, "{text:?}");
    check("\x02a\x02 b", "<strong>a</strong> b");
    check("\x1da\x1fb", "<em>a<u>b</u></em>");
    check("\x1egone\x0f", "<del>gone</del>");
    check("run \x11a  b\x11!", "run <code>a  b</code>!");
    check("\x0304red", "<span data-mx-color=\"#ff0000\">red</span>");
    check(
        "\x0304,02x",
        "<span data-mx-color=\"#ff0000\" data-mx-bg-color=\"#00007f\">x</span>",
    );
    check("\x04abcdefx", "<span data-mx-color=\"#abcdef\">x</span>");
    check(
        "\x16x",
        "<span data-mx-color=\"#ffffff\" data-mx-bg-color=\"#000000\">x</span>",
    );
    check(
        "\x0304,02\x16x",
        "<span data-mx-color=\"#00007f\" data-mx-bg-color=\"#ff0000\">x</span>",
    );
    check(
        "a \x0301,01secret\x03 b",
        "a <span data-mx-spoiler>secret</span> b",
    );
    check("\x02<b>&", "<strong>&lt;b&gt;&amp;</strong>");
    check("\x02a\nb", "<strong>a</strong><br>b");
}

#[test]
fn text_without_marks_has_no_html() {
    for text in [
        "hi *there* `x`",
        "<b>hi</b>",
        "> no quote",
        "\x02\x02hi",
        "1. one",
        "https://x.org/_a_b_",
    ] {
        let content = one(heard(text));
        assert_eq!(content["body"], text.trim_start_matches('\x02'));
        assert_eq!(content.get("formatted_body"), None, "{text}");
        assert_eq!(content["m.mentions"], serde_json::json!({}));
    }
}

#[test]
fn kinds_of_texts() {
    let check = |text: &str, is_notice: bool, msgtype: &str, body: &str| {
        let content = one(Heard {
            is_notice,
            ..heard(text)
        });
        assert_eq!(
            (content["msgtype"].as_str(), content["body"].as_str()),
            (Some(msgtype), Some(body))
        );
    };
    check("hi", false, "m.text", "hi");
    check("hi", true, "m.notice", "hi");
    check("\x01ACTION waves\x01", false, "m.emote", "waves");
    check("\x01action waves", false, "m.emote", "waves");
    check("\x01VERSION\x01", false, "m.notice", "[asks CTCP VERSION]");
    check(
        "\x01PING 123\x01",
        false,
        "m.notice",
        "[asks CTCP PING: 123]",
    );
    check(
        "\x01VERSION \x02ii\x02 1.8\x01",
        true,
        "m.notice",
        "[answers CTCP VERSION: ii 1.8]",
    );
    check(
        "\x01DCC SEND a.txt 1 2 3\x01",
        false,
        "m.notice",
        "[offers a direct connection (DCC), which cannot be taken from here: SEND a.txt 1 2 3]",
    );
}

#[test]
fn nothing_to_see_is_no_event() {
    for text in ["", "\x02\x03", "\x0f", "\x01ACTION \x01", "\x07"] {
        assert_eq!(read(heard(text)), Vec::<Value>::new(), "{text:?}");
    }
}

/// Names in angle brackets where they became mentions.
fn mentioned(text: &str) -> String {
    let content = one(heard(text));
    let html = content["formatted_body"]
        .as_str()
        .unwrap_or(content["body"].as_str().unwrap());
    let mut shown = html.replace("</a>", ">");
    while let Some(begin) = shown.find("<a href=\"https://matrix.to") {
        let end = begin + shown[begin..].find('>').unwrap();
        shown.replace_range(begin..=end, "<");
    }
    shown
}

#[test]
fn names_are_mentions() {
    let check = |text: &str, expected: &str| assert_eq!(mentioned(text), expected);
    check("bob: hi", "<BOB's name>: hi");
    check("Bob, hi", "<BOB's name>, hi");
    check("ask (bob)?", "ask (<BOB's name>)?");
    check("@bob!", "@<BOB's name>!");
    check("bob's cat", "<BOB's name>'s cat");
    check("bob,alice: look", "<BOB's name>,<ALICE's name>: look");
    check(
        "[bob] [x] al|away",
        "[<BOB's name>] <[X]'s name> <AL|AWAY's name>",
    );
    check("\x02bo\x02b: hi", "<strong><BOB's name></strong>: hi");
}

#[test]
fn what_only_looks_like_a_name_is_none() {
    for text in [
        "bobby",
        "xbob",
        "bob-like",
        "bob_",
        "https://x.org/bob",
        "https://bob/",
        "bob@x.org",
        "/home/bob",
        "#bob",
        "will you?",
        "o no",
        "www.bob.org",
        "bob.org",
        "nobody",
    ] {
        let content = one(heard(text));
        assert_eq!(content["m.mentions"], serde_json::json!({}), "{text}");
    }
    let code = one(heard("\x11bob\x11 \x02b\x02obby"));
    assert_eq!(code["m.mentions"], serde_json::json!({}));
    assert_eq!(mentioned("@will o"), "@<WILL's name> o");
}

#[test]
fn at_most_five_people_are_mentioned() {
    let content = one(heard("bob alice carol dan eve al|away bob"));
    assert_eq!(
        content["m.mentions"]["user_ids"].as_array().unwrap().len(),
        MAX_MENTIONS
    );
    let html = content["formatted_body"].as_str().unwrap();
    assert!(
        html.ends_with(" al|away <a href=\"https://matrix.to/#/@bob:x.org\">BOB's name</a>"),
        "{html}"
    );
}

#[test]
fn addresses_stay_whole() {
    let check =
        |text: &str, html: &str| assert_eq!(one(heard(text))["formatted_body"], html, "{text:?}");
    check(
        "see https://x.org/\x02a\x02?b.",
        "see <a href=\"https://x.org/a?b\">https://x.org/<strong>a</strong>?b</a>.",
    );
    check(
        "(https://x.org/a_(\x02b\x02))",
        "(<a href=\"https://x.org/a_(b)\">https://x.org/a_(<strong>b</strong>)</a>)",
    );
    check(
        "www.\x1dx\x1d.org",
        "<a href=\"https://www.x.org\">www.<em>x</em>.org</a>",
    );
    check("\x02https://x.org/", "<strong>https://x.org/</strong>");
}

#[test]
fn relayed_people_have_a_profile() {
    let check = |text: &str, voice: Voice<'_>, expected: Option<(&str, &str, &str)>| {
        let content = Content::new(
            "m.room.message",
            one(Heard {
                voice,
                ..heard(text)
            }),
        );
        let profile = content.profile();
        let found = profile.as_ref().map(|profile| {
            let rest = content.rich().unwrap().to_plain();
            (profile.id.as_str(), profile.name.as_deref().unwrap(), rest)
        });
        let found = found
            .as_ref()
            .map(|(id, name, rest)| (*id, *name, rest.as_str()));
        assert_eq!(found, expected, "{text}");
    };
    check("<carla> hi", Voice::Bot, Some(("carla", "carla", "hi")));
    check(
        "<\x0304c\u{200b}arla\x03> \x02hi",
        Voice::Bot,
        Some(("carla", "carla", "hi")),
    );
    check(
        "[discord] <Carla B> hi",
        Voice::Bot,
        Some(("discord/Carla B", "Carla B", "hi")),
    );
    check(
        "* carla waves",
        Voice::Bot,
        Some(("carla", "carla", "waves")),
    );
    check("no name", Voice::Bot, None);
    check("<> hi", Voice::Bot, None);
    check("<carla> ", Voice::Bot, None);
    check("<carla> hi", Voice::Own, None);
    check(
        "hi",
        Voice::Relayed("carla/discord"),
        Some(("carla/discord", "carla", "hi")),
    );
}

#[test]
fn a_relayed_emote_is_one() {
    let content = one(Heard {
        voice: Voice::Bot,
        ..heard("* carla waves")
    });
    assert_eq!(content["msgtype"], "m.emote");
}

#[test]
fn what_is_too_long_for_an_event_is_several() {
    let line = format!("\x02{}\x02", "word ".repeat(90));
    let text = vec![line.as_str(); 200].join("\n");
    let contents = read(heard(&text));
    assert!(contents.len() > 1);
    let words: usize = contents
        .iter()
        .map(|content| content["body"].as_str().unwrap().matches("word").count())
        .sum();
    assert_eq!(words, 200 * 90);
}

proptest! {
    /// Everybody has every name here: each word that can be one is, in the order of the text, and no other word changes.
    #[test]
    fn names_and_addresses_are_found_in_anything(text in "([ -~\u{2}\u{3}\u{11}\u{1d}é🎉’]|bob|https://|www\\.|, ){0,40}") {
        let rules = MentionRules::default();
        let lookup = |nick: &str| {
            assert!(!nick.is_empty() && !nick.contains(char::is_whitespace), "{nick:?}");
            Some((UserId::parse(&format!("@u{}:x", nick.len() % 7)).unwrap(), nick.to_owned()))
        };
        let people = People { lookup: &lookup, rules: &rules };
        let words = formatting::strip(&text).into_owned();
        let contents = to_matrix(&heard(&text), &people);
        prop_assume!(!text.starts_with('\u{1}'));
        for content in &contents {
            prop_assert!(content.mentions().unwrap().users.len() <= MAX_MENTIONS);
        }
        let rich = contents.first().and_then(Content::rich).map(|rich| rich.text());
        let read = rich.unwrap_or_default().replace('\u{a0}', " ");
        prop_assert_eq!(read.trim(), words.trim());
    }
}
