//! From blocks to Markdown.

use crate::format::{
    inline::{Inline, Piece, Style},
    rich::Block,
};

/// Writes blocks as Markdown.
pub(in super::super) fn write(blocks: &[Block]) -> String {
    write_blocks(blocks).join("\n")
}

/// Lines; an empty one between blocks, because Markdown would take them for one. A list behind a list has other bullets,
/// else it would go on with the first.
fn write_blocks(blocks: &[Block]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut other_bullets = false;
    for (index, block) in blocks.iter().enumerate() {
        if index > 0 {
            lines.push(String::new());
        }
        let is_list = |block: &Block| matches!(block, Block::List { .. });
        let after_list = index > 0 && is_list(&blocks[index - 1]);
        other_bullets = is_list(block) && after_list && !other_bullets;
        lines.extend(write_block(block, other_bullets));
    }
    lines
}

fn write_block(block: &Block, other_bullets: bool) -> Vec<String> {
    match block {
        Block::Paragraph(inlines) => write_lines(inlines),
        Block::Heading { level, content } => {
            let text = write_lines(content).join(" ");
            vec![format!("{} {text}", "#".repeat(usize::from(*level)))]
        }
        Block::Quote(blocks) => {
            let lines = write_blocks(blocks).into_iter();
            lines
                .map(|line| format!("> {line}").trim_end().to_owned())
                .collect()
        }
        Block::List { start, items } => write_list(*start, items, other_bullets),
        Block::Code { language, text } => write_code(language.as_deref(), text),
        // Of the three ways to write it the one that cannot be taken for bullets.
        Block::Rule => vec!["___".to_owned()],
    }
}

fn write_list(start: Option<u32>, items: &[Vec<Block>], other_bullets: bool) -> Vec<String> {
    let (bullet, behind) = if other_bullets {
        ("* ", ')')
    } else {
        ("- ", '.')
    };
    let mut lines = Vec::new();
    for (index, item) in (0u32..).zip(items) {
        let number = start.map(|start| format!("{}{behind} ", start.saturating_add(index)));
        let mark = number.unwrap_or_else(|| bullet.to_owned());
        let indent = " ".repeat(mark.len());
        for (number, line) in write_blocks(item).into_iter().enumerate() {
            let lead = if number == 0 { &mark } else { &indent };
            lines.push(format!("{lead}{line}").trim_end().to_owned());
        }
    }
    lines
}

fn write_code(language: Option<&str>, text: &str) -> Vec<String> {
    let fence = "`".repeat(longest_run(text, '`').max(2) + 1);
    let mut lines = vec![format!("{fence}{}", language.unwrap_or_default())];
    lines.extend(text.split('\n').map(str::to_owned));
    lines.push(fence);
    lines
}

fn longest_run(text: &str, c: char) -> usize {
    text.split(|other| other != c)
        .map(str::len)
        .max()
        .unwrap_or(0)
}

/// A paragraph's lines. A line that is empty ends the paragraph in Markdown, so it is left out.
fn write_lines(inlines: &[Inline]) -> Vec<String> {
    let lines = inlines.split(|inline| inline.piece == Piece::Break);
    lines
        .map(write_line)
        .filter(|line| !line.is_empty())
        .collect()
}

/// The marks of a style from the outermost to the innermost.
fn marks(style: &Style) -> Vec<Mark<'_>> {
    let mut marks = Vec::new();
    marks.extend(style.link.as_deref().map(Mark::Link));
    marks.extend(style.spoiler.as_deref().map(|_| Mark::Around("||")));
    marks.extend(style.bold.then_some(Mark::Around("**")));
    marks.extend(style.italic.then_some(Mark::Around("*")));
    marks.extend(style.strike.then_some(Mark::Around("~~")));
    marks
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark<'a> {
    Link(&'a str),
    Around(&'static str),
}

impl Mark<'_> {
    fn open(self, line: &mut String) {
        line.push_str(match self {
            Self::Link(_) => "[",
            Self::Around(mark) => mark,
        });
    }

    fn close(self, line: &mut String) {
        match self {
            Self::Link(url) => line.push_str(&format!("]({})", destination(url))),
            Self::Around(mark) => line.push_str(mark),
        }
    }
}

