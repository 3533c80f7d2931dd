//! Templates: what they build, what they read, and what they refuse.

use proptest::prelude::*;

use super::*;
use crate::{RegistrationDraft, parse};

const SERVER: &str = "example.org";

fn users(text: &str) -> BoundTemplate {
    NamespaceTemplate::users(text).unwrap().at(SERVER).unwrap()
}

fn aliases(text: &str) -> BoundTemplate {
    NamespaceTemplate::aliases(text)
        .unwrap()
        .at(SERVER)
        .unwrap()
}

/// Asserts what the values become, and that they come back.
fn check(template: &BoundTemplate, values: &[(&str, &str)], id: &str) {
    assert_eq!(template.build(values).as_deref(), Ok(id));
    let fields = template
        .parse(id)
        .unwrap_or_else(|| panic!("{id} is not read"));
    assert_eq!(fields.iter().collect::<Vec<_>>(), values);
    assert!(template.namespace(true).matches(id), "{id}");
}

#[test]
fn users_are_written_as_the_specification_maps_other_characters() {
    let echo = users("@_echo_{name}");
    for (value, localpart) in [
        ("ann", "_echo_ann"),
        ("Ann[m]", "_echo__ann=5bm=5d"),
        ("á#", "_echo_=c3=a1=23"),
        ("_=A_a", "_echo___=3d_a__a"),
        ("x.y/z+0-1", "_echo_x.y/z+0-1"),
        (":\0 ", "_echo_=3a=00=20"),
    ] {
        check(&echo, &[("name", value)], &format!("@{localpart}:{SERVER}"));
    }
    assert_eq!(
        echo.regex(),
        r"@_echo_(?:[a-z0-9./+-]|_[a-z_]|=[0-9a-f][0-9a-f])+:example\.org"
    );
}

#[test]
fn a_value_never_holds_what_ends_it() {
    let irc = users("_irc_{network}_{nick}");
    check(
        &irc,
        &[("network", "Libera_2"), ("nick", "a_B")],
        "@_irc_=4cibera=5f2_a___b:example.org",
    );
    assert_eq!(
        irc.regex(),
        r"@_irc_(?:[a-z0-9./+-]|=[0-9a-f][0-9a-f])+_(?:[a-z0-9./+-]|_[a-z_]|=[0-9a-f][0-9a-f])+:example\.org"
    );
    let dots = users(".{network}.{nick}");
    check(
        &dots,
        &[("network", "irc.libera.chat"), ("nick", "Arathorn")],
        "@.irc=2elibera=2echat._arathorn:example.org",
    );
    // Even where the separator is a letter, or a digit that escapes are made of.
    let letters = users("{a}x{b}5{c}");
    check(
        &letters,
        &[("a", "xX"), ("b", "5*"), ("c", "55")],
        "@=78_xx=35=2a555:example.org",
    );
    let ending = users("{nick}_bot");
    check(&ending, &[("nick", "a_b")], "@a=5fb_bot:example.org");
}

#[test]
fn the_form_of_the_draft_is_a_template() {
    let draft = users(".irc.{network}.{nick}");
    check(
        &draft,
        &[("network", "freenode"), ("nick", "arathorn")],
        "@.irc.freenode.arathorn:example.org",
    );
}

#[test]
fn aliases_hold_nearly_anything() {
    let logged = aliases("#logged_{topic}");
    for (value, localpart) in [
        ("rust", "logged_rust"),
        ("Rust_#Ж{}", "logged_Rust_#Ж{}"),
        ("a b:c%\0\u{2003}", "logged_a%20b%3Ac%25%00%E2%80%83"),
    ] {
        check(
            &logged,
            &[("topic", value)],
            &format!("#{localpart}:{SERVER}"),
        );
    }
    assert_eq!(
        logged.regex(),
        r"#logged_(?:[^:%\s\x00-\x1f\x7f-\x9f]|%[0-9A-F][0-9A-F])+:example\.org"
    );
    let odd = aliases("ж{a}]é{b}");
    check(&odd, &[("a", "]"), ("b", "é]")], "#ж%5D]éé]:example.org");
    assert_eq!(
        odd.regex(),
        r"#ж(?:[^:%\s\x00-\x1f\x7f-\x9f\]]|%[0-9A-F][0-9A-F])+\]é(?:[^:%\s\x00-\x1f\x7f-\x9f]|%[0-9A-F][0-9A-F])+:example\.org"
    );
}

