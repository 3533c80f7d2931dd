//! Patterns with `*` and `?`.

use crate::CaseMapping;

/// Whether a pattern with `*` and `?` matches a text as a whole. `?` stands for one byte, as servers have it.
///
/// Only the last star that was passed is ever gone back to: what stands before it matched as early as it could, and a later
/// match of that would gain nothing. So there is no search through all ways to share the text among the stars.
#[must_use]
pub fn is_match(pattern: &str, text: &str, mapping: CaseMapping) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Behind the last star, and where the text goes on that it does not take.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                p += 1;
                star = Some((p, t));
                continue;
            }
            Some(wanted)
                if *wanted == b'?' || mapping.fold_byte(*wanted) == mapping.fold_byte(text[t]) =>
            {
                p += 1;
                t += 1;
                continue;
            }
            _ => {}
        }
        let Some((behind, from)) = star else {
            return false;
        };
        star = Some((behind, from + 1));
        (p, t) = (behind, from + 1);
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}
