//! What the linter finds, case by case.

use std::{path::Path, sync::Arc};

use bridgehead_admin_api::{Finding, FindingKind, Severity};
use proptest::prelude::*;
use ruma::server_name;

use super::{
    Linter,
    automaton::{Automaton, Search, must, must_not, search},
    of_errors,
};
use crate::appservices::registration::{Registration, parse};

const URL: &str = "http://localhost:9000";

/// A registration with these patterns of users, each written `regex` or `!regex` for exclusive.
fn service(id: &str, users: &[&str]) -> Arc<Registration> {
    registration(id, URL, &[("users", users)])
}

fn registration(id: &str, url: &str, lists: &[(&str, &[&str])]) -> Arc<Registration> {
    let mut text = format!(
        "id: {id}\nurl: {url}\nas_token: as_{id}\nhs_token: hs\nsender_localpart: _{id}-bot\nnamespaces:\n"
    );
    for (key, patterns) in lists {
        text.push_str(&format!("  {key}:\n"));
        for pattern in *patterns {
            let (exclusive, regex) = match pattern.strip_prefix('!') {
                Some(regex) => (true, regex),
                None => (false, *pattern),
            };
            text.push_str(&format!(
                "  - {{ regex: '{regex}', exclusive: {exclusive} }}\n"
            ));
        }
    }
    let (registration, _) = parse(Path::new("as.yaml"), text.as_bytes())
        .unwrap_or_else(|errors| panic!("{errors:?} in {text}"));
    Arc::new(registration)
}

fn lint(in_force: &[Arc<Registration>], users: &[(&str, Option<&str>)]) -> Vec<Finding> {
    let mut linter = Linter::new(server_name!("example.org"), in_force, None);
    for (user, made_by) in users {
        linter.see_user(user, *made_by);
    }
    linter.findings()
}

fn of_kind(findings: &[Finding], kind: FindingKind) -> Vec<&Finding> {
    findings
        .iter()
        .filter(|finding| finding.kind == kind)
        .collect()
}

/// Asserts that services with these patterns overlap in an id that both match, or do not.
fn check_overlap(first: &[&str], second: &[&str], expected: bool) {
    let pair = [service("a", first), service("b", second)];
    let findings = lint(&pair, &[]);
    let overlaps = of_kind(&findings, FindingKind::ExclusiveOverlap);
    assert_eq!(
        !overlaps.is_empty(),
        expected,
        "{first:?} {second:?}: {findings:#?}"
    );
    for overlap in overlaps {
        assert_eq!(overlap.severity, Severity::Error);
        let witness = &overlap.witnesses[0];
        assert!(witness.ends_with(":example.org"), "{witness}");
        for registration in &pair {
            let sender = format!("@{}:example.org", registration.sender_localpart);
            let held = registration.users.iter().any(|namespace| {
                namespace.exclusive
                    && fancy_regex::Regex::new(&format!("^(?:{})", namespace.regex))
                        .unwrap()
                        .is_match(witness)
                        .unwrap()
            });
            assert!(
                held || *witness == sender,
                "{witness} of {}",
                registration.id
            );
        }
    }
}

