//! What two registrations say differently, for a person who is about to put one in the other's place. No tokens.

use std::fmt;

use crate::{AsUrl, Namespace, NamespaceKind, Registration, UnknownKey};

/// One difference. Displays as a line that begins with `+`, `-`, `~` or `=`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// `+ field: value`
    Added {
        /// The key, such as `namespaces.users`.
        field: String,
        /// What is there now.
        value: String,
    },
    /// `- field: value`
    Removed {
        /// The key, such as `namespaces.users`.
        field: String,
        /// What was there before.
        value: String,
    },
    /// `~ field: before → after`
    Changed {
        /// The key, such as `url`.
        field: String,
        /// What it said before.
        before: String,
        /// What it says now.
        after: String,
    },
    /// `= field: value (not: drafted)`: it stays, although the draft says otherwise.
    Kept {
        /// The key, such as `id`.
        field: String,
        /// What it goes on saying.
        value: String,
        /// What the draft says.
        drafted: String,
    },
}

impl Change {
    /// Whether the file says something else than before.
    #[must_use]
    pub fn is_edit(&self) -> bool {
        !matches!(self, Self::Kept { .. })
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added { field, value } => write!(f, "+ {field}: {value}"),
            Self::Removed { field, value } => write!(f, "- {field}: {value}"),
            Self::Changed {
                field,
                before,
                after,
            } => write!(f, "~ {field}: {before} → {after}"),
            Self::Kept {
                field,
                value,
                drafted,
            } => write!(f, "= {field}: {value} (not: {drafted})"),
        }
    }
}

/// What `after` says otherwise than `before`, in the order of the file.
pub(crate) fn changes_between(before: &Registration, after: &Registration) -> Vec<Change> {
    let mut changes = Vec::new();
    for (field, say) in values() {
        let (before, after) = (say(before), say(after));
        if before != after {
            changes.push(Change::Changed {
                field: field.to_owned(),
                before,
                after,
            });
        }
    }
    for (field, before, after) in [
        ("as_token", &before.as_token, &after.as_token),
        ("hs_token", &before.hs_token, &after.hs_token),
    ] {
        if before != after {
            changes.push(Change::Changed {
                field: field.to_owned(),
                before: "a token".to_owned(),
                after: "another token".to_owned(),
            });
        }
    }
    changes.extend(list("protocols", &before.protocols, &after.protocols));
    changes.extend(list(
        "ip_range_whitelist",
        &before.ip_range_whitelist,
        &after.ip_range_whitelist,
    ));
    for kind in NamespaceKind::ALL {
        let field = format!("namespaces.{}", kind.key());
        let describe = |side: &Registration| -> Vec<String> {
            side.namespaces(kind).iter().map(described).collect()
        };
        changes.extend(list(&field, &describe(before), &describe(after)));
    }
    changes.extend(unknown(&before.unknown, &after.unknown));
    changes
}

type Say = fn(&Registration) -> String;

/// The fields that hold one value, and how they are told.
fn values() -> [(&'static str, Say); 11] {
    [
        ("id", |r| r.id.clone()),
        ("url", |r| {
            let url = r.url.as_ref().map_or("null", AsUrl::as_str);
            url.to_owned()
        }),
        ("sender_localpart", |r| r.sender_localpart.clone()),
        ("rate_limited", |r| r.rate_limited.to_string()),
        ("receive_ephemeral", |r| {
            r.features.receive_ephemeral.to_string()
        }),
        ("de.sorunome.msc2409.push_ephemeral", |r| {
            r.features.push_ephemeral_unstable.to_string()
        }),
        ("org.matrix.msc3202", |r| r.features.msc3202.to_string()),
        ("io.element.msc4190", |r| r.features.msc4190.to_string()),
        ("io.bridgehead.legacy_query_token", |r| {
            choice(r.bridgehead.legacy_query_token)
        }),
        ("io.bridgehead.lazy_alias_auto_invite", |r| {
            choice(r.bridgehead.lazy_alias_auto_invite)
        }),
        ("io.bridgehead.relax_user_query", |r| {
            choice(r.bridgehead.relax_user_query)
        }),
    ]
}

fn choice(value: Option<bool>) -> String {
    value.map_or_else(|| "unset".to_owned(), |value| value.to_string())
}

fn described(namespace: &Namespace) -> String {
    let how = if namespace.exclusive {
        "exclusive"
    } else {
        "shared"
    };
    format!("{} ({how})", namespace.regex)
}

fn list(field: &str, before: &[String], after: &[String]) -> Vec<Change> {
    let only_in = |these: &[String], those: &[String]| -> Vec<String> {
        let mut left = those.to_vec();
        these
            .iter()
            .filter(
                |value| match left.iter().position(|other| other == *value) {
                    Some(place) => {
                        left.swap_remove(place);
                        false
                    }
                    None => true,
                },
            )
            .cloned()
            .collect()
    };
    let (gone, new) = (only_in(before, after), only_in(after, before));
    if gone.is_empty() && new.is_empty() && before != after {
        return vec![Change::Changed {
            field: field.to_owned(),
            before: before.join(", "),
            after: after.join(", "),
        }];
    }
    let field = field.to_owned();
    let removed = gone.into_iter().map(|value| Change::Removed {
        field: field.clone(),
        value,
    });
    let added = new.into_iter().map(|value| Change::Added {
        field: field.clone(),
        value,
    });
    removed.chain(added).collect()
}

/// Values are not told: they may be secrets.
fn unknown(before: &[UnknownKey], after: &[UnknownKey]) -> Vec<Change> {
    let find = |entries: &[UnknownKey], key: &str| {
        entries
            .iter()
            .find(|entry| entry.key == key)
            .map(|entry| entry.value.clone())
    };
    let gone = before
        .iter()
        .filter(|entry| find(after, &entry.key).is_none())
        .map(|entry| Change::Removed {
            field: entry.key.clone(),
            value: "a value".to_owned(),
        });
    let new = after.iter().filter_map(|entry| {
        let field = entry.key.clone();
        match find(before, &entry.key) {
            None => Some(Change::Added {
                field,
                value: "a value".to_owned(),
            }),
            Some(value) if value != entry.value => Some(Change::Changed {
                field,
                before: "a value".to_owned(),
                after: "another value".to_owned(),
            }),
            Some(_) => None,
        }
    });
    gone.chain(new).collect()
}