#[test]
fn what_would_be_written_otherwise_belongs_to_nobody() {
    let irc = users("_irc_{network}_{nick}");
    for id in [
        "@_irc_libera_ann:example.com",
        "@_irc_libera_ann:example.org:8448",
        "@_irc_libera_ann",
        "_irc_libera_ann:example.org",
        "#_irc_libera_ann:example.org",
        "@_irc_libera:example.org",
        "@_irc__ann:example.org",
        "@_irc_libera_:example.org",
        "@_irc_bot:example.org",
        "@_irc_Libera_ann:example.org",
        "@_irc_libera_=61nn:example.org",
        "@_irc_libera_=5B:example.org",
        "@_irc_libera_=5:example.org",
        "@_irc_libera_=+5:example.org",
        "@_irc_libera_=ff:example.org",
        "@_irc_libera_ann_:example.org",
        "@_irc_libera_ann_5:example.org",
        "@_irc_libera_é:example.org",
        "@_irc_libera_=é:example.org",
        "@_irc_libera_=4a:example.org",
    ] {
        assert_eq!(irc.parse(id), None, "{id}");
    }
    let ending = aliases("{topic}_log");
    for id in [
        "#a_log_log:example.org",
        "#a%3a_log:example.org",
        "#a\u{a0}_log:example.org",
    ] {
        assert_eq!(ending.parse(id), None, "{id}");
    }
}

#[test]
fn values_are_asked_for_by_name() {
    let irc = users("_irc_{network}_{nick}");
    let built = irc.build(&[("nick", "b"), ("network", "a")]).unwrap();
    assert_eq!(built, "@_irc_a_b:example.org");
    let fields = irc.parse(&built).unwrap();
    assert_eq!(&fields["network"], "a");
    assert_eq!(fields.get("topic"), None);
    for (values, error) in [
        (&[("nick", "b")][..], "the field `network` has no value"),
        (
            &[("nick", "b"), ("network", "a"), ("topic", "c")],
            "there is a value for `topic`, but no such field is left",
        ),
        (
            &[("nick", "b"), ("network", "a"), ("nick", "c")],
            "there is a value for `nick`, but no such field is left",
        ),
        (
            &[("nick", ""), ("network", "a")],
            "the value of the field `nick` is empty",
        ),
    ] {
        assert_eq!(irc.build(values).unwrap_err().to_string(), error);
    }
}

#[test]
fn an_id_is_no_longer_than_ids_may_be() {
    let echo = users("_echo_{name}");
    let fixed = "@_echo_:".len() + SERVER.len();
    let longest = "a".repeat(255 - fixed);
    let id = echo.build(&[("name", &longest)]).unwrap();
    assert_eq!(id.len(), 255);
    assert!(echo.parse(&id).is_some());
    let error = echo.build(&[("name", &format!("{longest}a"))]).unwrap_err();
    assert_eq!(error, BuildError::TooLong { bytes: 256 });
    assert_eq!(echo.parse(&id.replace("_echo_", "_echo_a")), None);
    let topics = aliases("{topic}");
    let error = topics.build(&[("topic", &"é".repeat(200))]).unwrap_err();
    assert_eq!(error, BuildError::TooLong { bytes: 413 });
}

