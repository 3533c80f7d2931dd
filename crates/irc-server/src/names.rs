//! What may be a name.

use crate::Dialect;

/// Whether it is a nick: letters, digits and some marks, no digit or dash first (RFC 2812, 2.3.1), and not too long.
pub(crate) fn is_nick(nick: &str, dialect: &Dialect) -> bool {
    let is_mark = |c: char| "[]\\`_^{|}".contains(c);
    let mut chars = nick.chars();
    let Some(first) = chars.next() else {
        return false;
    };
    (first.is_ascii_alphabetic() || is_mark(first))
        && chars.all(|c| c.is_ascii_alphanumeric() || is_mark(c) || c == '-')
        && nick.len() <= dialect.limits.nick_bytes
}

/// Whether it is a channel's name, and not too long.
pub(crate) fn is_channel(name: &str, dialect: &Dialect) -> bool {
    name.len() > 1
        && name.starts_with(|first| dialect.channel_types.contains(first))
        && !name.contains([' ', ',', '\x07', ':'])
        && name.len() <= dialect.limits.channel_bytes
}

/// The first bytes of a text, as many as may be, without the rest of a character that is cut.
pub(crate) fn shortened(text: &[u8], bytes: usize) -> Vec<u8> {
    let mut end = text.len().min(bytes);
    while end < text.len() && end > 0 && text[end] & 0xC0 == 0x80 {
        end -= 1;
    }
    text[..end].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nicks_are_refused_and_never_shortened() {
        let dialect = Dialect::bare();
        for (nick, is) in [
            ("bob", true),
            ("[b]`^", true),
            ("b-1", true),
            ("1bob", false),
            ("-bob", false),
            ("böb", false),
            ("", false),
            ("*", false),
            ("ninebytes", true),
            ("ten_bytes_", false),
        ] {
            assert_eq!(is_nick(nick, &dialect), is, "{nick}");
        }
    }

    #[test]
    fn channels_begin_as_the_server_says() {
        let dialect = Dialect::ergo();
        assert!(is_channel("#a", &dialect));
        assert!(!is_channel("&a", &dialect));
        assert!(!is_channel("#", &dialect));
        assert!(!is_channel(&format!("#{}", "a".repeat(200)), &dialect));
    }

    #[test]
    fn texts_are_shortened_at_characters() {
        assert_eq!(shortened("aé".as_bytes(), 2), b"a");
        assert_eq!(shortened("aé".as_bytes(), 3), "aé".as_bytes());
        assert_eq!(shortened(b"abc", 2), b"ab");
    }
}
