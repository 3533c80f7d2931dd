//! The tree of a formatted text, and how it is built.

use super::{
    MAX_INPUT_BYTES, head,
    inline::{Inline, Mention, Mentions, Piece, Style},
    tidy,
};

/// A part of a text that stands on lines of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Block {
    /// Lines of text.
    Paragraph(Vec<Inline>),
    /// A heading.
    Heading {
        /// 1 (the largest) to 6.
        level: u8,
        /// The heading's text.
        content: Vec<Inline>,
    },
    /// Something quoted.
    Quote(Vec<Block>),
    /// A list.
    List {
        /// The number of the first item; an unordered list has none.
        start: Option<u32>,
        /// The items.
        items: Vec<Vec<Block>>,
    },
    /// Lines of code.
    Code {
        /// The language, if the author named one.
        language: Option<String>,
        /// The lines.
        text: String,
    },
    /// A line across.
    Rule,
}

impl Block {
    /// A paragraph of text without marks.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::Paragraph(vec![Inline::plain(text)])
    }
}

/// A message's text as a tree.
///
/// It always is in order: texts hold no control characters and no line ends, neighbours that look alike are one, links
/// and ids are such as Matrix allows, nothing is empty, and the depth is at most [`super::MAX_DEPTH`]. So it may be built of
/// anything, and each writer's output is well-formed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rich {
    blocks: Vec<Block>,
}

impl Rich {
    /// Text without marks; its line ends are kept, those at both its ends are not.
    #[must_use]
    pub fn plain(text: &str) -> Self {
        Self::from_blocks(vec![Block::text(text)])
    }

    /// A text of blocks, which are put in order first.
    #[must_use]
    pub fn from_blocks(blocks: Vec<Block>) -> Self {
        Self {
            blocks: tidy::blocks(blocks, 0),
        }
    }

    /// A text of one paragraph.
    #[must_use]
    pub fn from_inlines(inlines: Vec<Inline>) -> Self {
        Self::from_blocks(vec![Block::Paragraph(inlines)])
    }

    /// A builder for text that comes piece by piece.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Reads a message's `body` and its `formatted_body` if there is one.
    ///
    /// The HTML is cut to what Matrix allows; the fallback of a reply (`mx-reply`) is left out. If nothing of the
    /// HTML remains, the body counts. Never fails: what cannot be understood is left out.
    #[must_use]
    pub fn from_matrix(body: &str, formatted_body: Option<&str>) -> Self {
        let rich =
            formatted_body.map(|html| Self::from_html(html, super::html::Omit::ReplyFallback));
        rich.filter(|rich| !rich.is_empty())
            .unwrap_or_else(|| Self::plain(head(body, MAX_INPUT_BYTES)))
    }

    pub(super) fn from_html(html: &str, omit: super::html::Omit) -> Self {
        Self::from_blocks(super::html::read(head(html, MAX_INPUT_BYTES), omit))
    }

    /// Reads `CommonMark` with strikethrough and tables. HTML in it is text; a line end is a line end.
    #[must_use]
    pub fn from_markdown(text: &str) -> Self {
        Self::from_blocks(super::markdown::read(head(text, MAX_INPUT_BYTES)))
    }

    /// The blocks, in order.
    #[must_use]
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// Takes the text apart into its blocks.
    #[must_use]
    pub fn into_blocks(self) -> Vec<Block> {
        self.blocks
    }

    /// Whether there is nothing to read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Whether plain text says all of it, so that a `formatted_body` would add nothing.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        match self.blocks.as_slice() {
            [] => true,
            [Block::Paragraph(inlines)] => inlines.iter().all(|inline| {
                inline.style.is_plain() && (!inline.is_whole() || is_everyone(inline))
            }),
            _ => false,
        }
    }

    /// HTML as `formatted_body` has it: only elements and attributes that the specification lists
    /// (Client-Server API, "m.room.message msgtypes"), everything else escaped.
    #[must_use]
    pub fn to_html(&self) -> String {
        super::html::write(&self.blocks)
    }

    /// Markdown that [`Rich::from_markdown`] reads as the same text, as far as Markdown has a word for it:
    /// underlines and colours are left out, spoilers stand between `||`.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        super::markdown::write(&self.blocks)
    }

    /// Readable text without marks, as a `body` has it: quotes begin with `> `, items of lists with bullets or
    /// numbers, links are followed by their address.
    #[must_use]
    pub fn to_plain(&self) -> String {
        super::encode::to_text(self, &super::Plain)
    }

    /// Whom the text mentions.
    #[must_use]
    pub fn mentions(&self) -> Mentions {
        let mut mentions = Mentions::default();
        self.each_inline(&mut |inline| {
            if let Piece::Mention(mention) = &inline.piece {
                mentions.add(mention);
            }
        });
        mentions
    }

    /// Puts another text below this one.
    #[must_use]
    pub fn followed_by(mut self, other: Self) -> Self {
        self.blocks.extend(other.blocks);
        self
    }

    /// Puts pieces before the text, on its first line if that is a paragraph's.
    #[must_use]
    pub fn prefixed(mut self, mut pieces: Vec<Inline>) -> Self {
        match self.blocks.first_mut() {
            Some(Block::Paragraph(inlines)) => {
                pieces.append(inlines);
                *inlines = pieces;
            }
            _ => {
                // They stand on a line of their own, where a space at the end would be one too many.
                if let Some(Piece::Text(text)) = pieces.last_mut().map(|last| &mut last.piece) {
                    text.truncate(text.trim_end().len());
                }
                self.blocks.insert(0, Block::Paragraph(pieces));
            }
        }
        Self::from_blocks(self.blocks)
    }

    /// Puts pieces behind the text, on its last line if that is a paragraph's.
    #[must_use]
    pub fn suffixed(mut self, pieces: Vec<Inline>) -> Self {
        match self.blocks.last_mut() {
            Some(Block::Paragraph(inlines)) => inlines.extend(pieces),
            _ => self.blocks.push(Block::Paragraph(pieces)),
        }
        Self::from_blocks(self.blocks)
    }

    /// Calls a function with each piece in the text's order.
    pub fn each_inline(&self, f: &mut dyn FnMut(&Inline)) {
        for block in &self.blocks {
            each_inline(block, f);
        }
    }

    /// The same text with each piece replaced by others, for instance each mention by the nick that the person has on
    /// the other network.
    #[must_use]
    pub fn map_inlines(&self, f: &mut dyn FnMut(&Inline) -> Vec<Inline>) -> Self {
        let mut keep_blocks = |_: &Block| None;
        Self::from_blocks(map_blocks(&self.blocks, &mut keep_blocks, f))
    }

    /// The same text with blocks replaced where the function answers with others, for instance long code by a link to it.
    /// A block that is replaced is not looked into.
    #[must_use]
    pub fn map_blocks(&self, f: &mut dyn FnMut(&Block) -> Option<Vec<Block>>) -> Self {
        let mut keep_inlines = |inline: &Inline| vec![inline.clone()];
        Self::from_blocks(map_blocks(&self.blocks, f, &mut keep_inlines))
    }
}

