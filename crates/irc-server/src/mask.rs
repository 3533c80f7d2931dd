//! Masks with `*` and `?`, as in lists of bans.

use bridgehead_irc_protocol::{CaseMapping, Source};

/// A mask as people type it, made whole: `nick`, `user@host` or `*.host` become `nick!user@host`.
pub(crate) fn whole(mask: &str) -> String {
    match (mask.contains('!'), mask.contains('@')) {
        (true, true) => mask.to_owned(),
        (true, false) => format!("{mask}@*"),
        (false, true) => format!("*!{mask}"),
        (false, false) if mask.contains(['.', ':']) => format!("*!*@{mask}"),
        (false, false) => format!("{mask}!*@*"),
    }
}

/// Whether somebody is meant by a whole mask.
pub(crate) fn is_meant(mask: &str, who: &Source, case_mapping: CaseMapping) -> bool {
    matches(mask, &who.to_string(), case_mapping)
}

/// Whether a text is what a pattern with `*` and `?` describes; in time of their lengths multiplied at most.
pub(crate) fn matches(pattern: &str, text: &str, case_mapping: CaseMapping) -> bool {
    let (pattern, text) = (case_mapping.fold(pattern), case_mapping.fold(text));
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut seen) = (0, 0);
    // Where the last star stands, and how much of the text it holds so far: only the last may have to take more.
    let mut star: Option<(usize, usize)> = None;
    while seen < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, seen));
                at += 1;
            }
            Some(wanted) if *wanted == b'?' || *wanted == text[seen] => {
                at += 1;
                seen += 1;
            }
            _ => {
                let Some((place, held)) = star else {
                    return false;
                };
                star = Some((place, held + 1));
                at = place + 1;
                seen = held + 1;
            }
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn masks_are_made_whole() {
        for (typed, mask) in [
            ("bob", "bob!*@*"),
            ("bob!*", "bob!*@*"),
            ("~b@host", "*!~b@host"),
            ("*.example", "*!*@*.example"),
            ("a!b@c", "a!b@c"),
        ] {
            assert_eq!(whole(typed), mask, "{typed}");
        }
    }

    #[test]
    fn masks_mean_whom_they_say() {
        let who = Source::parse("Bob[1]!~bob@10.0.0.1");
        for (mask, is) in [
            ("*!*@10.0.0.*", true),
            ("bob{?}!*@*", true),
            ("bob?!*@*", false),
            ("*", true),
            ("*!bob@*", false),
        ] {
            assert_eq!(is_meant(mask, &who, CaseMapping::Rfc1459), is, "{mask}");
        }
    }

    proptest! {
        #[test]
        fn many_stars_cost_little(stars in 1_usize..200, length in 0_usize..2000) {
            let pattern = format!("{}b", "*a".repeat(stars));
            prop_assert!(!matches(&pattern, &"a".repeat(length), CaseMapping::Ascii));
        }

        #[test]
        fn a_text_is_what_itself_says(text in "[a-z!@.]{0,20}", other in "[a-z]{0,9}") {
            prop_assert!(matches(&text, &text, CaseMapping::Ascii));
            let (start, end) = (format!("{text}*"), format!("*{text}"));
            let (longer, later) = (format!("{text}{other}"), format!("{other}{text}"));
            prop_assert!(matches(&start, &longer, CaseMapping::Ascii));
            prop_assert!(matches(&end, &later, CaseMapping::Ascii));
        }
    }
}
