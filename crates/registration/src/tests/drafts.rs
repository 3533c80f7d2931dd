//! Registrations that are made of drafts: new ones, and old ones brought up to date.

use rand::{Rng as _, SeedableRng, rngs::StdRng};

use super::*;

fn draft() -> RegistrationDraft {
    RegistrationDraft {
        id: "it's: a #test".to_owned(),
        url: Some("http://localhost:5000/".to_owned()),
        sender_localpart: "bot".to_owned(),
        users: vec![
            namespace(r"@irc_\w+'\.:example\.org", true),
            namespace("@é.*", false),
        ],
        aliases: vec![namespace("#irc_.*", true)],
        protocols: vec!["irc".to_owned(), "no".to_owned()],
        features: Features {
            receive_ephemeral: true,
            ..Features::default()
        },
        ..RegistrationDraft::default()
    }
}

/// A source of random bytes.
fn fill(seed: u64) -> impl FnMut(&mut [u8]) {
    let mut rng = StdRng::seed_from_u64(seed);
    move |bytes| rng.fill_bytes(bytes)
}

fn generate(draft: &RegistrationDraft) -> Result<Generated, Vec<RegistrationError>> {
    draft.generate(fill(1))
}

fn regenerate(draft: &RegistrationDraft, before: &Registration) -> Generated {
    draft.regenerate(before, "example.org").unwrap()
}

fn told(changes: &[Change]) -> Vec<String> {
    changes.iter().map(ToString::to_string).collect()
}

/// What a registration says, tokens included, wherever it stands.
fn said(registration: &Registration) -> (RegistrationDraft, [&str; 2]) {
    let tokens = [
        registration.as_token.expose(),
        registration.hs_token.expose(),
    ];
    (RegistrationDraft::from(registration), tokens)
}

#[test]
fn a_new_registration_needs_an_address_that_can_be_called() {
    for url in ["localhost:9000", "unix:/run/as.sock", "ftp://elsewhere"] {
        let draft = RegistrationDraft {
            url: Some(url.to_owned()),
            ..draft()
        };
        let errors = generate(&draft).unwrap_err();
        let expected = format!(
            "new registration: the url `{url}` is no http or https address. Write it like http://localhost:9000, or `websocket` for a service that opens one."
        );
        assert_eq!(errors[0].to_string(), expected);
    }
    let draft = RegistrationDraft {
        url: Some("websocket".to_owned()),
        ..draft()
    };
    generate(&draft).unwrap();
}

#[test]
fn a_new_registration_reads_back_as_drafted() {
    let draft = draft();
    let text = generate(&draft).unwrap().text;
    let (registration, warnings) = parse_text(text.expose()).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(registration.url, http("http://localhost:5000"));
    let expected = RegistrationDraft {
        url: Some("http://localhost:5000".to_owned()),
        ..draft.clone()
    };
    assert_eq!(RegistrationDraft::from(&registration), expected);
    assert_eq!(registration.as_token.expose().len(), 64);
    assert_ne!(registration.as_token, registration.hs_token);
    assert_ne!(text, draft.generate(fill(2)).unwrap().text);
}

#[test]
fn a_registration_may_hold_all_there_is() {
    let draft = RegistrationDraft {
        url: None,
        rooms: vec![namespace("!a", false), namespace("!b", false)],
        aliases: vec![namespace("#a", true), namespace("#b", false)],
        rate_limited: true,
        features: Features {
            receive_ephemeral: true,
            push_ephemeral_unstable: true,
            msc3202: true,
            msc4190: true,
        },
        ip_range_whitelist: vec!["10.0.0.0/8".to_owned()],
        bridgehead: BridgeheadOptions {
            legacy_query_token: Some(true),
            lazy_alias_auto_invite: None,
            relax_user_query: Some(false),
        },
        unknown: vec![UnknownKey::new("com.example.flag", true)],
        ..draft()
    };
    let generated = generate(&draft).unwrap();
    assert_eq!(RegistrationDraft::from(&generated.registration), draft);
    for line in [
        "url: null\n",
        "\nreceive_ephemeral: true\n",
        "\nde.sorunome.msc2409.push_ephemeral: true\n",
        "\norg.matrix.msc3202: true\n",
        "\nio.element.msc4190: true\n",
        "\n'com.example.flag': true\n",
    ] {
        assert!(generated.text.expose().contains(line), "{line}");
    }
}

