//! Makes sense of what was written: every value against its key's shape, then all of it as the author's type.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde_json::{Map, Value};

use super::{
    given::{Entry, Node, Raw, child, variable},
    leaf::{expected, read_leaf, sample, to_toml},
    mistake::{Mistake, Origin, Warning, nearest},
    secret,
    shape::{Field, Kind, Leaf, Shape, Table, join},
};

/// Values that are replaced by their defaults until the rest can be read, at most.
const MAX_ROUNDS: usize = 200;

/// Reads a tree, and keeps what is wrong with it.
pub(super) struct Reader<'a> {
    table: &'a Table,
    prefix: &'a str,
    pub(super) mistakes: Vec<Mistake>,
    /// What is odd, and no mistake.
    pub(super) warnings: Vec<Warning>,
    /// Where each key was written.
    pub(super) origins: BTreeMap<String, Origin>,
    /// Keys that hold secrets: their values are never shown.
    secrets: BTreeSet<String>,
    /// Those of them that are written in the configuration file itself.
    in_file: Vec<String>,
    /// The configuration file, where there is one: default paths count from its folder.
    whole: Origin,
}

impl<'a> Reader<'a> {
    pub(super) fn new(table: &'a Table, prefix: &'a str) -> Self {
        Self {
            table,
            prefix,
            mistakes: Vec::new(),
            warnings: Vec::new(),
            origins: BTreeMap::new(),
            secrets: BTreeSet::new(),
            in_file: Vec::new(),
            whole: Origin::Default,
        }
    }

    /// The values that are right, by key.
    pub(super) fn values(&mut self, entries: &[Entry], whole: &Origin) -> Value {
        self.whole = whole.clone();
        Value::Object(self.read_table("", self.table, entries, whole))
    }

    /// The keys of secrets that are written in the configuration file itself.
    pub(super) fn secrets_in_file(&self) -> Vec<String> {
        self.in_file.clone()
    }

    fn refuse(&mut self, origin: &Origin, key: &str, problem: String, remedy: String) {
        self.mistakes.push(Mistake {
            origin: origin.clone(),
            key: key.to_owned(),
            problem,
            remedy,
        });
    }

    fn read_table(
        &mut self,
        section: &str,
        table: &Table,
        entries: &[Entry],
        at: &Origin,
    ) -> Map<String, Value> {
        let mut values = Map::new();
        for entry in entries {
            let path = child(section, entry);
            if let Some(field) = table.field(&entry.name) {
                self.origins.insert(path.clone(), entry.node.origin.clone());
                if let Some(value) = self.read(&path, &field.shape, field, &entry.node) {
                    values.insert(entry.name.clone(), value);
                }
            } else if let Some(field) = table.secret_of_file_key(&entry.name) {
                let is_given = entries.iter().any(|other| other.name == field.name);
                let value = self.read_secret_file(&path, is_given, &entry.node);
                let place = join(section, &field.name);
                self.origins
                    .insert(place.clone(), entry.node.origin.clone());
                self.secrets.insert(place);
                values.extend(value.map(|value| (field.name.clone(), value)));
            } else if let Some(rest) = &table.rest {
                self.origins.insert(path.clone(), entry.node.origin.clone());
                let any = Field::unnamed(rest);
                let value = self.read(&path, rest, &any, &entry.node);
                values.extend(value.map(|value| (entry.name.clone(), value)));
            } else {
                self.unknown(section, table, entry);
            }
        }
        self.require(section, table, &values, at);
        if self.whole.is_file() {
            self.place_defaults(section, table, &mut values);
        }
        values
    }

    /// Gives default paths the meaning that they have when they are written down: from the file's folder.
    fn place_defaults(&mut self, section: &str, table: &Table, values: &mut Map<String, Value>) {
        for field in &table.fields {
            let path = join(section, &field.name);
            if values.contains_key(&field.name) || self.origins.contains_key(&path) {
                continue;
            }
            let default = field.default.as_ref();
            if let Some(placed) = default.and_then(|value| self.placed(&field.shape, value)) {
                values.insert(field.name.clone(), placed);
            }
        }
    }

    /// A default with its paths in place; `None` where there are none in it.
    fn placed(&self, shape: &Shape, default: &Value) -> Option<Value> {
        match (shape, default) {
            (Shape::Leaf(leaf), Value::String(path)) if leaf.kind == Kind::Path => {
                if path.is_empty() {
                    return None;
                }
                let placed = self.whole.resolve(Path::new(path));
                // A folder whose name is no text cannot be told: then it counts from the working directory.
                Some(Value::from(placed.to_str()?))
            }
            (Shape::Table(table), Value::Object(defaults)) => {
                // All of the section, since what its type would fill in may be other than what stands here.
                let mut all = defaults.clone();
                let mut has_paths = false;
                for field in &table.fields {
                    let placed = defaults
                        .get(&field.name)
                        .and_then(|value| self.placed(&field.shape, value));
                    if let Some(placed) = placed {
                        all.insert(field.name.clone(), placed);
                        has_paths = true;
                    } else if field.is_secret() {
                        all.remove(&field.name);
                    }
                }
                has_paths.then_some(Value::Object(all))
            }
            _ => None,
        }
    }

