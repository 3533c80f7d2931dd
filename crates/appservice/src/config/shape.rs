//! What a configuration may look like: its JSON schema, brought down to what a TOML file and variables need.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value};

use super::ordered::Ordered;

/// Sections inside sections at most; deeper ones of a recursive type are not looked into.
const MAX_DEPTH: usize = 16;

/// What a value may be.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    /// A section.
    Table(Table),
    /// Any number of the same.
    List(Box<Shape>),
    /// One value.
    Leaf(Leaf),
}

/// A section.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    /// What the section is for.
    pub(super) doc: String,
    /// Its keys, in the order of their declaration.
    pub(super) fields: Vec<Field>,
    /// What keys of the operator's own choice hold, where there may be such.
    pub(super) rest: Option<Box<Shape>>,
}

/// A key.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) doc: String,
    pub(super) shape: Shape,
    /// What counts if it is not given; `None` when there is nothing then.
    pub(super) default: Option<Value>,
    /// It must be given.
    pub(super) is_required: bool,
    /// A value to copy.
    pub(super) example: Option<Value>,
}

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Leaf {
    pub(super) kind: Kind,
    /// In words, with an article, where the author or the type has some.
    pub(super) expected: Option<String>,
}

/// What a leaf is read as.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Text,
    Secret,
    Path,
    Time,
    Size,
    Bool,
    Integer {
        min: Option<i64>,
        max: Option<i64>,
    },
    Number {
        min: Option<f64>,
        max: Option<f64>,
    },
    Choice(Vec<String>),
    /// Whatever the author's type accepts.
    Any,
}

impl Table {
    /// The keys of `C`, with the values of its default.
    pub(super) fn of<C: JsonSchema>(default: Option<&Ordered>) -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        });
        let schema = settings.into_generator().into_root_schema_for::<C>();
        let schema = schema.to_value();
        let compiler = Compiler { root: &schema };
        match compiler.shape(&schema, default, 0) {
            Shape::Table(table) => table,
            Shape::List(_) | Shape::Leaf(_) => Self::default(),
        }
    }

    /// The field of this name.
    pub(super) fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The secret that the key `…_file` names the file of.
    pub(super) fn secret_of_file_key(&self, name: &str) -> Option<&Field> {
        if self.field(name).is_some() {
            return None;
        }
        let secret = self.field(name.strip_suffix("_file")?)?;
        secret.is_secret().then_some(secret)
    }

    /// Every key that has a name of its own, with its path: sections before what is in them.
    pub(super) fn paths(&self) -> Vec<(String, &Field)> {
        let mut paths = Vec::new();
        self.collect_paths("", &mut paths);
        paths
    }

    fn collect_paths<'a>(&'a self, section: &str, paths: &mut Vec<(String, &'a Field)>) {
        for field in &self.fields {
            let path = join(section, &field.name);
            paths.push((path.clone(), field));
            if let Shape::Table(table) = &field.shape {
                table.collect_paths(&path, paths);
            }
        }
    }
}

impl Field {
    /// Stands for an item of a list, or a key of the operator's choice.
    pub(super) fn unnamed(shape: &Shape) -> Self {
        Self {
            name: String::new(),
            doc: String::new(),
            shape: shape.clone(),
            default: None,
            is_required: false,
            example: None,
        }
    }

    pub(super) fn is_secret(&self) -> bool {
        matches!(&self.shape, Shape::Leaf(leaf) if leaf.kind == Kind::Secret)
    }
}

/// The path of a key in a section.
pub(super) fn join(section: &str, name: &str) -> String {
    if section.is_empty() {
        name.to_owned()
    } else {
        format!("{section}.{name}")
    }
}

struct Compiler<'a> {
    root: &'a Value,
}

