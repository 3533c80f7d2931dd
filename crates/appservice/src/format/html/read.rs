//! From HTML to blocks.

use ruma::html::{Html, ListBehavior, NodeData, NodeRef, PropertiesNames, SanitizerConfig};

use super::guard::{Omit, guard};
use crate::format::{
    MAX_INPUT_BYTES,
    inline::{Colour, Image, Inline, Mention, Piece, Style},
    rich::Block,
    tidy, uri,
};
use crate::id::MxcUri;

/// What texts, links and reasons may take together once marks have been spread over the pieces they mark.
const MAX_COST_BYTES: usize = 4 * MAX_INPUT_BYTES;

/// Reads a message's HTML.
pub(in super::super) fn read(html: &str, omit: Omit) -> Vec<Block> {
    let html = Html::parse(&guard(html, omit));
    let emoticon = PropertiesNames {
        parent: "img",
        properties: &["data-mx-emoticon"],
    };
    let config = SanitizerConfig::compat()
        .remove_reply_fallback()
        .allow_attributes([emoticon], ListBehavior::Add);
    html.sanitize_with(&config);
    let mut reader = Reader { cost: 0 };
    let mut flow = Flow::default();
    for node in html.children() {
        reader.node(&node, &Style::default(), &mut flow);
    }
    flow.finish()
}

/// Blocks as they come, and the paragraph that is being filled.
#[derive(Default)]
struct Flow {
    blocks: Vec<Block>,
    line: Vec<Inline>,
}

impl Flow {
    fn end_paragraph(&mut self) {
        let line = collapse(std::mem::take(&mut self.line));
        if !line.is_empty() {
            self.blocks.push(Block::Paragraph(line));
        }
    }

    fn block(&mut self, block: Block) {
        self.end_paragraph();
        self.blocks.push(block);
    }

    fn finish(mut self) -> Vec<Block> {
        self.end_paragraph();
        self.blocks
    }
}

struct Reader {
    cost: usize,
}

impl Reader {
    fn children(&mut self, node: &NodeRef, style: &Style, flow: &mut Flow) {
        for child in node.children() {
            self.node(&child, style, flow);
        }
    }

    fn blocks_of(&mut self, node: &NodeRef, style: &Style) -> Vec<Block> {
        let mut flow = Flow::default();
        self.children(node, style, &mut flow);
        flow.finish()
    }

    fn push(&mut self, inline: Inline, flow: &mut Flow) {
        let marks = [&inline.style.link, &inline.style.spoiler];
        let marks: usize = marks
            .iter()
            .filter_map(|mark| mark.as_ref())
            .map(|mark| mark.len())
            .sum();
        self.cost += inline.words().len() + marks;
        if self.cost <= MAX_COST_BYTES {
            flow.line.push(inline);
        }
    }

    fn node(&mut self, node: &NodeRef, style: &Style, flow: &mut Flow) {
        match node.data() {
            NodeData::Text(text) => {
                // Before spaces are collapsed, because what is left out has none around it.
                let text = tidy::without_controls(&text.borrow(), |c| c.is_ascii_whitespace());
                self.push(Inline::text(text, style.clone()), flow);
            }
            NodeData::Element(element) => {
                self.element(element.name.local.as_ref(), node, style, flow);
            }
            NodeData::Document | NodeData::Other => {}
        }
    }

    fn element(&mut self, name: &str, node: &NodeRef, style: &Style, flow: &mut Flow) {
        match name {
            "br" => self.push(
                Inline {
                    piece: Piece::Break,
                    style: style.clone(),
                },
                flow,
            ),
            "hr" => flow.block(Block::Rule),
            "img" => self.image(node, style, flow),
            "a" => self.link(node, style, flow),
            "sup" => {
                self.push(Inline::text("^", style.clone()), flow);
                self.children(node, style, flow);
            }
            "pre" => flow.block(code_block(node)),
            "blockquote" => {
                let quoted = self.blocks_of(node, style);
                flow.block(Block::Quote(quoted));
            }
            "ul" | "ol" => self.list(name, node, style, flow),
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => self.heading(name, node, style, flow),
            "table" => self.table(node, style, flow),
            "summary" => {
                flow.end_paragraph();
                self.children(
                    node,
                    &Style {
                        bold: true,
                        ..style.clone()
                    },
                    flow,
                );
                flow.end_paragraph();
            }
            "p" | "div" | "details" if attribute(node, "data-mx-maths").is_none() => {
                flow.end_paragraph();
                self.children(node, style, flow);
                flow.end_paragraph();
            }
            _ => self.marked(name, node, style, flow),
        }
    }

