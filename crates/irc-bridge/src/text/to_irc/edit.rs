//! Edits, said in words.

use bridgehead_appservice::format::{
    Inline,
    compose::{EditStyle, edit_as_text},
    content::{Content, Kind},
};

use super::{Around, Said, words};

/// What is said of an edit. `None` where the words stay the same, or there are none.
///
/// Without the old content the new text is said behind a star. What the message replied to is not named again.
#[must_use]
pub fn edit(
    old: Option<&Content>,
    new: &Content,
    style: EditStyle,
    around: &Around<'_>,
) -> Option<Said> {
    let after = words(new, around)?;
    let before = old.and_then(|old| words(old, around));
    let said = match before {
        Some(before) => edit_as_text(&before, &after, style)?,
        None => after.prefixed(vec![Inline::plain("* ")]),
    };
    let said = match &around.thread {
        Some(thread) => thread.before(said),
        None => said,
    };
    // `* alice * waves` would be one star too many.
    let kind = match new.new_content().as_ref().unwrap_or(new).kind() {
        Some(Kind::Notice) => Kind::Notice,
        _ => Kind::Text,
    };
    Said::new(kind, said, around)
}