impl Compiler<'_> {
    fn shape(&self, schema: &Value, default: Option<&Ordered>, depth: usize) -> Shape {
        let any = || leaf(schema, Kind::Any);
        let Some(object) = self.resolve(schema).as_object() else {
            return any();
        };
        if depth > MAX_DEPTH {
            return any();
        }
        if let Some(choice) = choice(object) {
            return leaf(schema, choice);
        }
        match type_of(object) {
            Some("object") => Shape::Table(self.table(object, default, depth)),
            Some("array") => match object.get("items") {
                Some(items) => Shape::List(Box::new(self.shape(items, None, depth + 1))),
                None => any(),
            },
            Some(name) => leaf(schema, kind(name, object)),
            None => match self.only_alternative(object) {
                Some(inner) => self.shape(inner, default, depth + 1),
                None => any(),
            },
        }
    }

    fn table(&self, object: &Map<String, Value>, default: Option<&Ordered>, depth: usize) -> Table {
        let empty = Map::new();
        let properties = object.get("properties").and_then(Value::as_object);
        let required = object.get("required").and_then(Value::as_array);
        let is_required =
            |name: &str| required.is_some_and(|names| names.iter().any(|n| n == name));
        let mut fields: Vec<Field> = properties
            .unwrap_or(&empty)
            .iter()
            .map(|(name, schema)| {
                let default = default.and_then(|default| default.get(name));
                let mut field = self.field(name, schema, default, depth);
                field.is_required |= is_required(name);
                field
            })
            .collect();
        if let Some(default) = default {
            fields.sort_by_key(|field| default.place_of(&field.name));
        }
        let rest = object.get("additionalProperties");
        let rest = rest.filter(|rest| **rest != Value::Bool(false));
        Table {
            doc: text(object, "description"),
            fields,
            rest: rest.map(|rest| Box::new(self.shape(rest, None, depth + 1))),
        }
    }

    fn field(&self, name: &str, schema: &Value, default: Option<&Ordered>, depth: usize) -> Field {
        let empty = Map::new();
        let object = schema.as_object().unwrap_or(&empty);
        let inner = self.resolve(schema);
        let doc = text(object, "description");
        let shape = self.shape(schema, default, depth + 1);
        let example = [schema, inner]
            .into_iter()
            .find_map(|schema| schema.get("examples")?.get(0).cloned());
        // In what has no default as a whole, the schema still knows those of its keys.
        let default = match default {
            Some(default) => Some(default.to_value()),
            None => object.get("default").cloned(),
        };
        Field {
            name: name.to_owned(),
            doc,
            shape,
            default: default.filter(|value| !value.is_null()),
            is_required: object.get("x-required") == Some(&Value::Bool(true)),
            example,
        }
    }

    /// What a reference leads to, or the one alternative that is not "nothing".
    fn resolve<'s>(&'s self, schema: &'s Value) -> &'s Value {
        let mut found = schema;
        for _ in 0..MAX_DEPTH {
            let Some(object) = found.as_object() else {
                break;
            };
            let target = object.get("$ref").and_then(Value::as_str);
            found = match target.and_then(|target| target.strip_prefix('#')) {
                Some("") => self.root,
                Some(pointer) => match self.root.pointer(pointer) {
                    Some(found) => found,
                    None => break,
                },
                None if object.contains_key("type") || object.contains_key("enum") => break,
                None => match self.only_alternative(object) {
                    Some(inner) => inner,
                    None => break,
                },
            };
        }
        found
    }

    /// The alternative of an optional value, or the one schema of an `allOf`.
    fn only_alternative<'s>(&self, object: &'s Map<String, Value>) -> Option<&'s Value> {
        let alternatives = ["anyOf", "oneOf", "allOf"]
            .into_iter()
            .find_map(|name| object.get(name)?.as_array())?;
        let is_null = |schema: &Value| schema.get("type") == Some(&Value::from("null"));
        let mut others = alternatives.iter().filter(|schema| !is_null(schema));
        let only = others.next()?;
        others.next().is_none().then_some(only)
    }
}

fn leaf(schema: &Value, kind: Kind) -> Shape {
    let expected = schema
        .get("x-expected")
        .and_then(Value::as_str)
        .or_else(|| {
            let alternatives = schema.get("anyOf")?.as_array()?;
            alternatives
                .iter()
                .find_map(|schema| schema.get("x-expected")?.as_str())
        });
    Shape::Leaf(Leaf {
        kind,
        expected: expected.map(str::to_owned),
    })
}

fn kind(type_name: &str, object: &Map<String, Value>) -> Kind {
    let format = object.get("format").and_then(Value::as_str);
    match (type_name, object.get("x-kind").and_then(Value::as_str)) {
        (_, Some("secret")) => Kind::Secret,
        (_, Some("path")) => Kind::Path,
        (_, Some("time")) => Kind::Time,
        (_, Some("size")) => Kind::Size,
        ("string", _) => Kind::Text,
        ("boolean", _) => Kind::Bool,
        ("integer", _) => {
            let (low, high) = integer_range(format.unwrap_or_default());
            let bound = |name| object.get(name).and_then(Value::as_i64);
            Kind::Integer {
                min: bound("minimum").or(low),
                max: bound("maximum").or(high),
            }
        }
        ("number", _) => {
            let bound = |name| object.get(name).and_then(Value::as_f64);
            Kind::Number {
                min: bound("minimum"),
                max: bound("maximum"),
            }
        }
        _ => Kind::Any,
    }
}

/// What the type itself can hold, where that is less than TOML can.
fn integer_range(format: &str) -> (Option<i64>, Option<i64>) {
    match format {
        "uint8" => (Some(0), Some(u8::MAX.into())),
        "uint16" => (Some(0), Some(u16::MAX.into())),
        "uint32" => (Some(0), Some(u32::MAX.into())),
        "uint" | "uint64" => (Some(0), None),
        "int8" => (Some(i8::MIN.into()), Some(i8::MAX.into())),
        "int16" => (Some(i16::MIN.into()), Some(i16::MAX.into())),
        "int32" => (Some(i32::MIN.into()), Some(i32::MAX.into())),
        _ => (None, None),
    }
}

/// The words of a plain enumeration.
fn choice(object: &Map<String, Value>) -> Option<Kind> {
    let word = |value: &Value| value.as_str().map(str::to_owned);
    let words = if let Some(words) = object.get("enum").and_then(Value::as_array) {
        let words = words.iter().filter(|value| !value.is_null());
        words.map(word).collect::<Option<Vec<_>>>()?
    } else {
        let variants = object.get("oneOf")?.as_array()?;
        let mut words = Vec::new();
        for variant in variants {
            if let Some(constant) = variant.get("const") {
                words.push(word(constant)?);
            } else {
                for value in variant.get("enum")?.as_array()? {
                    words.push(word(value)?);
                }
            }
        }
        words
    };
    (!words.is_empty()).then_some(Kind::Choice(words))
}

/// The type that is not `null`, if there is one.
fn type_of(object: &Map<String, Value>) -> Option<&str> {
    match object.get("type")? {
        Value::String(name) => Some(name),
        Value::Array(names) => {
            let mut names = names
                .iter()
                .filter_map(Value::as_str)
                .filter(|n| *n != "null");
            let only = names.next()?;
            names.next().is_none().then_some(only)
        }
        _ => None,
    }
}

fn text(object: &Map<String, Value>, name: &str) -> String {
    let text = object.get(name).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}
