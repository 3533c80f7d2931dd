//! How things look: for people on a terminal, for people who read a file, and for scripts.
//!
//! - [`Look`]: colours and width, decided once;
//! - `table`, `fields`: rows and pairs;
//! - `time`: times and durations, read and written;
//! - `meter`: how far long work has come.
//!
//! Everything that came from outside passes through [`clean`] before it is shown: a service's answer
//! must not be able to steer the terminal of whoever looks at it.

mod fields;
pub(crate) mod meter;
mod number;
mod table;
pub(crate) mod time;

use std::io::{self, IsTerminal as _};

use serde::Serialize;

pub(crate) use self::{
    fields::{Fields, flow},
    number::{bytes, count, of, sparkline},
    table::{Cell, Table},
};

/// Widest that text is laid out, however wide the terminal is.
const WIDEST: u16 = 200;

/// What something means, which is all that a colour is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Strong,
    Dim,
    Good,
    Odd,
    Bad,
}

/// How to write to standard output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) colours: bool,
    /// Of the terminal; `None` when it is none, and lines may be as long as they need.
    pub(crate) width: Option<u16>,
}

impl Look {
    /// For standard output as it is.
    pub(crate) fn of_stdout() -> Self {
        if !io::stdout().is_terminal() {
            return Self::plain();
        }
        let size = rustix::termios::tcgetwinsize(io::stdout());
        let width = size.map_or(0, |size| size.ws_col);
        Self {
            colours: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
            width: Some(if width == 0 { 80 } else { width.min(WIDEST) }),
        }
    }

    /// For files, pipes and tests.
    pub(crate) fn plain() -> Self {
        Self {
            colours: false,
            width: None,
        }
    }

    /// The text in the colour of its meaning.
    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            _ if !self.colours => return text.to_owned(),
            Tone::Plain => return text.to_owned(),
            Tone::Strong => "1",
            Tone::Dim => "2",
            Tone::Good => "32",
            Tone::Odd => "33",
            Tone::Bad => "31",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// Whether this many columns fit.
    pub(crate) fn has_room_for(self, columns: u16) -> bool {
        self.width.is_none_or(|width| width >= columns)
    }

    /// A line between parts.
    pub(crate) fn heading(self, text: &str) -> String {
        format!("\n{}\n", self.paint(Tone::Strong, text))
    }
}

/// The text without anything that a terminal obeys: control characters, and marks that turn the
/// direction of writing, are written out.
pub(crate) fn clean(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        let turns = matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if character.is_control() || turns {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// The same, cut to so many characters.
pub(crate) fn head(text: &str, at_most: usize) -> String {
    let text = clean(text);
    match text.char_indices().nth(at_most) {
        None => text,
        Some(_) => {
            let kept: String = text.chars().take(at_most.saturating_sub(1)).collect();
            format!("{}…", kept.trim_end())
        }
    }
}

/// One document for scripts.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<String> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    Ok(text)
}

/// One line for scripts.
pub(crate) fn json_line(value: &impl Serialize) -> anyhow::Result<String> {
    let mut text = serde_json::to_string(value)?;
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_from_outside_cannot_steer_a_terminal() {
        assert_eq!(clean("a\u{1b}[2Jb\r\n"), "a\\u{1b}[2Jb\\r\\n");
        assert_eq!(clean("a\u{202e}b\u{9b}c"), "a\\u{202e}b\\u{9b}c");
        assert_eq!(clean("Grüße 🙂"), "Grüße 🙂");
    }

    #[test]
    fn a_head_says_that_there_is_more() {
        assert_eq!(head("12345", 5), "12345");
        assert_eq!(head("123456", 5), "1234…");
        assert_eq!(head("123 56", 5), "123…");
    }

    #[test]
    fn colours_are_for_terminals_that_want_them() {
        assert_eq!(Look::plain().paint(Tone::Bad, "x"), "x");
        let colours = Look {
            colours: true,
            width: None,
        };
        assert_eq!(colours.paint(Tone::Bad, "x"), "\u{1b}[31mx\u{1b}[0m");
    }
}
