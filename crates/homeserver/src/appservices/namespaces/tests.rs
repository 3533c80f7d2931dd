//! Tests of namespace matching, the naive evaluation of every pattern as the judge.

use std::{path::Path, sync::Arc};

use proptest::prelude::*;
use ruma::{ServerName, server_name};

use super::*;
use crate::appservices::registration::{Namespace, parse};

fn registration(
    sender: &str,
    users: &[(&str, bool)],
    aliases: &[(&str, bool)],
    rooms: &[(&str, bool)],
) -> Arc<Registration> {
    let text = format!(
        "id: {sender}\nurl: null\nas_token: as_{sender}\nhs_token: hs\nsender_localpart: {sender}\n"
    );
    let (mut registration, _) = parse(Path::new("test.yaml"), text.as_bytes()).unwrap();
    let list = |patterns: &[(&str, bool)]| {
        let namespace = |(regex, exclusive): &(&str, bool)| Namespace {
            regex: (*regex).to_owned(),
            exclusive: *exclusive,
        };
        patterns.iter().map(namespace).collect::<Vec<_>>()
    };
    registration.users = list(users);
    registration.aliases = list(aliases);
    registration.rooms = list(rooms);
    Arc::new(registration)
}

fn server() -> &'static ServerName {
    server_name!("example.org")
}

fn compile(registrations: &[Arc<Registration>]) -> Namespaces {
    Namespaces::compile(server(), registrations).unwrap()
}

fn check(owners: &Owners, any: &[u16], exclusive: &[u16]) {
    let plain = |list: &[AsIndex]| list.iter().map(|index| index.0).collect::<Vec<_>>();
    assert_eq!(
        (plain(&owners.any), plain(&owners.exclusive)),
        (any.to_vec(), exclusive.to_vec())
    );
}

#[test]
fn users_match_from_the_start_and_only_local_ones() {
    let namespaces = compile(&[
        registration("bot", &[("@irc_.*", true)], &[], &[]),
        registration("puppet", &[(r"@.*:example\.org", false)], &[], &[]),
    ]);
    check(&namespaces.users("@irc_a:example.org"), &[0, 1], &[0]);
    check(&namespaces.users("@IRC_a:example.org"), &[1], &[]);
    check(&namespaces.users("@x@irc_a:example.org"), &[1], &[]);
    check(&namespaces.users("@irc_a:elsewhere.org"), &[], &[]);
    check(&namespaces.users("@irc_a:example.org:8448"), &[], &[]);
    check(&namespaces.users("irc_a"), &[], &[]);
    check(&namespaces.users("@bot:example.org"), &[0, 1], &[0]);
    check(&namespaces.users("@puppet:example.org"), &[1], &[1]);
    check(&namespaces.users("@puppet:elsewhere.org"), &[], &[]);
}

#[test]
fn the_first_matching_pattern_decides_exclusiveness() {
    let namespaces = compile(&[
        registration("a", &[("@irc_admin", false), ("@irc_.*", true)], &[], &[]),
        registration("b", &[("@irc_(?!x).*", true), ("@irc_.*", false)], &[], &[]),
    ]);
    check(&namespaces.users("@irc_admin:example.org"), &[0, 1], &[1]);
    check(&namespaces.users("@irc_b:example.org"), &[0, 1], &[0, 1]);
    check(&namespaces.users("@irc_x:example.org"), &[0, 1], &[0]);
}

#[test]
fn exclusive_to_other_leaves_the_asker_out() {
    let namespaces = compile(&[
        registration("a", &[("@irc_.*", true)], &[("#irc_.*", true)], &[]),
        registration("b", &[("@irc_.*", false)], &[], &[]),
    ]);
    let (a, b) = (AsIndex(0), AsIndex(1));
    let user = "@irc_x:example.org";
    assert_eq!(namespaces.exclusive_to_other_user(user, None), Some(a));
    assert_eq!(namespaces.exclusive_to_other_user(user, Some(b)), Some(a));
    assert_eq!(namespaces.exclusive_to_other_user(user, Some(a)), None);
    assert_eq!(
        namespaces.exclusive_to_other_user("@x:example.org", None),
        None
    );
    assert!(namespaces.owns_user(a, user) && namespaces.owns_user(b, user));
    assert!(!namespaces.owns_user(b, "@a:example.org"));
    assert_eq!(
        namespaces.exclusive_to_other_alias("#irc_x:example.org", Some(b)),
        Some(a)
    );
    assert_eq!(
        namespaces.exclusive_to_other_alias("#irc_x:elsewhere.org", Some(b)),
        None
    );
    assert!(
        namespaces.owns_alias(a, "#irc_x:example.org")
            && !namespaces.owns_alias(b, "#irc_x:example.org")
    );
}

