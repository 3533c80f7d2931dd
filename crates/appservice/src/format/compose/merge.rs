//! One message of lines that somebody wrote quickly one after another.

use std::ops::Range;

use super::{Budget, events::event_bytes};
use crate::format::{Block, Inline, Rich};

/// A line that was heard on the other network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Who said it.
    pub sender: String,
    /// What kind of line it is; only lines of one kind are joined (`m.text`, `m.emote`).
    pub kind: String,
    /// When, in milliseconds.
    pub at_ms: u64,
    /// What was said.
    pub rich: Rich,
}

/// How quickly lines must follow one another to be one message, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// The longest pause between two of them.
    pub gap_ms: u64,
    /// The longest time from the first to the last.
    pub span_ms: u64,
}

impl Default for Pace {
    /// 100 ms between two lines, one second altogether: faster than people type, as fast as they paste.
    fn default() -> Self {
        Self {
            gap_ms: 100,
            span_ms: 1_000,
        }
    }
}

/// Lines that are one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merged {
    /// Who said them.
    pub sender: String,
    /// What kind of lines they are.
    pub kind: String,
    /// When the first was said, in milliseconds.
    pub at_ms: u64,
    /// What was said.
    pub rich: Rich,
    /// Which of the lines that were given they are.
    pub lines: Range<usize>,
    /// Where in [`Rich::text`] each of them stands, so that one of them can be edited or taken back.
    pub ranges: Vec<Range<usize>>,
}

/// Joins lines that follow one another, in their order. A line that is alone larger than the budget stays as it is.
/// Bytes are counted as by [`super::event_bytes`].
#[must_use]
pub fn merge(heard: Vec<Heard>, pace: Pace, budget: Budget) -> Vec<Merged> {
    let mut merged: Vec<Merged> = Vec::new();
    let mut last_ms = 0;
    for (index, line) in heard.into_iter().enumerate() {
        let is_quick = |message: &&mut Merged| {
            message.sender == line.sender
                && message.kind == line.kind
                && line.at_ms.saturating_sub(last_ms) <= pace.gap_ms
                && line.at_ms.saturating_sub(message.at_ms) <= pace.span_ms
        };
        let message = merged.last_mut().filter(is_quick);
        last_ms = line.at_ms;
        let joined = message.is_some_and(|message| message.join(&line.rich, budget));
        if !joined {
            merged.push(Merged::new(index, line));
        }
    }
    merged
}

impl Merged {
    fn new(index: usize, line: Heard) -> Self {
        let text = 0..line.rich.text().len();
        Self {
            sender: line.sender,
            kind: line.kind,
            at_ms: line.at_ms,
            rich: line.rich,
            lines: index..index + 1,
            ranges: vec![text],
        }
    }

    fn join(&mut self, more: &Rich, budget: Budget) -> bool {
        let joined = below(self.rich.clone(), more.clone());
        let fits = event_bytes(&joined) <= budget.max_bytes()
            && joined.text().split('\n').count() <= budget.max_lines();
        if fits {
            let end = joined.text().len();
            self.ranges.push(end - more.text().len()..end);
            self.rich = joined;
            self.lines.end += 1;
        }
        fits
    }
}

/// Two texts as one; lines of text go on as lines of one paragraph.
fn below(above: Rich, more: Rich) -> Rich {
    let mut blocks = above.into_blocks();
    let mut more = more.into_blocks().into_iter().peekable();
    if let Some(Block::Paragraph(lines)) = blocks.last_mut()
        && let Some(Block::Paragraph(next)) =
            more.next_if(|block| matches!(block, Block::Paragraph(_)))
    {
        lines.push(Inline::line_break());
        lines.extend(next);
    }
    blocks.extend(more);
    Rich::from_blocks(blocks)
}
