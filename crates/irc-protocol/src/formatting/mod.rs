//! Formatting: bold, colors and the like, as control codes within a text (modern.ircdocs.horse/formatting).
//!
//! A code switches something on or off from where it stands. [`parse`] turns that into [`Span`]s, each with the whole of its
//! style, which is what other markup has; [`write()`] turns spans into as few codes as will do.
//!
//! | code | |
//! |---|---|
//! | `02` `1D` `1F` `1E` `11` | bold, italic, underline, strike, monospace |
//! | `16` | foreground and background change places |
//! | `03` | a color of the palette, and after a comma one for the background; without digits both go |
//! | `04` | the same with six hexadecimal digits |
//! | `0F` | all of it ends |
//!
//! What is said of channels that strip or refuse codes is not known here.

mod color;
mod parse;
mod write;

use std::borrow::Cow;

use self::parse::normalize;
pub(crate) use self::write::{Mark, Writer};
pub use self::{color::Color, parse::parse, write::write};

const BOLD: char = '\x02';
const COLOR: char = '\x03';
const HEX_COLOR: char = '\x04';
const RESET: char = '\x0f';
const MONOSPACE: char = '\x11';
const REVERSE: char = '\x16';
const ITALIC: char = '\x1d';
const STRIKE: char = '\x1e';
const UNDERLINE: char = '\x1f';

/// A piece of text that looks the same all through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The text, without codes.
    pub text: String,
    /// How it looks.
    pub style: Style,
}

impl Span {
    /// A text in a style.
    #[must_use]
    pub fn new(text: impl Into<String>, style: Style) -> Self {
        Self {
            text: text.into(),
            style,
        }
    }
}

/// How a text looks; by default plain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Style {
    /// Bold.
    pub bold: bool,
    /// Italic.
    pub italic: bool,
    /// Underlined.
    pub underline: bool,
    /// Struck through.
    pub strike: bool,
    /// With characters of one width.
    pub monospace: bool,
    /// With foreground and background in each other's place.
    pub reverse: bool,
    /// The text's color; `None` is the reader's own.
    pub foreground: Option<Color>,
    /// The color behind the text; `None` is the reader's own.
    pub background: Option<Color>,
}

impl Style {
    /// Whether the text cannot be seen before its background: how spoilers are written.
    #[must_use]
    pub fn is_spoiler(&self) -> bool {
        match (self.foreground, self.background) {
            (Some(text), Some(behind)) => text.to_rgb() == behind.to_rgb(),
            _ => false,
        }
    }

    /// What a code switches; `None` for those that are no switch.
    fn switch(&mut self, code: char) -> Option<&mut bool> {
        Some(match code {
            BOLD => &mut self.bold,
            ITALIC => &mut self.italic,
            UNDERLINE => &mut self.underline,
            STRIKE => &mut self.strike,
            MONOSPACE => &mut self.monospace,
            REVERSE => &mut self.reverse,
            _ => return None,
        })
    }

    /// The codes of what is switched on.
    fn switches(self) -> impl Iterator<Item = char> {
        [
            (BOLD, self.bold),
            (ITALIC, self.italic),
            (UNDERLINE, self.underline),
            (STRIKE, self.strike),
            (MONOSPACE, self.monospace),
            (REVERSE, self.reverse),
        ]
        .into_iter()
        .filter_map(|(code, is_on)| is_on.then_some(code))
    }
}

fn is_code(c: char) -> bool {
    matches!(c, COLOR | HEX_COLOR | RESET) || Style::default().switch(c).is_some()
}

/// The text without its codes.
#[must_use]
pub fn strip(text: &str) -> Cow<'_, str> {
    if !text.contains(is_code) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(parse(text).into_iter().map(|span| span.text).collect())
}

#[cfg(test)]
mod tests;
