//! What differs between two configurations, and whether that takes effect without a restart.

use std::{collections::BTreeMap, fmt};

use super::{document::Document, ordered::Ordered};

/// A key with another value than before. Displays as a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The key with its section.
    pub key: String,
    /// The new value counts without a restart; otherwise from the next start.
    pub is_live: bool,
    /// When it counts, where that is not at once.
    pub later: Option<&'static str>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} has changed; {}", self.key, Effect::of(self))
    }
}

/// When a value counts. Displays as the end of a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Now,
    Later(&'static str),
    Restart,
}

impl Effect {
    fn of(change: &Change) -> Self {
        match (change.is_live, change.later) {
            (true, None) => Self::Now,
            (true, Some(when)) => Self::Later(when),
            (false, _) => Self::Restart,
        }
    }

    /// When the value of this key counts, whose names stand apart; a `*` among them is any name.
    pub(super) fn at<D: Document>(path: &[String]) -> Self {
        let mut later = D::later().into_iter();
        if let Some((_, when)) = later.find(|(part, _)| is_within(path, part)) {
            return Self::Later(when);
        }
        match D::live().iter().any(|part| is_within(path, part)) {
            true => Self::Now,
            false => Self::Restart,
        }
    }

    /// The same as a word for a table.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Now => "at once",
            Self::Later(when) => when,
            Self::Restart => "after a restart",
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now => f.write_str("now in effect"),
            Self::Later(when) => write!(f, "takes effect {when}"),
            Self::Restart => f.write_str("takes effect when the service is started again"),
        }
    }
}

/// The keys that differ, in the order of their names. A list counts as one value; values are not told, since they may
/// be secret.
#[must_use]
pub fn diff<D: Document>(old: &D, new: &D) -> Vec<Change> {
    let (old, new) = (flat(&old.values()), flat(&new.values()));
    let mut keys: Vec<&Vec<String>> = old.keys().chain(new.keys()).collect();
    keys.sort();
    keys.dedup();
    keys.into_iter()
        .filter(|key| old.get(*key) != new.get(*key))
        .map(|key| {
            let effect = Effect::at::<D>(key);
            Change {
                key: key.join("."),
                is_live: effect != Effect::Restart,
                later: match effect {
                    Effect::Later(when) => Some(when),
                    Effect::Now | Effect::Restart => None,
                },
            }
        })
        .collect()
}

/// The same as sentences for the operator: a section that is new or gone is told in one, and not key by key.
pub(crate) fn sentences<D: Document>(old: &D, new: &D) -> Vec<String> {
    let mut whole = Vec::new();
    let (before, after) = (old.values(), new.values());
    one_sided(&mut Vec::new(), (&before, &after), &mut whole);
    let mut told: Vec<String> = whole
        .iter()
        .map(|(path, what)| {
            let effect = Effect::at::<D>(path);
            format!("{} {what}; {effect}", path.join("."))
        })
        .collect();
    let heads: Vec<String> = whole
        .iter()
        .map(|(path, _)| format!("{}.", path.join(".")))
        .collect();
    let changes = diff(old, new).into_iter();
    let left = changes.filter(|change| {
        let is_in =
            |head: &String| change.key.starts_with(head) || change.key == head[..head.len() - 1];
        !heads.iter().any(is_in)
    });
    told.extend(left.map(|change| change.to_string()));
    told
}

/// Sections that are only in one of two.
fn one_sided(
    path: &mut Vec<String>,
    (old, new): (&Ordered, &Ordered),
    found: &mut Vec<(Vec<String>, &'static str)>,
) {
    let (Ordered::Map(before), Ordered::Map(after)) = (old, new) else {
        return;
    };
    for (name, value) in before {
        path.push(name.clone());
        match (new.get(name), value) {
            (Some(other), _) => one_sided(path, (value, other), found),
            (None, Ordered::Map(_)) => found.push((path.clone(), "is gone")),
            (None, _) => {}
        }
        path.pop();
    }
    for (name, value) in after {
        if old.get(name).is_none() && matches!(value, Ordered::Map(_)) {
            path.push(name.clone());
            found.push((path.clone(), "is new"));
            path.pop();
        }
    }
}

/// Whether a key is `part` or in the section `part`.
fn is_within(key: &[String], part: &str) -> bool {
    let mut names = key.iter();
    part.split('.').all(|wanted| {
        let name = names.next();
        name.is_some_and(|name| wanted == "*" || name == wanted)
    })
}

/// Every value by its path. An empty section counts as a value, so that its coming and going is seen.
fn flat(values: &Ordered) -> BTreeMap<Vec<String>, Ordered> {
    let mut all = BTreeMap::new();
    collect(&mut Vec::new(), values, &mut all);
    all
}

fn collect(path: &mut Vec<String>, values: &Ordered, all: &mut BTreeMap<Vec<String>, Ordered>) {
    match values {
        Ordered::Map(entries) if !entries.is_empty() => {
            for (name, value) in entries {
                path.push(name.clone());
                collect(path, value, all);
                path.pop();
            }
        }
        value => {
            all.insert(path.clone(), value.clone());
        }
    }
}
