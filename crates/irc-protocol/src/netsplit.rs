//! Netsplits: two servers lose each other, and everybody behind the other one quits at once.
//!
//! A server that has no batches for it says so in the text of each `QUIT`: the names of the two servers, and nothing else.
//! People's own texts look otherwise, for most servers put `Quit: ` before them or quotes around them.

/// The longest name that a server has (RFC 2812, 2.3.1).
const MAX_NAME_BYTES: usize = 63;

/// The two servers that lost each other, the nearer one first, where a `QUIT`'s text says so.
#[must_use]
pub fn netsplit(quit: &str) -> Option<(&str, &str)> {
    let (near, far) = quit.split_once(' ')?;
    let is_split = is_server(near) && is_server(far) && !near.eq_ignore_ascii_case(far);
    is_split.then_some((near, far))
}

/// Whether it is a server's name as it stands in such a text: `irc.example.org`, or `*.net` where names are kept secret.
fn is_server(name: &str) -> bool {
    let Some((rest, last)) = name.rsplit_once('.') else {
        return false;
    };
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let mut labels = rest.split('.');
    let first = labels.next().unwrap_or_default();
    // What ends in digits is an address or speaks of versions, and what ends in one letter is an abbreviation.
    let is_top = last.len() >= 2 && last.bytes().all(|byte| byte.is_ascii_alphabetic());
    name.len() <= MAX_NAME_BYTES
        && is_top
        && (first == "*" || is_label(first))
        && labels.all(is_label)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::netsplit;

    #[test]
    fn splits_are_told_from_what_people_type() {
        for (text, is_split) in [
            // InspIRCd, ngIRCd, Solanum.
            ("insp1.test.invalid insp2.test.invalid", true),
            ("ng.test.invalid bridge.test.invalid", true),
            ("zirconium.libera.chat tungsten.libera.chat", true),
            ("hub-1.example.net leaf_2.example.net", true),
            // Networks that keep their servers' names secret.
            ("*.net *.split", true),
            ("irc.example.org *.example.org", true),
            ("Quit: hub.example.net leaf.example.net", false),
            ("\"hub.example.net leaf.example.net\"", false),
            ("hub.example.net", false),
            ("hub.example.net  leaf.example.net", false),
            ("hub.example.net leaf.example.net ", false),
            ("hub.example.net leaf.example.net other.example.net", false),
            ("hub.example.net hub.example.net", false),
            ("bye. bye.", false),
            ("see http://example.org", false),
            ("v1.2 v1.3", false),
            ("1.2.3.4 5.6.7.8", false),
            ("Ping timeout: 120 seconds", false),
            ("e.g this", false),
            ("hub.*.net leaf.example.net", false),
            ("ex..org hub.example.org", false),
            ("", false),
        ] {
            assert_eq!(netsplit(text).is_some(), is_split, "{text:?}");
        }
        assert_eq!(netsplit("a.net b.net"), Some(("a.net", "b.net")));
    }

    proptest! {
        #[test]
        fn any_two_names_are_a_split(near in "[a-z]([a-z0-9]{1,5}\\.){1,4}net", far in "[a-z]([a-z0-9]{1,5}\\.){1,4}org") {
            let text = format!("{near} {far}");
            prop_assert_eq!(netsplit(&text), Some((&*near, &*far)));
        }

        #[test]
        fn a_split_is_two_words(text in "[a-z*. :/é-]{0,30}") {
            if let Some((near, far)) = netsplit(&text) {
                prop_assert_eq!(format!("{near} {far}"), text.clone());
                prop_assert!(near.contains('.') && far.contains('.'));
            }
        }
    }

    #[test]
    fn what_people_say_is_no_split() {
        for text in [
            "",
            "bye",
            "Quit: a.example b.example",
            "\"a.example b.example\"",
            "see you tomorrow.",
            "ok. bye.",
            "from 1.5 2.0",
            "1.5 2.0",
            "a.example  b.example",
            "a.example b.example ",
            "a.example b.example c.example",
            "a.example a.example",
            "http://a.example b.example",
            "a..example b.example",
            "Ping timeout",
            "é.example b.example",
        ] {
            assert_eq!(netsplit(text), None, "{text}");
        }
    }
}
