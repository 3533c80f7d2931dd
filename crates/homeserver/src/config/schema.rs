//! The one table of keys: how [`section!`](super::schema) turns a declaration into a typed struct and its description.
//!
//! The declarations themselves are in `keys.rs`. Everything else (reading, variable names, suggestions, the reference
//! page, the example file) is derived from the [`Section`]s described here, so nothing can disagree with them.

use std::sync::LazyLock;

use super::keys::Config;

/// One key of the configuration.
pub(super) struct Key {
    /// The full name: `limits.max_upload_bytes`.
    pub(super) path: &'static str,
    /// Meaning, one text per line of the declaration.
    pub(super) doc: &'static [&'static str],
    /// What a value must be: "a size in bytes".
    pub(super) expected: String,
    /// A value to show, as TOML.
    pub(super) example: String,
    /// The default as TOML; empty when the key is unset by default.
    pub(super) default: &'static str,
    /// The command-line flag that sets it.
    pub(super) flag: Option<&'static str>,
    /// Another name that is understood.
    pub(super) alias: Option<&'static str>,
}

impl Key {
    /// The name inside its section.
    pub(super) fn name(&self) -> &'static str {
        self.path
            .rsplit_once('.')
            .map_or(self.path, |(_, name)| name)
    }

    /// The environment variables that set it, the proper one first.
    pub(super) fn variables(&self) -> impl Iterator<Item = String> {
        [Some(self.path), self.alias]
            .into_iter()
            .flatten()
            .map(variable_name)
    }
}

/// A table of the file; the first one is the top level and has no name.
pub(super) struct Section {
    /// The name in brackets.
    pub(super) name: &'static str,
    /// What its keys are about.
    pub(super) doc: &'static [&'static str],
    /// Its keys in the order of the reference.
    pub(super) keys: Vec<Key>,
}

/// All sections, the top level first.
pub(super) static SECTIONS: LazyLock<Vec<Section>> = LazyLock::new(|| {
    let mut sections = Vec::new();
    Config::describe(&mut sections);
    sections
});

/// All keys in the order of the reference.
pub(super) fn keys() -> impl Iterator<Item = &'static Key> {
    SECTIONS.iter().flat_map(|section| &section.keys)
}

/// The key with this path or alias.
pub(super) fn find(path: &str) -> Option<&'static Key> {
    keys().find(|key| key.path == path || key.alias == Some(path))
}

/// Start of every environment variable that is ours.
pub(super) const VARIABLE_PREFIX: &str = "BRIDGEHEAD_";

/// `limits.max_body_bytes` → `BRIDGEHEAD_LIMITS_MAX_BODY_BYTES`.
pub(super) fn variable_name(path: &str) -> String {
    format!("{VARIABLE_PREFIX}{}", path.replace('.', "_").to_uppercase())
}

/// The candidate that `given` was most likely meant to be; `None` when nothing is close.
pub(super) fn nearest<'a>(
    given: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let limit = (given.chars().count() / 3).max(2);
    candidates
        .map(|candidate| (edit_distance(given, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many characters must be put in, taken out or replaced to make `a` into `b`.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// Declares one section: the struct, how it is read, and its part of the reference.
///
/// Each line is `field: Type = kind, "full.path", "default as TOML", flag "…" or alias "…";`. An empty default means unset.
macro_rules! section {
    (
        $(#[doc = $section_doc:literal])*
        $name:literal $Section:ident {
            $(
                $(#[doc = $doc:literal])*
                $field:ident: $ty:ty = $kind:expr, $path:literal, $default:literal
                    $(, flag $flag:literal)? $(, alias $alias:literal)?;
            )*
        }
        $(with { $($child:ident: $Child:ident),* $(,)? })?
    ) => {
        $(#[doc = $section_doc])*
        #[derive(Debug, Clone)]
        pub struct $Section {
            $(
                $(#[doc = $doc])*
                #[doc = ""]
                #[doc = concat!("Key `", $path, "`, default `", $default, "`.")]
                pub $field: $ty,
            )*
            $($(
                #[doc = concat!("Section `[", stringify!($child), "]`.")]
                pub $child: $Child,
            )*)?
        }

        impl $Section {
            /// Takes this section's values, or their defaults, from `reader`.
            pub(super) fn read(reader: &mut $crate::config::reader::Reader) -> Self {
                Self {
                    $($field: reader.read($path, &$kind, $default),)*
                    $($($child: $Child::read(reader),)*)?
                }
            }

            /// Adds this section and those inside it to the table of keys.
            pub(super) fn describe(out: &mut Vec<$crate::config::schema::Section>) {
                use $crate::config::kinds::Kind as _;
                out.push($crate::config::schema::Section {
                    name: $name,
                    doc: &[$($section_doc),*],
                    keys: vec![$(
                        $crate::config::schema::Key {
                            path: $path,
                            doc: &[$($doc),*],
                            expected: $kind.expected(),
                            example: $kind.example(),
                            default: $default,
                            flag: [$(Some($flag),)? None][0],
                            alias: [$(Some($alias),)? None][0],
                        }
                    ),*],
                });
                $($($Child::describe(out);)*)?
            }
        }
    };
}
pub(super) use section;
