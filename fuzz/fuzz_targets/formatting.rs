//! Formatting codes: read, written and read again they are the same; written from any spans, the words come through and
//! nothing in them counts as a code.

#![no_main]

use bridgehead_fuzz::is_code;
use bridgehead_irc_protocol::formatting::{Color, Span, Style, parse, strip, write};
use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    text: &'a str,
    spans: Vec<Piece<'a>>,
}

#[derive(Arbitrary, Debug)]
struct Piece<'a> {
    text: &'a str,
    on: [bool; 6],
    foreground: Tint,
    background: Tint,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Tint {
    None,
    Palette(u8),
    Rgb(u8, u8, u8),
}

impl Tint {
    fn color(self) -> Option<Color> {
        match self {
            Self::None => None,
            Self::Palette(number) => Some(Color::Palette(number)),
            Self::Rgb(red, green, blue) => Some(Color::Rgb(red, green, blue)),
        }
    }
}

fuzz_target!(|input: Input<'_>| {
    let spans = parse(input.text);
    assert!(
        spans
            .iter()
            .all(|span| !span.text.is_empty() && !span.text.contains(is_code))
    );
    assert!(spans.windows(2).all(|two| two[0].style != two[1].style));
    assert_eq!(parse(&write(&spans)), spans, "{:?}", write(&spans));
    let words: String = spans.iter().map(|span| span.text.as_str()).collect();
    assert_eq!(strip(input.text), words);

    let given: Vec<Span> = input.spans.iter().map(span).collect();
    let back = parse(&write(&given));
    let words = |spans: &[Span]| -> String {
        spans
            .iter()
            .map(|span| strip(&span.text).into_owned())
            .collect()
    };
    assert_eq!(words(&back), words(&given));
    assert_eq!(parse(&write(&back)), back);
    looks(&given, &back);
});

/// Each character looks as it was to look.
fn looks(given: &[Span], back: &[Span]) {
    let known = |color: Option<Color>| color.filter(|color| !matches!(color, Color::Palette(99..)));
    let of = |spans: &[Span]| -> Vec<Style> {
        let each = spans.iter().flat_map(|span| {
            let style = Style {
                foreground: known(span.style.foreground),
                background: known(span.style.background),
                ..span.style
            };
            std::iter::repeat_n(style, strip(&span.text).chars().count())
        });
        each.collect()
    };
    assert_eq!(of(back), of(given));
}

fn span(piece: &Piece<'_>) -> Span {
    let [bold, italic, underline, strike, monospace, reverse] = piece.on;
    let style = Style {
        bold,
        italic,
        underline,
        strike,
        monospace,
        reverse,
        foreground: piece.foreground.color(),
        background: piece.background.color(),
    };
    Span::new(piece.text, style)
}
