//! Shortens a text and says so.

use super::Budget;
use crate::format::{Inline, Piece, Rich, cuts::Cuts, inline::Style};

/// Shortens a text to a budget, counted in [`Rich::to_plain`]; `None` if it fits as it is.
///
/// What remains ends with an ellipsis and the pieces of `more`, which tell where the rest is (a link, for instance), and is
/// within the budget with them, unless they alone are larger.
#[must_use]
pub fn truncate(rich: &Rich, budget: Budget, more: &[Inline]) -> Option<Rich> {
    if fits(rich, budget) {
        return None;
    }
    let text = rich.text();
    let cuts = Cuts::new(&text, &rich.wholes());
    let to = cuts.next(0, &mut |to| fits(&shortened(rich, to, more), budget));
    let short = shortened(rich, to, more);
    Some(if fits(&short, budget) {
        short
    } else {
        on_one_line(rich, budget, more)
    })
}

fn fits(rich: &Rich, budget: Budget) -> bool {
    let plain = rich.to_plain();
    plain.len() <= budget.max_bytes() && plain.split('\n').count() <= budget.max_lines()
}

fn shortened(rich: &Rich, to: usize, more: &[Inline]) -> Rich {
    let mut end = vec![Inline::plain("…")];
    if !more.is_empty() {
        end.push(Inline::plain(" "));
        end.extend(more.iter().cloned());
    }
    trimmed(rich.slice(0..to)).suffixed(end)
}

/// Where what is around the text (a quote's first line, code) leaves no room for the end.
fn on_one_line(rich: &Rich, budget: Budget, more: &[Inline]) -> Rich {
    let end = shortened(&Rich::default(), 0, more);
    let room = budget.max_bytes().saturating_sub(end.to_plain().len());
    let words = first_words(rich, room);
    let words = words.strip_suffix('…').unwrap_or(&words);
    end.prefixed(vec![Inline::plain(words)])
}

/// Without a space before the ellipsis.
fn trimmed(rich: Rich) -> Rich {
    let end = rich.text().trim_end().len();
    rich.slice(0..end)
}

/// The text on one line of at most so many bytes, for quotes: spoilers stay hidden.
pub(super) fn first_words(rich: &Rich, max_bytes: usize) -> String {
    let hidden = rich.map_inlines(&mut |inline| match (&inline.style.spoiler, &inline.piece) {
        (Some(_), Piece::Break) => Vec::new(),
        (Some(_), _) => vec![Inline::plain("…")],
        (None, _) => vec![Inline {
            style: Style::default(),
            ..inline.clone()
        }],
    });
    let text = hidden.text();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.len() <= max_bytes {
        return text;
    }
    let cuts = Cuts::new(&text, &[]);
    let room = max_bytes.saturating_sub('…'.len_utf8());
    let to = cuts.next(0, &mut |to| to <= room);
    if to > room {
        return "…".to_owned();
    }
    format!("{}…", text[..to].trim_end())
}