#[test]
fn exclusive_overlaps_come_with_a_witness() {
    let cases: &[(&[&str], &[&str], bool)] = &[
        (&["!@irc_.*"], &["!@irc_.*"], true),
        (&["!@irc_.*"], &["!@irc_libera_.*"], true),
        (&["!@irc_.*"], &["!@slack_.*"], false),
        (&["!@irc_.*"], &["@irc_.*"], false),
        (&["!@[a-m].*x"], &["!@(?:m|q)[0-9]+x"], true),
        (&["!@[a-l].*x"], &["!@(?:m|q)[0-9]+x"], false),
        // Matches need not reach the end.
        (&["!@ab"], &["!@abc"], true),
        (&["!@ab$"], &["!@abc"], false),
        (
            &["!@.*_irc:example\\.org"],
            &["!@slack_.*:example\\.org"],
            true,
        ),
        // Only this server's ids count.
        (&["!@irc_.*:other\\.org"], &["!@irc_.*"], false),
        (&["!@irc_.*:example.org$"], &["!@irc_a[^x]+"], true),
        (
            &["!@irc_[0-9]+:example\\.org$"],
            &["!@irc_[a-z]+:example\\.org$"],
            false,
        ),
        // The first pattern that matches decides.
        (&["@irc_libera_.*", "!@irc_.*"], &["!@irc_libera_.*"], false),
        (&["@irc_libera_x.*", "!@irc_.*"], &["!@irc_libera_.*"], true),
        // Letter case matters, unless the pattern says otherwise.
        (&["!@IRC_.*"], &["!@irc_.*"], false),
        (&["!(?i)@IRC_.*"], &["!@irc_.*"], true),
        (&["!@\\birc_.*"], &["!@irc_.*"], true),
        // Look-around: by trying.
        (&["!@(?!slack)[a-z]+_.*"], &["!@irc_.*"], true),
        (&["!@(?!irc)[a-z]+_.*"], &["!@irc_.*"], false),
    ];
    for (first, second, expected) in cases {
        check_overlap(first, second, *expected);
        check_overlap(second, first, *expected);
    }
}

#[test]
fn aliases_overlap_too_also_beyond_ascii() {
    let alias = |id: &str, regex: &'static str| registration(id, URL, &[("aliases", &[regex])]);
    let findings = lint(&[alias("a", "!#кот_.*"), alias("b", "!#к.*_x")], &[]);
    let overlaps = of_kind(&findings, FindingKind::ExclusiveOverlap);
    assert_eq!(overlaps.len(), 1, "{findings:#?}");
    assert_eq!(overlaps[0].witnesses, ["#кот_x:example.org"]);
    assert!(overlaps[0].message.contains("aliases"));
}

#[test]
fn a_service_that_takes_anothers_own_user() {
    let findings = lint(&[service("a", &["!@_b.*"]), service("b", &["!@x_.*"])], &[]);
    let overlaps = of_kind(&findings, FindingKind::ExclusiveOverlap);
    assert_eq!(overlaps.len(), 1);
    assert_eq!(overlaps[0].witnesses, ["@_b-bot:example.org"]);
    assert_eq!(
        (
            overlaps[0].service_id.as_deref(),
            overlaps[0].other_id.as_deref()
        ),
        (Some("a"), Some("b"))
    );
}

#[test]
fn a_candidate_is_compared_with_all_but_the_one_it_replaces() {
    let in_force = [service("a", &["!@a_.*"]), service("b", &["!@b_.*"])];
    let candidate = service("a", &["!@b_x.*"]);
    let linter = Linter::new(server_name!("example.org"), &in_force, Some(candidate));
    let findings = linter.findings();
    let overlaps = of_kind(&findings, FindingKind::ExclusiveOverlap);
    assert_eq!(overlaps.len(), 1);
    assert_eq!(overlaps[0].other_id.as_deref(), Some("b"));
    assert!(
        findings
            .iter()
            .all(|finding| finding.service_id.as_deref() != Some("b"))
    );
}

#[test]
fn patterns_that_swallow_users_are_counted() {
    let people = [
        ("@alice:example.org", None),
        ("@irc_bob:example.org", None),
        ("@irc_1:example.org", Some("irc")),
        ("@irc_2:example.org", Some("irc")),
        ("@slack_1:example.org", Some("slack")),
        ("@_irc-bot:example.org", None),
    ];
    // Pattern, severity, how many, first witness.
    let cases = [
        (
            "!@irc_.*",
            Some((Severity::Warning, 1, Some("@irc_bob:example.org"))),
        ),
        (
            "@irc_.*",
            Some((Severity::Note, 1, Some("@irc_bob:example.org"))),
        ),
        (
            "!@.*",
            Some((Severity::Error, 3, Some("@alice:example.org"))),
        ),
        ("@.*", Some((Severity::Note, 3, Some("@alice:example.org")))),
        (
            "!@[a-z]+:",
            Some((Severity::Warning, 1, Some("@alice:example.org"))),
        ),
        ("!@xmpp_.*", None),
    ];
    for (pattern, expected) in cases {
        let findings = lint(&[service("irc", &[pattern])], &people);
        let swallowed = of_kind(&findings, FindingKind::SwallowsUsers);
        let found = swallowed.first().map(|finding| {
            let witness = finding.witnesses.first().map(String::as_str);
            (finding.severity, finding.count.unwrap(), witness)
        });
        assert_eq!(found, expected, "{pattern}");
    }
}