    fn read(&mut self, path: &str, shape: &Shape, field: &Field, node: &Node) -> Option<Value> {
        match (shape, &node.raw) {
            (Shape::Table(table), Raw::Table(entries)) => {
                let values = self.read_table(path, table, entries, &node.origin);
                Some(Value::Object(values))
            }
            (Shape::Table(_), raw) => {
                let problem = format!("expected a section, found {}", raw.describe_type());
                let remedy = format!("write [{path}] on a line of its own and its keys below it");
                self.refuse(&node.origin, path, problem, remedy);
                None
            }
            (Shape::List(item), Raw::List(items)) => self.read_list(path, item, items),
            (Shape::List(item), Raw::Untyped(text)) => {
                let parts = text
                    .split(',')
                    .map(str::trim)
                    .filter(|part| !part.is_empty());
                let items: Vec<Node> = parts
                    .map(|part| Node {
                        origin: node.origin.clone(),
                        raw: Raw::Untyped(part.to_owned()),
                    })
                    .collect();
                self.read_list(path, item, &items)
            }
            (Shape::List(_), raw) => {
                let problem = format!("expected a list, found {}", raw.describe_type());
                let remedy = "write it in brackets, [\"like\", \"this\"]".to_owned();
                self.refuse(&node.origin, path, problem, remedy);
                None
            }
            (Shape::Leaf(leaf), _) => {
                if leaf.kind == Kind::Secret {
                    self.secrets.insert(path.to_owned());
                    if node.origin.is_file() {
                        self.in_file.push(path.to_owned());
                    }
                }
                let value = read_leaf(leaf, node);
                if value.is_none() {
                    self.mismatch(path, leaf, field, node);
                }
                value
            }
        }
    }

    fn read_list(&mut self, path: &str, item: &Shape, nodes: &[Node]) -> Option<Value> {
        let field = Field::unnamed(item);
        let before = self.mistakes.len();
        let values: Vec<Value> = nodes
            .iter()
            .enumerate()
            .filter_map(|(index, node)| {
                let path = format!("{path}[{index}]");
                self.origins.insert(path.clone(), node.origin.clone());
                self.read(&path, item, &field, node)
            })
            .collect();
        (self.mistakes.len() == before).then_some(Value::Array(values))
    }

    fn mismatch(&mut self, path: &str, leaf: &Leaf, field: &Field, node: &Node) {
        let found = if leaf.kind == Kind::Secret {
            node.raw.describe_type().to_owned()
        } else {
            node.raw.describe()
        };
        let problem = format!("expected {}, found {found}", expected(leaf));
        let close = match (&leaf.kind, &node.raw) {
            (Kind::Choice(words), Raw::Text(text) | Raw::Untyped(text)) => {
                nearest(text, words.iter().map(String::as_str))
            }
            _ => None,
        };
        let is_variable = matches!(node.origin, Origin::Variable(_));
        let remedy = match close {
            Some(close) => format!("did you mean {close:?}?"),
            None => {
                let sample = sample(field, leaf);
                let sample = match sample.as_str().filter(|_| is_variable) {
                    Some(text) => text.to_owned(),
                    None => to_toml(&sample),
                };
                format!("write e.g. {sample}")
            }
        };
        self.refuse(&node.origin, path, problem, remedy);
    }

    fn read_secret_file(&mut self, path: &str, is_given: bool, node: &Node) -> Option<Value> {
        let (Raw::Text(text) | Raw::Untyped(text)) = &node.raw else {
            let problem = format!(
                "expected the path of a file, found {}",
                node.raw.describe_type()
            );
            let remedy = "write e.g. \"/etc/service/secret\"".to_owned();
            self.refuse(&node.origin, path, problem, remedy);
            return None;
        };
        if is_given {
            let secret = path.trim_end_matches("_file");
            let problem = format!("given beside {secret}");
            self.refuse(
                &node.origin,
                path,
                problem,
                "keep one of the two".to_owned(),
            );
            return None;
        }
        let file = node.origin.resolve(Path::new(text));
        match secret::read_file(&file) {
            Ok(read) => {
                self.warnings.extend(read.warning.map(|text| Warning {
                    origin: node.origin.clone(),
                    text: format!("{path}: {text}"),
                }));
                Some(Value::from(read.secret.expose()))
            }
            Err((problem, remedy)) => {
                self.refuse(&node.origin, path, problem, remedy);
                None
            }
        }
    }

    fn unknown(&mut self, section: &str, table: &Table, entry: &Entry) {
        let path = child(section, entry);
        let is_table = matches!(entry.node.raw, Raw::Table(_));
        let what = if is_table {
            "unknown section"
        } else {
            "unknown key"
        };
        let remedy = match self.meant(section, table, &entry.name) {
            Some(meant) => format!("did you mean {meant}?"),
            None => "remove it; the reference lists every key".to_owned(),
        };
        self.refuse(&entry.origin, &path, what.to_owned(), remedy);
    }

