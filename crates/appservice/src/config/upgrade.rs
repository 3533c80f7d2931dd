//! Gives keys their new names in an operator's file, and leaves everything else as it is: comments, order, spelling.
//!
//! A key that stays in its section is renamed where it stands. One that goes to another section takes the comment above
//! it along. The result is read again and compared with what it should mean, so a file is never damaged.

use std::ops::Range;

use toml::{
    Spanned, Value,
    de::{DeTable, DeValue},
};

use super::{Moved, leaf::to_toml_key, shape::join};

/// A file with the new names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgraded {
    /// The new text.
    pub text: String,
    /// The keys that were moved, by their old names.
    pub moved: Vec<String>,
    /// Keys that stand inside braces, or whose new name is taken: they are as they were, and had better be moved by hand.
    pub left: Vec<String>,
}

/// The file cannot be read, so nothing is done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not TOML: {0}; correct the file first")]
pub struct UpgradeError(String);

/// Moves keys to their new names in the text of a configuration file.
///
/// # Errors
/// [`UpgradeError`] when the text is not TOML.
pub fn upgrade(text: &str, moved: &[Moved]) -> Result<Upgraded, UpgradeError> {
    let mut upgraded = Upgraded {
        text: text.to_owned(),
        moved: Vec::new(),
        left: Vec::new(),
    };
    for step in moved {
        let old = parse(&upgraded.text)?;
        let Some(wanted) = renamed(&old, step) else {
            if get(&old, &step.old_parts()).is_some() {
                upgraded.left.push(step.from.to_owned());
            }
            continue;
        };
        match move_key(&upgraded.text, step) {
            Some(new) if parse(&new).is_ok_and(|new| new == wanted) => {
                upgraded.text = new;
                upgraded.moved.push(step.from.to_owned());
            }
            // Some way of writing that is not foreseen here: better by hand than wrong.
            Some(_) | None => upgraded.left.push(step.from.to_owned()),
        }
    }
    Ok(upgraded)
}

fn parse(text: &str) -> Result<Value, UpgradeError> {
    let table: toml::Table = text
        .parse()
        .map_err(|error: toml::de::Error| UpgradeError(error.message().to_owned()))?;
    Ok(Value::Table(table))
}

fn get<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, name| value.get(name))
}

/// What the file is to mean afterwards; `None` when there is nothing to move, or no place for it.
fn renamed(old: &Value, moved: &Moved) -> Option<Value> {
    let (from, to) = (moved.old_parts(), moved.new_parts());
    let value = get(old, &from)?.clone();
    let mut new = old.clone();
    remove(new.as_table_mut()?, &from);
    let (last, sections) = to.split_last()?;
    let mut table = new.as_table_mut()?;
    for section in sections {
        let empty = Value::Table(toml::Table::new());
        table = table.entry(*section).or_insert(empty).as_table_mut()?;
    }
    if table.contains_key(*last) {
        return None;
    }
    table.insert((*last).to_owned(), value);
    Some(new)
}

/// Removes a value, and the sections that are empty without it.
fn remove(table: &mut toml::Table, path: &[&str]) {
    let Some((name, rest)) = path.split_first() else {
        return;
    };
    if rest.is_empty() {
        table.remove(*name);
    } else if let Some(Value::Table(inner)) = table.get_mut(*name) {
        remove(inner, rest);
        if inner.is_empty() {
            table.remove(*name);
        }
    }
}

/// The lines of a file that say something.
#[derive(Debug, Default)]
struct Layout {
    /// In the order of the file.
    statements: Vec<Statement>,
}

/// A section's head or a key with its value.
#[derive(Debug, Clone)]
struct Statement {
    /// The full path.
    path: Vec<String>,
    /// How many parts of it are given by the head above.
    head_parts: usize,
    is_head: bool,
    /// The head of a list of sections, or something below one.
    is_in_list: bool,
    /// The key as it is written, all its parts; of a head what stands in the brackets.
    key: Range<usize>,
    /// Whole lines.
    lines: Range<usize>,
}

impl Layout {
    fn of(text: &str) -> Option<Self> {
        let table = DeTable::parse(text).ok()?;
        let mut layout = Self::default();
        layout.collect(text, &mut Vec::new(), table.get_ref(), false);
        layout
            .statements
            .sort_by_key(|statement| statement.lines.start);
        layout.find_heads();
        Some(layout)
    }

    fn collect(
        &mut self,
        text: &str,
        path: &mut Vec<String>,
        table: &DeTable<'_>,
        is_in_list: bool,
    ) {
        for (name, value) in table {
            path.push(name.get_ref().to_string());
            self.add(text, path, name.span(), value, is_in_list);
            path.pop();
        }
    }

