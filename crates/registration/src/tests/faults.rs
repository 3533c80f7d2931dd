//! What is wrong with a registration is told with its line and a remedy.

use super::*;

#[test]
fn says_what_is_missing() {
    let all = faults_of("id: a\n");
    let token = |key: &str| {
        format!(
            "as.yaml: `{key}` is missing. Set `{key}` to a long random string, the same that the application service uses."
        )
    };
    assert_eq!(all[0], token("as_token"));
    assert_eq!(all[1], token("hs_token"));
    assert_eq!(
        all[2],
        "as.yaml: `sender_localpart` is missing. Write only the part between `@` and `:`, such as `ircbot` for @ircbot:example.org."
    );
    assert_eq!(all.len(), 3);
    let empty = faults_of(&BASE.replace("hhh", "''"));
    assert!(
        empty[0].starts_with("as.yaml:4: `hs_token` is empty. Set `hs_token`"),
        "{empty:?}"
    );
}

#[test]
fn says_what_has_the_wrong_type() {
    let start = "Compare it with a file made by `bridgehead registration new`.";
    for (more, expected) in [
        (
            "rate_limited: maybe\n",
            "as.yaml:6: `rate_limited` must be true or false, but is a single value.",
        ),
        (
            "protocols: irc\n",
            "as.yaml:6: `protocols` must be a list of strings, but is a single value.",
        ),
        (
            "protocols:\n- [irc]\n",
            "as.yaml:7: `an entry of protocols` must be a string, but is a list.",
        ),
        (
            "namespaces: []\n",
            "as.yaml:6: `namespaces` must be a mapping with `users`, `aliases` and `rooms`, but is a list.",
        ),
        (
            "namespaces:\n  users: {}\n",
            "as.yaml:7: `namespaces.users` must be a list, but is a mapping.",
        ),
        (
            "io.bridgehead: 1\n",
            "as.yaml:6: `io.bridgehead` must be a mapping, but is a single value.",
        ),
        (
            "namespaces:\n  rooms:\n  - '!a'\n",
            "as.yaml:8: `an entry of namespaces.rooms` must be a mapping with `regex` and `exclusive`, but is a single value.",
        ),
    ] {
        assert_eq!(faults(more), [format!("{expected} {start}")]);
    }
    assert_eq!(
        faults_of(&BASE.replace("aaa", "[aaa]")),
        [format!(
            "as.yaml:3: `as_token` must be a string, but is a list. {start}"
        )]
    );
}

#[test]
fn refuses_what_is_not_a_mapping_or_not_yaml() {
    let start = "Compare it with a file made by `bridgehead registration new`.";
    let list = faults_of("- a\n- b\n");
    assert_eq!(
        list,
        [format!(
            "as.yaml:1: a registration is a mapping of keys to values, but this is a list. {start}"
        )]
    );
    let empty = faults_of("");
    assert!(
        empty[0].contains("a registration is a mapping of keys to values, but this is nothing."),
        "{empty:?}"
    );
    let broken = faults_of("id: a\nurl: \"open\nas_token: b\n");
    assert!(broken[0].starts_with("as.yaml:"), "{broken:?}");
    assert!(
        broken[0].contains(": this is not valid YAML: "),
        "{broken:?}"
    );
    assert!(!broken[0].contains(" at line "), "{broken:?}");
    let twice = faults("hs_token: again\n");
    assert!(
        twice[0].starts_with("as.yaml:6: this is not valid YAML: "),
        "{twice:?}"
    );
    assert!(twice[0].contains("hs_token"), "{twice:?}");
    let binary = parse(Path::new("as.yaml"), b"id: a\nurl: \xff\n").unwrap_err();
    assert_eq!(
        binary[0].to_string(),
        "as.yaml:2: this is not UTF-8 text. Save the file as UTF-8."
    );
}

#[test]
fn refuses_bad_names() {
    let remedy =
        "Write only the part between `@` and `:`, such as `ircbot` for @ircbot:example.org.";
    for (written, reason) in [
        (
            "'@bot:example.org'",
            "holds a character that a user id cannot have",
        ),
        ("'a b'", "holds a character that a user id cannot have"),
        ("''", "is empty"),
    ] {
        let text = BASE.replace(
            "sender_localpart: bot",
            &format!("sender_localpart: {written}"),
        );
        assert_eq!(
            faults_of(&text),
            [format!("as.yaml:5: `sender_localpart` {reason}. {remedy}")]
        );
    }
    let id = faults_of(&BASE.replace("id: a\n", "id: a|b\n"));
    assert_eq!(
        id,
        [
            "as.yaml:1: `id` holds a `|` or a control character. Choose an id without it: `|` joins ids with network names."
        ]
    );
    let token = faults_of(&BASE.replace("hhh", "hé"));
    assert!(
        token[0].starts_with(
            "as.yaml:4: `hs_token` holds a character that an HTTP header cannot carry."
        ),
        "{token:?}"
    );
}

#[test]
fn refuses_patterns_that_do_not_compile() {
    let pattern = |written: &str| {
        faults(&format!(
            "namespaces:\n  users:\n  - exclusive: true\n    regex: '{written}'\n"
        ))
    };
    assert_eq!(
        pattern("@irc_(.*"),
        [
            "as.yaml:9: the pattern `@irc_(.*` is not a valid regular expression: unclosed group. Mend the pattern; in YAML, put it in single quotes."
        ]
    );
    // Well-formed only inside the parentheses that anchoring adds.
    assert!(pattern("@a)|(?:@b")[0].contains("is not a valid regular expression: "));
    assert!(pattern(r"@\w{1000}")[0].contains("needs more than 1048576 bytes"));
    assert!(
        pattern(r"@(?=a")[0]
            .starts_with("as.yaml:9: the pattern `@(?=a` is not a valid regular expression: ")
    );
}

#[test]
fn refuses_a_missing_sigil_and_shows_the_mended_pattern() {
    for (list, written, mended) in [
        ("users", "irc_.*", "@irc_.*"),
        ("users", "^irc_.*:example", "^@irc_.*:example"),
        ("users", "(irc|xmpp)_.*", "@(irc|xmpp)_.*"),
        ("users", "irc_.*|xmpp_.*", "@(?:irc_.*|xmpp_.*)"),
        ("users", "#irc_.*", "@#irc_.*"),
        ("users", "(?!admin)irc_.*", "@(?!admin)irc_.*"),
        ("aliases", "irc_.*", "#irc_.*"),
        ("rooms", "abc:example", "!abc:example"),
    ] {
        let messages = faults(&format!(
            "namespaces:\n  {list}:\n  - exclusive: true\n    regex: '{written}'\n"
        ));
        let (start, write) = (
            format!(
                "as.yaml:9: the pattern `{written}` can never match: `{list}` patterns are matched from the start"
            ),
            format!(". Write `{mended}`."),
        );
        assert!(
            messages[0].starts_with(&start) && messages[0].ends_with(&write),
            "{messages:?}"
        );
    }
}

#[test]
fn accepts_every_way_to_meet_the_sigil() {
    for pattern in [
        "@a",
        "^@a",
        ".*",
        ".+bot",
        "[@+]a",
        "[^a]b",
        "(@a|b)",
        "(?:@a)",
        "(?!@b)@a",
        "",
        "^",
        r"\@a",
        "a?@b",
        r"(?i)@IRC",
        r"\x40a",
    ] {
        let text =
            format!("{BASE}namespaces:\n  users:\n  - exclusive: true\n    regex: '{pattern}'\n");
        assert!(
            parse_text(&text).is_ok(),
            "{pattern}: {:?}",
            parse_text(&text).err()
        );
    }
}
