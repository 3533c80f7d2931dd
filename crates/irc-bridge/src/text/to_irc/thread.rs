//! Threads on a network without any: a short mark, the same for all of a thread, that people on IRC may write as well.

use bridgehead_appservice::{
    format::{Inline, Rich, content::Content},
    id::EventId,
};

use super::quote::quote;

/// What marks are made of: no vowels, so that they are no words, and nothing that looks like something else.
const LETTERS: &[u8; 27] = b"bcdfghjkmnpqrstvwxz23456789";

/// How long a mark is.
const LENGTH: usize = 3;

/// How much is said of a thread that nobody on IRC has heard of yet.
const ABOUT_BYTES: usize = 64;

/// The thread of a message.
#[derive(Clone, Copy, Debug)]
pub struct Thread<'a> {
    /// Its first event.
    pub root: &'a EventId,
    /// Whether what was said in the channel last was said in it too: then no mark is needed.
    pub is_current: bool,
    /// What it began with, where readers are to be told because its mark is new to them.
    pub about: Option<&'a Content>,
}

impl Thread<'_> {
    /// The text with the thread's mark before it, if it needs one.
    pub(super) fn before(&self, text: Rich) -> Rich {
        if self.is_current {
            return text;
        }
        let about = self.about.and_then(|about| quote(about, ABOUT_BYTES));
        let about = about.map(|quote| format!(" {quote}")).unwrap_or_default();
        let mark = format!("[t:{}{about}] ", mark(self.root));
        text.prefixed(vec![Inline::plain(mark)])
    }
}

/// A thread's mark: the same three characters whenever they are asked for. Two threads may have the same one by chance
/// (1 in 19,683).
#[must_use]
pub fn mark(root: &EventId) -> String {
    // FNV-1a: a mark has to be the same on every machine and in every version.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in root.as_str().bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    // The low bits of it depend on the low bits of the bytes alone.
    hash ^= hash >> 32;
    let mut mark = String::with_capacity(LENGTH);
    for _ in 0..LENGTH {
        let index = usize::try_from(hash % 27).unwrap_or_default();
        mark.push(char::from(LETTERS[index]));
        hash /= 27;
    }
    mark
}

/// The mark that somebody on IRC has put before what they say to a thread, and the rest: `[t:kbx] yes`, `t:kbx yes`.
#[must_use]
pub fn marked(text: &str) -> Option<(&str, &str)> {
    let is_mark =
        |mark: &str| mark.len() == LENGTH && mark.bytes().all(|byte| LETTERS.contains(&byte));
    let (mark, rest) = match text.strip_prefix("[t:") {
        Some(inner) => inner.split_once(']')?,
        None => text.strip_prefix("t:")?.split_once(' ')?,
    };
    let mark = mark.split_once(' ').map_or(mark, |(mark, _)| mark);
    let rest = rest.trim_start();
    (is_mark(mark) && !rest.is_empty()).then_some((mark, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_has_one_mark_for_ever() {
        let check =
            |id: &str, expected: &str| assert_eq!(mark(&EventId::parse(id).unwrap()), expected);
        check("$root", "vvb");
        check("$2f3KQ3W1V5NfdgY1Yk4YLhGpCmVuZyKCmzSFYlV0yBk", "6gs");
    }

    #[test]
    fn marks_differ() {
        let marks: std::collections::BTreeSet<_> = (0..100)
            .map(|n| mark(&EventId::parse(&format!("$event{n}")).unwrap()))
            .collect();
        assert!(marks.len() > 95, "{marks:?}");
    }

    #[test]
    fn marks_are_read_from_irc() {
        let check = |text: &str, expected: Option<(&str, &str)>| {
            assert_eq!(marked(text), expected, "{text}");
        };
        check("[t:kbx] yes", Some(("kbx", "yes")));
        check("[t:kbx \"Lunch?\"] yes", Some(("kbx", "yes")));
        check("t:kbx yes, please", Some(("kbx", "yes, please")));
        check("[t:kbx]", None);
        check("[t:abc] vowels", None);
        check("t:kbxx no", None);
        check("text", None);
    }
}
