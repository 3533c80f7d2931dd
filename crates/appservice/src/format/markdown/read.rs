//! From Markdown to blocks.

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use crate::format::{
    MAX_DEPTH, MAX_INPUT_BYTES,
    inline::{Image, Inline, Mention, Piece, Style, Target},
    rich::Block,
    uri,
};
use crate::id::MxcUri;

/// What texts and links may take together once links have been spread over the pieces they mark.
const MAX_COST_BYTES: usize = 4 * MAX_INPUT_BYTES;

/// The most blocks that are open within one another; an item is one, and its list another.
const MAX_OPEN: usize = 3 * MAX_DEPTH;

/// Reads Markdown.
pub(in super::super) fn read(text: &str) -> Vec<Block> {
    let options = Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TABLES;
    let mut reader = Reader::default();
    for event in Parser::new_ext(text, options) {
        reader.event(event);
    }
    reader.finish()
}

/// A block that is open, with what has been put into it.
enum Open {
    Quote(Vec<Block>),
    List(Option<u32>, Vec<Vec<Block>>),
    Item(Vec<Block>),
}

/// A link that is open.
struct Anchor {
    /// The style outside of it.
    outside: Style,
    mention: Option<(Target, usize)>,
}

#[derive(Default)]
struct Reader {
    blocks: Vec<Block>,
    open: Vec<Open>,
    /// How many blocks are open that stand too deep to be one.
    too_deep: usize,
    line: Vec<Inline>,
    style: Style,
    /// Styles outside of the marks that are open.
    outside: Vec<Style>,
    anchors: Vec<Anchor>,
    /// The code block that is being filled.
    code: Option<(Option<String>, String)>,
    heading: Option<u8>,
    /// The pictures that are open, and the words in them.
    images: Vec<(String, String)>,
    cost: usize,
}

