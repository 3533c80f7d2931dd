//! Lines that are too long: cut without a word, or refused.

use bridgehead_irc_protocol::line::MAX_CLIENT_TAGS_BYTES;

use crate::{Dialect, LongLines, names};

/// What may be done with a line that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Came {
    /// It is taken, cut where it was too long.
    Taken(Vec<u8>),
    /// It is refused (417).
    TooLong,
}

/// Cuts a line that came, without its end.
pub(crate) fn incoming(bytes: &[u8], dialect: &Dialect) -> Came {
    let tags = tag_bytes(bytes);
    if tags > MAX_CLIENT_TAGS_BYTES {
        return Came::TooLong;
    }
    let limit = tags + dialect.limits.line_bytes - 2;
    if bytes.len() <= limit {
        return Came::Taken(bytes.to_vec());
    }
    match dialect.long_lines {
        LongLines::Cut => Came::Taken(bytes[..limit].to_vec()),
        LongLines::CutAtCharacter => Came::Taken(names::shortened(bytes, limit)),
        LongLines::Refuse => Came::TooLong,
    }
}

/// Cuts a line that goes, with its end.
pub(crate) fn outgoing(bytes: &[u8], dialect: &Dialect) -> Vec<u8> {
    let limit = tag_bytes(bytes) + dialect.limits.line_bytes;
    if bytes.len() <= limit {
        return bytes.to_vec();
    }
    let mut cut = match dialect.long_lines {
        LongLines::Cut => bytes[..limit - 2].to_vec(),
        LongLines::CutAtCharacter | LongLines::Refuse => names::shortened(bytes, limit - 2),
    };
    cut.extend_from_slice(b"\r\n");
    cut
}

/// Bytes of the tags, with `@` and the space.
fn tag_bytes(bytes: &[u8]) -> usize {
    match bytes.first() {
        Some(b'@') => bytes
            .iter()
            .position(|byte| *byte == b' ')
            .map_or(bytes.len(), |end| end + 1),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_cut_falls_inside_a_character_where_the_server_is_like_that() {
        let text = format!("PRIVMSG #a :{}", "é".repeat(300));
        let Came::Taken(cut) = incoming(text.as_bytes(), &Dialect::inspircd()) else {
            panic!("it is taken");
        };
        assert_eq!(cut.len(), 510);
        // 12 bytes before the text leave 498: no character is cut. One byte more, and one is.
        assert!(std::str::from_utf8(&cut).is_ok());
        let text = format!("PRIVMSG #ab :{}", "é".repeat(300));
        let Came::Taken(cut) = incoming(text.as_bytes(), &Dialect::inspircd()) else {
            panic!("it is taken");
        };
        assert!(std::str::from_utf8(&cut).is_err());
        assert_eq!(incoming(text.as_bytes(), &Dialect::ergo()), Came::TooLong);
    }

    #[test]
    fn tags_do_not_count() {
        let tagged = format!("@+a={} PRIVMSG #a :b", "x".repeat(600));
        assert_eq!(
            incoming(tagged.as_bytes(), &Dialect::modern()),
            Came::Taken(tagged.into_bytes())
        );
        let tagged = format!("@+a={} PRIVMSG #a :b", "x".repeat(4096));
        assert_eq!(
            incoming(tagged.as_bytes(), &Dialect::modern()),
            Came::TooLong
        );
    }

    proptest! {
        #[test]
        fn what_goes_fits(text in "(@[a-z=;]{0,50} )?\\PC{0,700}") {
            let bytes = format!("{text}\r\n").into_bytes();
            for dialect in [Dialect::modern(), Dialect::ergo()] {
                let cut = outgoing(&bytes, &dialect);
                prop_assert!(cut.ends_with(b"\r\n"));
                prop_assert!(cut.len() - tag_bytes(&cut) <= 512);
            }
        }
    }
}
