use proptest::prelude::*;

use super::*;

fn bold() -> Style {
    Style {
        bold: true,
        ..Style::default()
    }
}

fn colored(foreground: impl Into<Option<Color>>, background: impl Into<Option<Color>>) -> Style {
    Style {
        foreground: foreground.into(),
        background: background.into(),
        ..Style::default()
    }
}

fn one(text: &str, style: Style) -> Vec<Span> {
    vec![Span::new(text, style)]
}

#[test]
fn switches_go_on_and_off() {
    let spans = parse("a\x02b\x1dc\x02d\x0fe");
    let italic = Style {
        italic: true,
        ..Style::default()
    };
    let both = Style {
        bold: true,
        ..italic
    };
    let expected = [
        Span::new("a", Style::default()),
        Span::new("b", bold()),
        Span::new("c", both),
        Span::new("d", italic),
        Span::new("e", Style::default()),
    ];
    assert_eq!(spans, expected);
    assert_eq!(parse("\x02\x02\x0f"), []);
    assert_eq!(parse("a\x02\x02b"), one("ab", Style::default()));
}

#[test]
fn colors_take_the_digits_that_are_theirs() {
    let red = Color::Palette(4);
    let blue = Color::Palette(2);
    let cases = [
        ("\x034x", "x", colored(red, None)),
        ("\x0304x", "x", colored(red, None)),
        ("\x03045", "5", colored(red, None)),
        ("\x034,2x", "x", colored(red, blue)),
        ("\x034,02x", "x", colored(red, blue)),
        ("\x0304,023", "3", colored(red, blue)),
        ("\x034,x", ",x", colored(red, None)),
        ("\x03,2x", ",2x", Style::default()),
        ("\x034,2\x03x", "x", Style::default()),
        ("\x034,2\x0399x", "x", colored(None, blue)),
        ("\x034,2\x0304,99x", "x", colored(red, None)),
        ("\x0398x", "x", colored(Color::Palette(98), None)),
        ("\x04FF8000x", "x", colored(Color::Rgb(255, 128, 0), None)),
        (
            "\x04ff8000,000001x",
            "x",
            colored(Color::Rgb(255, 128, 0), Color::Rgb(0, 0, 1)),
        ),
        ("\x04ff800x", "ff800x", Style::default()),
        ("\x04ff80é", "ff80é", Style::default()),
        ("\x034\x04x", "x", Style::default()),
    ];
    for (text, expected, style) in cases {
        assert_eq!(parse(text), one(expected, style), "{text:?}");
    }
}

#[test]
fn as_few_codes_are_written_as_will_do() {
    let red = Color::Palette(4);
    let plain = |text| Span::new(text, Style::default());
    let many = Style {
        italic: true,
        underline: true,
        ..bold()
    };
    let cases = [
        (vec![plain("a")], "a"),
        (vec![Span::new("a", bold()), plain("b")], "\x02a\x02b"),
        (vec![Span::new("a", many), plain("b")], "\x02\x1d\x1fa\x0fb"),
        (one("a", colored(red, None)), "\x0304a"),
        (one("5", colored(red, None)), "\x03045"),
        // A comma, or a digit behind a code without digits, would be taken for the color's.
        (one(",5", colored(red, None)), "\x0304\x02\x02,5"),
        (
            vec![Span::new("a", colored(red, None)), plain("5")],
            "\x0304a\x0f5",
        ),
        (
            one(
                ",5",
                Style {
                    bold: true,
                    ..colored(red, None)
                },
            ),
            "\x0304\x02,5",
        ),
        (one("a", colored(None, red)), "\x0399,04a"),
        (
            one("a", colored(Color::Rgb(1, 2, 3), red)),
            "\x0399,04\x04010203a",
        ),
        (
            one("a", colored(red, Color::Rgb(1, 2, 3))),
            "\x04000000,010203\x0304a",
        ),
    ];
    for (spans, expected) in cases {
        assert_eq!(write(&spans), expected);
    }
}

#[test]
fn texts_are_stripped() {
    assert_eq!(strip("a\x02b\x0304,05c\x04ff0000d\x0f"), "abcd");
    assert!(matches!(strip("plain, 5"), Cow::Borrowed("plain, 5")));
}

#[test]
fn spoilers_are_seen() {
    let span = parse("\x0301,01hidden").remove(0);
    assert!(span.style.is_spoiler());
    assert!(colored(Color::Palette(1), Color::Palette(88)).is_spoiler());
    assert!(!colored(Color::Palette(1), Color::Palette(0)).is_spoiler());
    assert!(!Style::default().is_spoiler());
}

#[test]
fn colors_of_the_palette_are_found() {
    assert_eq!(Color::Palette(7).to_rgb(), (0xfc, 0x7f, 0));
    assert_eq!(Color::Palette(98).to_rgb(), (255, 255, 255));
    assert_eq!(Color::Rgb(255, 255, 255).nearest(), Color::Palette(0));
    assert_eq!(Color::Rgb(0xb5, 0x62, 0).nearest(), Color::Palette(41));
    assert_eq!(Color::Palette(98).nearest(), Color::Palette(98));
    for number in 0..99 {
        let color = Color::Palette(number);
        let (red, green, blue) = color.to_rgb();
        let nearest = Color::Rgb(red, green, blue).nearest();
        assert_eq!(nearest.to_rgb(), color.to_rgb());
    }
}

fn any_color() -> impl Strategy<Value = Option<Color>> {
    prop_oneof![
        Just(None),
        (0..=255_u8).prop_map(|number| Some(Color::Palette(number))),
        (0..16_u8).prop_map(|number| Some(Color::Palette(number))),
        any::<(u8, u8, u8)>().prop_map(|(red, green, blue)| Some(Color::Rgb(red, green, blue))),
    ]
}

prop_compose! {
    fn any_style()(
        switches in any::<[bool; 6]>(),
        foreground in any_color(),
        background in any_color(),
    ) -> Style {
        let [bold, italic, underline, strike, monospace, reverse] = switches;
        Style { bold, italic, underline, strike, monospace, reverse, foreground, background }
    }
}

/// Styles that are often the same, or nearly so.
fn often_plain() -> impl Strategy<Value = Style> {
    prop_oneof![Just(Style::default()), Just(bold()), any_style()]
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        spans in prop::collection::vec(("[0-9,aF\x02\x03\x0fé ]{0,4}|.{0,6}", often_plain()), 0..8),
    ) {
        let spans: Vec<Span> = spans
            .into_iter()
            .map(|(text, style)| Span::new(text, style))
            .collect();
        prop_assert_eq!(parse(&write(&spans)), normalize(&spans));
    }

    #[test]
    fn any_text_is_read_and_written_again(text in "[0-9,a-f\x02\x03\x04\x0f\x11\x16\x1d\x1e\x1fé ]{0,40}") {
        let spans = parse(&text);
        prop_assert_eq!(normalize(&spans), spans.clone());
        let written = write(&spans);
        prop_assert_eq!(parse(&written), spans);
        prop_assert_eq!(strip(&written), strip(&text));
        prop_assert!(!strip(&text).contains(is_code));
    }

    #[test]
    fn the_nearest_is_of_the_palette(rgb in any::<(u8, u8, u8)>()) {
        let Color::Palette(number) = Color::Rgb(rgb.0, rgb.1, rgb.2).nearest() else {
            panic!("not of the palette");
        };
        prop_assert!(number < 99);
    }
}
