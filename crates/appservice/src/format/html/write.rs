//! From blocks to HTML.

use crate::format::{
    inline::{Inline, Piece, Style},
    rich::Block,
};

/// Writes blocks as HTML.
pub(in super::super) fn write(blocks: &[Block]) -> String {
    let mut html = String::new();
    write_blocks(blocks, &mut html);
    html
}

/// A paragraph that is alone among its siblings needs no element of its own.
fn write_blocks(blocks: &[Block], html: &mut String) {
    let paragraphs = blocks
        .iter()
        .filter(|block| matches!(block, Block::Paragraph(_)));
    let bare = paragraphs.count() < 2;
    for block in blocks {
        match block {
            Block::Paragraph(inlines) if bare => write_inlines(inlines, html),
            Block::Paragraph(inlines) => within("p", html, |html| write_inlines(inlines, html)),
            Block::Heading { level, content } => {
                within(&format!("h{level}"), html, |html| {
                    write_inlines(content, html);
                });
            }
            Block::Quote(blocks) => within("blockquote", html, |html| write_blocks(blocks, html)),
            Block::List { start, items } => write_list(*start, items, html),
            Block::Code { language, text } => write_code(language.as_deref(), text, html),
            Block::Rule => html.push_str("<hr>"),
        }
    }
}

fn within(element: &str, html: &mut String, inner: impl FnOnce(&mut String)) {
    html.push_str(&format!("<{element}>"));
    inner(html);
    html.push_str(&format!("</{element}>"));
}

fn write_list(start: Option<u32>, items: &[Vec<Block>], html: &mut String) {
    match start {
        None => html.push_str("<ul>"),
        Some(1) => html.push_str("<ol>"),
        Some(start) => html.push_str(&format!("<ol start=\"{start}\">")),
    }
    for item in items {
        within("li", html, |html| write_blocks(item, html));
    }
    html.push_str(if start.is_some() { "</ol>" } else { "</ul>" });
}

fn write_code(language: Option<&str>, text: &str, html: &mut String) {
    html.push_str("<pre><code");
    if let Some(language) = language {
        html.push_str(&format!(" class=\"language-{}\"", escaped(language)));
    }
    html.push('>');
    html.push_str(&escaped(text));
    html.push_str("\n</code></pre>");
}

/// The marks of a style from the outermost to the innermost: start tag and element.
fn marks(style: &Style) -> Vec<(String, &'static str)> {
    let mut marks = Vec::new();
    if let Some(url) = &style.link {
        marks.push((format!("<a href=\"{}\">", escaped(url)), "a"));
    }
    match style.spoiler.as_deref() {
        None => {}
        Some("") => marks.push(("<span data-mx-spoiler>".to_owned(), "span")),
        Some(reason) => marks.push((
            format!("<span data-mx-spoiler=\"{}\">", escaped(reason)),
            "span",
        )),
    }
    if style.fg.is_some() || style.bg.is_some() {
        let mut tag = "<span".to_owned();
        if let Some(colour) = style.fg {
            tag.push_str(&format!(" data-mx-color=\"{colour}\""));
        }
        if let Some(colour) = style.bg {
            tag.push_str(&format!(" data-mx-bg-color=\"{colour}\""));
        }
        marks.push((tag + ">", "span"));
    }
    let simple = [
        (style.bold, "strong"),
        (style.italic, "em"),
        (style.underline, "u"),
        (style.strike, "del"),
        (style.code, "code"),
    ];
    let simple = simple.into_iter().filter(|(is_set, _)| *is_set);
    marks.extend(simple.map(|(_, element)| (format!("<{element}>"), element)));
    marks
}

fn write_inlines(inlines: &[Inline], html: &mut String) {
    let mut open: Vec<(String, &'static str)> = Vec::new();
    for (index, inline) in inlines.iter().enumerate() {
        let wanted = marks(&inline.style);
        let same = open.iter().zip(&wanted).take_while(|(a, b)| a == b).count();
        close(&mut open, same, html);
        for mark in &wanted[same..] {
            html.push_str(&mark.0);
        }
        open = wanted;
        write_piece(inlines, index, html);
    }
    close(&mut open, 0, html);
}

fn close(open: &mut Vec<(String, &'static str)>, down_to: usize, html: &mut String) {
    for (_, element) in open.drain(down_to..).rev() {
        html.push_str(&format!("</{element}>"));
    }
}

fn write_piece(inlines: &[Inline], index: usize, html: &mut String) {
    let inline = &inlines[index];
    match &inline.piece {
        Piece::Text(text) if inline.style.code => html.push_str(&escaped(text)),
        Piece::Text(text) => {
            let before = index.checked_sub(1).map(|before| &inlines[before]);
            write_text(
                text,
                ends_in_space(before),
                is_line_end(inlines.get(index + 1)),
                html,
            );
        }
        Piece::Mention(mention) => match mention.url() {
            Some(url) => {
                html.push_str(&format!(
                    "<a href=\"{}\">{}</a>",
                    escaped(&url),
                    escaped(&mention.name)
                ));
            }
            None => html.push_str(&escaped(&mention.name)),
        },
        Piece::Image(image) => {
            let emoji = if image.emoji {
                " data-mx-emoticon height=\"32\""
            } else {
                ""
            };
            let (uri, alt) = (escaped(image.uri.as_str()), escaped(&image.alt));
            html.push_str(&format!(
                "<img{emoji} src=\"{uri}\" alt=\"{alt}\" title=\"{alt}\">"
            ));
        }
        Piece::Break => html.push_str("<br>"),
    }
}

/// Whether a space behind this piece would not be seen.
fn ends_in_space(before: Option<&Inline>) -> bool {
    match before {
        None => true,
        Some(Inline {
            piece: Piece::Break,
            ..
        }) => true,
        Some(Inline {
            piece: Piece::Text(text),
            style,
        }) => !style.code && text.ends_with([' ', '\t']),
        Some(_) => false,
    }
}

fn is_line_end(after: Option<&Inline>) -> bool {
    after.is_none_or(|after| after.piece == Piece::Break)
}

/// Text with every space visible: those that HTML would swallow are written as `&nbsp;`.
fn write_text(text: &str, after_space: bool, is_last: bool, html: &mut String) {
    let mut after_space = after_space;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let is_space = c == ' ' || c == '\t';
        let at_end = is_last && chars.peek().is_none();
        match c {
            _ if is_space && (after_space || at_end) => html.push_str("&nbsp;"),
            _ if is_space => html.push(' '),
            _ => escape_char(c, html),
        }
        after_space = is_space && !(after_space || at_end);
    }
}

fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        escape_char(c, &mut html);
    }
    html
}

fn escape_char(c: char, html: &mut String) {
    match c {
        '&' => html.push_str("&amp;"),
        '<' => html.push_str("&lt;"),
        '>' => html.push_str("&gt;"),
        '"' => html.push_str("&quot;"),
        '\u{a0}' => html.push_str("&nbsp;"),
        _ => html.push(c),
    }
}
