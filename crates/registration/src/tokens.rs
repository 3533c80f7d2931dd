//! A registration's text with other tokens in it, and nothing else changed.

use std::ops::Range;

use super::{
    parse::tokens_of,
    yaml::{self, Node, Value},
};

/// What stands for a token where it is not shown.
pub const HIDDEN: &str = "***";

/// The text with these two tokens. `None` where they cannot be found in it one by one (behind an
/// anchor, for instance), or where the result would say anything else than before.
pub fn with_tokens(text: &str, as_token: &str, hs_token: &str) -> Option<String> {
    let root = yaml::read(text.strip_prefix('\u{feff}').unwrap_or(text)).ok()?;
    let offset = text.len() - text.strip_prefix('\u{feff}').unwrap_or(text).len();
    let (old_as, old_hs) = tokens_of(&root)?;
    let mut places = [
        (shifted(old_as, offset)?, as_token),
        (shifted(old_hs, offset)?, hs_token),
    ];
    places.sort_by_key(|(place, _)| place.start);
    if places[0].0.end > places[1].0.start {
        return None;
    }
    let mut changed = String::with_capacity(text.len());
    let mut at = 0;
    for (place, token) in &places {
        changed.push_str(text.get(at..place.start)?);
        changed.push_str(&quoted(token));
        at = place.end;
    }
    changed.push_str(text.get(at..)?);
    says_the_same(&root, &changed, (as_token, hs_token)).then_some(changed)
}

/// The text with both tokens hidden; where they cannot be found one by one, only a note.
pub fn masked(text: &str, tokens: [&str; 2]) -> String {
    with_tokens(text, HIDDEN, HIDDEN)
        .filter(|masked| {
            // A token may be repeated in a comment or a block of the service's own.
            tokens
                .iter()
                .all(|token| *token == HIDDEN || !masked.contains(token))
        })
        .unwrap_or_else(|| {
            "# The text is not shown: its tokens stand where they cannot be hidden one by one.\n"
                .to_owned()
        })
}

fn shifted(node: &Node, by: usize) -> Option<Range<usize>> {
    let span = node.span.clone()?;
    Some(span.start + by..span.end + by)
}

fn quoted(token: &str) -> String {
    format!("'{}'", token.replace('\'', "''"))
}

/// Whether the changed text is the tree `before` with these tokens.
fn says_the_same(before: &Node, changed: &str, (as_token, hs_token): (&str, &str)) -> bool {
    let Ok(after) = yaml::read(changed.strip_prefix('\u{feff}').unwrap_or(changed)) else {
        return false;
    };
    let Some((new_as, new_hs)) = tokens_of(&after) else {
        return false;
    };
    let is = |node: &Node, token: &str| matches!(&node.value, Value::Scalar(text) if text.as_str() == token);
    is(new_as, as_token) && is(new_hs, hs_token) && same_but_tokens(before, &after)
}

fn same_but_tokens(before: &Node, after: &Node) -> bool {
    let (Value::Map(before), Value::Map(after)) = (&before.value, &after.value) else {
        return false;
    };
    before.len() == after.len()
        && before.iter().zip(after).all(|(a, b)| {
            a.key == b.key && (a.key == "as_token" || a.key == "hs_token" || same(&a.node, &b.node))
        })
}

fn same(before: &Node, after: &Node) -> bool {
    match (&before.value, &after.value) {
        (Value::Null, Value::Null) => true,
        (Value::Scalar(a), Value::Scalar(b)) => a == b,
        (Value::List(a), Value::List(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Map(a), Value::Map(b)) => {
            a.len() == b.len()
                && a.iter()
                    .zip(b)
                    .all(|(a, b)| a.key == b.key && same(&a.node, &b.node))
        }
        (Value::Null | Value::Scalar(_) | Value::List(_) | Value::Map(_), _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asserts what becomes of `text` with the tokens `A` and `H`.
    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(with_tokens(text, "A", "H").as_deref(), expected, "{text}");
    }

    #[test]
    fn only_the_two_values_change() {
        check(
            "# mine\nid: x   # here\nas_token: \"one\"  # secret\nhs_token: two\nother: [1, 2]\n",
            Some("# mine\nid: x   # here\nas_token: 'A'  # secret\nhs_token: 'H'\nother: [1, 2]\n"),
        );
        check(
            "hs_token: 'it''s'\nas_token: 0123\n",
            Some("hs_token: 'H'\nas_token: 'A'\n"),
        );
        check(
            "{id: x, as_token: a, hs_token: b}",
            Some("{id: x, as_token: 'A', hs_token: 'H'}"),
        );
        check(
            "as_token: я\nhs_token: \"\\u0041b\"\n# ж\n",
            Some("as_token: 'A'\nhs_token: 'H'\n# ж\n"),
        );
        check(
            "\u{feff}as_token: a\r\nhs_token: b\r\n",
            Some("\u{feff}as_token: 'A'\r\nhs_token: 'H'\r\n"),
        );
        check(
            "\"as_token\": a\nhs_token: 12e9999\n",
            Some("\"as_token\": 'A'\nhs_token: 'H'\n"),
        );
    }

    #[test]
    fn what_cannot_be_changed_alone_is_left() {
        check("as_token: a\n", None);
        check("as_token: [a]\nhs_token: b\n", None);
        // Somebody else means the same value.
        check("as_token: &t a\nhs_token: b\nother: *t\n", None);
        check("][", None);
    }

    #[test]
    fn a_token_is_shown_nowhere() {
        let text = "as_token: secret\nhs_token: other\n";
        assert_eq!(
            masked(text, ["secret", "other"]),
            "as_token: '***'\nhs_token: '***'\n"
        );
        let text = "as_token: secret\nhs_token: other\n# was secret\n";
        assert!(!masked(text, ["secret", "other"]).contains("secret"));
    }
}
