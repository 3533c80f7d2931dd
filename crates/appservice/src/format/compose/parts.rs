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
    edit_middle(old, map, new, split).unwrap_or_else(|| renumbered(old, map, new, split(new)))
}

/// Keeps the parts at both ends that are the same in both texts.
fn edit_middle<T>(
    old: &Rich,
    map: &PartMap,
    new: &Rich,
    split: &dyn Fn(&Rich) -> Vec<Part<T>>,
) -> Option<Vec<PartChange<T>>> {
    let (old_len, new_len) = (old.text().len(), new.text().len());
    let count = map.ranges.len();
    let is_same = |range: &Range<usize>, moved: &Range<usize>| {
        moved.end <= new_len && old.slice(range.clone()) == new.slice(moved.clone())
    };
    let head = map
        .ranges
        .iter()
        .take_while(|range| is_same(range, range))
        .count();
    let moved = |range: &Range<usize>| {
        let start = (range.start + new_len).checked_sub(old_len)?;
        Some(start..start + range.len())
    };
    let head_end = head.checked_sub(1).map_or(0, |last| map.ranges[last].end);
    let is_same_tail = |range: &&Range<usize>| {
        moved(range).is_some_and(|moved| moved.start >= head_end && is_same(range, &moved))
    };
    let tail = map.ranges[head..]
        .iter()
        .rev()
        .take_while(is_same_tail)
        .count();
    let tail_ranges: Vec<_> = map.ranges[count - tail..]
        .iter()
        .filter_map(moved)
        .collect();
    let middle = head_end..tail_ranges.first().map_or(new_len, |range| range.start);

    let parts = if middle.is_empty() {
        Vec::new()
    } else {
        split(&new.slice(middle.clone()))
    };
    let room = count - head - tail;
    if parts.len() > room && tail > 0 {
        return None;
    }
    let mut changes: Vec<_> = (0..head)
        .map(|old| PartChange::Keep {
            old,
            range: map.ranges[old].clone(),
        })
        .collect();
    changes.extend(changed_middle(head, room, tiled(parts, &middle)));
    let tail = (count - tail..count).zip(tail_ranges);
    changes.extend(tail.map(|(old, range)| PartChange::Keep { old, range }));
    Some(changes)
}

/// The ranges of parts of a slice as ranges of the whole text.
fn tiled<T>(mut parts: Vec<Part<T>>, within: &Range<usize>) -> Vec<Part<T>> {
    let mut start = within.start;
    for part in &mut parts {
        part.range = start..(within.start + part.range.end).clamp(start, within.end);
        start = part.range.end;
    }
    if let Some(last) = parts.last_mut() {
        last.range.end = within.end;
    }
    parts
}

fn changed_middle<T>(first: usize, room: usize, parts: Vec<Part<T>>) -> Vec<PartChange<T>> {
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

fn renumbered<T>(old: &Rich, map: &PartMap, new: &Rich, parts: Vec<Part<T>>) -> Vec<PartChange<T>> {
    let count = map.ranges.len();
    let mut changes = Vec::with_capacity(count.max(parts.len()));
    let parts_count = parts.len();
    for (index, part) in parts.into_iter().enumerate() {
        let before = map.ranges.get(index).map(|range| old.slice(range.clone()));
        changes.push(match before {
            None => PartChange::Add(part),
            Some(before) if before == new.slice(part.range.clone()) => PartChange::Keep {
                old: index,
                range: part.range,
            },
            Some(_) => PartChange::Edit { old: index, part },
        });
    }
    changes.extend((parts_count..count).map(|old| PartChange::Remove { old }));
    changes
}