#[test]
fn rooms_match_wherever_they_were_made_and_are_never_exclusive() {
    let namespaces = compile(&[registration("a", &[], &[], &[("!ab.*", true)])]);
    check(&namespaces.rooms("!abc:elsewhere.org"), &[0], &[]);
    check(&namespaces.rooms("!abcdefgh"), &[0], &[]);
    check(&namespaces.rooms("!x!abc"), &[], &[]);
}

#[test]
fn nobody_owns_anything_without_registrations() {
    let namespaces = compile(&[]);
    assert!(namespaces.users("@a:example.org").is_empty());
    assert!(namespaces.aliases("#a:example.org").is_empty());
    assert!(namespaces.rooms("!a:example.org").is_empty());
}

#[test]
fn a_pattern_that_does_not_compile_is_named() {
    let error =
        Namespaces::compile(server(), &[registration("a", &[("@(", true)], &[], &[])]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "pattern `@(` of application service `a` does not compile: unclosed group"
    );
}

#[test]
fn thousands_of_wide_patterns_compile_together() {
    let many: Vec<_> = (0..1_000)
        .map(|number| {
            registration(
                &format!("s{number}"),
                &[(&format!(r"@p{number}_\w+:example\.org"), true)],
                &[],
                &[],
            )
        })
        .collect();
    check(&compile(&many).users("@p777_x:example.org"), &[777], &[777]);
}

/// What the whole module must equal: each service by itself, its patterns one after the other.
fn naive(registrations: &[Arc<Registration>], user_id: &str) -> Owners {
    let mut owners = Owners::default();
    let local = user_id
        .split_once(':')
        .is_some_and(|(_, server)| server == "example.org");
    for (index, registration) in registrations.iter().enumerate().filter(|_| local) {
        let matching = registration.users.iter().find(|namespace| {
            let anchored = format!(r"\A(?:{})", namespace.regex);
            fancy_regex::Regex::new(&anchored)
                .unwrap()
                .is_match(user_id)
                .unwrap()
        });
        let sender = user_id == format!("@{}:example.org", registration.sender_localpart);
        let index = AsIndex(u16::try_from(index).unwrap());
        if sender || matching.is_some() {
            owners.any.push(index);
        }
        if sender || matching.is_some_and(|namespace| namespace.exclusive) {
            owners.exclusive.push(index);
        }
    }
    owners
}

fn pattern() -> impl Strategy<Value = String> {
    prop_oneof![
        "@[ab]{1,3}",
        r"@[ab]{0,2}\.\*",
        r"@[ab]{0,2}\[ab\]\+",
        "@[ab]{1,2}[|]@[ab]{1,2}",
        r"\^@[ab]{1,3}:example",
        r"@[ab]{1,2}:example\\\.org\$",
        r"@\(\?![ab]{1,2}\)[ab]\.",
        r"@\(\[ab\]\)\\1",
        r"\.\*:elsewhere",
    ]
}

fn user_id() -> impl Strategy<Value = String> {
    (
        "[ab]{1,4}",
        prop_oneof![4 => Just("example.org"), 1 => Just("elsewhere.org")],
    )
        .prop_map(|(localpart, server)| format!("@{localpart}:{server}"))
}

proptest! {
    #[test]
    fn users_equal_the_naive_evaluation(
        services in proptest::collection::vec(
            ("[ab]{1,3}", proptest::collection::vec((pattern(), any::<bool>()), 0..5)),
            0..6,
        ),
        ids in proptest::collection::vec(user_id(), 1..12),
    ) {
        let registrations: Vec<_> = services
            .iter()
            .map(|(sender, users)| {
                let users: Vec<_> = users.iter().map(|(regex, exclusive)| (regex.as_str(), *exclusive)).collect();
                registration(sender, &users, &[], &[])
            })
            .collect();
        let namespaces = compile(&registrations);
        // Twice: once evaluated, once remembered.
        for id in ids.iter().chain(&ids) {
            prop_assert_eq!(&*namespaces.users(id), &naive(&registrations, id), "{}", id);
        }
    }
}