#[test]
fn a_bad_draft_is_refused_with_the_reason() {
    let bad = RegistrationDraft {
        users: vec![namespace("irc_.*", true)],
        ..draft()
    };
    let errors = generate(&bad).unwrap_err();
    assert!(
        errors[0].to_string().contains("Write `@irc_.*`"),
        "{}",
        errors[0]
    );
}

#[test]
fn a_draft_that_says_nothing_new_changes_nothing() {
    let draft = draft();
    let first = generate(&draft).unwrap();
    let again = regenerate(&draft, &first.registration);
    assert!(!again.is_changed(), "{:?}", again.changes);
    assert_eq!(again.text, first.text);
}

#[test]
fn what_changed_is_told_and_the_tokens_stay() {
    let first = generate(&draft()).unwrap().registration;
    let draft = RegistrationDraft {
        id: "other".to_owned(),
        url: None,
        users: vec![
            namespace("@é.*", true),
            namespace(r"@irc_\w+'\.:example\.org", true),
        ],
        aliases: Vec::new(),
        protocols: vec!["no".to_owned(), "irc".to_owned()],
        features: Features {
            msc3202: true,
            ..Features::default()
        },
        unknown: vec![UnknownKey::new("com.example.flag", true)],
        ..draft()
    };
    let second = regenerate(&draft, &first);
    assert_eq!(second.registration.id, first.id);
    assert_eq!(second.registration.as_token, first.as_token);
    assert_eq!(second.registration.hs_token, first.hs_token);
    assert_eq!(
        told(&second.changes),
        [
            "~ url: http://localhost:5000 → null",
            "~ receive_ephemeral: true → false",
            "~ org.matrix.msc3202: false → true",
            "~ protocols: irc, no → no, irc",
            "- namespaces.users: @é.* (shared)",
            "+ namespaces.users: @é.* (exclusive)",
            "- namespaces.aliases: #irc_.* (exclusive)",
            "+ com.example.flag: a value",
            "= id: it's: a #test (not: other)",
        ]
    );
}

#[test]
fn what_others_have_put_there_stays() {
    let text = format!(
        "{BASE}ip_range_whitelist: [10.0.0.0/8]\nio.bridgehead: {{legacy_query_token: true}}\ncom.example: {{deep: [1, '1', null]}}\ncom.mine: 1\n"
    );
    let before = parse_text(&text).unwrap().0;
    let draft = RegistrationDraft {
        id: "a".to_owned(),
        sender_localpart: "bot".to_owned(),
        rate_limited: true,
        bridgehead: BridgeheadOptions {
            relax_user_query: Some(true),
            ..BridgeheadOptions::default()
        },
        unknown: vec![UnknownKey::new("com.mine", 2)],
        ..RegistrationDraft::default()
    };
    let after = regenerate(&draft, &before);
    assert_eq!(
        told(&after.changes),
        [
            "~ io.bridgehead.relax_user_query: unset → true",
            "~ com.mine: a value → another value",
        ]
    );
    let registration = after.registration;
    assert_eq!(registration.ip_range_whitelist, ["10.0.0.0/8"]);
    assert_eq!(registration.bridgehead.legacy_query_token, Some(true));
    assert_eq!(registration.unknown[0], before.unknown[0]);
}

#[test]
fn a_bot_beside_a_random_sender_stays_where_it_is() {
    let text = BASE.replace("bot", "gk2Rv7YxQ1")
        + "namespaces: {users: [{regex: '^@bot:example\\.org$', exclusive: true}, {regex: '@irc_.*', exclusive: true}]}\n";
    let before = parse_text(&text).unwrap().0;
    let draft = RegistrationDraft {
        id: "a".to_owned(),
        sender_localpart: "bot".to_owned(),
        users: vec![namespace("@irc_.*", true)],
        rate_limited: true,
        ..RegistrationDraft::default()
    };
    let after = regenerate(&draft, &before);
    assert_eq!(
        told(&after.changes),
        ["= sender_localpart: gk2Rv7YxQ1 (not: bot)"]
    );
    assert_eq!(after.registration.users, before.users);
    let layout = after.registration.bot_layout("bot", "example.org");
    assert_eq!(layout, Some(BotLayout::Namespaced));
    // The same name on another server is not this bot.
    let elsewhere = draft.regenerate(&before, "example.com").unwrap();
    assert_eq!(elsewhere.registration.sender_localpart, "bot");
}