fn is_everyone(inline: &Inline) -> bool {
    matches!(&inline.piece, Piece::Mention(mention) if mention.target == super::Target::Everyone)
}

fn each_inline(block: &Block, f: &mut dyn FnMut(&Inline)) {
    match block {
        Block::Paragraph(inlines)
        | Block::Heading {
            content: inlines, ..
        } => {
            for inline in inlines {
                f(inline);
            }
        }
        Block::Quote(blocks) => {
            for block in blocks {
                each_inline(block, f);
            }
        }
        Block::List { items, .. } => {
            for block in items.iter().flatten() {
                each_inline(block, f);
            }
        }
        Block::Code { .. } | Block::Rule => {}
    }
}

type MapBlock<'a> = &'a mut dyn FnMut(&Block) -> Option<Vec<Block>>;
type MapInline<'a> = &'a mut dyn FnMut(&Inline) -> Vec<Inline>;

fn map_blocks(blocks: &[Block], on_block: MapBlock<'_>, on_inline: MapInline<'_>) -> Vec<Block> {
    let mut mapped = Vec::with_capacity(blocks.len());
    for block in blocks {
        match on_block(block) {
            Some(others) => mapped.extend(others),
            None => mapped.push(map_block(block, on_block, on_inline)),
        }
    }
    mapped
}

fn map_block(block: &Block, on_block: MapBlock<'_>, on_inline: MapInline<'_>) -> Block {
    match block {
        Block::Paragraph(inlines) => Block::Paragraph(inlines.iter().flat_map(on_inline).collect()),
        Block::Heading { level, content } => Block::Heading {
            level: *level,
            content: content.iter().flat_map(on_inline).collect(),
        },
        Block::Quote(blocks) => Block::Quote(map_blocks(blocks, on_block, on_inline)),
        Block::List { start, items } => {
            let mut mapped = Vec::with_capacity(items.len());
            for item in items {
                mapped.push(map_blocks(item, on_block, on_inline));
            }
            Block::List {
                start: *start,
                items: mapped,
            }
        }
        Block::Code { .. } | Block::Rule => block.clone(),
    }
}

/// Builds a text piece by piece, for instance from a network's own control codes.
///
/// ```
/// use bridgehead_appservice::format::{Rich, Style};
///
/// let mut builder = Rich::builder();
/// builder.text("look: ", &Style::default()).text("here", &Style::bold());
/// assert_eq!(builder.build().to_html(), "look: <strong>here</strong>");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Builder {
    blocks: Vec<Block>,
    line: Vec<Inline>,
}

impl Builder {
    /// Adds text; line ends in it are kept.
    pub fn text(&mut self, text: &str, style: &Style) -> &mut Self {
        self.push(Inline::text(text, style.clone()))
    }

    /// Adds a mention.
    pub fn mention(&mut self, mention: Mention) -> &mut Self {
        self.push(mention.into())
    }

    /// Adds any piece.
    pub fn push(&mut self, inline: Inline) -> &mut Self {
        self.line.push(inline);
        self
    }

    /// Begins a new line.
    pub fn line_break(&mut self) -> &mut Self {
        self.push(Inline::line_break())
    }

    /// Ends the paragraph.
    pub fn paragraph(&mut self) -> &mut Self {
        if !self.line.is_empty() {
            self.blocks
                .push(Block::Paragraph(std::mem::take(&mut self.line)));
        }
        self
    }

    /// Ends the paragraph and adds a block.
    pub fn block(&mut self, block: Block) -> &mut Self {
        self.paragraph().blocks.push(block);
        self
    }

    /// What has been built so far; the builder is empty again.
    pub fn build(&mut self) -> Rich {
        Rich::from_blocks(std::mem::take(&mut self.paragraph().blocks))
    }
}
