//! Long texts, cut into lines that fit.
//!
//! Servers cut what is too long in silence, in the middle of a character too, and what counts is the line as *others* get it,
//! with the source before it. [`Budget`] says how much room that leaves; [`split`] cuts a text to it, so that nothing is
//! lost: between words where it can, never within what is seen as one character, and with its formatting going on.

mod clusters;

use self::clusters::{begins_a_word, clusters};
use crate::{
    Source,
    formatting::{Mark, Style, Writer, parse, strip},
};

/// The least room that [`split`] works with: formatting takes some 25 bytes of a line at most, and a character 4.
pub const MIN_BYTES: usize = 64;
/// Bytes of a user name on the servers that are known, with the `~` of one that no ident server vouches for.
const WORST_USER_BYTES: usize = 11;
/// Bytes of a host on the servers that are known (RFC 2812, 2.3.1).
const WORST_HOST_BYTES: usize = 63;

/// How much room a line leaves for a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    line_bytes: usize,
    source_bytes: usize,
}

impl Budget {
    /// For lines of so many bytes with their ends (512, or what the server says), sent as somebody. Of a user name or host
    /// that is not known the longest is taken.
    #[must_use]
    pub fn new(line_bytes: usize, own: &Source) -> Self {
        let bytes = |part: &Option<String>, worst| part.as_ref().map_or(worst, String::len);
        let user = bytes(&own.user, WORST_USER_BYTES);
        let host = bytes(&own.host, WORST_HOST_BYTES);
        Self {
            line_bytes,
            source_bytes: ":!@ ".len() + own.name.len() + user + host,
        }
    }

    /// Bytes of the text of `PRIVMSG #target :text` and its like; [`MIN_BYTES`] at least.
    #[must_use]
    pub fn payload_bytes(&self, command: &str, target: &str) -> usize {
        let around = self.source_bytes + command.len() + target.len() + "  :\r\n".len();
        self.line_bytes.saturating_sub(around).max(MIN_BYTES)
    }
}

/// Cuts a text with formatting codes into lines of so many bytes at most; fewer than [`MIN_BYTES`] count as that many.
///
/// Line breaks within it end a line too. No line is blank; the spaces at which a line was cut are left out, and all others
/// kept. NUL is left out: no line can hold it.
#[must_use]
pub fn split(text: &str, bytes: usize) -> Vec<String> {
    let bytes = bytes.max(MIN_BYTES);
    let is_break = |c: char| matches!(c, '\r' | '\n' | '\0');
    if text.len() <= bytes && !text.contains(is_break) {
        let is_blank = strip(text).trim().is_empty();
        return if is_blank {
            vec![]
        } else {
            vec![text.to_owned()]
        };
    }
    let spans = parse(text);
    let mut splitter = Splitter::new(bytes);
    for span in &spans {
        for cluster in clusters(&span.text) {
            splitter.take(cluster, span.style);
        }
    }
    splitter.end();
    splitter.lines
}

/// The line that is being filled.
#[derive(Default)]
struct Splitter<'a> {
    bytes: usize,
    lines: Vec<String>,
    writer: Writer,
    /// What the line holds: kept, for its last word may have to go to the next.
    held: Vec<(&'a str, Style)>,
    /// Where it can be cut, at the latest.
    place: Option<Place>,
    /// Whether it holds anything to be seen.
    is_seen: bool,
    /// Whether the line before it was cut at spaces, of which there may be more.
    is_behind_cut: bool,
}

/// A place between two words.
#[derive(Clone, Copy)]
struct Place {
    /// Where the line ends.
    end: Mark,
    /// Where the next one begins, in what is held. What stands between are spaces.
    next: usize,
}

impl<'a> Splitter<'a> {
    fn new(bytes: usize) -> Self {
        Self {
            bytes,
            ..Self::default()
        }
    }

    fn take(&mut self, cluster: &'a str, style: Style) {
        match cluster {
            "\r" | "\n" => {
                self.is_behind_cut = false;
                return self.end();
            }
            "\0" => return,
            " " if self.is_behind_cut => return,
            _ => self.is_behind_cut = false,
        }
        let before = self.writer.mark();
        self.note_place(cluster, before);
        self.writer.push(cluster, style);
        if self.writer.out.len() > self.bytes {
            self.writer.back_to(before);
            return self.overflow(cluster, style);
        }
        self.is_seen |= !cluster.trim().is_empty();
        self.held.push((cluster, style));
    }

    /// Notes that the line may end before this. Not before it is seen: spaces at its beginning stay.
    fn note_place(&mut self, cluster: &str, before: Mark) {
        let at = self.held.len();
        let is_space = cluster == " ";
        let is_behind_spaces = matches!(self.held.last(), Some((" ", _)));
        match &mut self.place {
            // The place is noted already; the next line begins behind all of the spaces.
            Some(place) if is_behind_spaces => place.next += usize::from(is_space),
            place if self.is_seen && (is_space || begins_a_word(cluster)) => {
                let next = at + usize::from(is_space);
                *place = Some(Place { end: before, next });
            }
            _ => {}
        }
    }

    /// What does not fit goes to the next line, and the word that it belongs to with it.
    fn overflow(&mut self, cluster: &'a str, style: Style) {
        if cluster == " " && self.is_seen {
            // The place that was noted last is that of this space, or of the spaces before it.
            if let Some(place) = self.place {
                self.writer.back_to(place.end);
            }
            self.end();
            self.is_behind_cut = true;
            return;
        }
        if let Some(place) = self.place {
            self.writer.back_to(place.end);
            let word = self.held.split_off(place.next);
            self.end();
            for (cluster, style) in word {
                self.take(cluster, style);
            }
            return self.take(cluster, style);
        }
        if !self.held.is_empty() {
            self.end();
            return self.take(cluster, style);
        }
        // Not even a whole line holds it: it has to be cut between characters.
        for (at, c) in cluster.char_indices() {
            self.take(&cluster[at..at + c.len_utf8()], style);
        }
    }

    /// Ends the line, if there is one.
    fn end(&mut self) {
        let line = std::mem::take(&mut self.writer).out;
        if self.is_seen {
            self.lines.push(line);
        }
        self.held.clear();
        self.place = None;
        self.is_seen = false;
    }
}

#[cfg(test)]
mod tests;
