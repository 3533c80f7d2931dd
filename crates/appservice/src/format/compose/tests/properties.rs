//! What holds for all texts.

use proptest::prelude::*;

use super::{super::*, *};
use crate::format::{Block, Colour, Inline, Piece};

fn words() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,12}( [a-z]{1,9}){0,12}[.!,]? ?",
        "[ü京🦀é́]{1,30}",
        "[a-z]{1,90}",
        Just("👨‍👩‍👧‍👦🇩🇪 ".to_owned()),
        Just("https://example.org/a/b?c=d ".to_owned()),
    ]
}

fn style() -> impl Strategy<Value = Style> {
    (
        any::<[bool; 3]>(),
        any::<bool>(),
        prop::option::weighted(0.1, Just("https://x.org/y".into())),
    )
        .prop_map(|([bold, italic, underline], red, link)| Style {
            bold,
            italic,
            underline,
            fg: red.then_some(Colour::new(255, 0, 0)),
            link,
            ..Style::default()
        })
}

fn inline() -> impl Strategy<Value = Inline> {
    let piece = prop_oneof![
        8 => words().prop_map(Piece::Text),
        1 => "[A-Z][a-z]{1,9} [A-Z][a-z]{1,9}".prop_map(|name| Piece::Mention(Mention::user(&user("@a:x.org"), &name))),
        1 => Just(Piece::Break),
    ];
    (piece, style()).prop_map(|(piece, style)| Inline { piece, style })
}

fn block() -> impl Strategy<Value = Block> {
    let leaf = prop_oneof![
        4 => prop::collection::vec(inline(), 1..12).prop_map(Block::Paragraph),
        1 => prop::collection::vec(inline(), 1..4).prop_map(|content| Block::Heading { level: 2, content }),
        1 => "[a-z ]{1,80}(\n[a-z ]{0,40}){0,4}".prop_map(|text| Block::Code { language: None, text }),
        1 => Just(Block::Rule),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let blocks = prop::collection::vec(inner, 1..4);
        prop_oneof![
            blocks.clone().prop_map(Block::Quote),
            (
                prop::option::of(1u32..99),
                prop::collection::vec(blocks, 1..4)
            )
                .prop_map(|(start, items)| Block::List { start, items }),
        ]
    })
}

fn any_rich() -> impl Strategy<Value = Rich> {
    prop::collection::vec(block(), 1..5).prop_map(Rich::from_blocks)
}

fn paragraph() -> impl Strategy<Value = Rich> {
    prop::collection::vec(inline(), 1..20).prop_map(Rich::from_inlines)
}

