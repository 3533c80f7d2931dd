//! Styled lines in a network's own way of writing.

use super::{
    inline::{Image, Inline, Mention, Piece, Style},
    layout::{Layout, Line},
    rich::Rich,
};

/// How a network writes styled text, for instance with IRC's control codes.
///
/// Every line begins without marks, and is brought back to that at its end. Methods only append; they are called often
/// (a splitter measures by writing) and must not depend on anything but their arguments.
pub trait Encoder {
    /// Appends what stands between text of one style and text of another.
    fn change(&self, from: &Style, to: &Style, out: &mut String);

    /// Appends text, escaped as the network needs it.
    fn text(&self, text: &str, style: &Style, out: &mut String) {
        let _ = style;
        out.push_str(text);
    }

    /// Appends a mention; its name if not said otherwise.
    fn mention(&self, mention: &Mention, style: &Style, out: &mut String) {
        self.text(&mention.name, style, out);
    }

    /// Appends a picture; what stands for it if not said otherwise.
    fn image(&self, image: &Image, style: &Style, out: &mut String) {
        self.text(&image.alt, style, out);
    }

    /// How the text is laid out as lines.
    fn layout(&self) -> Layout {
        Layout::default()
    }
}

/// No marks but those around spoilers: what a `body` has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plain;

impl Encoder for Plain {
    fn change(&self, from: &Style, to: &Style, out: &mut String) {
        if from.spoiler == to.spoiler {
            return;
        }
        if from.spoiler.is_some() {
            out.push_str("||");
        }
        if let Some(reason) = to.spoiler.as_deref() {
            if !reason.is_empty() {
                out.push_str(&format!("({reason}) "));
            }
            out.push_str("||");
        }
    }

    fn text(&self, text: &str, _: &Style, out: &mut String) {
        out.extend(text.chars().map(|c| if c == '\u{a0}' { ' ' } else { c }));
    }
}

/// The marks that people type where there is no formatting: `*bold*`, `_italic_`, `~struck~` and `` `code` ``.
#[derive(Clone, Copy, Debug, Default)]
pub struct Marked;

impl Encoder for Marked {
    fn change(&self, from: &Style, to: &Style, out: &mut String) {
        let marks = |style: &Style| {
            [
                (style.bold, '*'),
                (style.italic, '_'),
                (style.strike, '~'),
                (style.code, '`'),
            ]
        };
        let (before, after) = (marks(from), marks(to));
        // What is around a mark that ends ends with it.
        let same = before
            .iter()
            .zip(&after)
            .take_while(|(a, b)| a == b)
            .count();
        let set = |marks: &[(bool, char)]| {
            marks
                .iter()
                .filter(|(set, _)| *set)
                .map(|(_, mark)| *mark)
                .collect::<String>()
        };
        out.extend(set(&before[same..]).chars().rev());
        Plain.change(from, to, out);
        out.push_str(&set(&after[same..]));
    }

    fn text(&self, text: &str, style: &Style, out: &mut String) {
        Plain.text(text, style, out);
    }
}

/// Writes pieces, from no marks to no marks.
pub(super) fn encode<'a>(
    lead: &str,
    inlines: impl Iterator<Item = &'a Inline>,
    encoder: &dyn Encoder,
) -> String {
    let mut out = lead.to_owned();
    let none = Style::default();
    let mut style = &none;
    for inline in inlines {
        if *style != inline.style {
            encoder.change(style, &inline.style, &mut out);
        }
        style = &inline.style;
        match &inline.piece {
            Piece::Text(text) => encoder.text(text, style, &mut out),
            Piece::Mention(mention) => encoder.mention(mention, style, &mut out),
            Piece::Image(image) => encoder.image(image, style, &mut out),
            Piece::Break => {}
        }
    }
    if *style != none {
        encoder.change(style, &none, &mut out);
    }
    out
}

/// A whole text, its lines joined.
pub(super) fn to_text(rich: &Rich, encoder: &dyn Encoder) -> String {
    let lines = rich.lines(&encoder.layout());
    let lines = lines.iter().map(|line| line.encoded(encoder));
    lines.collect::<Vec<_>>().join("\n")
}

impl Line {
    /// The line with its lead, as a network writes it.
    #[must_use]
    pub fn encoded(&self, encoder: &dyn Encoder) -> String {
        encode(&self.lead, self.inlines(), encoder)
    }
}

impl Rich {
    /// The whole text as a network writes it, its lines separated by `\n`.
    #[must_use]
    pub fn encoded(&self, encoder: &dyn Encoder) -> String {
        to_text(self, encoder)
    }
}
