use proptest::prelude::*;

use super::*;
use crate::CaseMapping::{Ascii, Rfc1459};

#[test]
fn masks_are_completed() {
    for (typed, complete) in [
        ("nick", "nick!*@*"),
        ("nick!user@host", "nick!user@host"),
        ("nick!user", "nick!user@*"),
        ("user@host", "*!user@host"),
        ("~u@*.example", "*!~u@*.example"),
        ("@host", "*!*@host"),
        ("!user@", "*!user@*"),
        ("*.example", "*!*@*.example"),
        ("203.0.113.*", "*!*@203.0.113.*"),
        ("2001:db8::*", "*!*@2001:db8::*"),
        ("192.0.2.0/24", "*!*@192.0.2.0/24"),
        ("user/ann", "*!*@user/ann"),
        ("***", "*!*@*"),
        ("", "*!*@*"),
        (" a**b!*@** ", "a*b!*@*"),
    ] {
        let mask = Mask::parse(typed);
        assert_eq!(mask.to_string(), complete, "{typed:?}");
        assert_eq!(Mask::parse(complete), mask);
    }
    assert!(Mask::parse("*").is_everybody());
    assert!(!Mask::parse("*@h").is_everybody());
}

#[test]
fn masks_match_whom_they_mean() {
    let source = Source::parse("Ann[m]!~ann@gw-7.Matrix.Example");
    for (mask, is_meant) in [
        ("ann{m}", true),
        ("*!~ann@*", true),
        ("*!ann@*", false),
        ("*!?ann@*", true),
        ("*.matrix.example", true),
        ("*.matrix", false),
        ("gw-?.*", true),
        ("gw-??.*", false),
        ("a*m?!*@*e", true),
        ("*", true),
    ] {
        assert_eq!(
            Mask::parse(mask).matches(&source, Rfc1459),
            is_meant,
            "{mask}"
        );
    }
    assert!(!Mask::parse("ann{m}").matches(&source, Ascii));
    // Of a host that is not known nothing can be said.
    let unseen = Source::named("ann");
    assert!(Mask::parse("ann").matches(&unseen, Ascii));
    assert!(!Mask::parse("ann!*@?*").matches(&unseen, Ascii));
}

#[test]
fn ranges_of_addresses_match() {
    let from = |host: &str| Source::parse(&format!("n!u@{host}"));
    for (range, host, is_in) in [
        ("192.0.2.0/24", "192.0.2.77", true),
        ("192.0.2.0/24", "192.0.3.77", false),
        ("192.0.2.77/32", "192.0.2.77", true),
        ("0.0.0.0/0", "203.0.113.1", true),
        ("2001:db8::/32", "2001:db8:1::1", true),
        ("2001:db8::/32", "2001:db9::1", false),
        ("::/0", "2001:db8::1", true),
        ("::/0", "203.0.113.1", false),
        ("192.0.2.0/33", "192.0.2.0", false),
        ("192.0.2.0/24", "host.example", false),
    ] {
        let mask = Mask::parse(range);
        assert_eq!(mask.matches(&from(host), Ascii), is_in, "{range} {host}");
    }
}

fn extban(text: &str) -> (bool, Target) {
    match ListEntry::parse(text) {
        ListEntry::Extban(extban) => (extban.is_negated, extban.target),
        ListEntry::Mask(..) => panic!("{text} was read as a mask"),
    }
}

fn boxed(text: &str) -> Box<ListEntry> {
    Box::new(ListEntry::Mask(Mask::parse(text), None))
}

#[test]
fn extended_bans_are_recognized() {
    let account = |name: &str| Target::Account(Some(name.to_owned()));
    let other = |name: &str, arg: &str| Target::Other(name.to_owned(), arg.to_owned());
    let cases = [
        ("$a:ann", false, account("ann")),
        ("$~a", true, Target::Account(None)),
        ("$a", false, Target::Account(None)),
        ("$a:ann$#elsewhere", false, account("ann")),
        ("$r:*spam*", false, Target::RealName("*spam*".to_owned())),
        ("$c:#chan", false, Target::Channel("#chan".to_owned())),
        ("$j:#chan", false, other("j", "#chan")),
        ("$z", false, other("z", "")),
        ("~a:ann", false, account("ann")),
        ("~account:ann", false, account("ann")),
        ("~q:*!*@host", false, Target::Quiet(boxed("*!*@host"))),
        (
            "~quiet:~account:ann",
            false,
            Target::Quiet(Box::new(ListEntry::parse("~account:ann"))),
        ),
        ("~time:10:ann", false, Target::Timed(10, boxed("ann"))),
        (
            "~f:#b:*!*@host",
            false,
            Target::Forward("#b".to_owned(), boxed("*!*@host")),
        ),
        ("m:*!*@host", false, Target::Quiet(boxed("*!*@host"))),
        ("mute:ann", false, Target::Quiet(boxed("ann"))),
        ("!R:ann", true, account("ann")),
        ("R:ann", false, account("ann")),
        ("j:#chan", false, Target::Channel("#chan".to_owned())),
        ("z:0123abcd", false, other("z", "0123abcd")),
    ];
    for (text, is_negated, target) in cases {
        assert_eq!(extban(text), (is_negated, target), "{text}");
        assert_eq!(ListEntry::parse(text).to_string(), text);
    }
}