#[test]
fn a_pattern_for_everybody_is_told_before_there_is_anybody() {
    let findings = lint(&[service("a", &["!@.*"])], &[]);
    let finding = &findings[0];
    assert_eq!(
        (finding.kind, finding.severity, finding.count),
        (FindingKind::SwallowsUsers, Severity::Error, Some(0))
    );
    assert!(
        finding.message.contains("every user"),
        "{}",
        finding.message
    );
}

#[test]
fn at_most_five_witnesses_stand_for_many() {
    let users: Vec<String> = (0..40).map(|n| format!("@irc_{n}:example.org")).collect();
    let users: Vec<_> = users.iter().map(|user| (user.as_str(), None)).collect();
    let findings = lint(&[service("irc", &["!@irc_.*"])], &users);
    let swallowed = of_kind(&findings, FindingKind::SwallowsUsers);
    assert_eq!(
        (swallowed[0].count, swallowed[0].witnesses.len()),
        (Some(40), 5)
    );
}

#[test]
fn aliases_that_others_made_are_counted() {
    let services = [registration("irc", URL, &[("aliases", &["!#irc_.*"])])];
    let mut linter = Linter::new(server_name!("example.org"), &services, None);
    linter.see_alias("#irc_a:example.org", "@alice:example.org", None);
    linter.see_alias("#irc_b:example.org", "@irc_x:example.org", Some("irc"));
    linter.see_alias("#irc_c:example.org", "@_irc-bot:example.org", None);
    let findings = linter.findings();
    let others = of_kind(&findings, FindingKind::Other);
    assert_eq!(others.len(), 1, "{findings:#?}");
    assert_eq!(others[0].witnesses, ["#irc_a:example.org"]);
}

#[test]
fn kinds_of_single_patterns() {
    let kinds = |pattern: &str| -> Vec<FindingKind> {
        lint(&[service("irc", &[pattern])], &[])
            .iter()
            .map(|finding| finding.kind)
            .collect()
    };
    use FindingKind::{LookAround, MissingDomain, Other, SenderOutside};
    assert_eq!(kinds("!@_?irc[_-].*:example\\.org"), []);
    assert_eq!(kinds("!@_?irc[_-].*"), [MissingDomain]);
    assert_eq!(kinds("!@_?irc[_-].*:.*"), [MissingDomain]);
    assert_eq!(kinds("!@irc_.*:example\\.org"), [SenderOutside]);
    assert_eq!(kinds("!@_?irc[_-].*:other\\.org"), [Other, SenderOutside]);
    assert_eq!(kinds("!@_?irc[_-](?=.).*"), [LookAround]);
}

#[test]
fn addresses_near_and_far() {
    let kind_of = |url: &str| {
        let service = registration("irc", url, &[]);
        lint(&[service], &[]).first().map(|finding| finding.kind)
    };
    for near in [
        "http://localhost:9000",
        "http://127.0.0.1:1",
        "http://[::1]:1",
        "http://10.1.2.3",
        "http://172.20.0.2:29318",
        "http://192.168.1.5",
        "http://100.100.1.1",
        "http://[fd00::1]:5",
        "http://mautrix-whatsapp:29318",
        "http://bridge.local",
        "http://host.docker.internal:80",
        "https://bridge.example.com",
    ] {
        assert_eq!(kind_of(near), None, "{near}");
    }
    for far in [
        "http://bridge.example.com",
        "http://8.8.8.8:80",
        "http://172.32.0.1",
        "http://[2001:db8::1]",
        "http://100.128.0.1",
    ] {
        assert_eq!(kind_of(far), Some(FindingKind::PlainHttp), "{far}");
    }
    for nowhere in ["null", "websocket", "unix:/run/as.sock"] {
        assert_eq!(kind_of(nowhere), Some(FindingKind::NoUrl), "{nowhere}");
    }
}