/// The words that readers see, without marks, leads and white space.
fn seen(text: &str) -> String {
    let text = text.replace("\u{3}04", "");
    text.chars()
        .filter(|c| !c.is_control() && !c.is_whitespace() && !">•.0123456789-".contains(*c))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    /// Nothing is lost, order is kept, every part is within the budget and the parts cover the text.
    #[test]
    fn parts_are_the_text(rich in any_rich(), max_bytes in 64usize..200, max_lines in 1usize..5) {
        let budget = Budget { max_bytes, max_lines };
        let parts = split_with(&rich, budget, &Irc);
        let whole = rich.encoded(&Irc);
        let joined: String = parts.iter().map(|part| part.value.as_str()).collect();
        prop_assert_eq!(seen(&joined), seen(&whole));
        let mut at = 0;
        for part in &parts {
            prop_assert!(part.value.len() <= max_bytes, "{} bytes", part.value.len());
            prop_assert!(part.value.split('\n').count() <= max_lines);
            prop_assert!(!part.value.trim().is_empty());
            prop_assert_eq!(part.range.start, at);
            at = part.range.end;
        }
        let end = if parts.is_empty() { 0 } else { rich.text().len() };
        prop_assert_eq!(at, end);
    }

    /// A part's range is what it says.
    #[test]
    fn ranges_are_what_parts_say(rich in paragraph(), max_bytes in 64usize..200) {
        // Addresses of links are added to the text.
        let rich = rich.map_inlines(&mut |inline| {
            vec![Inline { style: Style { link: None, ..inline.style.clone() }, ..inline.clone() }]
        });
        let text = rich.text().to_lowercase();
        for part in split_with(&rich, Budget::line(max_bytes), &Irc) {
            prop_assert_eq!(seen(&part.value), seen(&text[part.range]));
        }
    }

    /// The same of texts cut into texts; what is around a part is around it still.
    #[test]
    fn cut_texts_are_the_text(rich in any_rich(), max in 80usize..400) {
        let parts = split_by(&rich, &|part| part.to_html().len() <= max);
        let text = rich.text();
        let mut at = 0;
        let mut joined = String::new();
        for part in &parts {
            prop_assert_eq!(&part.value, &rich.slice(part.range.clone()));
            prop_assert_eq!(part.range.start, at);
            at = part.range.end;
            joined += &part.value.text();
        }
        prop_assert_eq!(at, text.len());
        prop_assert_eq!(squeezed(&joined), squeezed(&text));
    }

    #[test]
    fn a_slice_is_what_it_says(rich in any_rich(), from in 0usize..300, length in 0usize..300) {
        let text = rich.text();
        prop_assert_eq!(&rich.slice(0..text.len()), &rich);
        let wholes = rich.wholes();
        let at = |byte: usize| {
            let byte = text.floor_char_boundary(byte);
            wholes.iter().find(|whole| whole.start < byte && byte < whole.end).map_or(byte, |whole| whole.end)
        };
        let range = at(from)..at(from + length);
        prop_assert_eq!(squeezed(&rich.slice(range.clone()).text()), squeezed(&text[range]));
    }

    /// Whatever is edited: what is kept is the same, and the parts cover the new text.
    #[test]
    fn edited_parts_are_the_new_text(old in any_rich(), new in any_rich(), share in 0usize..4) {
        let blocks = old.blocks().iter().take(share).chain(new.blocks()).cloned();
        let new = Rich::from_blocks(blocks.collect());
        let cut = |rich: &Rich| split(rich, Budget::line(64));
        let map = PartMap::new(&cut(&old));
        let changes = edit_parts(&old, &map, &new, &cut);
        let mut at = 0;
        let mut olds = Vec::new();
        for change in &changes {
            match change {
                PartChange::Keep { old: index, range } => {
                    olds.push(*index);
                    let before = old.slice(map.ranges[*index].clone()).encoded(&Irc);
                    prop_assert_eq!(squeezed(&before), squeezed(&new.slice(range.clone()).encoded(&Irc)));
                }
                PartChange::Edit { old, part } => {
                    olds.push(*old);
                    prop_assert!(part.value.len() <= 64);
                }
                PartChange::Add(part) => prop_assert!(part.value.len() <= 64),
                PartChange::Remove { old } => olds.push(*old),
            }
        }
        prop_assert_eq!(olds, (0..map.ranges.len()).collect::<Vec<_>>());
        let after = PartMap::after(&changes);
        for range in &after.ranges {
            prop_assert_eq!(range.start, at);
            at = range.end;
        }
        prop_assert!(after.ranges.is_empty() || at == new.text().len());
    }

    #[test]
    fn shortened_is_within_the_budget(rich in any_rich(), max_bytes in 64usize..200, max_lines in 1usize..5) {
        let budget = Budget { max_bytes, max_lines };
        if let Some(shortened) = truncate(&rich, budget, &[Inline::plain("[more]")]) {
            let plain = shortened.to_plain();
            prop_assert!(plain.len() <= max_bytes.max(64), "{}", plain);
            prop_assert!(plain.split('\n').count() <= max_lines);
            prop_assert!(plain.ends_with("… [more]"));
        }
    }

    /// Replacing the only place gives the new text.
    #[test]
    fn replacements_are_right(old in "[ab]{1,2}( [ab]{1,2}){0,6}", new in "[ab]{1,2}( [ab]{1,2}){0,6}") {
        let said = edit_as_text(&Rich::plain(&old), &Rich::plain(&new), EditStyle::Replacement);
        let said = said.map(|rich| rich.to_plain());
        match said.as_deref().map(|said| said.split('/').collect::<Vec<_>>()) {
            None => prop_assert_eq!(old, new),
            Some(parts) if parts.len() == 4 => {
                prop_assert_eq!(old.matches(parts[1]).count(), 1);
                prop_assert_eq!(old.replacen(parts[1], parts[2], 1), new);
            }
            Some(_) => prop_assert_eq!(said, Some(format!("* {new}"))),
        }
    }

    /// Nothing is lost, order is kept, and no message that was joined is larger than the budget.
    #[test]
    fn merged_lines_are_the_lines(
        lines in prop::collection::vec((0u8..3, 0u64..200, paragraph()), 0..12),
        max_bytes in 64usize..600,
    ) {
        let mut at_ms = 0;
        let heard = lines.iter().map(|(sender, pause, rich)| {
            at_ms += pause;
            Heard { sender: sender.to_string(), kind: "m.text".to_owned(), at_ms, rich: rich.clone() }
        });
        let heard: Vec<_> = heard.collect();
        let merged = merge(heard.clone(), Pace::default(), Budget::bytes(max_bytes));
        let mut next = 0;
        for message in &merged {
            prop_assert_eq!(message.lines.start, next);
            next = message.lines.end;
            let text = message.rich.text();
            for (line, range) in heard[message.lines.clone()].iter().zip(&message.ranges) {
                prop_assert_eq!(&line.sender, &message.sender);
                prop_assert_eq!(line.rich.text(), &text[range.clone()]);
            }
            prop_assert!(message.lines.len() == 1 || event_bytes(&message.rich) <= max_bytes);
        }
        prop_assert_eq!(next, lines.len());
    }

    /// Whatever is built is read again from its HTML with the same words.
    #[test]
    fn built_texts_survive_html(rich in any_rich()) {
        let html = rich.to_html();
        let again = Rich::from_matrix("", Some(&html));
        prop_assert_eq!(again.to_html(), html);
        prop_assert_eq!(squeezed(&again.to_plain()), squeezed(&rich.to_plain()));
    }

    #[test]
    fn built_texts_survive_markdown(rich in any_rich()) {
        let markdown = rich.to_markdown();
        let again = Rich::from_markdown(&markdown);
        // Markdown cannot end a mark between a link and a letter.
        let seen = |rich: &Rich| seen(&rich.text()).replace(['*', '~'], "");
        prop_assert_eq!(seen(&again), seen(&rich), "{}", markdown);
    }
}