impl Reader {
    fn finish(mut self) -> Vec<Block> {
        self.end_paragraph();
        self.blocks
    }

    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) | Event::Html(text) | Event::InlineHtml(text) => self.text(&text),
            Event::Code(text) | Event::InlineMath(text) | Event::DisplayMath(text) => {
                let style = Style {
                    code: true,
                    ..self.style.clone()
                };
                self.push(Inline::text(text.as_ref(), style));
            }
            Event::SoftBreak | Event::HardBreak => {
                let style = self.style.clone();
                self.push(Inline {
                    piece: Piece::Break,
                    style,
                });
            }
            Event::Rule => {
                self.end_paragraph();
                self.block(Block::Rule);
            }
            Event::FootnoteReference(text) => self.text(&text),
            Event::TaskListMarker(done) => self.text(if done { "[x] " } else { "[ ] " }),
        }
    }

    fn text(&mut self, text: &str) {
        if let Some((_, alt)) = self.images.last_mut() {
            alt.push_str(text);
        } else if let Some((_, code)) = &mut self.code {
            code.push_str(text);
        } else {
            let style = self.style.clone();
            self.push(Inline::text(text, style));
        }
    }

    fn push(&mut self, inline: Inline) {
        if let Some((_, alt)) = self.images.last_mut() {
            alt.push_str(inline.words());
            return;
        }
        let link = inline.style.link.as_ref().map_or(0, |url| url.len());
        self.cost += inline.words().len() + link;
        if self.cost <= MAX_COST_BYTES {
            self.line.push(inline);
        }
    }

    fn end_paragraph(&mut self) {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            self.block(Block::Paragraph(line));
        }
    }

    fn block(&mut self, block: Block) {
        match self.open.last_mut() {
            Some(Open::Quote(blocks) | Open::Item(blocks)) => blocks.push(block),
            Some(Open::List(_, items)) => items.push(vec![block]),
            None => self.blocks.push(block),
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Emphasis | Tag::Strong | Tag::Strikethrough => self.mark(&tag),
            Tag::Link { dest_url, .. } => self.link(&dest_url),
            Tag::Image { dest_url, .. } => self.images.push((dest_url.to_string(), String::new())),
            Tag::TableCell
                if !self
                    .line
                    .last()
                    .is_none_or(|last| last.piece == Piece::Break) =>
            {
                self.push(Inline::plain(" | "));
            }
            Tag::TableRow => self.push(Inline::line_break()),
            Tag::TableHead => {
                self.outside.push(self.style.clone());
                self.style.bold = true;
            }
            Tag::TableCell => {}
            _ => self.start_block(tag),
        }
    }

    fn start_block(&mut self, tag: Tag<'_>) {
        self.end_paragraph();
        match tag {
            Tag::Heading { level, .. } => self.heading = Some(level as u8),
            Tag::BlockQuote(_) => self.open(Open::Quote(Vec::new())),
            Tag::List(start) => {
                let start = start.map(|start| u32::try_from(start).unwrap_or(u32::MAX));
                self.open(Open::List(start, Vec::new()));
            }
            Tag::Item => self.open(Open::Item(Vec::new())),
            Tag::CodeBlock(kind) => {
                let language = match kind {
                    CodeBlockKind::Fenced(info) => {
                        info.split_ascii_whitespace().next().map(str::to_owned)
                    }
                    CodeBlockKind::Indented => None,
                };
                self.code = Some((language, String::new()));
            }
            _ => {}
        }
    }

    fn open(&mut self, block: Open) {
        if self.open.len() < MAX_OPEN {
            self.open.push(block);
        } else {
            self.too_deep += 1;
        }
    }

    fn mark(&mut self, tag: &Tag<'_>) {
        self.outside.push(self.style.clone());
        match tag {
            Tag::Emphasis => self.style.italic = true,
            Tag::Strong => self.style.bold = true,
            _ => self.style.strike = true,
        }
    }

    fn link(&mut self, url: &str) {
        let outside = self.style.clone();
        let mention = uri::mentioned(url).map(|target| (target, self.line.len()));
        if mention.is_none() {
            self.style.link = Some(url.into());
        }
        self.anchors.push(Anchor { outside, mention });
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough | TagEnd::TableHead => {
                self.style = self.outside.pop().unwrap_or_default();
            }
            TagEnd::Link => self.end_link(),
            TagEnd::Image => self.end_image(),
            TagEnd::TableCell | TagEnd::TableRow => {}
            _ => self.end_block(tag),
        }
    }

    fn end_link(&mut self) {
        let Some(anchor) = self.anchors.pop() else {
            return;
        };
        self.style = anchor.outside;
        if let Some((target, from)) = anchor.mention {
            let words = self.line.drain(from.min(self.line.len())..);
            let name: String = words.map(|inline| inline.words().to_owned()).collect();
            let style = self.style.clone();
            self.push(Inline {
                piece: Piece::Mention(Mention { target, name }),
                style,
            });
        }
    }

    fn end_image(&mut self) {
        let Some((url, alt)) = self.images.pop() else {
            return;
        };
        let mut style = self.style.clone();
        let piece = match MxcUri::parse(&url) {
            Ok(uri) => Piece::Image(Image {
                uri,
                alt,
                emoji: false,
            }),
            Err(_) => {
                style.link = style.link.or_else(|| Some(url.as_str().into()));
                Piece::Text(if alt.is_empty() { url } else { alt })
            }
        };
        self.push(Inline { piece, style });
    }

    fn end_block(&mut self, tag: TagEnd) {
        if let Some((language, text)) = self.code.take() {
            self.block(Block::Code { language, text });
            return;
        }
        if let Some(level) = self.heading.take() {
            let content = std::mem::take(&mut self.line);
            self.block(Block::Heading { level, content });
            return;
        }
        self.end_paragraph();
        if !matches!(tag, TagEnd::BlockQuote(_) | TagEnd::List(_) | TagEnd::Item) {
            return;
        }
        if self.too_deep > 0 {
            self.too_deep -= 1;
            return;
        }
        match self.open.pop() {
            Some(Open::Quote(blocks)) => self.block(Block::Quote(blocks)),
            Some(Open::List(start, items)) => self.block(Block::List { start, items }),
            Some(Open::Item(blocks)) => match self.open.last_mut() {
                Some(Open::List(_, items)) => items.push(blocks),
                _ => self.blocks.extend(blocks),
            },
            None => {}
        }
    }
}
