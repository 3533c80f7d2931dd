//! What differs between two configurations, and whether that takes effect without a restart.

use std::{collections::BTreeMap, fmt};

use super::{document::Document, ordered::Ordered, shape::join};

/// A key with another value than before. Displays as a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The key with its section.
    pub key: String,
    /// The new value counts from now on; otherwise from the next start.
    pub is_live: bool,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let when = if self.is_live {
            "now in effect"
        } else {
            "takes effect when the service is started again"
        };
        write!(f, "{} has changed; {when}", self.key)
    }
}

/// The keys that differ, in the order of their names. A list counts as one value; values are not told, since they may
/// be secret.
#[must_use]
pub fn diff<D: Document>(old: &D, new: &D) -> Vec<Change> {
    let live = D::live();
    let (old, new) = (flat(&old.values()), flat(&new.values()));
    let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
    keys.sort();
    keys.dedup();
    keys.into_iter()
        .filter(|key| old.get(*key) != new.get(*key))
        .map(|key| Change {
            key: key.clone(),
            is_live: live.iter().any(|part| is_within(key, part)),
        })
        .collect()
}

/// Whether a key is `part` or in the section `part`.
fn is_within(key: &str, part: &str) -> bool {
    key.strip_prefix(part)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Every value by its path. An empty section counts as a value, so that its coming and going is seen.
fn flat(values: &Ordered) -> BTreeMap<String, Ordered> {
    let mut all = BTreeMap::new();
    collect("", values, &mut all);
    all
}

fn collect(path: &str, values: &Ordered, all: &mut BTreeMap<String, Ordered>) {
    match values {
        Ordered::Map(entries) if !entries.is_empty() => {
            for (name, value) in entries {
                collect(&join(path, name), value, all);
            }
        }
        value => {
            all.insert(path.to_owned(), value.clone());
        }
    }
}