    fn add(
        &mut self,
        text: &str,
        path: &mut Vec<String>,
        name: Range<usize>,
        value: &Spanned<DeValue<'_>>,
        is_in_list: bool,
    ) {
        let is_braces = text[value.span()].starts_with('{');
        match value.get_ref() {
            DeValue::Table(inner) if !is_braces => {
                // The head's own span; a section that only others' heads or dotted keys make has none.
                if text[value.span()].starts_with('[') {
                    self.push(text, path, value.span(), true, is_in_list);
                }
                self.collect(text, path, inner, is_in_list);
            }
            DeValue::Array(items)
                if text[value.span()].starts_with("[[") && is_list_head(text, &name) =>
            {
                for item in items {
                    self.push(text, path, item.span(), true, true);
                    if let DeValue::Table(inner) = item.get_ref() {
                        self.collect(text, path, inner, true);
                    }
                }
            }
            _ => self.push(text, path, name.start..value.span().end, false, is_in_list),
        }
    }

    fn push(
        &mut self,
        text: &str,
        path: &[String],
        span: Range<usize>,
        is_head: bool,
        is_in_list: bool,
    ) {
        let lines = lines(text, &span);
        let key = if is_head {
            let inner = text[span.clone()].trim_matches(['[', ']']);
            let start = span.start + text[span].find(inner).unwrap_or(0);
            start..start + inner.len()
        } else {
            // From the first part of a dotted key to the last.
            let written = &text[lines.start..];
            let start = lines.start + (written.len() - written.trim_start().len());
            let last = key_end(text, span.start);
            start..last
        };
        self.statements.push(Statement {
            path: path.to_vec(),
            head_parts: 0,
            is_head,
            is_in_list,
            key,
            lines,
        });
    }

    /// Tells each key how much of its path is in the head above.
    fn find_heads(&mut self) {
        let mut parts = 0;
        for statement in &mut self.statements {
            if statement.is_head {
                parts = statement.path.len();
            }
            statement.head_parts = parts;
        }
    }
}

/// Whether a key's name stands in the double brackets of a head, and not before an `=`.
fn is_list_head(text: &str, name: &Range<usize>) -> bool {
    let line_start = text[..name.start].rfind('\n').map_or(0, |end| end + 1);
    text[line_start..name.start].trim_start().starts_with("[[")
}

/// Where the key that begins at `start` ends: a quoted one behind its closing quote.
fn key_end(text: &str, start: usize) -> usize {
    let key = &text[start..];
    let length = match key.chars().next() {
        Some('\'') => key[1..].find('\'').map(|end| end + 2),
        Some('"') => {
            let mut is_escaped = false;
            let end = key[1..].find(|c| {
                let is_end = c == '"' && !is_escaped;
                is_escaped = c == '\\' && !is_escaped;
                is_end
            });
            end.map(|end| end + 2)
        }
        _ => key.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-')),
    };
    start + length.unwrap_or(key.len())
}

/// The whole lines around a span, with the last one's newline.
fn lines(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = text[..span.start].rfind('\n').map_or(0, |end| end + 1);
    let end = text[span.end..]
        .find('\n')
        .map_or(text.len(), |end| span.end + end + 1);
    start..end
}

/// A range of the text, and what stands there instead.
type Edit = (Range<usize>, String);

/// Replaces ranges of `text`, all taken from the text as it is now. What is put in goes before the range.
fn edit(text: &str, mut edits: Vec<Edit>) -> String {
    edits.sort_by_key(|(range, _)| (range.start, range.end));
    let mut new = String::with_capacity(text.len() + 64);
    let mut at = 0;
    for (range, put) in edits {
        new.push_str(&text[at..range.start.max(at)]);
        new.push_str(&put);
        at = range.end.max(at);
    }
    new.push_str(&text[at..]);
    new
}

/// The text with one key or section moved; `None` when it stands where it cannot be moved.
fn move_key(text: &str, moved: &Moved) -> Option<String> {
    // Whatever is put behind the last line begins a line then.
    let newline = if text.ends_with('\n') { "" } else { "\n" };
    let text = &format!("{text}{newline}");
    let layout = Layout::of(text)?;
    let (from, to) = (moved.old_parts(), moved.new_parts());
    let is_within = |statement: &&Statement| starts_with(&statement.path, &from);
    let affected: Vec<&Statement> = layout.statements.iter().filter(is_within).collect();
    if affected.is_empty() || affected.iter().any(|statement| statement.is_in_list) {
        return None;
    }
    let mut edits = Vec::new();
    let (mut pieces, mut gone) = (Vec::new(), Vec::new());
    for statement in &affected {
        let path = new_path(&statement.path, &from, &to);
        if statement.is_head {
            edits.push((statement.key.clone(), spell(&path)));
        } else if statement.head_parts >= from.len() {
            // Its section's head is renamed, or it is deeper than what is moved.
        } else if layout.stays(statement, &path, from.len()) {
            let key = spell(&path[statement.head_parts..]);
            edits.push((statement.key.clone(), key));
        } else {
            let block = with_comment(text, &statement.lines);
            let key = statement.key.clone();
            pieces.push(Piece {
                before: text[block.start..key.start].to_owned(),
                behind: text[key.end..block.end].to_owned(),
                path,
            });
            edits.push((block, String::new()));
            gone.push(*statement);
        }
    }
    edits.extend(empty_heads(&layout, &from, &to));
    for (index, piece) in pieces.iter().enumerate() {
        let is_made = pieces[..index]
            .iter()
            .any(|earlier| earlier.section() == piece.section());
        edits.push(layout.place(text, piece, &gone, is_made));
    }
    Some(edit(text, edits))
}

