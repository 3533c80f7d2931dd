//! Stable names in place of ids: the same run looks the same whatever its ids are.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value};

/// Names, given in the order in which ids are met.
pub(super) struct Names {
    server_name: String,
    /// What the lab has put behind each localpart.
    suffix: String,
    rooms: HashMap<String, String>,
    taken: BTreeSet<String>,
    /// What has been numbered, by list and id.
    numbered: HashMap<(String, String), String>,
    /// How many are in each list.
    counts: HashMap<String, usize>,
}

impl Names {
    pub(super) fn new(server_name: &str, suffix: &str) -> Self {
        Self {
            server_name: format!(":{server_name}"),
            suffix: suffix.to_owned(),
            rooms: HashMap::new(),
            taken: BTreeSet::new(),
            numbered: HashMap::new(),
            counts: HashMap::new(),
        }
    }

    /// Names a room; two of one name are told apart.
    pub(super) fn name_room(&mut self, room: &str, name: &str) {
        let mut unique = name.to_owned();
        let mut number = 1;
        while !self.taken.insert(unique.clone()) {
            number += 1;
            unique = format!("{name} ({number})");
        }
        self.rooms.insert(room.to_owned(), unique);
    }

    /// The name of an id, or of a text that begins as one; any other text as it is.
    pub(super) fn name(&mut self, text: &str) -> String {
        match text.chars().next() {
            Some('@') => self.user(text),
            Some('#') if text.contains(':') => self.local(text).to_owned(),
            Some('!') if text.len() > 1 => self.room(text),
            Some('$') if text.len() > 1 => self.number("$", text),
            _ if text.starts_with("mxc://") => self.number("mxc:", text),
            _ => text.to_owned(),
        }
    }

    /// A user's localpart, or the whole id of another server's.
    pub(super) fn user(&self, user: &str) -> String {
        let Some(local) = user.strip_suffix(self.server_name.as_str()) else {
            return user.to_owned();
        };
        let local = local.strip_suffix(self.suffix.as_str()).unwrap_or(local);
        local.strip_prefix('@').unwrap_or(local).to_owned()
    }

    fn local<'a>(&self, text: &'a str) -> &'a str {
        text.strip_suffix(self.server_name.as_str()).unwrap_or(text)
    }

    /// A room's name, or a number for one that nobody has named.
    pub(super) fn room(&mut self, room: &str) -> String {
        match self.rooms.get(room) {
            Some(name) => name.clone(),
            None => self.number("room ", room),
        }
    }

    fn number(&mut self, kind: &str, id: &str) -> String {
        self.number_in(kind, kind, id)
    }

    /// The number of a thing in its list, behind the word for its kind.
    pub(super) fn number_in(&mut self, list: &str, kind: &str, id: &str) -> String {
        let key = (list.to_owned(), id.to_owned());
        if let Some(name) = self.numbered.get(&key) {
            return name.clone();
        }
        let count = self.counts.entry(list.to_owned()).or_default();
        *count += 1;
        let name = format!("{kind}{count}");
        self.numbered.insert(key, name.clone());
        name
    }

    /// The same JSON with names in place of ids, in keys too.
    pub(super) fn tidy(&mut self, value: &Value) -> Value {
        match value {
            Value::String(text) => self.name(text).into(),
            Value::Array(items) => items.iter().map(|item| self.tidy(item)).collect(),
            Value::Object(fields) => {
                let mut tidy = Map::new();
                for (key, value) in fields {
                    let (key, value) = (self.name(key), self.tidy(value));
                    tidy.insert(key, value);
                }
                tidy.into()
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Names;

    #[test]
    fn ids_get_names_in_the_order_of_their_appearance() {
        let mut names = Names::new("localhost", "_x1");
        names.name_room("!abc", "lobby");
        names.name_room("!def", "lobby");
        let content = json!({
            "users": { "@alice_x1:localhost": 100, "@bob:elsewhere": 1 },
            "in": ["!def", "!unknown", "$second", "$first", "$second"],
            "alias": "#a:localhost", "price": "$", "avatar": "mxc://localhost/abc",
        });
        let tidy = json!({
            "users": { "alice": 100, "@bob:elsewhere": 1 },
            "in": ["lobby (2)", "room 1", "$1", "$2", "$1"],
            "alias": "#a", "price": "$", "avatar": "mxc:1",
        });
        assert_eq!(names.tidy(&content), tidy);
    }
}
