//! A value as somebody wrote it, before a kind has made sense of it, and the refusal when none can be made.

use std::path::PathBuf;

use toml::{
    Spanned,
    de::{DeArray, DeInteger, DeValue},
};

use super::errors::Origin;

/// A value and where it was written.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) origin: Origin,
    pub(super) raw: Raw,
}

/// What was written.
#[derive(Debug)]
pub(super) enum Raw {
    /// A TOML string.
    Text(String),
    /// Text without a type: an environment variable or a flag.
    Untyped(String),
    /// A path given by a flag.
    Path(PathBuf),
    /// A TOML integer.
    Integer(i64),
    /// A TOML number with a fraction.
    Float(f64),
    /// A TOML boolean.
    Bool(bool),
    /// A TOML array, or a flag that may be repeated.
    List(Vec<Given>),
    /// Anything that no key accepts, in words.
    Other(&'static str),
}

impl Raw {
    /// From TOML; `origin_of` tells where a span of the text is.
    pub(super) fn from_toml(value: &DeValue<'_>, origin_of: &impl Fn(usize) -> Origin) -> Self {
        match value {
            DeValue::String(text) => Self::Text(text.to_string()),
            DeValue::Integer(integer) => integer_from_toml(integer)
                .map_or(Self::Other("an integer beyond 64 bits"), Self::Integer),
            DeValue::Float(float) => float
                .as_str()
                .parse()
                .map_or(Self::Other("a number"), Self::Float),
            DeValue::Boolean(flag) => Self::Bool(*flag),
            DeValue::Datetime(_) => Self::Other("a date"),
            DeValue::Array(items) => Self::List(list_from_toml(items, origin_of)),
            DeValue::Table(_) => Self::Other("a table"),
        }
    }

    /// The text of a TOML string or of an untyped value.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Untyped(text) => Some(text),
            Self::Path(_)
            | Self::Integer(_)
            | Self::Float(_)
            | Self::Bool(_)
            | Self::List(_)
            | Self::Other(_) => None,
        }
    }

    /// A whole number, written as one or, where there are no types, as digits.
    pub(super) fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(integer) => Some(*integer),
            Self::Untyped(text) => text.trim().parse().ok(),
            Self::Text(_)
            | Self::Path(_)
            | Self::Float(_)
            | Self::Bool(_)
            | Self::List(_)
            | Self::Other(_) => None,
        }
    }

    /// For an error text. Secrets must not come here.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Text(text) | Self::Untyped(text) => quote(text),
            Self::Path(path) => quote(&path.display().to_string()),
            Self::Integer(integer) => integer.to_string(),
            Self::Float(float) => float.to_string(),
            Self::Bool(flag) => flag.to_string(),
            Self::List(_) => "a list".to_owned(),
            Self::Other(what) => (*what).to_owned(),
        }
    }

    /// For an error text about a secret: the type alone.
    pub(super) fn describe_type(&self) -> &'static str {
        match self {
            Self::Text(_) | Self::Untyped(_) => "a text",
            Self::Path(_) => "a path",
            Self::Integer(_) | Self::Float(_) => "a number",
            Self::Bool(_) => "true or false",
            Self::List(_) => "a list",
            Self::Other(what) => what,
        }
    }
}

fn list_from_toml(items: &DeArray<'_>, origin_of: &impl Fn(usize) -> Origin) -> Vec<Given> {
    items
        .iter()
        .map(|item| Given::from_toml(item, origin_of))
        .collect()
}

fn integer_from_toml(integer: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// In quotes, escaped, and cut so that a pasted file does not fill the screen.
pub(super) fn quote(text: &str) -> String {
    const SHOWN: usize = 80;
    if text.chars().nth(SHOWN).is_none() {
        return format!("{text:?}");
    }
    let head: String = text.chars().take(SHOWN).collect();
    format!("{head:?}…")
}

impl Given {
    /// From TOML; `origin_of` tells where a byte of the text is.
    pub(super) fn from_toml(
        value: &Spanned<DeValue<'_>>,
        origin_of: &impl Fn(usize) -> Origin,
    ) -> Self {
        Self {
            origin: origin_of(value.span().start),
            raw: Raw::from_toml(value.get_ref(), origin_of),
        }
    }

    /// A refusal of this value.
    pub(super) fn refuse(&self, problem: impl Into<String>, remedy: impl Into<String>) -> Refusal {
        Refusal {
            origin: self.origin.clone(),
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }

    /// An example as one would write it here: TOML's quotes do not belong into a variable or a flag.
    pub(super) fn spell(&self, example: &str) -> String {
        match self.origin {
            Origin::Default | Origin::File { .. } => example.to_owned(),
            Origin::Variable(_) | Origin::Flag(_) => example.replace(['"', '[', ']'], ""),
        }
    }
}

/// Why a kind did not accept a value; the reader adds the key.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) origin: Origin,
    pub(super) problem: String,
    pub(super) remedy: String,
}
