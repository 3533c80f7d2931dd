//! What operators read: the commented example, the reference page and the JSON schema.

use serde_json::{Value, json};

use super::{
    document::Document,
    given::variable,
    leaf::{expected, sample, to_toml, to_toml_key},
    ordered::Ordered,
    reload::Effect,
    shape::{Field, Kind, Shape, Table, join},
};

/// Longest line of a comment.
const COLUMNS: usize = 100;

/// A configuration file with every key, its meaning and its default. Only keys that must be given stand without `#`.
#[must_use]
pub fn example<D: Document>() -> String {
    example_with(&D::default())
}

/// Like [`example`], with the values of `config` that differ from the defaults written out. Secrets are not: they
/// belong into files of their own.
#[must_use]
pub fn example_with<D: Document>(config: &D) -> String {
    page(config, false)
}

/// Like [`example_with`], for a file that somebody has yet to fill in: what must be given and is not stands behind a `#`
/// as well, so that reading the file tells what is missing.
pub(crate) fn form_with<D: Document>(config: &D) -> String {
    page(config, true)
}

fn page<D: Document>(config: &D, is_form: bool) -> String {
    let table = D::table();
    let mut page = Page {
        is_form,
        ..Page::default()
    };
    page.comment(&table.doc);
    page.comment("Every key is here. Those with a # in front of them have the value that is shown, or none if they \
                  are called optional; remove the # to change it.");
    page.section(&table, "", &config.values(), false);
    page.text
}

#[derive(Default)]
struct Page {
    text: String,
    /// What must be given, and is not, is left out.
    is_form: bool,
}

impl Page {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn comment(&mut self, text: &str) {
        for paragraph in text.split("\n\n").filter(|text| !text.trim().is_empty()) {
            let mut line = String::from("#");
            for word in paragraph.split_whitespace() {
                if line.chars().count() + 1 + word.chars().count() > COLUMNS {
                    self.line(&line);
                    line = String::from("#");
                }
                line.push(' ');
                line.push_str(word);
            }
            self.line(&line);
        }
    }

    /// Keys first, then sections: in TOML whatever follows a section's head belongs to it. `is_off`: the whole section
    /// is commented out.
    fn section(&mut self, table: &Table, path: &str, values: &Ordered, is_off: bool) {
        for field in &table.fields {
            let value = values.get(&field.name);
            match &field.shape {
                Shape::Table(_) => {}
                // Values are written in a row, without heads.
                shape if !is_section(shape) || changed(field, value).is_some() => {
                    self.key(field, value, is_off);
                }
                _ => {}
            }
        }
        self.own_keys(table, path, values);
        for field in &table.fields {
            let (path, value) = (join(path, &field.name), values.get(&field.name));
            match &field.shape {
                Shape::Table(inner) => self.subsection(field, inner, &path, value, is_off),
                Shape::List(item) if changed(field, value).is_none() => {
                    if let Shape::Table(inner) = item.as_ref() {
                        self.line("");
                        self.comment(&field.doc);
                        self.comment("Optional, and as often as needed.");
                        self.line(&format!("#[[{path}]]"));
                        self.section(inner, &path, &Ordered::Map(Vec::new()), true);
                    }
                }
                Shape::List(_) | Shape::Leaf(_) => {}
            }
        }
    }

    fn subsection(
        &mut self,
        field: &Field,
        inner: &Table,
        path: &str,
        values: Option<&Ordered>,
        is_off: bool,
    ) {
        let empty = Ordered::Map(Vec::new());
        let is_given = matches!(values, Some(Ordered::Map(_)));
        let is_optional = field.default.is_none() && !field.is_required;
        let is_off = is_off || !is_given && is_optional;
        self.line("");
        self.comment(doc_of(field, inner));
        let mark = if is_off { "#" } else { "" };
        self.line(&format!("{mark}[{path}]"));
        self.section(inner, path, values.unwrap_or(&empty), is_off);
    }

