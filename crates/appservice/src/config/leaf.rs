//! Single values: what they must look like, how they are read, and what to write.

use std::path::Path;

use serde_json::{Number, Value};

use super::{
    given::{Node, Raw},
    shape::{Field, Kind, Leaf},
    units::{SIZE_EXPECTED, Size, TIME_EXPECTED, Time},
};

/// The value of a leaf as JSON; `None` when it is not what the leaf takes.
pub(super) fn read_leaf(leaf: &Leaf, node: &Node) -> Option<Value> {
    let text = match &node.raw {
        Raw::Text(text) | Raw::Untyped(text) => Some(text.as_str()),
        _ => None,
    };
    let untyped = match &node.raw {
        Raw::Untyped(text) => Some(text.trim()),
        _ => None,
    };
    match &leaf.kind {
        Kind::Text => text.map(Value::from),
        Kind::Secret => text.filter(|text| !text.trim().is_empty()).map(Value::from),
        Kind::Path => {
            let path = text.filter(|text| !text.is_empty())?;
            let path = node.origin.resolve(Path::new(path));
            Some(Value::from(path.to_str()?))
        }
        Kind::Time => text
            .filter(|text| text.parse::<Time>().is_ok())
            .map(Value::from),
        Kind::Size => text
            .filter(|text| text.parse::<Size>().is_ok())
            .map(Value::from),
        Kind::Bool => match (&node.raw, untyped) {
            (Raw::Bool(flag), _) => Some(Value::from(*flag)),
            (_, Some(text)) => text.parse::<bool>().ok().map(Value::from),
            _ => None,
        },
        Kind::Integer { min, max } => {
            let integer = match &node.raw {
                Raw::Integer(integer) => *integer,
                _ => untyped?.parse().ok()?,
            };
            let fits = min.is_none_or(|min| integer >= min) && max.is_none_or(|max| integer <= max);
            fits.then(|| Value::from(integer))
        }
        Kind::Number { min, max } => {
            let number = match &node.raw {
                Raw::Float(number) => *number,
                Raw::Integer(integer) => f64::from(i32::try_from(*integer).ok()?),
                _ => untyped?.parse().ok()?,
            };
            let fits = min.is_none_or(|min| number >= min) && max.is_none_or(|max| number <= max);
            let number = Number::from_f64(number).filter(|_| fits)?;
            Some(Value::Number(number))
        }
        Kind::Choice(words) => {
            let text = text.filter(|text| words.iter().any(|word| word == text));
            text.map(Value::from)
        }
        Kind::Any => any(&node.raw),
    }
}

/// As it was written; a variable as the value that it looks like.
fn any(raw: &Raw) -> Option<Value> {
    Some(match raw {
        Raw::Text(text) => Value::from(text.as_str()),
        Raw::Untyped(text) => match text.parse::<i64>() {
            Ok(integer) => Value::from(integer),
            Err(_) => text
                .parse::<bool>()
                .map_or_else(|_| Value::from(text.as_str()), Value::from),
        },
        Raw::Integer(integer) => Value::from(*integer),
        Raw::Float(float) => Value::Number(Number::from_f64(*float)?),
        Raw::Bool(flag) => Value::from(*flag),
        Raw::List(items) => {
            let items = items.iter().map(|item| any(&item.raw));
            Value::Array(items.collect::<Option<_>>()?)
        }
        Raw::Table(entries) => {
            let entries = entries
                .iter()
                .map(|entry| Some((entry.name.clone(), any(&entry.node.raw)?)));
            Value::Object(entries.collect::<Option<_>>()?)
        }
        Raw::Other(_) => return None,
    })
}

/// What a value has to be, in words.
pub(super) fn expected(leaf: &Leaf) -> String {
    if let Some(expected) = &leaf.expected {
        return expected.clone();
    }
    match &leaf.kind {
        Kind::Text => "a text".to_owned(),
        Kind::Secret => "a secret text that is not empty".to_owned(),
        Kind::Path => "the path of a file or folder".to_owned(),
        Kind::Time => TIME_EXPECTED.to_owned(),
        Kind::Size => SIZE_EXPECTED.to_owned(),
        Kind::Bool => "true or false".to_owned(),
        Kind::Integer { min, max } => range("a whole number", *min, *max),
        Kind::Number { min, max } => range("a number", *min, *max),
        Kind::Choice(words) => {
            let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
            words.join(" or ")
        }
        Kind::Any => "a value of another kind".to_owned(),
    }
}

fn range<T: std::fmt::Display>(what: &str, min: Option<T>, max: Option<T>) -> String {
    match (min, max) {
        (Some(min), Some(max)) => format!("{what} from {min} to {max}"),
        (Some(min), None) => format!("{what}, {min} or more"),
        (None, Some(max)) => format!("{what}, {max} or less"),
        (None, None) => what.to_owned(),
    }
}

/// A value to copy.
pub(super) fn sample(field: &Field, leaf: &Leaf) -> Value {
    let is_empty = |value: &Value| value.as_str().is_some_and(str::is_empty);
    let default = field.default.clone().filter(|value| !is_empty(value));
    if let Some(value) = field.example.clone().or(default) {
        return value;
    }
    match &leaf.kind {
        Kind::Text | Kind::Any => Value::from("text"),
        Kind::Secret => Value::from("a long random text"),
        Kind::Path => Value::from("/path/to/it"),
        Kind::Time => Value::from("30s"),
        Kind::Size => Value::from("50MiB"),
        Kind::Bool => Value::from(true),
        Kind::Integer { min, max } => {
            let within = 10.clamp(min.unwrap_or(i64::MIN), max.unwrap_or(i64::MAX));
            Value::from(within)
        }
        Kind::Number { min, .. } => Value::from(min.unwrap_or(1.5)),
        Kind::Choice(words) => Value::from(words.first().map_or("", String::as_str)),
    }
}

/// A value as TOML, on one line.
pub(super) fn to_toml(value: &Value) -> String {
    match value {
        // JSON's escapes are TOML's, and stay on one line.
        Value::String(_) | Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(to_toml).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(entries) if entries.is_empty() => "{}".to_owned(),
        Value::Object(entries) => {
            let entries: Vec<String> = entries
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| format!("{} = {}", to_toml_key(name), to_toml(value)))
                .collect();
            format!("{{ {} }}", entries.join(", "))
        }
        Value::Null => "\"\"".to_owned(),
    }
}

/// A key as TOML, in quotes where it needs them.
pub(super) fn to_toml_key(name: &str) -> String {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if !name.is_empty() && name.bytes().all(is_bare) {
        name.to_owned()
    } else {
        Value::from(name).to_string()
    }
}
