//! What was written, and where, before anybody has made sense of it: the file's tree, with the environment's values
//! put into it.

use std::path::Path;

use toml::{
    Spanned,
    de::{DeArray, DeTable, DeValue},
};

use super::{
    mistake::{Mistake, Origin, Warning, nearest},
    shape::{Shape, Table, join},
    twice::twice,
};

/// A value and where it was written.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) origin: Origin,
    pub(super) raw: Raw,
}

/// What was written.
#[derive(Debug, Clone)]
pub(super) enum Raw {
    Text(String),
    /// Text without a type: an environment variable.
    Untyped(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
    List(Vec<Node>),
    Table(Vec<Entry>),
    /// Anything that no key accepts, in words.
    Other(&'static str),
}

/// A key and its value.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) name: String,
    /// Where the key stands.
    pub(super) origin: Origin,
    pub(super) node: Node,
}

impl Raw {
    /// For an error text. Secrets must not come here.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Text(text) | Self::Untyped(text) => quote(text),
            Self::Integer(integer) => integer.to_string(),
            Self::Float(float) => float.to_string(),
            Self::Bool(flag) => flag.to_string(),
            Self::List(_) | Self::Table(_) | Self::Other(_) => self.describe_type().to_owned(),
        }
    }

    /// For an error text about a secret: the type alone.
    pub(super) fn describe_type(&self) -> &'static str {
        match self {
            Self::Text(_) | Self::Untyped(_) => "a text",
            Self::Integer(_) | Self::Float(_) => "a number",
            Self::Bool(_) => "true or false",
            Self::List(_) => "a list",
            Self::Table(_) => "a section",
            Self::Other(what) => what,
        }
    }
}

/// In quotes, escaped, and cut so that a pasted file does not fill the screen.
fn quote(text: &str) -> String {
    const SHOWN: usize = 80;
    if text.chars().nth(SHOWN).is_none() {
        return format!("{text:?}");
    }
    let head: String = text.chars().take(SHOWN).collect();
    format!("{head:?}…")
}

/// The tree of a file's text, or what is wrong with its grammar.
pub(super) fn parse(path: &Path, text: &str) -> Result<Vec<Entry>, Vec<Mistake>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    // What the parser makes up to get past a mistake must not be taken for what the operator has written.
    if errors.is_empty() {
        let at = |offset| Origin::at(path, text, offset);
        return Ok(entries(table.get_ref(), &at));
    }
    let mistakes = errors.iter().map(|error| mistake(path, text, error));
    Err(mistakes.collect())
}

fn mistake(path: &Path, text: &str, error: &toml::de::Error) -> Mistake {
    let offset = error.span().map_or(0, |span| span.start);
    let before = match error.message() {
        "duplicate key" => twice(text, offset),
        _ => None,
    };
    let (problem, remedy) = match before {
        Some((name, line)) => (
            format!("`{name}` is given twice: it stands in line {line} already"),
            "keep one of the two, with all that is to count",
        ),
        None => (
            error.message().replace('\n', ", "),
            "correct this line; texts stand in quotes, lists in [ ]",
        ),
    };
    Mistake {
        origin: Origin::at(path, text, offset),
        key: String::new(),
        problem: format!("not TOML: {problem}"),
        remedy: remedy.to_owned(),
    }
}

fn entries(table: &DeTable<'_>, at: &impl Fn(usize) -> Origin) -> Vec<Entry> {
    let entry = |(name, value): (&Spanned<_>, _)| {
        let name: &Spanned<std::borrow::Cow<'_, str>> = name;
        Entry {
            name: name.get_ref().to_string(),
            origin: at(name.span().start),
            node: node(value, at),
        }
    };
    table.iter().map(entry).collect()
}

fn node(value: &Spanned<DeValue<'_>>, at: &impl Fn(usize) -> Origin) -> Node {
    let raw = match value.get_ref() {
        DeValue::String(text) => Raw::Text(text.to_string()),
        DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
            .map_or(Raw::Other("an integer beyond 64 bits"), Raw::Integer),
        DeValue::Float(float) => match float.as_str().parse::<f64>() {
            Ok(float) if float.is_finite() => Raw::Float(float),
            _ => Raw::Other("an endless number"),
        },
        DeValue::Boolean(flag) => Raw::Bool(*flag),
        DeValue::Datetime(_) => Raw::Other("a date without quotes"),
        DeValue::Array(items) => Raw::List(list(items, at)),
        DeValue::Table(table) => Raw::Table(entries(table, at)),
    };
    Node {
        origin: at(value.span().start),
        raw,
    }
}

fn list(items: &DeArray<'_>, at: &impl Fn(usize) -> Origin) -> Vec<Node> {
    items.iter().map(|item| node(item, at)).collect()
}

/// The value at `path`, taken out. Sections that are empty afterwards go with it.
pub(super) fn take(entries: &mut Vec<Entry>, path: &[&str]) -> Option<Entry> {
    let (name, rest) = path.split_first()?;
    let index = entries.iter().position(|entry| entry.name == *name)?;
    if rest.is_empty() {
        return Some(entries.remove(index));
    }
    let Raw::Table(inner) = &mut entries[index].node.raw else {
        return None;
    };
    let taken = take(inner, rest);
    if taken.is_some() && inner.is_empty() {
        entries.remove(index);
    }
    taken
}