    /// A key of the section with a slip, a known one in the wrong section, or one with a slip anywhere.
    fn meant(&self, section: &str, table: &Table, name: &str) -> Option<String> {
        let here: Vec<String> = table
            .fields
            .iter()
            .flat_map(|field| {
                let file_key = field.is_secret().then(|| format!("{}_file", field.name));
                std::iter::once(field.name.clone()).chain(file_key)
            })
            .collect();
        if let Some(close) = nearest(name, here.iter().map(String::as_str)) {
            return Some(join(section, close));
        }
        let paths = self.table.paths();
        let elsewhere = paths.iter().find(|(_, field)| field.name == name);
        let known = paths.iter().map(|(path, _)| path.as_str());
        elsewhere
            .map(|(path, _)| path.clone())
            .or_else(|| nearest(&join(section, name), known).map(str::to_owned))
    }

    fn require(&mut self, section: &str, table: &Table, values: &Map<String, Value>, at: &Origin) {
        for field in &table.fields {
            let path = join(section, &field.name);
            match &field.shape {
                // A section that is not there is read with its defaults, unless it is optional as a whole.
                Shape::Table(inner) if !values.contains_key(&field.name) => {
                    let is_there = self.origins.contains_key(&path);
                    if !is_there && (field.default.is_some() || field.is_required) {
                        self.require(&path, inner, &Map::new(), at);
                    }
                }
                Shape::Leaf(leaf) if field.is_required => {
                    if !values.contains_key(&field.name) && !self.origins.contains_key(&path) {
                        let remedy = self.how_to_give(section, &path, field, leaf);
                        self.refuse(at, &path, "not given".to_owned(), remedy);
                    }
                }
                Shape::Table(_) | Shape::List(_) | Shape::Leaf(_) => {}
            }
        }
    }

    fn how_to_give(&self, section: &str, path: &str, field: &Field, leaf: &Leaf) -> String {
        let sample = to_toml(&sample(field, leaf));
        let place = if section.is_empty() {
            " above all sections".to_owned()
        } else {
            format!(" below [{section}]")
        };
        format!(
            "write e.g. {} = {sample}{place}, or set {}",
            field.name,
            variable(self.prefix, path)
        )
    }

    /// Reads the values as the author's type. What that refuses is told, and replaced by its default, until the rest
    /// can be read; `None` when that leads nowhere.
    pub(super) fn typed<T>(
        &mut self,
        mut values: Value,
        read: impl Fn(&Value) -> Result<T, TypeError>,
    ) -> Option<T> {
        for _ in 0..MAX_ROUNDS {
            let error = match read(&values) {
                Ok(typed) => return Some(typed),
                Err(error) => error,
            };
            let removed = remove(&mut values, &error.path);
            self.refused_by_type(&error, removed.as_deref());
            removed?;
        }
        None
    }

    fn refused_by_type(&mut self, error: &TypeError, removed: Option<&str>) {
        let key = display(&error.path);
        let is_known = |m: &Mistake| !key.is_empty() && m.key.starts_with(&key);
        // With an earlier mistake's value gone, something may be missing: that is no news.
        if removed.is_none() && !self.mistakes.is_empty() || self.mistakes.iter().any(is_known) {
            return;
        }
        let origin = [Some(key.as_str()), removed]
            .into_iter()
            .flatten()
            .find_map(|path| self.origins.get(path).cloned());
        let is_secret = |path: &String| path.starts_with(&key) || key.starts_with(path.as_str());
        let problem = if !key.is_empty() && self.secrets.iter().any(is_secret) {
            "not accepted; the reason is not shown, because it may hold the secret".to_owned()
        } else {
            error.message.clone()
        };
        let remedy = "correct it; the reference says what is expected".to_owned();
        self.refuse(&origin.unwrap_or(Origin::Default), &key, problem, remedy);
    }
}

/// A part of a path into values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Key(String),
    Index(usize),
}

/// Why the author's type refuses a value, and which.
#[derive(Debug)]
pub struct TypeError {
    pub(super) path: Vec<Part>,
    pub(super) message: String,
}

fn display(path: &[Part]) -> String {
    let mut text = String::new();
    for part in path {
        match part {
            Part::Key(name) => text = join(&text, name),
            Part::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

/// Removes the value at `path`, or the list that it is an item of, or, if it is not there, what is nearest to it. Says
/// which; `None` if nothing was left to remove.
fn remove(values: &mut Value, path: &[Part]) -> Option<String> {
    let keys: Vec<&String> = path
        .iter()
        .map_while(|part| match part {
            Part::Key(name) => Some(name),
            Part::Index(_) => None,
        })
        .collect();
    for length in (1..=keys.len()).rev() {
        let (last, sections) = keys[..length].split_last()?;
        let mut table = Some(&mut *values);
        for section in sections {
            table = table.and_then(|table| table.get_mut(section.as_str()));
        }
        let table = table.and_then(Value::as_object_mut);
        if table.is_some_and(|table| table.remove(last.as_str()).is_some()) {
            let names: Vec<&str> = keys[..length].iter().map(|key| key.as_str()).collect();
            return Some(names.join("."));
        }
    }
    None
}