#[test]
fn a_text_that_cannot_be_read_says_where() {
    let text = b"id: a\nas_token: x\nhs_token: y\nsender_localpart: bot\nnamespaces:\n  users:\n  - {regex: 'irc_.*', exclusive: true}\n";
    let errors = parse(Path::new("as.yaml"), text).unwrap_err();
    let findings = of_errors(&errors);
    assert_eq!(findings[0].kind, FindingKind::MissingSigil);
    assert!(findings[0].message.starts_with("line 7: "), "{findings:?}");
    let findings = of_errors(&parse(Path::new("as.yaml"), b"][").unwrap_err());
    assert_eq!(findings[0].kind, FindingKind::Unreadable);
}

#[test]
fn the_worst_stands_first() {
    let services = [
        service("a", &["!@irc_.*", "!@(?=x).*"]),
        registration("b", "http://far.example.com", &[("users", &["!@irc_x.*"])]),
    ];
    let findings = lint(&services, &[("@irc_u:example.org", None)]);
    let severities: Vec<_> = findings.iter().map(|finding| finding.severity).collect();
    assert!(severities.is_sorted(), "{severities:?}");
    assert_eq!(severities.first(), Some(&Severity::Error));
    assert_eq!(severities.last(), Some(&Severity::Note));
}

#[test]
fn many_services_are_compared_in_bearable_time() {
    let services: Vec<_> = (0..200)
        .map(|n| {
            let patterns: Vec<String> = (0..5)
                .map(|k| format!("!@s{n}_{k}_.*:example\\.org"))
                .collect();
            let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
            service(&format!("s{n}"), &patterns)
        })
        .collect();
    let findings = lint(&services, &[]);
    assert!(of_kind(&findings, FindingKind::ExclusiveOverlap).is_empty());
}

#[test]
fn a_search_that_would_take_too_long_gives_up() {
    let id = Automaton::of("@[a-z]+:x$").unwrap();
    // What stood twelve places before the end has to be remembered.
    let heavy = |c: char| Automaton::of(&format!("@[a-z]*{c}[a-z]{{11}}:x$"));
    let (Some(first), Some(second)) = (heavy('a'), heavy('b')) else {
        return; // Too large to be made at all, which is as good.
    };
    let result = search(&[must(&id), must(&first), must(&second), must_not(&id)], 1);
    assert!(matches!(result, Search::GaveUp | Search::Nothing));
}

/// Patterns that a registration may have.
fn patterns() -> impl Strategy<Value = String> {
    let piece = r"[a-c_]|[a-c]\*|\.|\.\*|\[a-b\]\+|\(a\|b_\)|\(\?:c\|\)|\(\?=a\)|\$|\^|\\b|:example\\.org|\\w\{1,9\}";
    proptest::string::string_regex(&format!("@({piece}){{0,6}}"))
        .expect("the generator is a pattern")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_witness_is_matched_by_both(first in patterns(), second in patterns()) {
        let readable = |regex: &str| fancy_regex::Regex::new(&format!("^(?:{regex})")).is_ok();
        prop_assume!(readable(&first) && readable(&second));
        let read = |id: &str, regex: &str| {
            let text = format!(
                "id: {id}\nurl: null\nas_token: as_{id}\nhs_token: hs\nsender_localpart: _{id}-bot\n\
                 namespaces:\n  users:\n  - {{ regex: '{regex}', exclusive: true }}\n"
            );
            parse(Path::new("as.yaml"), text.as_bytes()).map(|(registration, _)| Arc::new(registration))
        };
        let (Ok(a), Ok(b)) = (read("a", &first), read("b", &second)) else { return Ok(()) };
        let findings = lint(&[a, b], &[("@ab_c:example.org", None)]);
        for overlap in of_kind(&findings, FindingKind::ExclusiveOverlap) {
            let witness = &overlap.witnesses[0];
            for pattern in [&first, &second] {
                let regex = fancy_regex::Regex::new(&format!("^(?:{pattern})")).unwrap();
                let is_sender = witness.ends_with("-bot:example.org");
                prop_assert!(is_sender || regex.is_match(witness).unwrap(), "{} {}", pattern, witness);
            }
        }
    }
}