    fn key(&mut self, field: &Field, value: Option<&Ordered>, is_off: bool) {
        self.line("");
        self.comment(&field.doc);
        let name = to_toml_key(&field.name);
        if field.is_secret() {
            let file = format!("Better name a file that holds it: {name}_file = \"/path/to/it\".");
            self.comment(&file);
        }
        if (field.default.is_none() || field.is_secret()) && !field.is_required {
            self.comment("Optional.");
        }
        let value = changed(field, value);
        let is_changed = value.is_some();
        let shown = value.unwrap_or_else(|| shown(field));
        let is_required = field.is_required && !self.is_form;
        if field.is_required && !is_required && !is_changed {
            self.comment("Must be given.");
        }
        let is_written = (is_changed || is_required) && !is_off;
        let mark = if is_written { "" } else { "#" };
        self.line(&format!("{mark}{name} = {}", to_toml(&shown)));
    }

    /// Keys whose names the operator chooses.
    fn own_keys(&mut self, table: &Table, path: &str, values: &Ordered) {
        let Some(rest) = table.rest.as_deref() else {
            return;
        };
        let own = match values {
            Ordered::Map(entries) => entries.as_slice(),
            Ordered::List(_) | Ordered::Plain(_) => &[],
        };
        for (name, value) in own.iter().filter(|(name, _)| table.field(name).is_none()) {
            if let Some(value) = written_out(value.to_value(), rest) {
                self.line(&format!("{} = {}", to_toml_key(name), to_toml(&value)));
            }
        }
        match rest {
            Shape::Table(inner) => {
                let path = join(path, "name");
                self.line("");
                self.comment("As often as needed, each with a name of its own.");
                self.line(&format!("#[{path}]"));
                self.section(inner, &path, &Ordered::Map(Vec::new()), true);
            }
            Shape::List(_) => self.line("#name = []"),
            Shape::Leaf(leaf) => {
                let field = Field::unnamed(rest);
                self.line(&format!("#name = {}", to_toml(&sample(&field, leaf))));
            }
        }
    }
}

/// The value of a key, without the secrets in it, if it is not the default.
fn changed(field: &Field, value: Option<&Ordered>) -> Option<Value> {
    let value = value?.to_value();
    if Some(&value) == field.default.as_ref() {
        return None;
    }
    written_out(value, &field.shape)
}

/// A value without secrets, and without what is not set or has its default.
fn written_out(value: Value, shape: &Shape) -> Option<Value> {
    match (value, shape) {
        (Value::Null, _) => None,
        (_, Shape::Leaf(leaf)) if leaf.kind == Kind::Secret => None,
        (Value::Array(items), Shape::List(item)) => {
            let items = items
                .into_iter()
                .filter_map(|value| written_out(value, item));
            Some(Value::Array(items.collect()))
        }
        (Value::Object(entries), Shape::Table(table)) => {
            let entries = entries.into_iter().filter_map(|(name, value)| {
                let field = table.field(&name);
                if field.is_some_and(|field| field.default.as_ref() == Some(&value)) {
                    return None;
                }
                let shape = field.map(|field| &field.shape).or(table.rest.as_deref())?;
                Some((name, written_out(value, shape)?))
            });
            Some(Value::Object(entries.collect()))
        }
        (value, _) => Some(value),
    }
}

/// The value that stands behind the `#`.
fn shown(field: &Field) -> Value {
    match (&field.default, &field.shape) {
        (Some(default), _) if !field.is_secret() && !field.is_required => default.clone(),
        (_, Shape::Leaf(leaf)) => sample(field, leaf),
        (default, _) => field
            .example
            .clone()
            .or_else(|| default.clone())
            .unwrap_or_else(|| json!([])),
    }
}

/// The reference of all keys as Markdown: one table for each section. `prefix` is that of the variables.
#[must_use]
pub fn reference<D: Document>(prefix: &str) -> String {
    let mut text = String::new();
    reference_section::<D>(&mut text, &D::table(), "", "", prefix);
    text
}

