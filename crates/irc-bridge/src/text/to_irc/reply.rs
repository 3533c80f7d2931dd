//! Replies in words.

use std::time::Duration;

use bridgehead_appservice::format::{
    Inline, Rich,
    compose::{ReplyStyle, reply_as_text},
    content::{Content, Kind},
};

use super::quote::quote;

/// When a reply quotes what it answers, and how much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyRules {
    /// What is younger can still be seen: naming its author is enough.
    pub quote_after: Duration,
    /// Bytes of the quote; fewer than 64 are taken for 64.
    pub quote_bytes: usize,
}

impl Default for ReplyRules {
    /// After five minutes, 64 bytes.
    fn default() -> Self {
        Self {
            quote_after: Duration::from_secs(300),
            quote_bytes: 64,
        }
    }
}

/// What a message answers.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    /// The nick of who said it.
    pub nick: &'a str,
    /// What they said, where that is known.
    pub original: Option<&'a Content>,
    /// Whether all who read the reply may read that: whoever answers may have been there before the bridge or since a time
    /// when the channel's people were not.
    pub may_quote: bool,
    /// How long ago it was said.
    pub age: Duration,
    /// Whether who answers has said it themselves.
    pub is_own: bool,
    /// When it is quoted.
    pub rules: ReplyRules,
}

impl Reply<'_> {
    /// The reply, with what it answers before it; behind it where it tells what somebody does.
    pub(super) fn before(&self, text: Rich, kind: Kind) -> Rich {
        let is_old = self.age >= self.rules.quote_after;
        let original = self.original.filter(|_| self.may_quote && is_old);
        let quote = original.and_then(|original| quote(original, self.rules.quote_bytes));
        match (quote, kind) {
            (Some(quote), Kind::Emote) => text.suffixed(vec![Inline::plain(format!(
                " (to <{}> {quote})",
                self.nick
            ))]),
            (Some(quote), _) => {
                text.prefixed(vec![Inline::plain(format!("<{}> {quote} ← ", self.nick))])
            }
            (None, _) if self.is_own || names(&text, self.nick) => text,
            (None, Kind::Emote) => {
                text.suffixed(vec![Inline::plain(format!(" (to {})", self.nick))])
            }
            (None, _) => reply_as_text(self.nick, None, &text, ReplyStyle::Nick),
        }
    }
}

/// Whether a text begins with a nick already.
fn names(text: &Rich, nick: &str) -> bool {
    let words = text.text();
    let head = words.trim_start_matches('@').split_at_checked(nick.len());
    head.is_some_and(|(head, rest)| {
        head.eq_ignore_ascii_case(nick) && rest.chars().next().is_none_or(|c| ":, ".contains(c))
    })
}
