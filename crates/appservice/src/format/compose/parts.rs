//! Parts of a text that was cut, and which of them an edit changes.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::format::Rich;

/// A part of a text that was cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part<T> {
    /// What is sent.
    pub value: T,
    /// The bytes of [`Rich::text`] that it carries. The ranges of all parts follow one another without a gap.
    pub range: Range<usize>,
}

/// Which part of a message carries what of its text: what a bridge stores with the ids of the parts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PartMap {
    /// The ranges of the parts, in order.
    pub ranges: Vec<Range<usize>>,
}

impl PartMap {
    /// The map of parts as they were cut.
    #[must_use]
    pub fn new<T>(parts: &[Part<T>]) -> Self {
        Self {
            ranges: parts.iter().map(|part| part.range.clone()).collect(),
        }
    }

    /// The map after an edit.
    #[must_use]
    pub fn after<T>(changes: &[PartChange<T>]) -> Self {
        let ranges = changes.iter().filter_map(|change| match change {
            PartChange::Keep { range, .. } => Some(range.clone()),
            PartChange::Edit { part, .. } | PartChange::Add(part) => Some(part.range.clone()),
            PartChange::Remove { .. } => None,
        });
        Self {
            ranges: ranges.collect(),
        }
    }

    /// The index of the part that carries this byte of the text; the last one for bytes behind its end.
    #[must_use]
    pub fn part_at(&self, byte: usize) -> Option<usize> {
        let after = self.ranges.partition_point(|range| range.end <= byte);
        Some(after.min(self.ranges.len().checked_sub(1)?))
    }
}

/// What becomes of a part of a message when the message is edited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartChange<T> {
    /// It stays as it is.
    Keep {
        /// Its index before the edit.
        old: usize,
        /// What it carries of the new text.
        range: Range<usize>,
    },
    /// It is replaced.
    Edit {
        /// Its index before the edit.
        old: usize,
        /// What it becomes.
        part: Part<T>,
    },
    /// It is new, and stands behind all others.
    Add(Part<T>),
    /// It is gone.
    Remove {
        /// Its index before the edit.
        old: usize,
    },
}

/// What an edit changes in a message that was sent in parts.
///
/// As few parts as possible: those before and behind what was edited stay, as long as what is between them still fits
/// into as many parts (nothing can be inserted between messages). Else the parts are numbered through again.
/// `split` cuts a text the way the message was cut.
pub fn edit_parts<T>(
    old: &Rich,
    map: &PartMap,
    new: &Rich,
    split: &dyn Fn(&Rich) -> Vec<Part<T>>,
) -> Vec<PartChange<T>> {
    let edit = Edit {
        map,
        old: Side::new(old),
        new: Side::new(new),
    };
    let mut changes = edit
        .middle(split)
        .unwrap_or_else(|| edit.renumbered(split(new)));
    tile(&mut changes, edit.new.text.len());
    changes
}

/// A text, with its words at hand.
struct Side<'a> {
    rich: &'a Rich,
    text: String,
}

impl<'a> Side<'a> {
    fn new(rich: &'a Rich) -> Self {
        Self {
            rich,
            text: rich.text(),
        }
    }

    /// A place without the space at its end; `None` for one that is none in this text.
    fn shown(&self, range: &Range<usize>) -> Option<Range<usize>> {
        let text = self.text.get(range.clone())?;
        Some(range.start..range.start + text.trim_end().len())
    }

    fn before(&self, at: usize) -> Option<char> {
        self.text[..at].chars().next_back()
    }

    fn behind(&self, at: usize) -> Option<char> {
        self.text[at..].chars().next()
    }
}

struct Edit<'a> {
    map: &'a PartMap,
    old: Side<'a>,
    new: Side<'a>,
}

