//! Replies on networks that have none.

use super::truncate::first_words;
use crate::format::{Inline, Rich, cuts::Cuts};

/// How a reply is said in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyStyle {
    /// `nick: reply`: enough while the original can still be seen.
    Nick,
    /// `<nick: first words…> reply`, with so many bytes of the original at most.
    Quote(usize),
}

/// The first words of what somebody said: `<nick: first words…>`, with at most `limit` bytes of them. They are on one line,
/// and what is hidden stays hidden.
#[must_use]
pub fn quote_of(nick: &str, original: &Rich, limit: usize) -> String {
    let words = first_words(original, limit);
    if words.is_empty() {
        format!("<{nick}>")
    } else {
        format!("<{nick}: {words}>")
    }
}

/// A reply to what `nick` said. Give `None` as the original where it is not known, or must not be shown to those who read the
/// reply because they had not joined when it was said.
#[must_use]
pub fn reply_as_text(nick: &str, original: Option<&Rich>, reply: &Rich, style: ReplyStyle) -> Rich {
    let lead = match (style, original) {
        (ReplyStyle::Quote(limit), Some(original)) => {
            format!("{} ", quote_of(nick, original, limit))
        }
        _ => format!("{nick}: "),
    };
    reply.clone().prefixed(vec![Inline::plain(lead)])
}

/// A name that looks the same and does not notify whom it names: an invisible space stands behind its first character.
#[must_use]
pub fn without_ping(name: &str) -> String {
    let cuts = Cuts::new(name, &[]);
    let first = cuts.next(0, &mut |_| false);
    let (head, tail) = name.split_at(first);
    if tail.is_empty() {
        name.to_owned()
    } else {
        format!("{head}\u{200b}{tail}")
    }
}
