use serde_json::json;

use super::*;

fn ban(entity: &str) -> Value {
    json!({ "entity": entity, "recommendation": "m.ban", "reason": "spam" })
}

fn room() -> RoomId {
    RoomId::parse("!list:x").expect("an id")
}

fn user(id: &str) -> UserId {
    UserId::parse(id).expect("an id")
}

#[test]
fn globs_match_as_specified() {
    for (pattern, text, is_match) in [
        ("@eve:x", "@eve:x", true),
        ("@eve:x", "@eve:xy", false),
        ("*", "", true),
        ("@*:evil.org", "@a:evil.org", true),
        ("@*:evil.org", "@a:evil.org.uk", false),
        ("@spam?:x", "@spam1:x", true),
        ("@spam?:x", "@spam:x", false),
        ("@spam?:x", "@spamä:x", true),
        ("*a*b*", "xxaxxbxx", true),
        ("*a*b", "abab", true),
        ("*ab*abc", "abababc", true),
        ("a*", "b", false),
        ("[a]", "a", false),
    ] {
        assert_eq!(matches_glob(pattern, text), is_match, "{pattern} {text}");
    }
    // The worst of patterns is over soon.
    assert!(!matches_glob(&"*a".repeat(120), &"a".repeat(110)));
}

#[test]
fn rules_of_all_names_meet_whom_they_name() {
    for prefix in ["m.policy.rule", "m.room.rule", "org.matrix.mjolnir.rule"] {
        let mut rules = Rules::default();
        assert!(rules.set(&room(), (&format!("{prefix}.user"), "1"), &ban("@eve:*")));
        assert!(rules.set(
            &room(),
            (&format!("{prefix}.server"), "2"),
            &ban("*.Evil.org")
        ));
        assert!(rules.set(&room(), (&format!("{prefix}.room"), "3"), &ban("#bad:x")));
        for (id, is_met) in [
            ("@eve:x", true),
            ("@adam:x", false),
            ("@adam:a.evil.org", true),
            ("@adam:a.evil.org:8448", true),
            ("@adam:evil.org", false),
        ] {
            assert_eq!(rules.meets_user(&user(id), "x"), is_met, "{prefix} {id}");
        }
        assert!(rules.meets_room("#bad:x") && !rules.meets_room("#good:x"));
        assert_eq!(rules.reason(&user("@eve:x"), "x"), Some("spam"));
    }
}

#[test]
fn a_list_against_the_own_server_silences_nobody() {
    let mut rules = Rules::default();
    rules.set(&room(), ("m.policy.rule.server", "1"), &ban("home.org"));
    assert!(!rules.meets_user(&user("@alice:home.org"), "home.org"));
    assert!(rules.meets_user(&user("@alice:home.org"), "other.org"));
}

#[test]
fn a_rule_goes_with_its_content_and_other_recommendations_are_none() {
    let mut rules = Rules::default();
    let place = ("m.policy.rule.user", "1");
    assert!(rules.set(
        &room(),
        place,
        &json!({ "entity": "@eve:x", "recommendation": "org.matrix.mjolnir.ban" })
    ));
    assert!(!rules.set(&room(), ("m.room.topic", ""), &ban("@adam:x")));
    assert!(rules.set(&room(), place, &json!({})));
    assert!(!rules.meets_user(&user("@eve:x"), "x"));
    for content in [
        json!({ "entity": "@eve:x", "recommendation": "m.mute" }),
        json!({ "entity": "@eve:x" }),
        json!({ "entity": "", "recommendation": "m.ban" }),
        json!({ "entity": 3, "recommendation": "m.ban" }),
        ban(&"x".repeat(256)),
    ] {
        assert!(!rules.set(&room(), place, &content), "{content}");
    }
}

#[test]
fn a_room_that_is_read_again_has_what_it_has_now() {
    let mut rules = Rules::default();
    let other = RoomId::parse("!other:x").expect("an id");
    rules.set(&other, ("m.policy.rule.user", "1"), &ban("@other:x"));
    rules.set(&room(), ("m.policy.rule.user", "1"), &ban("@old:x"));
    let new = ban("@new:x");
    let rows = || [("m.policy.rule.user", "2", &new)].into_iter();
    assert!(rules.replace(&room(), rows()));
    assert!(!rules.replace(&room(), rows()));
    for (id, is_met) in [("@old:x", false), ("@new:x", true), ("@other:x", true)] {
        assert_eq!(rules.meets_user(&user(id), "y"), is_met, "{id}");
    }
    assert_eq!((rules.len(), rules.number_of(&room())), (2, 1));
}
