//! YAML as a tree of nodes that know their place and their text as written.
//!
//! A registration's reader needs both: errors name the line, and a token that looks like a number (`0123`, `12e9999`)
//! must stay the text it is. All sizes are bounded, so neither nesting nor aliases can blow the tree up.

use std::{fmt, ops::Range};

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, NonFiniteFloatPolicy, Options, Spanned, UserMessageFormatter};
use zeroize::Zeroizing;

const MAX_NODES: usize = 20_000;
const MAX_DEPTH: usize = 32;
const MAX_ALIASES: usize = 200;
const MAX_REPLAYED_EVENTS: usize = 20_000;

/// Where a node stands, both counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) line: u64,
    pub(super) column: u64,
}

/// A value and its place.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) value: Value,
    /// Whether YAML takes the scalar for a number or boolean.
    pub(super) typed: bool,
    pub(super) at: Option<Position>,
    /// Its bytes in the text, quotes included.
    pub(super) span: Option<Range<usize>>,
}

/// A YAML value; scalars other than null keep their text.
#[derive(Debug)]
pub(super) enum Value {
    Null,
    Scalar(Zeroizing<String>),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One entry of a mapping whose key is a scalar; others mean nothing to us and are left out.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) at: Option<Position>,
    pub(super) node: Node,
}

impl Value {
    /// The kind of value, for messages.
    pub(super) fn describe(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Scalar(_) => "a single value",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

/// Why a text is not YAML, or too much of it.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub(super) at: Option<Position>,
    pub(super) reason: String,
}

/// Reads one document.
pub(super) fn read(text: &str) -> Result<Node, SyntaxError> {
    let tree: Spanned<Raw> = serde_saphyr::from_str_with_options(text, options())
        .map_err(|error| syntax_error(&error))?;
    Ok(resolve(tree, text))
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: MAX_NODES * 2,
            max_nodes: MAX_NODES,
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_aliases: MAX_ALIASES,
            max_anchors: MAX_ALIASES,
            max_documents: 2,
            max_merge_keys: MAX_ALIASES,
            max_recorded_anchor_events: MAX_REPLAYED_EVENTS,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_REPLAYED_EVENTS,
            max_replay_stack_depth: MAX_DEPTH,
        },
        // A token such as 12e9999 is no number to us, so it must not be refused as one.
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        // Snippets would print the lines around the fault, tokens included.
        with_snippet: false,
    }
}

fn syntax_error(error: &serde_saphyr::Error) -> SyntaxError {
    let at = error.location().and_then(position);
    let text = error.render_with_formatter(&UserMessageFormatter);
    let text = text.lines().next().unwrap_or_default();
    // The place is told once, in front.
    let reason = text.split(" at line ").next().unwrap_or(text);
    SyntaxError {
        at,
        reason: reason.trim_end_matches('.').to_owned(),
    }
}

fn position(location: Location) -> Option<Position> {
    (location != Location::UNKNOWN).then(|| Position {
        line: location.line(),
        column: location.column(),
    })
}

fn resolve(spanned: Spanned<Raw>, source: &str) -> Node {
    let span = bytes_of(spanned.referenced);
    let typed = matches!(spanned.value, Raw::Typed(_));
    let value = match spanned.value {
        Raw::Null => Value::Null,
        Raw::Text(text) => Value::Scalar(text),
        Raw::Typed(fallback) => Value::Scalar(written(spanned.defined, source).unwrap_or(fallback)),
        Raw::List(items) => Value::List(
            items
                .into_iter()
                .map(|item| resolve(item, source))
                .collect(),
        ),
        Raw::Map(entries) => Value::Map(
            entries
                .into_iter()
                .filter_map(|(key, value)| entry(key, value, source))
                .collect(),
        ),
    };
    Node {
        value,
        typed,
        at: position(spanned.referenced),
        span,
    }
}

fn bytes_of(location: Location) -> Option<Range<usize>> {
    let start = usize::try_from(location.span().byte_offset()?).ok()?;
    let length = usize::try_from(location.span().byte_len()?).ok()?;
    Some(start..start.checked_add(length)?)
}

fn entry(key: Spanned<Raw>, value: Spanned<Raw>, source: &str) -> Option<Entry> {
    let key = resolve(key, source);
    match key.value {
        Value::Scalar(text) => Some(Entry {
            key: text.to_string(),
            at: key.at,
            node: resolve(value, source),
        }),
        Value::Null | Value::List(_) | Value::Map(_) => None,
    }
}

/// The text that a number or boolean was written as.
fn written(location: Location, source: &str) -> Option<Zeroizing<String>> {
    let text = source.get(bytes_of(location)?)?.trim();
    (!text.is_empty()).then(|| Zeroizing::new(text.to_owned()))
}

enum Raw {
    Null,
    Text(Zeroizing<String>),
    /// A scalar that the parser took for a number or boolean, and how that value prints.
    Typed(Zeroizing<String>),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<Raw>, Spanned<Raw>)>),
}

impl Raw {
    fn typed(value: impl ToString) -> Self {
        Self::Typed(Zeroizing::new(value.to_string()))
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::typed(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::typed(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::typed(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::typed(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(Zeroizing::new(value.to_owned())))
    }

    fn visit_string<E>(self, value: String) -> Result<Raw, E> {
        Ok(Raw::Text(Zeroizing::new(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}
