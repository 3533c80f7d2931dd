//! What is said on IRC looks the same when it comes back from Matrix.

use bridgehead_appservice::format::content::Content;
use bridgehead_irc_protocol::formatting::{Color, Span, Style, parse, write};
use proptest::prelude::*;

use super::{
    to_irc::{self, Around, to_irc},
    to_matrix::{Heard, MentionRules, People, Voice, to_matrix},
};

fn there(text: &str) -> Vec<Content> {
    let rules = MentionRules::default();
    let people = People {
        lookup: &|_| None,
        rules: &rules,
    };
    let heard = Heard {
        text,
        is_notice: false,
        voice: Voice::Own,
    };
    to_matrix(&heard, &people)
}

fn and_back(content: &Content) -> Vec<String> {
    // As it comes from a homeserver: nothing but JSON.
    let content = Content::new(content.event_type(), content.to_json());
    let around = Around {
        style: to_irc::Style::Codes,
        nick_of: &|_| None,
        link_of: &|_| None,
        speaker: None,
        reply: None,
        thread: None,
    };
    to_irc(&content, &around)
        .map(|said| said.lines())
        .unwrap_or_default()
}

/// A style as Matrix can have it: colours in each other's place already, spoilers black.
fn resolved(style: Style) -> Style {
    let near = |color: Color| {
        let (red, green, blue) = color.to_rgb();
        Color::Rgb(red, green, blue).nearest()
    };
    let (mut text, mut behind) = (style.foreground, style.background);
    if style.reverse {
        (text, behind) = match (text, behind) {
            (None, None) => (Some(Color::Palette(0)), Some(Color::Palette(1))),
            colors => (colors.1, colors.0),
        };
    }
    let is_spoiler = style.is_spoiler();
    let is_near = text.map(near) == behind.map(near);
    (text, behind) = match (is_spoiler, is_near) {
        (true, _) => (Some(Color::Palette(1)), Some(Color::Palette(1))),
        (false, true) => (text.map(near), None),
        (false, false) => (text.map(near), behind.map(near)),
    };
    Style {
        reverse: false,
        foreground: text,
        background: behind,
        ..style
    }
}

fn color() -> impl Strategy<Value = Option<Color>> {
    prop_oneof![
        2 => Just(None),
        2 => (0u8..99).prop_map(|number| Some(Color::Palette(number))),
        1 => any::<(u8, u8, u8)>().prop_map(|(red, green, blue)| Some(Color::Rgb(red, green, blue))),
    ]
}

fn style() -> impl Strategy<Value = Style> {
    (any::<[bool; 6]>(), color(), color()).prop_map(|(on, foreground, background)| Style {
        bold: on[0],
        italic: on[1],
        underline: on[2],
        strike: on[3],
        monospace: on[4],
        reverse: on[5],
        foreground,
        background,
    })
}

fn span() -> impl Strategy<Value = Span> {
    ("[a-cA-C0-9 ,.;!<>&\"'*_`~|#äé日🎉-]{1,8}", style())
        .prop_map(|(text, style)| Span::new(text, style))
}

/// What must come back: the same words, and styles as Matrix has them.
fn expected(text: &str) -> Vec<Span> {
    let spans = parse(text).into_iter();
    let spans: Vec<_> = spans
        .map(|span| Span::new(span.text, resolved(span.style)))
        .collect();
    // Neighbours that look alike now are one.
    parse(&write(&spans))
}

#[test]
fn every_single_format_comes_back() {
    for text in [
        "plain",
        "\x02b\x02 x",
        "\x1di",
        "\x1fu",
        "\x1es",
        "\x11m  m ",
        "\x16r",
        "\x0304,02x",
        "\x0355,98x",
        "\x04ff0000x",
        "\x0301,01spoiler",
        "\x02\x1d\x1f\x1e\x11\x0304,12all",
        " a  b ",
        "\x0304a\x035",
        "\x0304\x02\x02,5",
    ] {
        let contents = there(text);
        let lines: Vec<_> = contents.iter().flat_map(and_back).collect();
        assert_eq!(lines.len(), 1, "{text:?}");
        assert_eq!(parse(&lines[0]), expected(text), "{text:?} {contents:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn formatting_comes_back(spans in prop::collection::vec(span(), 1..6)) {
        let text = write(&spans);
        let lines: Vec<_> = there(&text).iter().flat_map(and_back).collect();
        let back: Vec<_> = lines.iter().flat_map(|line| parse(line)).collect();
        let expected = expected(&text);
        let is_blank = expected.iter().all(|span| span.text.trim().is_empty());
        if !is_blank {
            prop_assert_eq!(back, expected, "{:?} {:?}", text, there(&text));
        }
    }

    #[test]
    fn nothing_is_lost_of_any_line(text in "[^\r\n\t\u{a0}\u{85}\u{2028}\u{2029}\u{feff}\u{0}-\u{1f}\u{7f}]{1,60}") {
        prop_assume!(!text.trim().is_empty());
        let lines: Vec<_> = there(&text).iter().flat_map(and_back).collect();
        prop_assert_eq!(lines.concat(), text.replace(|c: char| c.is_control(), ""));
    }
}
