//! A text as lines: what networks without blocks can show.
//!
//! A line begins with its lead (`> `, `• `), which was made by the layout, and goes on with pieces of the text. Each line knows
//! which bytes of [`Rich::text`] it carries, so that whatever is cut from it can be found again in the original.

use std::ops::Range;

use super::{
    inline::{Inline, Piece, Style},
    rich::{Block, Rich},
};

/// What becomes of links whose text is not their address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Links {
    /// The text, then the address: `text (https://example.org)`.
    #[default]
    TextAndUrl,
    /// The text alone, with the link in its style: for networks that have links.
    Keep,
    /// The address alone.
    UrlOnly,
}

/// How a text is laid out as lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// What becomes of links.
    pub links: Links,
    /// What quoted lines begin with.
    pub quote: String,
    /// What items of unordered lists begin with.
    pub bullet: String,
    /// What a [`Block::Rule`] is written as.
    pub rule: String,
    /// Whether an empty line stands between blocks.
    pub blank_lines: bool,
}

impl Default for Layout {
    /// Links with their addresses, `> `, `• `, `---`, and empty lines between blocks.
    fn default() -> Self {
        Self {
            links: Links::default(),
            quote: "> ".to_owned(),
            bullet: "• ".to_owned(),
            rule: RULE.to_owned(),
            blank_lines: true,
        }
    }
}

/// What a line is part of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineKind {
    /// A paragraph.
    Text,
    /// A heading of a level; its pieces are bold.
    Heading(u8),
    /// Code, in a language if the author named one.
    Code(Option<String>),
    /// A rule.
    Rule,
    /// An empty line that the layout put between blocks.
    Blank,
}

/// What a rule is in [`Rich::text`].
pub(super) const RULE: &str = "---";

/// A piece of a line.
#[derive(Clone, Debug)]
pub(super) struct Atom {
    pub(super) inline: Inline,
    /// How many bytes of the text it stands for; none if the layout added it.
    pub(super) own_len: usize,
}

impl Atom {
    fn own(inline: &Inline) -> Self {
        Self {
            inline: inline.clone(),
            own_len: inline.words().len(),
        }
    }

    fn added(text: String, style: Style) -> Self {
        Self {
            inline: Inline::text(text, style),
            own_len: 0,
        }
    }
}

/// A line of a text.
#[derive(Clone, Debug)]
pub struct Line {
    /// What the line begins with, made by the layout: `> • `.
    pub lead: String,
    /// What a further line begins with if this one is broken: `>   `.
    pub follow: String,
    /// What it is part of.
    pub kind: LineKind,
    /// The bytes of [`Rich::text`] that it carries.
    pub range: Range<usize>,
    pub(super) atoms: Vec<Atom>,
}

impl Line {
    /// The pieces behind the lead. None of them is a break.
    pub fn inlines(&self) -> impl Iterator<Item = &Inline> {
        self.atoms.iter().map(|atom| &atom.inline)
    }

    /// Whether there is nothing to see behind the lead.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.inlines()
            .all(|inline| !inline.is_whole() && inline.words().trim().is_empty())
    }
}

impl Rich {
    /// Lays the text out as lines.
    #[must_use]
    pub fn lines(&self, layout: &Layout) -> Vec<Line> {
        let mut liner = Liner {
            layout,
            lines: Vec::new(),
            at: 0,
            has_lines: false,
            first: String::new(),
            lead: String::new(),
        };
        liner.blocks(self.blocks(), layout.blank_lines);
        liner.lines
    }

    /// The words of the text without any marks: its lines one below the other, a rule as `---`. Ranges of parts count bytes
    /// of it.
    #[must_use]
    pub fn text(&self) -> String {
        let layout = Layout {
            blank_lines: false,
            ..Layout::default()
        };
        let mut text = String::new();
        for (index, line) in self.lines(&layout).iter().enumerate() {
            if index > 0 {
                text.push('\n');
            }
            for atom in line.atoms.iter().filter(|atom| atom.own_len > 0) {
                text.push_str(atom.inline.words());
            }
        }
        text
    }
}

struct Liner<'a> {
    layout: &'a Layout,
    lines: Vec<Line>,
    /// Where in the text the next line begins.
    at: usize,
    has_lines: bool,
    /// What the next line begins with once, in the place of as much of the lead.
    first: String,
    lead: String,
}