    fn marked(&mut self, name: &str, node: &NodeRef, style: &Style, flow: &mut Flow) {
        if let Some(formula) = attribute(node, "data-mx-maths") {
            self.push(
                Inline::text(
                    formula,
                    Style {
                        code: true,
                        ..style.clone()
                    },
                ),
                flow,
            );
            return;
        }
        let mut style = style.clone();
        match name {
            "b" | "strong" => style.bold = true,
            "i" | "em" => style.italic = true,
            "u" => style.underline = true,
            "s" | "del" => style.strike = true,
            "code" => style.code = true,
            "span" => colours_and_spoiler(node, &mut style),
            _ => {}
        }
        self.children(node, &style, flow);
    }

    fn link(&mut self, node: &NodeRef, style: &Style, flow: &mut Flow) {
        let Some(url) = attribute(node, "href").filter(|url| uri::is_allowed_link(url)) else {
            self.children(node, style, flow);
            return;
        };
        match uri::mentioned(&url) {
            Some(target) => {
                let mention = Mention {
                    target,
                    name: text_of(node),
                };
                self.push(
                    Inline {
                        piece: Piece::Mention(mention),
                        style: style.clone(),
                    },
                    flow,
                );
            }
            None => self.children(
                node,
                &Style {
                    link: Some(url.into()),
                    ..style.clone()
                },
                flow,
            ),
        }
    }

    fn image(&mut self, node: &NodeRef, style: &Style, flow: &mut Flow) {
        let alt = attribute(node, "alt").or_else(|| attribute(node, "title"));
        let alt = alt.unwrap_or_default();
        let piece = match attribute(node, "src").and_then(|uri| MxcUri::parse(&uri).ok()) {
            Some(uri) => Piece::Image(Image {
                uri,
                alt,
                emoji: attribute(node, "data-mx-emoticon").is_some(),
            }),
            None => Piece::Text(alt),
        };
        let style = style.clone();
        self.push(Inline { piece, style }, flow);
    }

    fn heading(&mut self, name: &str, node: &NodeRef, style: &Style, flow: &mut Flow) {
        let level = name.as_bytes()[1] - b'0';
        let mut inner = self.blocks_of(node, style).into_iter();
        match inner.next() {
            Some(Block::Paragraph(content)) => flow.block(Block::Heading { level, content }),
            Some(other) => flow.block(other),
            None => {}
        }
        flow.blocks.extend(inner);
    }

    fn list(&mut self, name: &str, node: &NodeRef, style: &Style, flow: &mut Flow) {
        let start = attribute(node, "start").and_then(|start| start.trim().parse().ok());
        let mut items: Vec<Vec<Block>> = Vec::new();
        for child in node.children() {
            let is_item = element_name(&child).is_some_and(|name| name == "li");
            let mut inner = Flow::default();
            self.item(is_item, &child, style, &mut inner);
            let blocks = inner.finish();
            // Clients write a list directly into a list and mean that it belongs to the item before it.
            match items.last_mut() {
                Some(last) if !is_item => last.extend(blocks),
                _ => items.push(blocks),
            }
        }
        let start = (name == "ol").then(|| start.unwrap_or(1));
        flow.block(Block::List { start, items });
    }

    fn item(&mut self, is_item: bool, node: &NodeRef, style: &Style, flow: &mut Flow) {
        if is_item {
            self.children(node, style, flow);
        } else {
            self.node(node, style, flow);
        }
    }

    /// A table as lines of cells: few networks have any.
    fn table(&mut self, node: &NodeRef, style: &Style, flow: &mut Flow) {
        flow.end_paragraph();
        let mut rows = Vec::new();
        self.rows(node, style, &mut rows);
        for (index, row) in rows.into_iter().enumerate() {
            if index > 0 {
                flow.line.push(Inline::line_break());
            }
            flow.line.extend(row);
        }
        flow.end_paragraph();
    }

    fn rows(&mut self, node: &NodeRef, style: &Style, rows: &mut Vec<Vec<Inline>>) {
        for child in node.children() {
            match element_name(&child).as_deref() {
                Some("tr") => {
                    let row = self.row(&child, style);
                    rows.push(row);
                }
                Some("thead" | "tbody") => self.rows(&child, style, rows),
                Some(_) => {
                    let caption = self.cell(&child, style);
                    rows.push(caption);
                }
                None => {}
            }
        }
    }

    fn row(&mut self, node: &NodeRef, style: &Style) -> Vec<Inline> {
        let mut row = Vec::new();
        for (index, cell) in node
            .children()
            .filter(|child| element_name(child).is_some())
            .enumerate()
        {
            if index > 0 {
                row.push(Inline::text(" | ", style.clone()));
            }
            let is_head = element_name(&cell).is_some_and(|name| name == "th");
            let style = Style {
                bold: style.bold || is_head,
                ..style.clone()
            };
            row.extend(self.cell(&cell, &style));
        }
        row
    }

    fn cell(&mut self, node: &NodeRef, style: &Style) -> Vec<Inline> {
        let mut cell = Vec::new();
        for block in self.blocks_of(node, style) {
            if !cell.is_empty() {
                cell.push(Inline::text(" ", style.clone()));
            }
            flatten(block, &mut cell);
        }
        cell
    }
}