/// Puts a value to `path`, making sections as needed. Gives it back if something is there already, or a value stands
/// where a section should be.
pub(super) fn put(entries: &mut Vec<Entry>, path: &[&str], node: Node) -> Result<(), Node> {
    let Some((name, rest)) = path.split_first() else {
        return Err(node);
    };
    let origin = node.origin.clone();
    let known = entries.iter_mut().find(|entry| entry.name == *name);
    match (known, rest.is_empty()) {
        (Some(_), true) => Err(node),
        (Some(entry), false) => match &mut entry.node.raw {
            Raw::Table(inner) => put(inner, rest, node),
            _ => Err(node),
        },
        (None, is_last) => {
            let node = if is_last {
                node
            } else {
                let mut inner = Vec::new();
                put(&mut inner, rest, node)?;
                Node {
                    origin: origin.clone(),
                    raw: Raw::Table(inner),
                }
            };
            entries.push(Entry {
                name: (*name).to_owned(),
                origin,
                node,
            });
            Ok(())
        }
    }
}

/// The name of the variable for a key.
pub(super) fn variable(prefix: &str, path: &str) -> String {
    let spell = |c: char| match c {
        '.' | '-' => '_',
        c => c.to_ascii_uppercase(),
    };
    let name: String = path.chars().map(spell).collect();
    format!("{prefix}_{name}")
}

/// A variable and the key that it sets.
struct Variable {
    name: String,
    path: String,
    /// The other keys that say the same: a secret itself, and the file that holds it.
    replaces: Vec<String>,
}

fn variables(table: &Table, prefix: &str) -> Vec<Variable> {
    let mut variables: Vec<Variable> = Vec::new();
    for (path, field) in table.paths() {
        if matches!(field.shape, Shape::Table(_)) {
            continue;
        }
        let file_path = format!("{path}_file");
        let is_secret = field.is_secret();
        let mut replaces = vec![path.clone()];
        if is_secret {
            replaces.push(file_path.clone());
            variables.push(Variable {
                name: variable(prefix, &file_path),
                path: file_path,
                replaces: replaces.clone(),
            });
        }
        variables.push(Variable {
            name: variable(prefix, &path),
            path,
            replaces,
        });
    }
    variables
}

/// Puts the environment's values into the tree, in place of the file's. An empty variable counts as not set; one with
/// the prefix that sets no key is a warning.
pub(super) fn add_variables(
    entries: &mut Vec<Entry>,
    table: &Table,
    prefix: &str,
    env: impl IntoIterator<Item = (String, String)>,
) -> Vec<Warning> {
    let known = variables(table, prefix);
    let mut ours: Vec<(String, String)> = env
        .into_iter()
        .filter(|(name, _)| {
            name.strip_prefix(prefix)
                .is_some_and(|rest| rest.starts_with('_'))
        })
        .collect();
    ours.sort();
    let mut warnings = Vec::new();
    for (name, value) in ours {
        // Two keys may come down to one name; then it sets both.
        let mut meant = known
            .iter()
            .filter(|variable| variable.name == name)
            .peekable();
        if meant.peek().is_none() {
            warnings.push(unknown_variable(name, &known));
        } else if !value.is_empty() {
            for variable in meant {
                add_variable(entries, variable, &value);
            }
        }
    }
    warnings
}

fn add_variable(entries: &mut Vec<Entry>, variable: &Variable, value: &str) {
    for path in &variable.replaces {
        let path: Vec<&str> = path.split('.').collect();
        if find(entries, &path).is_some_and(|node| node.origin.is_file()) {
            take(entries, &path);
        }
    }
    let node = Node {
        origin: Origin::Variable(variable.name.clone()),
        raw: Raw::Untyped(value.to_owned()),
    };
    let path: Vec<&str> = variable.path.split('.').collect();
    // What stands in the way is a value in place of a section: that is told when the section is read.
    drop(put(entries, &path, node));
}

fn find<'a>(entries: &'a [Entry], path: &[&str]) -> Option<&'a Node> {
    let (name, rest) = path.split_first()?;
    let node = &entries.iter().find(|entry| entry.name == *name)?.node;
    match (&node.raw, rest.is_empty()) {
        (_, true) => Some(node),
        (Raw::Table(inner), false) => find(inner, rest),
        _ => None,
    }
}

fn unknown_variable(name: String, known: &[Variable]) -> Warning {
    let names = known.iter().map(|variable| variable.name.as_str());
    let remedy = match nearest(&name, names) {
        Some(nearest) => format!("did you mean {nearest}?"),
        None => "the reference lists every variable".to_owned(),
    };
    Warning {
        text: format!("this variable sets no key and is ignored; {remedy}"),
        origin: Origin::Variable(name),
    }
}

/// The path of a key in the file's tree, for texts.
pub(super) fn child(section: &str, entry: &Entry) -> String {
    join(section, &entry.name)
}