#[test]
fn illegal_templates_are_refused_with_the_reason() {
    for (text, reason) in [
        (
            "_irc_bot",
            "has no field; write one in braces, such as `_echo_{name}`",
        ),
        (
            "",
            "has no field; write one in braces, such as `_echo_{name}`",
        ),
        (
            "IRC_{nick}",
            "has a `I` outside of its fields, which user ids cannot have; use a-z, 0-9 and ._=/+-",
        ),
        (
            "é{nick}",
            "has a `é` outside of its fields, which user ids cannot have; use a-z, 0-9 and ._=/+-",
        ),
        (
            "{network}{nick}",
            "has nothing between `{network}` and `{nick}`; put a separator there, such as `_`",
        ),
        (
            "{a}=40{b}",
            "has `=` right after `{a}`, which begins an escaped character; choose another separator",
        ),
        (
            "{nick",
            "has a brace without its partner; braces stand around a field's name only",
        ),
        (
            "nick}_{a}",
            "has a brace without its partner; braces stand around a field's name only",
        ),
        (
            "{}",
            "has a field `{}`; a field's name is made of a-z, 0-9 and _, and begins with a letter",
        ),
        (
            "{{a}}",
            "has a field `{{a}`; a field's name is made of a-z, 0-9 and _, and begins with a letter",
        ),
        (
            "{Nick}",
            "has a field `{Nick}`; a field's name is made of a-z, 0-9 and _, and begins with a letter",
        ),
        ("{a}_{a}", "has the field `{a}` twice"),
        (
            "@{a}:example.org",
            "names a server; write only the part before the `:`",
        ),
        ("#{a}", "begins with `#`, but users begin with `@`"),
        ("!{a}", "begins with `!`, but users begin with `@`"),
    ] {
        let error = NamespaceTemplate::users(text).unwrap_err();
        assert_eq!(error.to_string(), format!("the template `{text}` {reason}"));
    }
    for (text, reason) in [
        (
            "a {topic}",
            "has a ' ' outside of its fields, which room aliases cannot have",
        ),
        ("@{topic}", "begins with `@`, but aliases begin with `#`"),
        (
            "{a}%{b}",
            "has `%` right after `{a}`, which begins an escaped character; choose another separator",
        ),
        (
            "#{a}:example.org",
            "names a server; write only the part before the `:`",
        ),
    ] {
        let error = NamespaceTemplate::aliases(text).unwrap_err();
        assert_eq!(error.to_string(), format!("the template `{text}` {reason}"));
    }
}

#[test]
fn a_server_name_must_be_one_and_leave_room() {
    let template = NamespaceTemplate::users("{nick}").unwrap();
    for server in ["example.org:8448", "[::1]:80", "127.0.0.1", "localhost"] {
        let bound = template.at(server).unwrap();
        let id = bound.build(&[("nick", "a")]).unwrap();
        assert_eq!(
            bound.parse(&id).as_ref().map(|fields| &fields["nick"]),
            Some("a")
        );
        assert!(bound.namespace(true).matches(&id), "{id}");
    }
    for server in ["", "a b", "é.org", "@a:b", ":80", "a/b"] {
        let error = template.at(server).unwrap_err();
        assert_eq!(error.fault, TemplateFault::NotAServer(server.to_owned()));
    }
    assert!(template.at(&"a".repeat(252)).is_ok());
    let error = template.at(&"a".repeat(253)).unwrap_err();
    assert_eq!(error.fault, TemplateFault::TooLong);
}

#[test]
fn the_kind_is_guessed_from_the_sigil() {
    let kind = |text: &str| text.parse::<NamespaceTemplate>().unwrap().kind();
    assert_eq!(kind("#logged_{topic}"), NamespaceKind::Aliases);
    assert_eq!(kind("@_irc_{nick}"), NamespaceKind::Users);
    assert_eq!(kind("_irc_{nick}"), NamespaceKind::Users);
}

/// A template of a kind with one to three fields, and as many values.
fn template_and_values(
    kind: NamespaceKind,
) -> impl Strategy<Value = (BoundTemplate, Vec<(String, String)>)> {
    let literal = match kind {
        NamespaceKind::Users => "[a-f0-9._/+-]",
        NamespaceKind::Aliases | NamespaceKind::Rooms => r"([a-cA-C_.#\]\[^|&~\\-]|é)",
    };
    let text_of = |least: u8| {
        proptest::string::string_regex(&format!("{literal}{{{least},2}}")).expect("it is a pattern")
    };
    let value = prop_oneof![
        any::<String>(),
        "[a-fA-F0-9._=/+%#-]{1,9}",
        "[ -~]{1,9}",
        "[a-z]{1,9}"
    ];
    (
        text_of(0),
        proptest::collection::vec((text_of(1), value), 1..=3),
        any::<bool>(),
    )
        .prop_map(move |(head, parts, ends)| {
            let mut text = format!("{}{head}", kind.sigil());
            let mut values = Vec::new();
            let last = parts.len() - 1;
            for (place, (separator, value)) in parts.into_iter().enumerate() {
                text.push_str(&format!("{{f{place}}}"));
                if place < last || ends {
                    text.push_str(&separator);
                }
                values.push((format!("f{place}"), value));
            }
            let template = read::template(&text, kind).expect("it is sound");
            (template.at(SERVER).expect("it is a server"), values)
        })
}

