//! Cuts a text into what a network of lines takes at once.

use super::{Budget, parts::Part};
use crate::format::{
    Encoder, Inline, Line, LineKind, Piece, Plain, Rich, cuts::Cuts, encode::encode, layout::Atom,
};

/// Cuts a text without marks.
#[must_use]
pub fn split(rich: &Rich, budget: Budget) -> Vec<Part<String>> {
    split_with(rich, budget, &Plain)
}

/// Cuts a text as a network writes it. Every part is within the budget with all its marks, which are closed at its end
/// and opened again in the next one.
///
/// Lines are kept together if they fit. A line that is too long is cut behind a sentence, else at a space, else between
/// characters (never inside of one, or of what readers take for one); a mention is only cut if it is too long for a part of its
/// own. Empty lines are left out at the ends of parts.
#[must_use]
pub fn split_with(rich: &Rich, budget: Budget, encoder: &dyn Encoder) -> Vec<Part<String>> {
    let mut splitter = Splitter {
        budget,
        encoder,
        parts: Vec::new(),
        part: None,
        blank: 0,
    };
    let mut end = 0;
    for line in rich.lines(&encoder.layout()) {
        end = end.max(line.range.end);
        splitter.line(line);
    }
    splitter.flush();
    tile(&mut splitter.parts, end);
    splitter.parts
}

/// What no part carries (ends of lines, spaces where a line was cut) belongs to the part before it.
fn tile<T>(parts: &mut [Part<T>], end: usize) {
    for index in 0..parts.len() {
        parts[index].range.end = parts.get(index + 1).map_or(end, |next| next.range.start);
    }
    if let Some(first) = parts.first_mut() {
        first.range.start = 0;
    }
}

struct Splitter<'a> {
    budget: Budget,
    encoder: &'a dyn Encoder,
    parts: Vec<Part<String>>,
    /// The part that is being filled, and its lines.
    part: Option<(Part<String>, usize)>,
    /// Empty lines that will stand in it if another line follows.
    blank: usize,
}

impl Splitter<'_> {
    fn line(&mut self, line: Line) {
        if line.is_blank() && line.kind != LineKind::Rule {
            self.blank += 1;
            return;
        }
        let whole = line.encoded(self.encoder);
        if whole.len() <= self.budget.max_bytes() {
            self.place(whole, line.range.start);
            return;
        }
        self.flush();
        self.cut(line);
    }

    /// Puts a line that fits into a part of its own into this part or the next.
    fn place(&mut self, text: String, start: usize) {
        if let Some((part, lines)) = &mut self.part {
            let more_lines = self.blank + 1;
            let fits = part.value.len() + more_lines + text.len() <= self.budget.max_bytes()
                && *lines + more_lines <= self.budget.max_lines();
            if fits {
                part.value.push_str(&"\n".repeat(more_lines));
                part.value.push_str(&text);
                *lines += more_lines;
                self.blank = 0;
                return;
            }
        }
        self.flush();
        self.part = Some((
            Part {
                value: text,
                range: start..start,
            },
            1,
        ));
    }

    fn flush(&mut self) {
        self.blank = 0;
        self.parts.extend(self.part.take().map(|(part, _)| part));
    }

    fn cut(&mut self, mut line: Line) {
        let max = self.budget.max_bytes();
        for lead in [&mut line.lead, &mut line.follow] {
            // Deep quotes must leave room for the text.
            lead.truncate(lead.floor_char_boundary(max / 4));
        }
        let is_code = matches!(line.kind, LineKind::Code(_));
        let atoms = self.without_large_wholes(line.atoms);
        let text: String = atoms.iter().map(|atom| atom.inline.words()).collect();
        let cuts = Cuts::new(&text, &wholes(&atoms));
        let mut from = 0;
        while from < text.len() {
            let lead = if from == 0 { &line.lead } else { &line.follow };
            let written = |to: usize| {
                let inlines = between(&atoms, from, to, is_code);
                encode(lead, inlines.iter(), self.encoder)
            };
            // Marks take room but words can also be shorter than their source: look a little further than the budget.
            let horizon = from + 2 * max;
            let to = cuts.next(from, &mut |to| to <= horizon && written(to).len() <= max);
            let part = self.within(written(to), &atoms, from, to);
            if !text[from..to].trim().is_empty() {
                let start = line.range.start + own_before(&atoms, from);
                self.place(part, start);
            }
            from = to;
            if !is_code {
                from += text[from..].len() - text[from..].trim_start_matches([' ', '\t']).len();
            }
        }
    }

    /// A part that is too large has marks that alone fill it: without marks it fits.
    fn within(&self, text: String, atoms: &[Atom], from: usize, to: usize) -> String {
        if text.len() <= self.budget.max_bytes() {
            return text;
        }
        let words: String = between(atoms, from, to, true)
            .iter()
            .map(Inline::words)
            .collect();
        let plain = Inline::plain(words);
        encode("", std::iter::once(&plain), self.encoder)
    }

    /// Mentions and pictures that alone fill a part are words.
    fn without_large_wholes(&self, mut atoms: Vec<Atom>) -> Vec<Atom> {
        for Atom { inline, .. } in &mut atoms {
            let alone = encode("", std::iter::once(&*inline), self.encoder);
            if inline.is_whole() && alone.len() > self.budget.max_bytes() / 2 {
                inline.piece = Piece::Text(inline.words().to_owned());
            }
        }
        atoms
    }
}

/// Where mentions and pictures stand in the words of a line.
fn wholes(atoms: &[Atom]) -> Vec<std::ops::Range<usize>> {
    let mut wholes = Vec::new();
    let mut at = 0;
    for Atom { inline, .. } in atoms {
        let end = at + inline.words().len();
        if inline.is_whole() {
            wholes.push(at..end);
        }
        at = end;
    }
    wholes
}

/// How many bytes of the text stand before this byte of the line's words.
fn own_before(atoms: &[Atom], to: usize) -> usize {
    let mut at = 0;
    let mut own = 0;
    for atom in atoms {
        let length = atom.inline.words().len();
        own += atom.own_len.min(to.saturating_sub(at));
        at += length;
    }
    own
}

/// The pieces between two bytes of a line's words; without the space at the end unless it is to be kept.
fn between(atoms: &[Atom], from: usize, to: usize, keep_space: bool) -> Vec<Inline> {
    let mut pieces = Vec::new();
    let mut at = 0;
    for Atom { inline, .. } in atoms {
        let (begin, end) = (at, at + inline.words().len());
        at = end;
        match &inline.piece {
            Piece::Text(text) => {
                let cut = text.get(from.clamp(begin, end) - begin..to.clamp(begin, end) - begin);
                let cut = cut.filter(|cut| !cut.is_empty());
                pieces.extend(cut.map(|cut| Inline::text(cut, inline.style.clone())));
            }
            _ if begin >= from && end <= to => pieces.push(inline.clone()),
            _ => {}
        }
    }
    if !keep_space {
        trim_end(&mut pieces);
    }
    pieces
}

fn trim_end(pieces: &mut Vec<Inline>) {
    while let Some(Inline {
        piece: Piece::Text(text),
        ..
    }) = pieces.last_mut()
    {
        text.truncate(text.trim_end_matches([' ', '\t']).len());
        if !text.is_empty() {
            return;
        }
        pieces.pop();
    }
}