fn write_line(inlines: &[Inline]) -> String {
    let mut line = String::new();
    let mut open: Vec<Mark<'_>> = Vec::new();
    for inline in inlines {
        let wanted = marks(&inline.style);
        let same = open.iter().zip(&wanted).take_while(|(a, b)| a == b).count();
        // Marks stand at words, not at spaces: ` **a**`, never `** a**`.
        let text = words(inline);
        let inner = text.trim_matches(' ');
        if inner.is_empty() {
            close_before_space(&mut open, same, &mut line);
            line.push_str(&text);
            continue;
        }
        let lead = text.len() - text.trim_start_matches(' ').len();
        close_before_space(&mut open, same, &mut line);
        line.push_str(&text[..lead]);
        let mut piece = String::new();
        for mark in &wanted[same..] {
            mark.open(&mut piece);
        }
        open = wanted;
        piece.push_str(&text[lead..]);
        if piece.starts_with('[') && line.ends_with('!') {
            // A link, not a picture.
            line.insert(line.len() - 1, '\\');
        }
        line.push_str(&piece);
    }
    close_before_space(&mut open, 0, &mut line);
    escaped_start(line.trim_matches(' '))
}

fn close_before_space(open: &mut Vec<Mark<'_>>, down_to: usize, line: &mut String) {
    if open.len() <= down_to {
        return;
    }
    let end = line.trim_end_matches(' ').len();
    let spaces = line.split_off(end);
    for mark in open.drain(down_to..).rev() {
        mark.close(line);
    }
    line.push_str(&spaces);
}

fn words(inline: &Inline) -> String {
    match &inline.piece {
        Piece::Text(text) if inline.style.code => code_span(text),
        Piece::Text(text) => escaped(text),
        Piece::Mention(mention) => match mention.url() {
            Some(url) => format!("[{}]({})", escaped(&mention.name), destination(&url)),
            None => escaped(&mention.name),
        },
        Piece::Image(image) => format!(
            "![{}]({})",
            escaped(&image.alt),
            destination(image.uri.as_str())
        ),
        Piece::Break => String::new(),
    }
}

fn code_span(text: &str) -> String {
    let fence = "`".repeat(longest_run(text, '`') + 1);
    let is_blank = text.trim_matches(' ').is_empty();
    let touches = |c: char| text.starts_with(c) || text.ends_with(c);
    let pad = if touches('`') || (touches(' ') && !is_blank) {
        " "
    } else {
        ""
    };
    format!("{fence}{pad}{text}{pad}{fence}")
}

fn destination(url: &str) -> String {
    let mut escaped = String::with_capacity(url.len());
    for c in url.chars() {
        match c {
            '(' => escaped.push_str("%28"),
            ')' => escaped.push_str("%29"),
            '<' => escaped.push_str("%3C"),
            '>' => escaped.push_str("%3E"),
            '\\' => escaped.push_str("%5C"),
            '&' => escaped.push_str("&amp;"),
            _ => escaped.push(c),
        }
    }
    escaped
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if "\\`*_[]<>~|&".contains(c) {
            escaped.push('\\');
        }
        escaped.push(if c == '\t' { ' ' } else { c });
    }
    escaped
}

/// Escapes what would begin a heading, a list, a rule or a table.
fn escaped_start(line: &str) -> String {
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    let behind = line.as_bytes().get(digits);
    if digits > 0 && matches!(behind, Some(b'.' | b')')) {
        return format!("{}\\{}", &line[..digits], &line[digits..]);
    }
    if line.starts_with(['#', '+', '-', '=', ':']) {
        return format!("\\{line}");
    }
    line.to_owned()
}
