//! Words of a line that are more than words: addresses, and names of people in the channel.
//!
//! Found in the words of the whole line and not in each of its spans: a colour that changes within a word makes no two
//! words of it. The kit's `Rich::mention_words` knows one piece at a time only.

use std::{collections::BTreeSet, ops::Range};

use bridgehead_appservice::{format::Mention, id::UserId};
use bridgehead_irc_protocol::formatting::Span;

use super::looks::Mark;

/// The most people that one message mentions: a list of all who are there is not a call to each of them.
pub const MAX_MENTIONS: usize = 5;

/// What is longer is neither a name nor an address that Matrix allows.
const MAX_WORD_BYTES: usize = 2_048;

/// Which words are not taken for names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MentionRules {
    /// How many characters a nick needs at least to be one.
    pub min_chars: usize,
    /// Nicks that are words as well, in lower case: only `@will` is a name then, and `will` is not.
    pub words: BTreeSet<String>,
}

impl Default for MentionRules {
    /// Two characters, and no words.
    fn default() -> Self {
        Self {
            min_chars: 2,
            words: BTreeSet::new(),
        }
    }
}

/// Who can be mentioned, and how.
#[derive(Clone, Copy)]
pub struct People<'a> {
    /// Who of the channel has this nick, in any case that the network takes for the same, and their name for people.
    pub lookup: &'a dyn Fn(&str) -> Option<(UserId, String)>,
    /// What is not taken for a name.
    pub rules: &'a MentionRules,
}

/// Finds marks in the lines of one message.
pub(super) struct Finder<'a> {
    people: &'a People<'a>,
    mentioned: Vec<UserId>,
}

impl<'a> Finder<'a> {
    pub(super) fn new(people: &'a People<'a>) -> Self {
        Self {
            people,
            mentioned: Vec::new(),
        }
    }

    /// Where in a line's words there are names, and addresses that look different at their ends: clients find all others.
    pub(super) fn marks(&mut self, line: &[Span]) -> Vec<(Range<usize>, Mark)> {
        let words = Words::of(line);
        let mut marks = Vec::new();
        let mut at = 0;
        for chunk in words.text.split_inclusive(char::is_whitespace) {
            let range = at..at + chunk.trim_end().len();
            at += chunk.len();
            let word = &words.text[range.clone()];
            if word.len() > MAX_WORD_BYTES {
                continue;
            }
            if let Some(within) = address(word) {
                let place = range.start + within.start..range.start + within.end;
                if words.looks(&place).len() > 1 {
                    marks.push((place, Mark::Link(with_scheme(&word[within]))));
                }
            } else if !is_path(word) && !words.looks(&range).iter().any(is_code) {
                self.names(word, range.start, &mut marks);
            }
        }
        marks
    }

    /// The names in a word: `bob:`, `(bob)`, `@bob`, `bob's`, `bob,alice`.
    fn names(&mut self, word: &str, start: usize, marks: &mut Vec<(Range<usize>, Mark)>) {
        let mut at = start;
        for part in word.split_inclusive(',') {
            let begin = at;
            at += part.len();
            let Some((range, mention)) = self.name(part) else {
                continue;
            };
            marks.push((
                begin + range.start..begin + range.end,
                Mark::Mention(mention),
            ));
        }
    }

    fn name(&mut self, part: &str) -> Option<(Range<usize>, Mention)> {
        let bare = part.trim_start_matches(is_opening);
        let (bare, is_meant) = match bare.strip_prefix('@') {
            Some(bare) => (bare, true),
            None => (bare, false),
        };
        let bare = bare.trim_end_matches(is_closing);
        let owner = ["'s", "’s"].iter().find_map(|end| bare.strip_suffix(end));
        let candidates = [Some(bare), owner, Some(bare.trim_matches(is_bracket))];
        let (nick, mention) = candidates.into_iter().flatten().find_map(|nick| {
            let mention = self.mention(nick, is_meant)?;
            Some((nick, mention))
        })?;
        let begin = nick.as_ptr().addr() - part.as_ptr().addr();
        Some((begin..begin + nick.len(), mention))
    }

    fn mention(&mut self, nick: &str, is_meant: bool) -> Option<Mention> {
        let rules = self.people.rules;
        let is_word = || rules.words.contains(&nick.to_ascii_lowercase());
        if nick.chars().count() < rules.min_chars.max(1) || (!is_meant && is_word()) {
            return None;
        }
        let (user_id, name) = (self.people.lookup)(nick)?;
        if !self.mentioned.contains(&user_id) {
            if self.mentioned.len() == MAX_MENTIONS {
                return None;
            }
            self.mentioned.push(user_id.clone());
        }
        let name = if name.trim().is_empty() { nick } else { &name };
        Some(Mention::user(&user_id, name))
    }
}

/// The words of a line, and how they look.
struct Words<'a> {
    text: String,
    line: &'a [Span],
    /// Where each span ends.
    ends: Vec<usize>,
}

impl<'a> Words<'a> {
    fn of(line: &'a [Span]) -> Self {
        let mut text = String::new();
        let mut ends = Vec::with_capacity(line.len());
        for span in line {
            text.push_str(&span.text);
            ends.push(text.len());
        }
        Self { text, line, ends }
    }

    /// The spans that have part in this place.
    fn looks(&self, place: &Range<usize>) -> &'a [Span] {
        if place.is_empty() {
            return &[];
        }
        let span_at = |byte: usize| self.ends.partition_point(|end| *end <= byte);
        &self.line[span_at(place.start)..=span_at(place.end - 1)]
    }
}

fn is_code(span: &Span) -> bool {
    span.style.monospace
}

/// Where in a word there is an address, without the punctuation around it.
fn address(word: &str) -> Option<Range<usize>> {
    let begin = match word.find("://") {
        Some(mark) => {
            let is_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
            word[..mark].trim_end_matches(is_scheme).len()
        }
        None => word.find("www.").or_else(|| word.find("mailto:"))?,
    };
    let quoted = word[begin..].find(['<', '>', '"']);
    let mut end = quoted.map_or(word.len(), |length| begin + length);
    while let Some(last) = word[begin..end].chars().next_back() {
        if belongs(last, &word[begin..end]) {
            break;
        }
        end -= last.len_utf8();
    }
    (begin < end).then_some(begin..end)
}

/// Whether the last character of an address is part of it: a bracket is, if it was opened there.
fn belongs(last: char, address: &str) -> bool {
    let is_opened =
        |open: char, close: char| address.matches(open).count() >= address.matches(close).count();
    match last {
        ')' => is_opened('(', ')'),
        ']' => is_opened('[', ']'),
        _ => !is_closing(last),
    }
}

fn with_scheme(address: &str) -> String {
    if address.starts_with("www.") {
        format!("https://{address}")
    } else {
        address.to_owned()
    }
}

/// Mail addresses, paths and channels: names in them are nobody's.
fn is_path(word: &str) -> bool {
    word.trim_start_matches(is_opening)
        .char_indices()
        .any(|(at, c)| match c {
            '@' => at > 0,
            '/' | '#' => true,
            _ => false,
        })
}

fn is_opening(c: char) -> bool {
    "(\"'<…“‘«„¿¡*".contains(c)
}

fn is_closing(c: char) -> bool {
    "?!:;,.)\"'>…”’»*。，、！？：".contains(c)
}

/// Brackets are legal in nicks, but mostly around them.
fn is_bracket(c: char) -> bool {
    "[]{}".contains(c)
}
