//! Ids of the other network: as text, and as values of a namespace template.

use std::{fmt::Debug, hash::Hash};

/// An id of a user, room or anything else of the other network.
///
/// It is made of texts in a fixed order: those stand, in that order, in the fields of a namespace template
/// (`_irc_{network}_{nick}`), where they are written so that they can be read back from the Matrix id, whatever
/// characters are in them. Implemented for `String` (one text) and for tuples of two and three ids. For a type of
/// the author's own:
///
/// ```
/// use bridgehead_appservice::bridge::RemoteId;
///
/// #[derive(Clone, Debug, PartialEq, Eq, Hash)]
/// struct Channel(u64);
///
/// impl RemoteId for Channel {
///     const FIELDS: usize = 1;
///
///     fn values(&self) -> Vec<String> {
///         vec![self.0.to_string()]
///     }
///
///     fn from_values(values: &[&str]) -> Option<Self> {
///         values.first()?.parse().ok().map(Self)
///     }
/// }
///
/// let id = ("libera".to_owned(), Channel(7));
/// assert_eq!(id.to_text(), "libera/7");
/// assert_eq!(<(String, Channel)>::from_text("libera/7"), Some(id));
/// ```
pub trait RemoteId: Clone + Debug + Eq + Hash + Send + Sync + 'static {
    /// Of how many texts it is made.
    const FIELDS: usize;

    /// The texts, as many as [`FIELDS`](Self::FIELDS) says. Ids that are equal give equal texts, and others do not.
    fn values(&self) -> Vec<String>;

    /// The id of these texts; `None` where there is none such.
    fn from_values(values: &[&str]) -> Option<Self>;

    /// One text for all: the values with `/` between them.
    fn to_text(&self) -> String {
        let parts: Vec<String> = self.values().iter().map(|value| escape(value)).collect();
        parts.join("/")
    }

    /// The id that was written like this; `None` where there is none such.
    fn from_text(text: &str) -> Option<Self> {
        let parts = text.split('/').map(unescape);
        let values: Vec<String> = parts.collect::<Option<_>>()?;
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        (values.len() == Self::FIELDS)
            .then(|| Self::from_values(&values))
            .flatten()
    }
}

impl RemoteId for String {
    const FIELDS: usize = 1;

    fn values(&self) -> Vec<String> {
        vec![self.clone()]
    }

    fn from_values(values: &[&str]) -> Option<Self> {
        match values {
            [value] => Some((*value).to_owned()),
            _ => None,
        }
    }
}

impl<A: RemoteId, B: RemoteId> RemoteId for (A, B) {
    const FIELDS: usize = A::FIELDS + B::FIELDS;

    fn values(&self) -> Vec<String> {
        let mut values = self.0.values();
        values.extend(self.1.values());
        values
    }

    fn from_values(values: &[&str]) -> Option<Self> {
        let (first, second) = values.split_at_checked(A::FIELDS)?;
        Some((A::from_values(first)?, B::from_values(second)?))
    }
}

impl<A: RemoteId, B: RemoteId, C: RemoteId> RemoteId for (A, B, C) {
    const FIELDS: usize = A::FIELDS + B::FIELDS + C::FIELDS;

    fn values(&self) -> Vec<String> {
        let mut values = self.0.values();
        values.extend(self.1.values());
        values.extend(self.2.values());
        values
    }

    fn from_values(values: &[&str]) -> Option<Self> {
        let (first, rest) = values.split_at_checked(A::FIELDS)?;
        let (second, third) = rest.split_at_checked(B::FIELDS)?;
        Some((
            A::from_values(first)?,
            B::from_values(second)?,
            C::from_values(third)?,
        ))
    }
}

/// Writes the separator, and what begins an escape, so that they are read back as they were.
fn escape(value: &str) -> String {
    value.replace('%', "%25").replace('/', "%2F")
}

fn unescape(written: &str) -> Option<String> {
    let mut pieces = written.split('%');
    let mut value = pieces.next()?.to_owned();
    for piece in pieces {
        let (code, rest) = piece.split_at_checked(2)?;
        value.push(match code {
            "25" => '%',
            "2F" => '/',
            _ => return None,
        });
        value.push_str(rest);
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn texts_are_read_back(a in ".*", b in ".*", c in ".*") {
            prop_assert_eq!(String::from_text(&a.to_text()), Some(a.clone()));
            let triple = (a, (b, c));
            prop_assert_eq!(<(String, (String, String))>::from_text(&triple.to_text()), Some(triple.clone()));
            let (a, (b, c)) = triple;
            let flat = (a, b, c);
            prop_assert_eq!(<(String, String, String)>::from_text(&flat.to_text()), Some(flat.clone()));
        }

        #[test]
        fn any_text_is_an_id_or_none_and_never_another(text in ".*") {
            if let Some(id) = <(String, String)>::from_text(&text) {
                prop_assert_eq!(id.to_text(), text);
            }
        }
    }

    #[test]
    fn separators_do_not_run_together() {
        let (left, right) = (
            ("a/b".to_owned(), "c".to_owned()),
            ("a".to_owned(), "b/c".to_owned()),
        );
        assert_ne!(left.to_text(), right.to_text());
        assert_eq!(<(String, String)>::from_text("a/b/c"), None);
        assert_eq!(<(String, String)>::from_text("a%zz/b"), None);
    }
}