fn reference_section<D: Document>(
    text: &mut String,
    table: &Table,
    doc: &str,
    path: &str,
    prefix: &str,
) {
    if !path.is_empty() {
        let doc = if doc.is_empty() { &table.doc } else { doc };
        text.push_str(&format!("\n### `[{path}]`\n\n{}\n\n", one_line(doc)));
    }
    let keys = table
        .fields
        .iter()
        .filter(|field| !is_section(&field.shape));
    let rows: Vec<String> = keys.map(|field| row::<D>(field, path, prefix)).collect();
    if !rows.is_empty() {
        text.push_str(
            "| Key | Meaning | Value | Default | Variable | A change counts |\n|---|---|---|---|---|---|\n",
        );
        text.push_str(&rows.concat());
    }
    for field in &table.fields {
        match &field.shape {
            Shape::Table(inner) => {
                reference_section::<D>(text, inner, &field.doc, &join(path, &field.name), prefix);
                if let Some(Shape::Table(each)) = inner.rest.as_deref() {
                    let path = join(&join(path, &field.name), "*");
                    reference_section::<D>(text, each, "", &path, prefix);
                }
            }
            Shape::List(item) => {
                if let Shape::Table(inner) = item.as_ref() {
                    let path = format!("[{}]", join(path, &field.name));
                    reference_section::<D>(text, inner, &field.doc, &path, prefix);
                }
            }
            Shape::Leaf(_) => {}
        }
    }
}

/// What a section is for, as its key or its type says.
fn doc_of<'a>(field: &'a Field, inner: &'a Table) -> &'a str {
    if field.doc.is_empty() {
        &inner.doc
    } else {
        &field.doc
    }
}

/// Whether it has a head of its own.
fn is_section(shape: &Shape) -> bool {
    match shape {
        Shape::Table(_) => true,
        Shape::List(item) => matches!(item.as_ref(), Shape::Table(_)),
        Shape::Leaf(_) => false,
    }
}

fn row<D: Document>(field: &Field, section: &str, prefix: &str) -> String {
    let path = join(section, &field.name);
    let what = match &field.shape {
        Shape::Leaf(leaf) => expected(leaf),
        Shape::List(item) => match item.as_ref() {
            Shape::Leaf(leaf) => format!("a list, each item {}", expected(leaf)),
            Shape::List(_) | Shape::Table(_) => "a list".to_owned(),
        },
        Shape::Table(_) => "a section".to_owned(),
    };
    let is_empty = |value: &Value| value.as_str().is_some_and(str::is_empty);
    let default = match &field.default {
        _ if field.is_required => "must be given".to_owned(),
        Some(default) if !is_empty(default) => format!("`{}`", to_toml(default)),
        _ => "unset".to_owned(),
    };
    let (mut key, mut name) = (
        format!("`{}`", field.name),
        format!("`{}`", variable(prefix, &path)),
    );
    if field.is_secret() {
        key.push_str(&format!(" or `{}_file`", field.name));
        let file = variable(prefix, &format!("{path}_file"));
        name.push_str(&format!(" or `{file}`"));
    }
    if section.contains(['*', '[']) {
        name = String::new();
    }
    let names: Vec<String> = path
        .split('.')
        .map(|name| name.trim_matches(['[', ']']).to_owned())
        .collect();
    let counts = Effect::at::<D>(&names).words().to_owned();
    let cells = [key, one_line(&field.doc), what, default, name, counts];
    let cells = cells.map(|cell| cell.replace('|', "\\|"));
    format!("| {} |\n", cells.join(" | "))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The JSON schema of the file, for editors and checkers. Next to every secret stands the key that names its file.
#[must_use]
pub fn schema<D: Document>() -> Value {
    let mut schema = D::schema();
    add_file_keys(&mut schema);
    schema
}

fn add_file_keys(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            let names = object.get("properties").map(secrets).unwrap_or_default();
            if let Some(required) = object.get_mut("required").and_then(Value::as_array_mut) {
                required.retain(|name| !names.iter().any(|secret| name == secret));
            }
            let properties = object.get_mut("properties").and_then(Value::as_object_mut);
            if let Some(properties) = properties {
                for name in names {
                    let doc = format!("File that holds `{name}`.");
                    properties
                        .entry(format!("{name}_file"))
                        .or_insert_with(|| json!({ "type": "string", "description": doc }));
                }
            }
            object.values_mut().for_each(add_file_keys);
        }
        Value::Array(items) => items.iter_mut().for_each(add_file_keys),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn secrets(properties: &Value) -> Vec<String> {
    let is_secret = |schema: &Value| {
        let alternatives = schema.get("anyOf").and_then(Value::as_array);
        let mut all = std::iter::once(schema).chain(alternatives.into_iter().flatten());
        all.any(|schema| schema.get("x-kind") == Some(&json!("secret")))
    };
    let properties = properties.as_object().into_iter().flatten();
    properties
        .filter(|(_, schema)| is_secret(schema))
        .map(|(name, _)| name.clone())
        .collect()
}
