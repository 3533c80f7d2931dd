//! Keys that this crate does not know the meaning of: carried along, so that writing a registration loses none.
//!
//! Generators put flags of their own into registrations, and newer servers know more keys than we do.

use std::fmt;

use crate::yaml::{Node, Value};

/// A key of a registration that this crate does not know, with its value. `Debug` shows the key alone: the value may
/// be a secret of somebody else's.
#[derive(Clone, PartialEq, Eq)]
pub struct UnknownKey {
    /// The key as written.
    pub key: String,
    /// What it says.
    pub value: UnknownValue,
}

impl UnknownKey {
    /// A key with this value, such as `UnknownKey::new("com.example.flag", true)`.
    pub fn new(key: impl Into<String>, value: impl Into<UnknownValue>) -> Self {
        Self {
            key: key.into(),
            value: value.into(),
        }
    }
}

impl fmt::Debug for UnknownKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: …", self.key)
    }
}

/// A YAML value. Keys of mappings are text; anchors have been followed, comments are gone.
#[derive(Clone, PartialEq, Eq)]
pub enum UnknownValue {
    /// Nothing.
    Null,
    /// A number or boolean, as written.
    Plain(String),
    /// A string.
    Text(String),
    /// A list.
    List(Vec<Self>),
    /// A mapping, in its order.
    Map(Vec<UnknownKey>),
}

impl fmt::Debug for UnknownValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl From<bool> for UnknownValue {
    fn from(value: bool) -> Self {
        Self::Plain(value.to_string())
    }
}

impl From<i64> for UnknownValue {
    fn from(value: i64) -> Self {
        Self::Plain(value.to_string())
    }
}

impl From<&str> for UnknownValue {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for UnknownValue {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<Vec<Self>> for UnknownValue {
    fn from(value: Vec<Self>) -> Self {
        Self::List(value)
    }
}

impl From<Vec<UnknownKey>> for UnknownValue {
    fn from(value: Vec<UnknownKey>) -> Self {
        Self::Map(value)
    }
}

impl From<&Node> for UnknownValue {
    fn from(node: &Node) -> Self {
        match &node.value {
            Value::Null => Self::Null,
            Value::Scalar(text) if node.typed => Self::Plain(text.to_string()),
            Value::Scalar(text) => Self::Text(text.to_string()),
            Value::List(items) => Self::List(items.iter().map(Self::from).collect()),
            Value::Map(entries) => Self::Map(
                entries
                    .iter()
                    .map(|entry| UnknownKey::new(entry.key.clone(), Self::from(&entry.node)))
                    .collect(),
            ),
        }
    }
}