#[test]
fn hidden_tokens_are_not_taken_for_tokens() {
    let hidden = parse_text(&BASE.replace("aaa", "'***'")).unwrap().0;
    let errors = draft().regenerate(&hidden, "example.org").unwrap_err();
    assert!(
        errors[0]
            .reason
            .contains("tokens of the registration before are hidden"),
        "{}",
        errors[0]
    );
}

#[test]
fn a_file_is_made_once_and_then_brought_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("registration.yaml");
    let write = |draft: &RegistrationDraft, seed| draft.write(&file, "example.org", fill(seed));
    let made = write(&draft(), 1).unwrap();
    assert_eq!(made.outcome, Outcome::Made);
    assert_eq!(made.registration.source.file, file);
    let text = format!("{}# mine\n", fs::read_to_string(&file).unwrap());
    fs::write(&file, &text).unwrap();

    let same = write(&draft(), 2).unwrap();
    assert_eq!(same.outcome, Outcome::Unchanged);
    assert_eq!(said(&same.registration), said(&made.registration));
    assert_eq!(fs::read_to_string(&file).unwrap(), text, "not touched");

    let more = RegistrationDraft {
        rooms: vec![namespace("!a", false)],
        ..draft()
    };
    let updated = write(&more, 3).unwrap();
    assert_eq!(updated.outcome, Outcome::Updated);
    assert_eq!(told(&updated.changes), ["+ namespaces.rooms: !a (shared)"]);
    let loaded = load(std::slice::from_ref(&file)).unwrap().registrations;
    assert_eq!(said(&loaded[0]), said(&updated.registration));
    assert_eq!(loaded[0].as_token, made.registration.as_token);

    fs::write(&file, "id: [").unwrap();
    let broken = write(&draft(), 4).unwrap_err();
    assert!(matches!(broken, WriteError::Refused(_)), "{broken}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "id: [");
    let nowhere = draft()
        .write(&folder.path().join("none/a.yaml"), "example.org", fill(5))
        .unwrap_err();
    assert!(matches!(nowhere, WriteError::Io { .. }), "{nowhere}");
}

proptest! {
    #[test]
    fn arbitrary_patterns_never_panic(pattern in r"([a-z@^$.*+?|()\[\]{}\\,0-9]|\(\?[!=<>:i]|\\[1-9wbdK]){0,20}") {
        let namespace = namespace(&pattern, true);
        prop_assert!(!namespace.is_exactly("@a") || namespace.matches("@a"), "{}", pattern);
        let draft = RegistrationDraft { users: vec![namespace], ..draft() };
        if let Ok(generated) = generate(&draft) {
            prop_assert_eq!(generated.registration.users, draft.users);
        }
    }

    #[test]
    fn any_draft_that_renders_reads_back(id in any::<String>(), regex in any::<String>(), protocol in any::<String>(), key in any::<String>()) {
        let draft = RegistrationDraft {
            id,
            users: vec![namespace(&format!("@{regex}"), true)],
            protocols: vec![protocol],
            unknown: vec![UnknownKey::new(format!("com.{key}"), regex)],
            ..draft()
        };
        if let Ok(generated) = generate(&draft) {
            let expected = RegistrationDraft { url: Some("http://localhost:5000".to_owned()), ..draft };
            prop_assert_eq!(RegistrationDraft::from(&generated.registration), expected);
        }
    }

    #[test]
    fn one_id_alone_is_matched_by_its_own_namespace(id in "@[!-9;-~]{1,20}:[a-z.]{1,9}", other in "@[!-9;-~]{1,20}:[a-z.]{1,9}") {
        let own = Namespace::exactly(&id, true);
        prop_assert!(own.matches(&id) && own.is_exactly(&id));
        prop_assert_eq!(own.matches(&other), other.starts_with(&id));
    }
}
