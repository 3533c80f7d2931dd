//! Whether somebody has quit because two servers have lost each other.

/// The two servers that a text of `QUIT` names: two names of hosts, one space, nothing else.
///
/// People may type that too. Most networks mark what they type (`Quit: …`, `"…"`), and neither a colon nor a quotation mark
/// is part of a name; where a network does not, what they type passes for a split.
pub(super) fn servers(text: &[u8]) -> Option<(String, String)> {
    let text = std::str::from_utf8(text).ok()?;
    let (left, right) = text.split_once(' ')?;
    (is_server(left) && is_server(right) && left != right)
        .then(|| (left.to_owned(), right.to_owned()))
}

/// Whether it is the name of a host, or what a network shows in its place (`*.net`).
fn is_server(name: &str) -> bool {
    let is_label = |label: &str| {
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '*');
        !label.is_empty() && label.chars().all(is_part)
    };
    // Versions and amounts (`1.5`) are none: the last label is a word.
    let is_word = |label: &str| !label.chars().all(|c| c.is_ascii_digit());
    name.rsplit_once('.').is_some_and(|(rest, last)| {
        is_label(last) && is_word(last) && rest.split('.').all(is_label)
    })
}

#[cfg(test)]
mod tests {
    use super::servers;

    #[test]
    fn servers_that_lost_each_other_are_known() {
        for text in [
            "insp.test.invalid two.test.invalid",
            "*.net *.split",
            "hub-1.example.org leaf2.example.org",
        ] {
            let (left, right) = servers(text.as_bytes()).expect(text);
            assert_eq!(format!("{left} {right}"), text);
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
            assert_eq!(servers(text.as_bytes()), None, "{text}");
        }
        assert_eq!(servers(b"a.exampl\xe9 b.example"), None);
    }
}