/// A key on its way to another section.
struct Piece {
    /// The comment above it, and its indentation.
    before: String,
    /// From the `=` to the end of the line.
    behind: String,
    /// Its new path.
    path: Vec<String>,
}

impl Piece {
    /// Its new section.
    fn section(&self) -> &[String] {
        &self.path[..self.path.len() - 1]
    }

    /// Its lines, with the key spelt without the first `head_parts` of its path.
    fn lines(&self, head_parts: usize) -> String {
        let key = spell(&self.path[head_parts..]);
        format!("{}{key}{}", self.before, self.behind)
    }
}

impl Layout {
    /// Whether a key is renamed where it stands: it keeps its section, or was written with dots and its new section
    /// has no head elsewhere.
    fn stays(&self, statement: &Statement, path: &[String], from_parts: usize) -> bool {
        let (old, head) = (&statement.path, statement.head_parts);
        let section = &path[..path.len() - 1];
        let has_head = |other: &Statement| {
            let parts = other.path.len();
            other.is_head && parts > head && section.starts_with(&other.path)
        };
        let is_dotted = old.len() > from_parts || old.len() > head + 1;
        let is_free = || is_dotted && !self.statements.iter().any(has_head);
        path.len() > head
            && path[..head] == old[..head]
            && (old[..old.len() - 1] == *section || is_free())
    }

    /// Where a key goes: behind the last one of its section, below its section's head, or under a head of its own at
    /// the end, which is made unless one `is_made`.
    fn place(&self, text: &str, piece: &Piece, gone: &[&Statement], is_made: bool) -> Edit {
        let section = piece.section();
        let stays =
            |s: &&Statement| !s.is_in_list && !gone.iter().any(|gone| gone.lines == s.lines);
        let is_sibling = |s: &&Statement| !s.is_head && s.path[..s.path.len() - 1] == *section;
        let is_head = |s: &&Statement| s.is_head && s.path == section;
        let kept = || self.statements.iter().filter(stays);
        let neighbour = kept().rfind(is_sibling).or_else(|| kept().find(is_head));
        if let Some(neighbour) = neighbour {
            let at = neighbour.lines.end;
            return (at..at, piece.lines(neighbour.head_parts));
        }
        if section.is_empty() {
            let first_head = self.statements.iter().find(|s| s.is_head);
            let at = first_head.map_or(text.len(), |head| with_comment(text, &head.lines).start);
            return (at..at, format!("{}\n", piece.lines(0)));
        }
        let head = if is_made {
            String::new()
        } else {
            format!("\n[{}]\n", spell(section))
        };
        let lines = format!("{head}{}", piece.lines(section.len()));
        (text.len()..text.len(), lines)
    }
}

/// Heads of sections that the move leaves with nothing in them: what was there goes elsewhere, if only by its new name.
fn empty_heads(layout: &Layout, from: &[&str], to: &[&str]) -> Vec<Edit> {
    let is_on_the_way = |statement: &&Statement| {
        let path = &statement.path;
        statement.is_head && path.len() < from.len() && from.iter().zip(path).all(|(a, b)| a == b)
    };
    // Heads on the way are no contents: they go too, if nothing else is below them.
    let contents: Vec<Vec<String>> = layout
        .statements
        .iter()
        .filter(|statement| !is_on_the_way(statement))
        .map(|statement| {
            let path = &statement.path;
            if starts_with(path, from) {
                new_path(path, from, to)
            } else {
                path.clone()
            }
        })
        .collect();
    let is_empty = |head: &&Statement| {
        let depth = head.path.len();
        is_on_the_way(head)
            && !contents
                .iter()
                .any(|path| path.len() > depth && path[..depth] == head.path)
    };
    let heads = layout.statements.iter().filter(is_empty);
    heads
        .map(|head| (head.lines.clone(), String::new()))
        .collect()
}

fn starts_with(path: &[String], start: &[&str]) -> bool {
    path.len() >= start.len() && path.iter().zip(start).all(|(a, b)| a == b)
}

fn new_path(path: &[String], from: &[&str], to: &[&str]) -> Vec<String> {
    let to = to.iter().map(|name| (*name).to_owned());
    to.chain(path[from.len()..].iter().cloned()).collect()
}

fn spell(path: &[String]) -> String {
    path.iter()
        .fold(String::new(), |text, name| join(&text, &to_toml_key(name)))
}

/// Lines together with the comment right above them.
fn with_comment(text: &str, lines: &Range<usize>) -> Range<usize> {
    let mut start = lines.start;
    while start > 0 {
        let above = text[..start - 1].rfind('\n').map_or(0, |end| end + 1);
        if !text[above..start].trim_start().starts_with('#') {
            break;
        }
        start = above;
    }
    start..lines.end
}
