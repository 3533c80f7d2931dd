//! A part of a text that keeps what stands around it: quotes, lists and marks are opened again.

use std::ops::Range;

use super::{
    LineKind,
    inline::{Inline, Piece},
    layout::RULE,
    rich::{Block, Rich},
};

impl Rich {
    /// The part that carries these bytes of [`Rich::text`]. Mentions and pictures are in it if they begin in it; a range
    /// that ends inside a character ends before it.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Self {
        let mut slicer = Slicer {
            range,
            at: 0,
            has_lines: false,
        };
        Self::from_blocks(slicer.blocks(self.blocks()))
    }

    /// Where in [`Rich::text`] pieces stand that must not be cut.
    pub(super) fn wholes(&self) -> Vec<Range<usize>> {
        let layout = super::Layout {
            blank_lines: false,
            links: super::Links::Keep,
            ..super::Layout::default()
        };
        let mut wholes = Vec::new();
        for line in self.lines(&layout) {
            let mut at = line.range.start;
            for atom in &line.atoms {
                let end = at + atom.own_len;
                if atom.inline.is_whole() || line.kind == LineKind::Rule {
                    wholes.push(at..end);
                }
                at = end;
            }
        }
        wholes
    }
}

struct Slicer {
    range: Range<usize>,
    /// Where in the text the next piece begins.
    at: usize,
    has_lines: bool,
}

impl Slicer {
    fn blocks(&mut self, blocks: &[Block]) -> Vec<Block> {
        blocks
            .iter()
            .filter_map(|block| self.block(block))
            .collect()
    }

    fn block(&mut self, block: &Block) -> Option<Block> {
        match block {
            Block::Paragraph(inlines) => Some(Block::Paragraph(self.inlines(inlines))),
            Block::Heading { level, content } => Some(Block::Heading {
                level: *level,
                content: self.inlines(content),
            }),
            Block::Quote(blocks) => Some(Block::Quote(self.blocks(blocks))),
            Block::List { start, items } => Some(self.list(*start, items)),
            Block::Code { language, text } => {
                self.begin_line();
                let text = self.cut(text).to_owned();
                Some(Block::Code {
                    language: language.clone(),
                    text,
                })
            }
            Block::Rule => {
                self.begin_line();
                let begins_inside = self.range.contains(&self.at);
                self.at += RULE.len();
                begins_inside.then_some(Block::Rule)
            }
        }
    }

    fn list(&mut self, start: Option<u32>, items: &[Vec<Block>]) -> Block {
        let mut kept = Vec::new();
        let mut before = 0;
        for item in items {
            let item = Rich::from_blocks(self.blocks(item)).into_blocks();
            if !item.is_empty() {
                kept.push(item);
            } else if kept.is_empty() {
                before += 1;
            }
        }
        Block::List {
            start: start.map(|start| start.saturating_add(before)),
            items: kept,
        }
    }

    fn begin_line(&mut self) {
        self.at += usize::from(self.has_lines);
        self.has_lines = true;
    }

    fn inlines(&mut self, inlines: &[Inline]) -> Vec<Inline> {
        self.begin_line();
        let mut kept = Vec::new();
        for inline in inlines {
            let begins_inside = self.range.contains(&self.at);
            if let Piece::Text(text) = &inline.piece {
                let text = self.cut(text);
                if !text.is_empty() {
                    kept.push(Inline::text(text, inline.style.clone()));
                }
            } else {
                self.at += inline.words().len();
                if begins_inside {
                    kept.push(inline.clone());
                }
            }
        }
        kept
    }

    /// The part of the text that stands here which is in the range.
    fn cut<'a>(&mut self, text: &'a str) -> &'a str {
        let begin = self.at;
        self.at += text.len();
        let within = |position: usize| text.floor_char_boundary(position.saturating_sub(begin));
        let (start, end) = (within(self.range.start), within(self.range.end));
        text.get(start..end).unwrap_or_default()
    }
}
