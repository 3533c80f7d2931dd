//! Puts blocks and pieces in order, so that every writer may rely on it (see [`super::Rich`]).

use super::{
    MAX_DEPTH,
    inline::{Image, Inline, Mention, Piece, Style, Target},
    rich::Block,
    uri,
};

/// The longest link, spoiler reason or picture's URI.
pub(super) const MAX_ATTRIBUTE_BYTES: usize = 2_048;

/// The longest name of a mention and the longest replacement of a picture.
const MAX_NAME_BYTES: usize = 255;

/// The longest name of a programming language.
const MAX_LANGUAGE_BYTES: usize = 32;

pub(super) fn blocks(blocks: Vec<Block>, depth: usize) -> Vec<Block> {
    let mut tidy = Vec::with_capacity(blocks.len());
    for one in blocks {
        block(one, depth, &mut tidy);
    }
    tidy
}

fn block(block: Block, depth: usize, into: &mut Vec<Block>) {
    match block {
        Block::Paragraph(content) => {
            let content = inlines(content);
            if !content.is_empty() {
                into.push(Block::Paragraph(content));
            }
        }
        Block::Heading { level, content } => {
            let content = inlines(content);
            if !content.is_empty() {
                into.push(Block::Heading {
                    level: level.clamp(1, 6),
                    content,
                });
            }
        }
        Block::Quote(inner) => quote(inner, depth, into),
        Block::List { start, items } => list(start, items, depth, into),
        Block::Code { language, text } => code(language, &text, into),
        Block::Rule => into.push(Block::Rule),
    }
}

fn quote(inner: Vec<Block>, depth: usize, into: &mut Vec<Block>) {
    let mut inner = blocks(inner, depth + 1);
    if depth >= MAX_DEPTH {
        into.append(&mut inner);
    } else if !inner.is_empty() {
        into.push(Block::Quote(inner));
    }
}

fn list(start: Option<u32>, items: Vec<Vec<Block>>, depth: usize, into: &mut Vec<Block>) {
    let items = items.into_iter().map(|item| blocks(item, depth + 1));
    let items: Vec<_> = items.filter(|item| !item.is_empty()).collect();
    if depth >= MAX_DEPTH {
        into.extend(items.into_iter().flatten());
    } else if !items.is_empty() {
        into.push(Block::List { start, items });
    }
}

fn code(language: Option<String>, text: &str, into: &mut Vec<Block>) {
    let text = without_controls(text, |c| c == '\n' || c == '\t');
    let text = text.trim_matches('\n');
    if !text.is_empty() {
        let language = language.filter(|name| is_language(name));
        into.push(Block::Code {
            language,
            text: text.to_owned(),
        });
    }
}

fn is_language(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"+-_.#".contains(&byte);
    !name.is_empty() && name.len() <= MAX_LANGUAGE_BYTES && name.bytes().all(legal)
}

/// Pieces of one paragraph: alike neighbours joined, no empty ones, no breaks at the ends.
pub(super) fn inlines(content: Vec<Inline>) -> Vec<Inline> {
    let mut tidy: Vec<Inline> = Vec::with_capacity(content.len());
    for inline in content {
        let style = tidy_style(inline.style);
        match inline.piece {
            Piece::Text(text) => push_lines(&mut tidy, &text, &style),
            Piece::Mention(mention) => push_mention(&mut tidy, mention, style),
            Piece::Image(image) => push_image(&mut tidy, image, style),
            Piece::Break => push_break(&mut tidy),
        }
    }
    while tidy.last().is_some_and(|last| last.piece == Piece::Break) {
        tidy.pop();
    }
    style_breaks(&mut tidy);
    tidy
}

fn push_break(tidy: &mut Vec<Inline>) {
    if !tidy.is_empty() {
        tidy.push(Inline::line_break());
    }
}

fn push_lines(tidy: &mut Vec<Inline>, text: &str, style: &Style) {
    let text = without_controls(text, |c| c == '\n' || c == '\t');
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            push_break(tidy);
        }
        push_text(tidy, line, style);
    }
}

fn push_text(tidy: &mut Vec<Inline>, text: &str, style: &Style) {
    if text.is_empty() {
        return;
    }
    if let Some(Inline {
        piece: Piece::Text(before),
        style: style_before,
    }) = tidy.last_mut()
        && style_before == style
    {
        before.push_str(text);
        return;
    }
    tidy.push(Inline::text(text, style.clone()));
}

fn push_mention(tidy: &mut Vec<Inline>, mut mention: Mention, style: Style) {
    mention.name = one_line(&mention.name);
    if mention.name.is_empty() || mention.target == Target::Everyone {
        mention.name = one_line(mention.target.as_str());
    }
    if let Target::Room { via, .. } = &mut mention.target {
        via.retain(|server| is_server_name(server));
        via.truncate(3);
    }
    // A pill is a link itself, and the words in it are a name.
    let style = Style {
        link: None,
        ..style
    };
    tidy.push(Inline {
        piece: Piece::Mention(mention),
        style,
    });
}

fn push_image(tidy: &mut Vec<Inline>, mut image: Image, style: Style) {
    image.alt = one_line(&image.alt);
    tidy.push(Inline {
        piece: Piece::Image(image),
        style,
    });
}

/// A break inside a run of one style belongs to the run: no mark is closed and opened again for it.
fn style_breaks(tidy: &mut [Inline]) {
    let mut index = 0;
    while index < tidy.len() {
        let end = index
            + tidy[index..]
                .iter()
                .take_while(|inline| inline.piece == Piece::Break)
                .count();
        if end == index {
            index += 1;
            continue;
        }
        // No break stands first or last.
        if tidy[index - 1].style == tidy[end].style {
            let style = tidy[end].style.clone();
            for inline in &mut tidy[index..end] {
                inline.style = style.clone();
            }
        }
        index = end;
    }
}

fn tidy_style(mut style: Style) -> Style {
    style.link = style.link.filter(|url| uri::is_allowed_link(url));
    if let Some(reason) = &style.spoiler {
        let tidy = one_line(reason);
        if *tidy != **reason {
            style.spoiler = Some(tidy.into());
        }
    }
    style
}

/// A name on one line, single spaces between words.
pub(crate) fn one_line(text: &str) -> String {
    let mut words = without_controls(text, |c| c == '\n' || c == '\t');
    words = words.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    words.truncate(words.floor_char_boundary(MAX_NAME_BYTES));
    words.truncate(words.trim_ascii_end().len());
    words
}

/// The text with `\n` for every kind of line end and without control characters, which other networks take for
/// commands or colours, and without byte order marks, which parsers leave out here and there.
pub(super) fn without_controls(text: &str, keep: impl Fn(char) -> bool) -> String {
    let unix = text.replace("\r\n", "\n").replace('\r', "\n");
    // The next line of old terminals (NEL) is no line end to anybody who writes today.
    let unix = unix.replace('\u{85}', " ");
    unix.chars()
        .filter(|&c| keep(c) || !(c.is_control() || c == '\u{feff}'))
        .collect()
}

fn is_server_name(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    !name.is_empty() && name.len() <= MAX_NAME_BYTES && name.bytes().all(legal)
}
