//! A value that keeps the order of its keys, as the author has declared them; `serde_json::Value` sorts them.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, SeqAccess, Visitor},
    ser::SerializeMap as _,
};
use serde_json::Value;

/// A map whose keys stay in order, or any other value.
#[derive(Debug, Clone, PartialEq)]
pub enum Ordered {
    /// Keys with their values.
    Map(Vec<(String, Ordered)>),
    /// Values in a row.
    List(Vec<Ordered>),
    /// A value that is neither.
    Plain(Value),
}

impl Ordered {
    /// What `value` serialises to; `None` for what JSON cannot hold.
    pub(super) fn of(value: &impl Serialize) -> Option<Self> {
        let text = serde_json::to_string(value).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// The value of a key of a map.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        let Self::Map(entries) = self else {
            return None;
        };
        let entry = entries.iter().find(|(key, _)| key == name)?;
        Some(&entry.1)
    }

    /// Where a key stands; behind all others if it does not.
    pub(super) fn place_of(&self, name: &str) -> usize {
        let Self::Map(entries) = self else {
            return usize::MAX;
        };
        let place = entries.iter().position(|(key, _)| key == name);
        place.unwrap_or(usize::MAX)
    }

    /// Without the order.
    pub(super) fn to_value(&self) -> Value {
        match self {
            Self::Map(entries) => {
                let entries = entries
                    .iter()
                    .map(|(key, value)| (key.clone(), value.to_value()));
                Value::Object(entries.collect())
            }
            Self::List(items) => Value::Array(items.iter().map(Self::to_value).collect()),
            Self::Plain(value) => value.clone(),
        }
    }
}

impl Serialize for Ordered {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
            Self::List(items) => items.serialize(serializer),
            Self::Plain(value) => value.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Ordered {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(InOrder)
    }
}

struct InOrder;

impl<'de> Visitor<'de> for InOrder {
    type Value = Ordered;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Ordered, E> {
        Ok(Ordered::Plain(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Ordered, E> {
        Ok(Ordered::Plain(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Ordered, E> {
        Ok(Ordered::Plain(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Ordered, E> {
        Ok(Ordered::Plain(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Ordered, E> {
        Ok(Ordered::Plain(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Ordered, E> {
        Ok(Ordered::Plain(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Ordered, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Ordered::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Ordered, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Ordered::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_kept() {
        let text = r#"{"b":1,"a":[true,null,-2,"x",{"z":0.5,"y":{}}]}"#;
        let ordered: Ordered = serde_json::from_str(text).expect("JSON");
        assert_eq!(serde_json::to_string(&ordered).expect("JSON"), text);
        assert_eq!((ordered.place_of("b"), ordered.place_of("a")), (0, 1));
        let value: Value = serde_json::from_str(text).expect("JSON");
        assert_eq!(ordered.to_value(), value);
    }
}
