//! Another program's configuration, read key by key: each is taken or told of, and none is passed over in silence.

use serde_json::{Map, Value};

use crate::{Failure, Result};

/// Bytes of a configuration at most.
const MAX_BYTES: usize = 4 << 20;

/// A section of a configuration, and what has become of its keys.
#[derive(Debug)]
pub(crate) struct Keys {
    path: String,
    map: Map<String, Value>,
}

/// Reads a file in YAML.
pub(crate) fn read(file: &std::path::Path) -> Result<Keys> {
    let place = file.display();
    let text = std::fs::read_to_string(file).map_err(|error| Failure::at(place, error))?;
    parse(&text).map_err(|error| Failure::at(file.display(), error))
}

fn parse(text: &str) -> Result<Keys> {
    if text.len() > MAX_BYTES {
        return Err(Failure::new("that is too large for a configuration"));
    }
    let options = serde_saphyr::options! {
        // Nothing but `true` and `false`, as the other bridges read it: a channel may be called `y`.
        strict_booleans: true,
        // Lines around a mistake may hold secrets.
        with_snippet: false,
    };
    match serde_saphyr::from_str_with_options(text, options).map_err(Failure::new)? {
        Value::Object(map) => Ok(Keys::new(String::new(), map)),
        _ => Err(Failure::new(
            "that is no configuration: there are no keys in it",
        )),
    }
}

impl Keys {
    pub(crate) fn new(path: String, map: Map<String, Value>) -> Self {
        Self { path, map }
    }

    /// A key's whole name.
    pub(crate) fn name(&self, key: &str) -> String {
        match self.path.is_empty() {
            true => key.to_owned(),
            false => format!("{}.{key}", self.path),
        }
    }

    /// Takes a key's value; what is empty is as if it were not there.
    pub(crate) fn take(&mut self, key: &str) -> Option<Value> {
        self.map.remove(key).filter(|value| !value.is_null())
    }

    /// A text that stays for somebody else to take.
    pub(crate) fn peek(&self, key: &str) -> Option<&str> {
        self.map.get(key)?.as_str()
    }

    pub(crate) fn text(&mut self, key: &str) -> Option<String> {
        match self.take(key)? {
            Value::String(text) => Some(text),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    pub(crate) fn flag(&mut self, key: &str) -> Option<bool> {
        self.take(key)?.as_bool()
    }

    pub(crate) fn number(&mut self, key: &str) -> Option<u64> {
        let value = self.take(key)?;
        value.as_u64().or_else(|| value.as_str()?.parse().ok())
    }

    pub(crate) fn texts(&mut self, key: &str) -> Vec<String> {
        let value = self.take(key).unwrap_or_default();
        let values = value.as_array().into_iter().flatten();
        values
            .filter_map(|value| Some(value.as_str()?.to_owned()))
            .collect()
    }

    /// A section; empty where there is none.
    pub(crate) fn section(&mut self, key: &str) -> Self {
        let map = match self.take(key) {
            Some(Value::Object(map)) => map,
            _ => Map::new(),
        };
        Self::new(self.name(key), map)
    }

    /// All that is in it.
    pub(crate) fn entries(self) -> Map<String, Value> {
        self.map
    }

    /// Tells of all keys that nobody has taken, with the reason where one is known: the key, and why.
    pub(crate) fn rest(self, reasons: &[(&str, &str)], notes: &mut Vec<String>) {
        for key in self.map.keys() {
            let reason = reasons.iter().find(|(known, _)| known == key);
            let reason = reason.map_or("this bridge knows nothing like it", |(_, why)| why);
            notes.push(format!("{}: {reason}", self.name(key)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_takes_is_told() {
        let mut keys = parse("a: 1\nb: { c: [x, y], d: null }\ne: off\n").expect("YAML");
        assert_eq!(keys.number("a"), Some(1));
        let mut section = keys.section("b");
        assert_eq!(section.texts("c"), ["x", "y"]);
        assert_eq!(section.text("d"), None);
        let mut notes = Vec::new();
        section.rest(&[], &mut notes);
        keys.rest(&[("e", "so it is")], &mut notes);
        assert_eq!(notes, ["e: so it is"]);
    }

    #[test]
    fn what_is_no_configuration_is_refused() {
        for text in ["", "- a", "x", "a: [", &"x".repeat(MAX_BYTES + 1)] {
            assert!(parse(text).is_err(), "{text:.20}");
        }
    }
}
