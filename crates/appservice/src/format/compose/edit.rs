//! Edits on networks that have none.

use crate::format::{Inline, Rich};

/// How an edit is said in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EditStyle {
    /// `s/old/new/` where a few words changed and it is clear which; else as [`EditStyle::Star`].
    Replacement,
    /// `* new text`; of several lines the one that changed.
    Star,
    /// `edited: new text`.
    Edited,
}

/// The most words on either side of `s/old/new/`.
const MAX_WORDS: usize = 4;

/// The most bytes on either side of `s/old/new/`.
const MAX_REPLACEMENT_BYTES: usize = 64;

/// What is said instead of an edit. `None` if the words are the same: new marks alone are not worth a line.
#[must_use]
pub fn edit_as_text(old: &Rich, new: &Rich, style: EditStyle) -> Option<Rich> {
    let (before, after) = (old.text(), new.text());
    if before == after {
        return None;
    }
    let said = match style {
        EditStyle::Edited => new.clone().prefixed(vec![Inline::plain("edited: ")]),
        EditStyle::Star => starred(&before, &after, new),
        EditStyle::Replacement => match replacement(&before, &after) {
            Some((from, to)) => Rich::plain(&format!("s/{from}/{to}/")),
            None => starred(&before, &after, new),
        },
    };
    Some(said)
}

fn starred(before: &str, after: &str, new: &Rich) -> Rich {
    let star = vec![Inline::plain("* ")];
    let changed = changed_line(before, after).map(|range| new.slice(range));
    changed
        .filter(|line| !line.is_empty())
        .unwrap_or_else(|| new.clone())
        .prefixed(star)
}

/// The only line that changed, of several.
fn changed_line(before: &str, after: &str) -> Option<std::ops::Range<usize>> {
    let (before, after): (Vec<_>, Vec<_>) =
        (before.split('\n').collect(), after.split('\n').collect());
    if before.len() != after.len() {
        return None;
    }
    let mut changed = (0..after.len()).filter(|&index| before[index] != after[index]);
    let (Some(index), None) = (changed.next(), changed.next()) else {
        return None;
    };
    let start = after[..index].iter().map(|line| line.len() + 1).sum();
    Some(start..start + after[index].len())
}

/// What to replace by what, so that replacing the first place where it stands gives the new text, and it stands nowhere else.
fn replacement(before: &str, after: &str) -> Option<(String, String)> {
    let (old, new) = (words(before), words(after));
    let head = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let tail = old[head..]
        .iter()
        .rev()
        .zip(new[head..].iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    // Words around the changed ones are taken in until it is clear which are meant.
    let mut around = (0, 0);
    loop {
        let start = head - around.0;
        let from: String = old[start..old.len() - tail + around.1].concat();
        let to: String = new[start..new.len() - tail + around.1].concat();
        if !is_short(&from) || !is_short(&to) {
            return None;
        }
        let is_clear = !from.trim().is_empty() && before.matches(from.trim()).count() == 1;
        if is_clear {
            return clear_replacement(before, after, &from, &to);
        }
        around = match around {
            (left, right) if left <= right && left < head => (left + 1, right),
            (left, right) if right < tail => (left, right + 1),
            (left, right) if left < head => (left + 1, right),
            _ => return None,
        };
    }
}

/// Without spaces at the ends, if that says the same.
fn clear_replacement(before: &str, after: &str, from: &str, to: &str) -> Option<(String, String)> {
    let trimmed = (from.trim(), to.trim());
    let is_right = |pair: &(&str, &str)| before.replacen(pair.0, pair.1, 1) == after;
    let says = [trimmed, (from, to)].into_iter().find(is_right)?;
    Some((says.0.to_owned(), says.1.to_owned()))
}

fn is_short(text: &str) -> bool {
    text.len() <= MAX_REPLACEMENT_BYTES
        && text.split_whitespace().count() <= MAX_WORDS
        && !text.contains(['/', '\n', '\\'])
}

/// Words, and what stands between them.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    for chunk in text.split_inclusive(char::is_whitespace) {
        let word = chunk.trim_end();
        words.extend(
            [word, &chunk[word.len()..]]
                .into_iter()
                .filter(|part| !part.is_empty()),
        );
    }
    words
}
