//! Keys that nobody here knows survive being written anew.

use super::*;

/// The registration in this text, and the same after it has been written anew.
fn written_anew(text: &str) -> (Registration, Registration) {
    let (before, _) = parse_text(text).unwrap();
    let written = before.to_yaml();
    let (after, _) = parse_text(written.expose())
        .unwrap_or_else(|errors| panic!("{}:\n{}", errors[0], written.expose()));
    (before, after)
}

#[test]
fn they_are_written_as_they_were_read() {
    let text = format!(
        "{BASE}com.example.on: true\ncom.example.off: yes\ncom.example.number: 0x1F\ncom.example.text: '0x1F'\n\
         com.example.nothing:\ncom.example.empty: [[], {{}}]\ncom.example.lines: |\n  one\n  two: 2\n\
         com.example.deep:\n  - a: 1\n    'b c': [x, [y, -7]]\n  - .inf\n? {long}\n: 1\n",
        long = "k".repeat(2000)
    );
    let (before, after) = written_anew(&text);
    assert_eq!(after.unknown, before.unknown);
    assert_eq!(before.unknown.len(), 9);
    let value = |key: &str| {
        let entry = after.unknown.iter().find(|entry| entry.key == key);
        entry.map(|entry| entry.value.clone())
    };
    assert_eq!(value("com.example.on"), Some(true.into()));
    assert_eq!(value("com.example.text"), Some("0x1F".into()));
    assert_eq!(
        value("com.example.number"),
        Some(UnknownValue::Plain("0x1F".to_owned()))
    );
    assert_eq!(value("com.example.nothing"), Some(UnknownValue::Null));
    assert_eq!(value("com.example.lines"), Some("one\ntwo: 2\n".into()));
}

#[test]
fn files_of_the_wild_say_the_same_when_written_anew() {
    let folder = PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/registrations"
    ));
    let loaded = load(&[folder]).unwrap().registrations;
    let kept: usize = loaded.iter().map(|one| one.unknown.len()).sum();
    assert!(kept > 0, "none of the files holds a key of its own");
    for before in loaded {
        let after = parse_text(before.to_yaml().expose()).unwrap().0;
        assert_eq!(
            RegistrationDraft::from(&after),
            RegistrationDraft::from(&before)
        );
        assert_eq!(after.as_token, before.as_token);
        assert_eq!(after.hs_token, before.hs_token);
    }
}

#[test]
fn their_values_are_not_shown() {
    let (registration, _) = parse_text(&format!("{BASE}com.example.key: sesame\n")).unwrap();
    let shown = format!("{registration:?}");
    assert!(
        shown.contains("com.example.key") && !shown.contains("sesame"),
        "{shown}"
    );
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[ -~\n\t]{0,9}",
        "true|no|~|null|<<|---|[.][.][.]|- a|a: b|# a|&a|[*]a|!!int 3|0x1F|1_0|[.]inf|'|\""
    ]
}

/// Any value, in trees that are not too deep for the reader.
fn any_value() -> impl Strategy<Value = UnknownValue> {
    let leaf = prop_oneof![
        Just(UnknownValue::Null),
        any::<bool>().prop_map(UnknownValue::from),
        any::<i64>().prop_map(UnknownValue::from),
        "0x[0-9A-F]{1,4}|[0-9]{1,3}[.][0-9]{1,3}|-?[.]inf".prop_map(UnknownValue::Plain),
        any_text().prop_map(UnknownValue::from),
    ];
    leaf.prop_recursive(6, 40, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(UnknownValue::from),
            any_keys(inner).prop_map(UnknownValue::from),
        ]
    })
}

fn any_keys(values: impl Strategy<Value = UnknownValue>) -> impl Strategy<Value = Vec<UnknownKey>> {
    proptest::collection::btree_map(any_text(), values, 0..4).prop_map(|entries| {
        let key = |(key, value)| UnknownKey { key, value };
        entries.into_iter().map(key).collect()
    })
}

proptest! {
    #[test]
    fn whatever_stands_there_is_kept(value in any_value()) {
        let (mut registration, _) = parse_text(BASE).unwrap();
        registration.unknown.push(UnknownKey::new("com.example", value));
        let written = registration.to_yaml();
        let Ok((after, _)) = parse_text(written.expose()) else {
            return Err(TestCaseError::fail(format!("unreadable:\n{}", written.expose())));
        };
        prop_assert!(after.unknown == registration.unknown, "{}", written.expose());
    }

    #[test]
    fn whatever_is_read_is_kept(text in r#"([a-z&*'"|>?\-.~,:\[\]{}()0-9 é\n#!]|x: |- |<<: |\n  |true|null){0,60}"#) {
        for text in [format!("{BASE}{text}"), format!("{BASE}x:\n  {text}"), format!("{BASE}x: [{text}]\n")] {
            if let Ok((before, _)) = parse_text(&text) {
                let written = before.to_yaml();
                let Ok((after, _)) = parse_text(written.expose()) else {
                    return Err(TestCaseError::fail(format!("unreadable:\n{}", written.expose())));
                };
                prop_assert!(
                    RegistrationDraft::from(&after) == RegistrationDraft::from(&before),
                    "{text}\nbecame\n{}", written.expose()
                );
            }
        }
    }
}