fn is_legal(kind: NamespaceKind, id: &str) -> bool {
    let Some((localpart, server)) = id.split_once(':') else {
        return false;
    };
    let legal = |c: char| match kind {
        NamespaceKind::Users => {
            c.is_ascii_lowercase() || c.is_ascii_digit() || "._=/+-".contains(c)
        }
        NamespaceKind::Aliases | NamespaceKind::Rooms => {
            !c.is_whitespace() && !c.is_control() && c != ':'
        }
    };
    let rest = localpart.strip_prefix(kind.sigil()).unwrap_or(" ");
    id.len() <= 255 && server == SERVER && rest.chars().all(legal)
}

/// Whether the pattern matches all of the id.
fn matches_whole(template: &BoundTemplate, id: &str) -> bool {
    regex::Regex::new(&format!("^(?:{})$", template.regex()))
        .unwrap()
        .is_match(id)
}

fn check_round_trip(
    kind: NamespaceKind,
    template: &BoundTemplate,
    values: &[(String, String)],
) -> Result<(), TestCaseError> {
    let values: Vec<(&str, &str)> = values
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let id = match template.build(&values) {
        Ok(id) => id,
        Err(BuildError::Empty(_)) => return Ok(()),
        Err(BuildError::TooLong { bytes }) => {
            prop_assert!(bytes > 255);
            return Ok(());
        }
        Err(error) => return Err(TestCaseError::fail(error.to_string())),
    };
    prop_assert!(is_legal(kind, &id), "{}", id);
    prop_assert!(matches_whole(template, &id), "{} {}", template.regex(), id);
    let fields = template.parse(&id);
    let fields = fields
        .as_ref()
        .map(|fields| fields.iter().collect::<Vec<_>>());
    prop_assert_eq!(fields, Some(values));
    Ok(())
}

/// Whatever is read would be written the same, and is in the namespace.
fn check_reading(template: &BoundTemplate, id: &str) -> Result<(), TestCaseError> {
    if let Some(fields) = template.parse(id) {
        let values: Vec<(&str, &str)> = fields.iter().collect();
        let built = template.build(&values);
        prop_assert_eq!(built.as_deref(), Ok(id));
        prop_assert!(matches_whole(template, id), "{}", id);
    }
    Ok(())
}

proptest! {
    #[test]
    fn users_come_back((template, values) in template_and_values(NamespaceKind::Users)) {
        check_round_trip(NamespaceKind::Users, &template, &values)?;
    }

    #[test]
    fn aliases_come_back((template, values) in template_and_values(NamespaceKind::Aliases)) {
        check_round_trip(NamespaceKind::Aliases, &template, &values)?;
    }

    #[test]
    fn only_what_would_be_built_is_read(
        (template, _) in template_and_values(NamespaceKind::Users),
        id in r"@([a-f0-9A._/+é-]|_[a-z_]|=[0-9a-f]{2}){0,12}:example\.org",
    ) {
        check_reading(&template, &id)?;
    }

    #[test]
    fn only_aliases_that_would_be_built_are_read(
        (template, _) in template_and_values(NamespaceKind::Aliases),
        id in r"#([a-cA-C_.#é\]\[^|&~ \\-]|%[0-9A-Fa-f]{2}){0,12}:example\.org",
    ) {
        check_reading(&template, &id)?;
    }

    /// What the pattern matches is read, unless an escape stands where none is needed or makes no text.
    #[test]
    fn the_pattern_is_precise((template, _) in template_and_values(NamespaceKind::Users), id in r"@([a-f0-9./+-]|_[a-z_]){0,12}:example\.org") {
        if matches_whole(&template, &id) {
            prop_assert!(template.parse(&id).is_some(), "{} {}", template.regex(), id);
        }
    }

    #[test]
    fn arbitrary_templates_never_panic(text in r"([a-zA-Z#@!:%=_.{}é ]|\{[a-z]{1,3}\}){0,20}", id in any::<String>()) {
        for template in [NamespaceTemplate::users(&text), NamespaceTemplate::aliases(&text)].into_iter().flatten() {
            let bound = template.at(SERVER).unwrap();
            let _ = bound.parse(&id);
            let draft = RegistrationDraft {
                id: "a".to_owned(),
                sender_localpart: "bot".to_owned(),
                users: if template.kind() == NamespaceKind::Users { vec![bound.namespace(true)] } else { Vec::new() },
                aliases: if template.kind() == NamespaceKind::Aliases { vec![bound.namespace(true)] } else { Vec::new() },
                ..RegistrationDraft::default()
            };
            let generated = draft.generate(|bytes| bytes.fill(7)).unwrap();
            prop_assert!(parse("a".as_ref(), generated.text.expose().as_bytes()).is_ok());
        }
    }
}
