//! What can be loaded: one author's struct, or that and the kit's own keys in one file.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    JsonSchema, Moved, Refusals,
    ordered::Ordered,
    read::{Part, TypeError},
    service::ServiceConfig,
    shape::Table,
};

/// A configuration made from one struct. All of it can be left as it is:
///
/// ```
/// use bridgehead_appservice::config::{Config, JsonSchema, schemars};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
/// #[serde(default, deny_unknown_fields)]
/// struct Irc {
///     /// Name of the network, shown to people.
///     network: String,
/// }
///
/// impl Config for Irc {}
/// ```
///
/// What the documentation comments say is what operators read. Beyond what `schemars` knows, a key may say
/// `#[schemars(extend("x-required" = true))]` when it must be given, and `#[schemars(extend("x-expected" = "a nick"))]`
/// what its value has to be; an example is given by `#[schemars(example = …)]`.
pub trait Config: Default + Serialize + DeserializeOwned + JsonSchema {
    /// Keys that had another name in earlier versions.
    const MOVED: &'static [Moved] = &[];

    /// Keys and sections whose changes take effect without a restart. `*` stands for any name, as in
    /// `networks.*.title`.
    const LIVE: &'static [&'static str] = &[];

    /// Keys and sections whose changes take effect without a restart, but later, and when: `("networks.*.servers", "with
    /// the next connection")`. They go before those that are [live](Self::LIVE).
    const LATER: &'static [(&'static str, &'static str)] = &[];

    /// Called after loading, with every value in place, to refuse what only shows in several keys together. Defaults
    /// stand in for values that were refused already.
    fn check(&self, _refusals: &mut Refusals<'_>) {}
}

/// A service without keys of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NoConfig {}

impl Config for NoConfig {}

/// The kit's keys and a service's own, side by side in one file.
#[derive(Debug, Clone, Default)]
pub struct Whole<C> {
    /// The kit's.
    pub service: ServiceConfig,
    /// The service's.
    pub own: C,
}

/// What [`load`](super::load) and its neighbours take: a [`Config`], or the [`Whole`] with one.
pub trait Document: Default + Parts {}

impl<D: Default + Parts> Document for D {}

/// How a document is made and taken apart. Nothing outside this module can implement it.
pub trait Parts: Sized {
    /// Its keys.
    fn table() -> Table;
    /// The JSON schema of all keys.
    fn schema() -> Value;
    /// From values by key.
    fn read(values: &Value) -> Result<Self, TypeError>;
    /// Its values by key.
    fn values(&self) -> Ordered;
    /// See [`Config::MOVED`].
    fn moved() -> Vec<Moved>;
    /// See [`Config::LIVE`].
    fn live() -> Vec<&'static str>;
    /// See [`Config::LATER`].
    fn later() -> Vec<(&'static str, &'static str)>;
    /// See [`Config::check`].
    fn check_all(&self, refusals: &mut Refusals<'_>);
}

impl<C: Config> Parts for C {
    fn table() -> Table {
        Table::of::<C>(Ordered::of(&C::default()).as_ref())
    }

    fn schema() -> Value {
        schemars::schema_for!(C).to_value()
    }

    fn read(values: &Value) -> Result<Self, TypeError> {
        serde_path_to_error::deserialize(values).map_err(|error| TypeError {
            path: error.path().iter().filter_map(part).collect(),
            message: error.inner().to_string(),
        })
    }

    fn values(&self) -> Ordered {
        Ordered::of(self).unwrap_or(Ordered::Map(Vec::new()))
    }

    fn moved() -> Vec<Moved> {
        C::MOVED.to_vec()
    }

    fn live() -> Vec<&'static str> {
        C::LIVE.to_vec()
    }

    fn later() -> Vec<(&'static str, &'static str)> {
        C::LATER.to_vec()
    }

    fn check_all(&self, refusals: &mut Refusals<'_>) {
        self.check(refusals);
    }
}

fn part(segment: &serde_path_to_error::Segment) -> Option<Part> {
    use serde_path_to_error::Segment;
    match segment {
        Segment::Map { key } => Some(Part::Key(key.clone())),
        Segment::Seq { index } => Some(Part::Index(*index)),
        Segment::Enum { .. } | Segment::Unknown => None,
    }
}

impl<C: Config> Parts for Whole<C> {
    fn table() -> Table {
        let (mut table, own) = (ServiceConfig::table(), C::table());
        let own_fields = own.fields.into_iter();
        let clashing = |name: &str| table.fields.iter().any(|field| field.name == name);
        let new: Vec<_> = own_fields.filter(|field| !clashing(&field.name)).collect();
        table.fields.extend(new);
        table.rest = own.rest;
        table.doc = own.doc;
        table
    }

    fn schema() -> Value {
        let (mut schema, own) = (ServiceConfig::schema(), C::schema());
        for name in ["title", "description", "additionalProperties"] {
            if let Some(value) = own.get(name) {
                schema[name] = value.clone();
            }
        }
        for name in ["properties", "$defs", "required"] {
            merge(&mut schema, name, &own);
        }
        schema
    }

    /// A key that both declare is an error each time, so that the author sees it at once.
    fn read(values: &Value) -> Result<Self, TypeError> {
        let kits = ServiceConfig::table();
        for field in C::table().fields {
            if kits.field(&field.name).is_some() {
                let message = format!(
                    "{} is a key of the kit and of the service's own struct; rename the latter",
                    field.name
                );
                let path = Vec::new();
                return Err(TypeError { path, message });
            }
        }
        let (service, own) = split(values, &kits);
        Ok(Self {
            service: ServiceConfig::read(&service)?,
            own: C::read(&own)?,
        })
    }

    fn values(&self) -> Ordered {
        let mut all = Vec::new();
        for values in [Parts::values(&self.service), Parts::values(&self.own)] {
            if let Ordered::Map(entries) = values {
                all.extend(entries);
            }
        }
        Ordered::Map(all)
    }

    fn moved() -> Vec<Moved> {
        [ServiceConfig::MOVED, C::MOVED].concat()
    }

    fn live() -> Vec<&'static str> {
        [ServiceConfig::LIVE, C::LIVE].concat()
    }

    fn later() -> Vec<(&'static str, &'static str)> {
        [ServiceConfig::LATER, C::LATER].concat()
    }

    fn check_all(&self, refusals: &mut Refusals<'_>) {
        self.service.check(refusals);
        self.own.check(refusals);
    }
}

/// The values of the kit's keys, and all others.
fn split(values: &Value, kits: &Table) -> (Value, Value) {
    let (mut service, mut own) = (serde_json::Map::new(), serde_json::Map::new());
    for (name, value) in values.as_object().into_iter().flatten() {
        let part = if kits.field(name).is_some() {
            &mut service
        } else {
            &mut own
        };
        part.insert(name.clone(), value.clone());
    }
    (Value::Object(service), Value::Object(own))
}

/// Adds the members of `own[name]` to `schema[name]`.
fn merge(schema: &mut Value, name: &str, own: &Value) {
    match (&mut schema[name], own.get(name)) {
        (Value::Object(all), Some(Value::Object(more))) => {
            all.extend(
                more.iter()
                    .map(|(name, value)| (name.clone(), value.clone())),
            );
        }
        (Value::Array(all), Some(Value::Array(more))) => all.extend(more.iter().cloned()),
        (place, Some(more)) if place.is_null() => *place = more.clone(),
        _ => {}
    }
    if schema[name].is_null()
        && let Some(object) = schema.as_object_mut()
    {
        object.remove(name);
    }
}