#[test]
fn masks_are_no_extended_bans() {
    for (text, written) in [
        ("*!*@host", "*!*@host"),
        ("~ann@host", "*!~ann@host"),
        ("abcd::1", "*!*@abcd::1"),
        ("fe:1:2:3:4:5:6:7", "*!*@fe:1:2:3:4:5:6:7"),
        ("*!*@2001:db8::1", "*!*@2001:db8::1"),
        ("$weird", "$weird!*@*"),
        ("*!*@host$#there", "*!*@host$#there"),
        ("*!*@host#there", "*!*@host#there"),
    ] {
        let entry = ListEntry::parse(text);
        assert!(matches!(entry, ListEntry::Mask(..)), "{text}");
        assert_eq!(entry.to_string(), written);
    }
    let ListEntry::Mask(mask, forward) = ListEntry::parse("*!*@host$#there") else {
        panic!("no mask");
    };
    assert_eq!(mask.host, "host");
    assert_eq!(forward.as_deref(), Some("$#there"));
}

#[test]
fn what_is_written_out_whole_means_the_same() {
    for (typed, whole, forward) in [
        (
            "evil.example$#other",
            "*!*@evil.example$#other",
            Some("$#other"),
        ),
        ("evil#other", "evil!*@*#other", Some("#other")),
        (":$", "*!*@:$", Some("$")),
        ("@#c", "*!*@#c", None),
        ("a!b@c$#d", "a!b@c$#d", Some("$#d")),
    ] {
        let entry = ListEntry::parse(typed);
        assert_eq!(entry.to_string(), whole);
        assert_eq!(ListEntry::parse(whole), entry, "{typed}");
        let ListEntry::Mask(_, channel) = entry else {
            panic!("{typed} is a mask");
        };
        assert_eq!(channel.as_deref(), forward, "{typed}");
    }
}

#[test]
fn entries_say_whom_they_hit() {
    let source = Source::parse("ann!~ann@host.example");
    let known = Person {
        source: &source,
        account: Some(Some("Ann")),
        real_name: Some("Ann Example"),
    };
    let unknown = Person {
        account: None,
        real_name: None,
        ..known
    };
    let without = Person {
        account: Some(None),
        ..known
    };
    for (entry, of_known, of_without, of_unknown) in [
        ("*!*@host.example", Some(true), Some(true), Some(true)),
        ("$a:ann", Some(true), Some(false), None),
        ("$~a", Some(false), Some(true), None),
        ("m:R:a*", Some(true), Some(false), None),
        ("~r:*example", Some(true), Some(true), None),
        ("~time:5:~q:bob", Some(false), Some(false), Some(false)),
        ("j:#chan", None, None, None),
    ] {
        let entry = ListEntry::parse(entry);
        let hits = [known, without, unknown].map(|person| entry.matches(&person, Ascii));
        assert_eq!(hits, [of_known, of_without, of_unknown], "{entry}");
    }
    assert!(ListEntry::parse("~time:5:~q:bob").is_quiet());
    assert!(!ListEntry::parse("~time:5:bob").is_quiet());
    assert_eq!(ListEntry::parse("m:bob").mask(), Some(&Mask::parse("bob")));
    assert_eq!(ListEntry::parse("!m:bob").mask(), None);
}

/// The plain meaning, in time that grows with every star.
fn is_match_slowly(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => {
            is_match_slowly(rest, text)
                || text
                    .split_first()
                    .is_some_and(|(_, text)| is_match_slowly(pattern, text))
        }
        ([b'?', pattern @ ..], [_, text @ ..]) => is_match_slowly(pattern, text),
        ([wanted, pattern @ ..], [byte, text @ ..]) => {
            wanted == byte && is_match_slowly(pattern, text)
        }
        _ => false,
    }
}

proptest! {
    #[test]
    fn patterns_mean_what_they_say(pattern in "[ab*?]{0,8}", text in "[ab]{0,8}") {
        let expected = is_match_slowly(pattern.as_bytes(), text.as_bytes());
        prop_assert_eq!(is_match(&pattern, &text, Ascii), expected);
    }

    /// A search through all ways to share the text among the stars would not end within a life.
    #[test]
    fn many_stars_take_no_time(stars in 50_usize..400, repeats in 100_usize..1000) {
        let pattern = format!("{}b", "a*".repeat(stars));
        let text = "a".repeat(repeats.max(stars));
        prop_assert!(!is_match(&pattern, &text, Ascii));
        let text = format!("{text}b");
        prop_assert!(is_match(&pattern, &text, Ascii));
    }

    #[test]
    fn any_text_is_an_entry(text in "[a$~!mRqt:*@#0-9 ]{0,20}|.{0,20}") {
        let entry = ListEntry::parse(&text);
        let again = ListEntry::parse(&entry.to_string());
        if let ListEntry::Extban(_) = entry {
            prop_assert_eq!(again, entry);
        }
    }
}