/// The pieces of a block on one line.
fn flatten(block: Block, line: &mut Vec<Inline>) {
    match block {
        Block::Paragraph(inlines)
        | Block::Heading {
            content: inlines, ..
        } => {
            for inline in inlines {
                let is_break = inline.piece == Piece::Break;
                line.push(if is_break {
                    Inline::text(" ", inline.style)
                } else {
                    inline
                });
            }
        }
        Block::Quote(blocks) => flatten_all(blocks, line),
        Block::List { items, .. } => flatten_all(items.into_iter().flatten().collect(), line),
        Block::Code { text, .. } => line.push(Inline::text(text.replace('\n', " "), Style::code())),
        Block::Rule => {}
    }
}

fn flatten_all(blocks: Vec<Block>, line: &mut Vec<Inline>) {
    for (index, block) in blocks.into_iter().enumerate() {
        if index > 0 {
            line.push(Inline::plain(" "));
        }
        flatten(block, line);
    }
}

fn colours_and_spoiler(node: &NodeRef, style: &mut Style) {
    let colour = |name: &str| attribute(node, name).and_then(|value| Colour::parse(&value));
    style.fg = colour("data-mx-color").or(style.fg);
    style.bg = colour("data-mx-bg-color").or(style.bg);
    if let Some(reason) = attribute(node, "data-mx-spoiler") {
        style.spoiler = Some(reason.into());
    }
}

fn code_block(node: &NodeRef) -> Block {
    let mut text = String::new();
    raw_text(node, &mut text);
    let inner = node
        .children()
        .find(|child| element_name(child).is_some_and(|name| name == "code"));
    let class = inner
        .and_then(|code| attribute(&code, "class"))
        .unwrap_or_default();
    let language = class
        .split_ascii_whitespace()
        .find_map(|class| class.strip_prefix("language-"));
    Block::Code {
        language: language.map(str::to_owned),
        text,
    }
}

/// The text as it stands, with breaks.
fn raw_text(node: &NodeRef, text: &mut String) {
    for child in node.children() {
        match child.data() {
            NodeData::Text(part) => text.push_str(&part.borrow()),
            NodeData::Element(element) if element.name.local.as_ref() == "br" => text.push('\n'),
            NodeData::Element(_) => raw_text(&child, text),
            NodeData::Document | NodeData::Other => {}
        }
    }
}

/// The words of a pill; of a pill that is a picture, what stands for it.
fn text_of(node: &NodeRef) -> String {
    let mut text = String::new();
    raw_text(node, &mut text);
    if text.trim().is_empty() {
        let image = node.children().find_map(|child| attribute(&child, "alt"));
        return image.unwrap_or_default();
    }
    text
}

fn element_name(node: &NodeRef) -> Option<String> {
    node.as_element()
        .map(|element| element.name.local.to_string())
}

fn attribute(node: &NodeRef, name: &str) -> Option<String> {
    let element = node.as_element()?;
    let attributes = element.attrs.borrow();
    let found = attributes
        .iter()
        .find(|attribute| attribute.name.local.as_ref() == name);
    found.map(|attribute| attribute.value.to_string())
}

/// White space as HTML has it: any run of it is one space, and none at the ends of lines. In code it is kept.
fn collapse(line: Vec<Inline>) -> Vec<Inline> {
    let mut collapsed: Vec<Inline> = Vec::with_capacity(line.len());
    let mut after_space = true;
    for mut inline in line {
        match &mut inline.piece {
            Piece::Text(text) if inline.style.code => {
                *text = text.replace(['\n', '\r', '\t'], " ");
                after_space &= text.is_empty();
            }
            Piece::Text(text) => *text = single_spaced(text, &mut after_space),
            Piece::Break => {
                trim_end(&mut collapsed);
                after_space = true;
            }
            Piece::Mention(_) | Piece::Image(_) => after_space = false,
        }
        let is_empty = matches!(&inline.piece, Piece::Text(text) if text.is_empty());
        if !is_empty {
            collapsed.push(inline);
        }
    }
    trim_end(&mut collapsed);
    collapsed
}

fn single_spaced(text: &str, after_space: &mut bool) -> String {
    let mut single = String::with_capacity(text.len());
    for c in text.chars() {
        let is_space = c.is_ascii_whitespace();
        if !is_space {
            single.push(c);
        } else if !*after_space {
            single.push(' ');
        }
        *after_space = is_space;
    }
    single
}

fn trim_end(line: &mut Vec<Inline>) {
    while let Some(Inline {
        piece: Piece::Text(text),
        style,
    }) = line.last_mut()
    {
        if style.code {
            return;
        }
        text.truncate(text.trim_ascii_end().len());
        if !text.is_empty() {
            return;
        }
        line.pop();
    }
}
