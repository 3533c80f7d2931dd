//! How words look: IRC's formatting as Matrix has it.
//!
//! Matrix has no reversed colours: they are swapped. Words in the colour of their background are spoilers, and have no colour
//! then, or nobody could read them after the click.

use std::ops::Range;

use bridgehead_appservice::format::{Colour, Inline, Mention, Piece, Style};
use bridgehead_irc_protocol::formatting::{self, Span};

/// What a place in a line is, beside how it looks.
#[derive(Clone, Debug)]
pub(super) enum Mark {
    /// An address.
    Link(String),
    /// Somebody's name.
    Mention(Mention),
}

const WHITE: Colour = Colour::new(255, 255, 255);
const BLACK: Colour = Colour::new(0, 0, 0);

/// A line's pieces. The marks are in order, apart from one another, and count bytes of the line's words.
pub(super) fn pieces(line: &[Span], mut marks: &[(Range<usize>, Mark)]) -> Vec<Inline> {
    let mut pieces = Vec::with_capacity(line.len());
    let mut at = 0;
    for span in line {
        while let [(range, _), later @ ..] = marks
            && range.end <= at
        {
            marks = later;
        }
        span_pieces(span, at, marks, &mut pieces);
        at += span.text.len();
    }
    pieces
}

/// The pieces of a span that begins at this byte of the words.
fn span_pieces(
    span: &Span,
    start: usize,
    marks: &[(Range<usize>, Mark)],
    pieces: &mut Vec<Inline>,
) {
    let style = style(&span.style);
    let end = start + span.text.len();
    let part = |range: Range<usize>| &span.text[range.start - start..range.end - start];
    let mut from = start;
    for (range, mark) in marks.iter().take_while(|(range, _)| range.start < end) {
        let (begin, stop) = (range.start.max(start), range.end.min(end));
        pieces.push(Inline::text(part(from..begin), style.clone()));
        let is_begin = range.start == begin;
        pieces.extend(marked(part(begin..stop), &style, mark, is_begin));
        from = stop;
    }
    pieces.push(Inline::text(part(from..end), style));
}

/// The part of a marked place that looks like this. A name is whole, and looks as it begins.
fn marked(text: &str, style: &Style, mark: &Mark, is_begin: bool) -> Option<Inline> {
    match mark {
        Mark::Link(url) => Some(Inline::text(
            text,
            Style {
                link: Some(url.as_str().into()),
                ..style.clone()
            },
        )),
        Mark::Mention(mention) => is_begin.then(|| Inline {
            piece: Piece::Mention(mention.clone()),
            style: style.clone(),
        }),
    }
}

fn style(style: &formatting::Style) -> Style {
    let (fg, bg) = colours(style);
    let is_spoiler = fg.is_some() && fg == bg;
    Style {
        bold: style.bold,
        italic: style.italic,
        underline: style.underline,
        strike: style.strike,
        code: style.monospace,
        fg: fg.filter(|_| !is_spoiler),
        bg: bg.filter(|_| !is_spoiler),
        spoiler: is_spoiler.then(|| "".into()),
        ..Style::default()
    }
}

fn colours(style: &formatting::Style) -> (Option<Colour>, Option<Colour>) {
    let rgb = |colour: formatting::Color| {
        let (red, green, blue) = colour.to_rgb();
        Colour::new(red, green, blue)
    };
    let (fg, bg) = (style.foreground.map(rgb), style.background.map(rgb));
    match (style.reverse, fg, bg) {
        (false, ..) => (fg, bg),
        // What is behind the text is the reader's own: this can be told from it in the light and in the dark.
        (true, None, None) => (Some(WHITE), Some(BLACK)),
        (true, ..) => (bg, fg),
    }
}
