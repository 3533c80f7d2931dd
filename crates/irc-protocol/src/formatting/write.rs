//! From spans to codes.

use super::{BOLD, COLOR, Color, HEX_COLOR, RESET, Span, Style, normalize};

/// Writes spans with as few codes as will do. [`parse`](super::parse) reads them back as they were, however they are cut up;
/// codes within their texts are left out.
#[must_use]
pub fn write(spans: &[Span]) -> String {
    let mut writer = Writer::default();
    for span in normalize(spans) {
        writer.push(&span.text, span.style);
    }
    writer.out
}

/// Writes text after text, with the codes between them.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    /// What is written so far.
    pub(crate) out: String,
    /// The style that counts at its end.
    style: Style,
}

/// A place to go back to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    bytes: usize,
    style: Style,
}

impl Writer {
    /// Writes a text without codes, in a style whose colors are known ones.
    pub(crate) fn push(&mut self, text: &str, style: Style) {
        let Some(first) = text.chars().next() else {
            return;
        };
        if style != self.style {
            let straight = codes(self.style, style, first);
            let anew = codes(Style::default(), style, first);
            // The reset is a byte too.
            if straight.len() <= anew.len() + 1 {
                self.out.push_str(&straight);
            } else {
                self.out.push(RESET);
                self.out.push_str(&anew);
            }
            self.style = style;
        }
        self.out.push_str(text);
    }

    /// Where it stands.
    pub(crate) fn mark(&self) -> Mark {
        Mark {
            bytes: self.out.len(),
            style: self.style,
        }
    }

    /// Takes back what was written since.
    pub(crate) fn back_to(&mut self, mark: Mark) {
        self.out.truncate(mark.bytes);
        self.style = mark.style;
    }
}

/// The codes that lead from one style to another, before a text that begins with `first`.
///
/// Colors stand before switches: a switch ends the color's digits, whatever the text begins with.
fn codes(from: Style, to: Style, first: char) -> String {
    let mut codes = String::new();
    let may_go_on = colors(&mut codes, from, to);
    let end = codes.len();
    let is_on = |style: Style, code: char| style.switches().any(|on| on == code);
    codes.extend(from.switches().filter(|code| !is_on(to, *code)));
    codes.extend(to.switches().filter(|code| !is_on(from, *code)));
    let is_read_on =
        may_go_on.is_some_and(|digits| first == ',' || digits && first.is_ascii_digit());
    if is_read_on && codes.len() == end {
        codes.extend([BOLD, BOLD]);
    }
    codes
}

/// Writes the codes for colors. Gives whether a comma that follows would be read as theirs, and within it whether a digit
/// would.
fn colors(codes: &mut String, from: Style, to: Style) -> Option<bool> {
    let is_same = (from.foreground, from.background) == (to.foreground, to.background);
    match (to.foreground, to.background) {
        _ if is_same => None,
        (None, None) => {
            codes.push(COLOR);
            Some(true)
        }
        (foreground, background) if background == from.background => {
            lone(codes, foreground);
            Some(false)
        }
        // There is no code for the background alone to be no color, but one for both.
        (Some(foreground @ Color::Rgb(..)), None) => {
            codes.push(COLOR);
            lone(codes, Some(foreground));
            Some(false)
        }
        (foreground, Some(Color::Rgb(red, green, blue))) => {
            // A background takes a foreground of its kind before it; the right one follows where that is another.
            let before = match foreground {
                Some(Color::Rgb(..)) => foreground,
                _ => Some(Color::Rgb(0, 0, 0)),
            };
            lone(codes, before);
            codes.push_str(&format!(",{red:02X}{green:02X}{blue:02X}"));
            corrected(codes, before, foreground)
        }
        (foreground, background) => {
            let before = match foreground {
                Some(Color::Rgb(..)) => None,
                _ => foreground,
            };
            lone(codes, before);
            codes.push_str(&format!(",{:02}", number(background)));
            corrected(codes, before, foreground)
        }
    }
}

fn corrected(codes: &mut String, written: Option<Color>, wanted: Option<Color>) -> Option<bool> {
    (written != wanted).then(|| {
        lone(codes, wanted);
        false
    })
}

/// A code with a foreground and no background; always with all the digits that it can take.
fn lone(codes: &mut String, color: Option<Color>) {
    match color {
        Some(Color::Rgb(red, green, blue)) => {
            codes.push(HEX_COLOR);
            codes.push_str(&format!("{red:02X}{green:02X}{blue:02X}"));
        }
        palette => {
            codes.push(COLOR);
            codes.push_str(&format!("{:02}", number(palette)));
        }
    }
}

/// A color's number in the palette; 99 for none.
fn number(color: Option<Color>) -> u8 {
    match color {
        Some(Color::Palette(number)) => number,
        _ => 99,
    }
}
