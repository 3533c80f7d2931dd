//! Whether a text is said in lines, or part of it goes to a page: nobody on IRC wants a wall of text.

use bridgehead_appservice::format::{Block, Rich};
use bridgehead_irc_protocol::{ctcp::ACTION_BYTES, split::split};

use super::{
    Said, Verb,
    quote::{first_words, visible},
    write,
};

/// Room for a text that every network has; less is taken for this.
const MIN_PAYLOAD_BYTES: usize = 192;

/// How much of a text that goes to a page is said.
const PREVIEW_BYTES: usize = 160;

/// What may be said at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a line's text, as `Budget::payload_bytes` of the protocol gives them; fewer than 192 are taken for 192. What
    /// an action takes for its marks is taken off here.
    pub payload_bytes: usize,
    /// How many lines a message may have, counted after cutting.
    pub max_lines: usize,
}

impl Limits {
    /// Three lines of so many bytes.
    #[must_use]
    pub fn new(payload_bytes: usize) -> Self {
        Self {
            payload_bytes,
            max_lines: 3,
        }
    }
}

/// What becomes of something said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// It is said in these lines.
    Lines(Vec<String>),
    /// Part of it, or all of it, goes to a page that is linked to.
    Paste(Paste),
}

/// Something that is too much for lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paste {
    /// What is said before the link.
    pub before: Vec<String>,
    /// What goes to the page.
    pub page: Page,
    /// What is said behind the link.
    pub after: Vec<String>,
    head: String,
}

/// What people read behind a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The text, its lines separated by `\n`.
    pub body: String,
    /// What it is.
    pub kind: PageKind,
}

/// What a page holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PageKind {
    /// A message's whole text, without marks.
    Text,
    /// Code, in a language if its author named one.
    Code(Option<String>),
}

impl Paste {
    /// The lines to say when the page has an address.
    #[must_use]
    pub fn lines(self, url: &str) -> Vec<String> {
        let Self {
            mut before,
            page,
            after,
            head,
        } = self;
        before.push(format!("{head}[{}] {url}", page.label()));
        before.extend(after);
        before
    }
}

impl Page {
    fn label(&self) -> String {
        let count = self.body.lines().count();
        let lines = if count == 1 {
            "1 line".to_owned()
        } else {
            format!("{count} lines")
        };
        match &self.kind {
            PageKind::Text => format!("all of it: {lines}"),
            PageKind::Code(None) => format!("code: {lines}"),
            PageKind::Code(Some(language)) => format!("{language} code: {lines}"),
        }
    }
}

impl Said {
    /// Cuts it, and says what of it is too much. Long code goes to a page while the text around it is said; any other text
    /// goes to one as a whole, with its first words said.
    #[must_use]
    pub fn plan(&self, limits: &Limits) -> Plan {
        let lines = self.cut(&self.text, limits);
        if lines.len() <= limits.max_lines.max(1) {
            return Plan::Lines(lines);
        }
        let paste = self
            .code_apart(limits)
            .unwrap_or_else(|| self.whole_apart(limits));
        Plan::Paste(paste)
    }

    /// Cuts it into at most so many lines, for where there are no pages. What is left out is counted in the last one, and
    /// given back.
    #[must_use]
    pub fn first_lines(&self, limits: &Limits) -> (Vec<String>, usize) {
        let mut lines = self.cut(&self.text, limits);
        let most = limits.max_lines.max(2);
        if lines.len() <= most {
            return (lines, 0);
        }
        let missing = lines.len() - (most - 1);
        lines.truncate(most - 1);
        lines.push(format!("{}[… {missing} more lines]", self.head));
        (lines, missing)
    }

    /// Bytes of a line behind its head.
    fn room(&self, limits: &Limits) -> usize {
        let marks = match self.verb {
            Verb::Act => ACTION_BYTES,
            Verb::Say | Verb::Notice => 0,
        };
        limits.payload_bytes.max(MIN_PAYLOAD_BYTES) - marks - self.head.len()
    }

    fn cut(&self, text: &Rich, limits: &Limits) -> Vec<String> {
        let room = self.room(limits);
        let lines = write::lines(text, self.style).into_iter();
        let cut = lines.flat_map(|line| split(&line, room));
        cut.map(|line| format!("{}{line}", self.head)).collect()
    }

    /// The one long code of a text apart from what is around it.
    fn code_apart(&self, limits: &Limits) -> Option<Paste> {
        let blocks = self.text.blocks();
        let is_long = |block: &Block| {
            let is_code = matches!(block, Block::Code { .. });
            is_code
                && self
                    .cut(&Rich::from_blocks(vec![block.clone()]), limits)
                    .len()
                    > limits.max_lines
        };
        let index = blocks.iter().position(is_long)?;
        let Block::Code { language, text } = &blocks[index] else {
            return None;
        };
        let around = |blocks: &[Block]| self.cut(&Rich::from_blocks(blocks.to_vec()), limits);
        let (before, after) = (around(&blocks[..index]), around(&blocks[index + 1..]));
        (before.len() + after.len() <= limits.max_lines).then(|| Paste {
            before,
            page: Page {
                body: text.clone(),
                kind: PageKind::Code(language.clone()),
            },
            after,
            head: self.head.clone(),
        })
    }

    fn whole_apart(&self, limits: &Limits) -> Paste {
        let room = PREVIEW_BYTES.min(self.room(limits));
        let preview = first_words(&visible(&self.text), room);
        Paste {
            before: vec![format!("{}{preview}", self.head)],
            page: Page {
                body: self.text.to_plain(),
                kind: PageKind::Text,
            },
            after: Vec::new(),
            head: self.head.clone(),
        }
    }
}