impl Liner<'_> {
    fn blocks(&mut self, blocks: &[Block], blank_lines: bool) {
        for (index, block) in blocks.iter().enumerate() {
            let list_of_it = matches!(
                (index.checked_sub(1).map(|i| &blocks[i]), block),
                (Some(Block::Paragraph(_)), Block::List { .. })
            );
            if index > 0 && blank_lines && !list_of_it {
                self.blank();
            }
            self.block(block, blank_lines);
        }
    }

    fn block(&mut self, block: &Block, blank_lines: bool) {
        match block {
            Block::Paragraph(inlines) => self.pieces(inlines, &LineKind::Text),
            Block::Heading { level, content } => {
                let bold = content.iter().cloned().map(|mut inline| {
                    inline.style.bold = true;
                    inline
                });
                self.pieces(&bold.collect::<Vec<_>>(), &LineKind::Heading(*level));
            }
            Block::Quote(blocks) => {
                let quote = self.layout.quote.clone();
                self.indented(&quote, &quote, |liner| liner.blocks(blocks, blank_lines));
            }
            Block::List { start, items } => self.list(*start, items),
            Block::Code { language, text } => {
                for line in text.split('\n') {
                    let atoms = vec![Atom::own(&Inline::text(line, Style::code()))];
                    self.line(atoms, LineKind::Code(language.clone()));
                }
            }
            Block::Rule => {
                let rule = Atom {
                    inline: Inline::plain(self.layout.rule.as_str()),
                    own_len: RULE.len(),
                };
                self.line(vec![rule], LineKind::Rule);
            }
        }
    }

    fn list(&mut self, start: Option<u32>, items: &[Vec<Block>]) {
        for (index, item) in (0u32..).zip(items) {
            let mark = match start {
                Some(start) => format!("{}. ", start.saturating_add(index)),
                None => self.layout.bullet.clone(),
            };
            let follow = " ".repeat(mark.chars().count());
            self.indented(&mark, &follow, |liner| liner.blocks(item, false));
        }
    }

    /// The lines made by `inner` begin with `first` (the first of them) or `follow` (the others).
    fn indented(&mut self, first: &str, follow: &str, inner: impl FnOnce(&mut Self)) {
        let outer = self.lead.len();
        self.first.push_str(first);
        self.lead.push_str(follow);
        inner(self);
        self.lead.truncate(outer);
        // Nothing is empty, so that the first line has been written.
        self.first.clone_from(&self.lead);
    }

    fn pieces(&mut self, inlines: &[Inline], kind: &LineKind) {
        for line in inlines.split(|inline| inline.piece == Piece::Break) {
            let atoms = with_links(line, self.layout.links);
            self.line(atoms, kind.clone());
        }
    }

    fn line(&mut self, atoms: Vec<Atom>, kind: LineKind) {
        self.at += usize::from(self.has_lines);
        self.has_lines = true;
        let start = self.at;
        self.at += atoms.iter().map(|atom| atom.own_len).sum::<usize>();
        let lead = std::mem::replace(&mut self.first, self.lead.clone());
        self.lines.push(Line {
            lead,
            follow: self.lead.clone(),
            kind,
            range: start..self.at,
            atoms,
        });
    }

    fn blank(&mut self) {
        let lead = self.lead.trim_ascii_end().to_owned();
        self.lines.push(Line {
            follow: lead.clone(),
            lead,
            kind: LineKind::Blank,
            range: self.at..self.at,
            atoms: Vec::new(),
        });
    }
}

/// The pieces of a line with the addresses of links as text, unless links are kept.
fn with_links(line: &[Inline], links: Links) -> Vec<Atom> {
    if links == Links::Keep {
        return line.iter().map(Atom::own).collect();
    }
    let mut atoms = Vec::with_capacity(line.len());
    for run in line.chunk_by(|a, b| a.style.link == b.style.link) {
        let Some(url) = run[0].style.link.clone() else {
            atoms.extend(run.iter().map(Atom::own));
            continue;
        };
        let unlinked = run.iter().map(|inline| {
            let mut inline = inline.clone();
            inline.style.link = None;
            inline
        });
        let unlinked: Vec<_> = unlinked.collect();
        let words: String = unlinked.iter().map(Inline::words).collect();
        let style = unlinked[unlinked.len() - 1].style.clone();
        let says_it = says_address(&words, &url);
        if links == Links::TextAndUrl || says_it {
            atoms.extend(unlinked.iter().map(Atom::own));
        }
        if says_it {
            continue;
        }
        let hidden = Style {
            spoiler: style.spoiler,
            ..Style::default()
        };
        let address = if links == Links::UrlOnly {
            url.to_string()
        } else {
            format!(" ({url})")
        };
        atoms.push(Atom::added(address, hidden));
    }
    atoms
}

fn says_address(words: &str, url: &str) -> bool {
    let bare = |text: &str| {
        let text = text.trim().trim_end_matches('/');
        let schemes = ["https://", "http://", "mailto:"];
        let rest = schemes.iter().find_map(|scheme| text.strip_prefix(scheme));
        rest.unwrap_or(text).to_owned()
    };
    bare(words) == bare(url)
}