impl Edit<'_> {
    /// Whether the new text has the same in this place as the old one in that. Space at the end is nothing that a part
    /// would show.
    fn is_same(&self, old: &Range<usize>, new: &Range<usize>) -> bool {
        let (Some(before), Some(after)) = (self.old.shown(old), self.new.shown(new)) else {
            return false;
        };
        self.old.rich.slice(before) == self.new.rich.slice(after)
    }

    /// Where a part at the beginning stands in the new text, if it still is a part there: what follows it must not be
    /// more of its last word.
    fn head(&self, range: &Range<usize>) -> Option<Range<usize>> {
        let end = range.end.min(self.new.text.len());
        let moved = range.start.min(end)..end;
        (self.is_same(range, &moved) && !moved.is_empty()).then_some(())?;
        let next = self.new.behind(end);
        let is_space = |c: Option<char>| c.is_none_or(char::is_whitespace);
        let ends =
            is_space(next) || is_space(self.new.before(end)) || next == self.old.behind(range.end);
        ends.then_some(moved)
    }

    /// The same of a part at the end.
    fn tail(&self, range: &Range<usize>, head_end: usize) -> Option<Range<usize>> {
        let start = (range.start + self.new.text.len()).checked_sub(self.old.text.len())?;
        let moved = start..start + range.len();
        let begins = start >= head_end && self.is_same(range, &moved);
        (begins && self.new.before(start) == self.old.before(range.start)).then_some(moved)
    }

    /// Keeps the parts at both ends.
    fn middle<T>(&self, split: &dyn Fn(&Rich) -> Vec<Part<T>>) -> Option<Vec<PartChange<T>>> {
        let ranges = &self.map.ranges;
        let head: Vec<_> = ranges.iter().map_while(|range| self.head(range)).collect();
        let head_end = head.last().map_or(0, |last| last.end);
        let behind = ranges[head.len()..].iter().rev();
        let mut tail: Vec<_> = behind
            .map_while(|range| self.tail(range, head_end))
            .collect();
        tail.reverse();
        let middle = head_end
            ..tail
                .first()
                .map_or(self.new.text.len(), |first| first.start);

        let parts = split(&self.new.rich.slice(middle.clone()));
        let room = ranges.len() - head.len() - tail.len();
        if parts.len() > room && !tail.is_empty() {
            return None;
        }
        let first = head.len();
        let mut changes: Vec<_> = head
            .into_iter()
            .enumerate()
            .map(|(old, range)| PartChange::Keep { old, range })
            .collect();
        changes.extend(changed(first, room, moved(parts, &middle)));
        let tail = (first + room..).zip(tail);
        changes.extend(tail.map(|(old, range)| PartChange::Keep { old, range }));
        Some(changes)
    }

    fn renumbered<T>(&self, parts: Vec<Part<T>>) -> Vec<PartChange<T>> {
        let count = self.map.ranges.len();
        let changes = changed(0, count, parts).into_iter();
        let changes = changes.map(|change| match change {
            PartChange::Edit { old, part } if self.is_same(&self.map.ranges[old], &part.range) => {
                PartChange::Keep {
                    old,
                    range: part.range,
                }
            }
            other => other,
        });
        changes.collect()
    }
}

/// Parts of a slice as parts of the whole text.
fn moved<T>(mut parts: Vec<Part<T>>, within: &Range<usize>) -> Vec<Part<T>> {
    for part in &mut parts {
        let place = |at: usize| (within.start + at).min(within.end);
        part.range = place(part.range.start)..place(part.range.end);
    }
    parts
}

/// Parts in the place of `room` old ones.
fn changed<T>(first: usize, room: usize, parts: Vec<Part<T>>) -> Vec<PartChange<T>> {
    let count = parts.len();
    let mut changes = Vec::with_capacity(count.max(room));
    for (index, part) in parts.into_iter().enumerate() {
        let old = first + index;
        changes.push(if index < room {
            PartChange::Edit { old, part }
        } else {
            PartChange::Add(part)
        });
    }
    changes.extend((count..room).map(|index| PartChange::Remove { old: first + index }));
    changes
}

/// What no part carries (ends of lines) belongs to the part before it.
fn tile<T>(changes: &mut [PartChange<T>], end: usize) {
    let ranges = changes.iter_mut().filter_map(|change| match change {
        PartChange::Keep { range, .. } => Some(range),
        PartChange::Edit { part, .. } | PartChange::Add(part) => Some(&mut part.range),
        PartChange::Remove { .. } => None,
    });
    let mut ranges: Vec<_> = ranges.collect();
    let starts: Vec<_> = ranges.iter().map(|range| range.start).collect();
    for (index, range) in ranges.iter_mut().enumerate() {
        let start = if index == 0 { 0 } else { range.start };
        **range = start..starts.get(index + 1).copied().unwrap_or(end);
    }
}
