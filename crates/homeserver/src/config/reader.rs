//! Hands each key's value to its kind, notes the mistakes under the key's name, and goes on with the default, so that
//! one pass finds them all.

use std::collections::BTreeMap;

use toml::de::DeValue;

use super::{
    errors::{ConfigError, Origin},
    kinds::Kind,
    sources::Sources,
    value::{Given, Refusal},
};

/// Reads typed values and collects what is wrong with them.
pub(super) struct Reader {
    given: BTreeMap<&'static str, Given>,
    errors: Vec<ConfigError>,
}

impl Reader {
    /// Starts from what was written, and the mistakes already found there. The warnings stay with the caller.
    pub(super) fn new(sources: Sources) -> Self {
        Self {
            given: sources.given,
            errors: sources.errors,
        }
    }

    /// The value of a key; its default when nobody gave one or what was given is wrong.
    pub(super) fn read<K: Kind>(
        &mut self,
        path: &'static str,
        kind: &K,
        default: &str,
    ) -> K::Value {
        if let Some(given) = self.given.get(path) {
            match kind.read(given) {
                Ok(value) => return value,
                Err(refusals) => refusals
                    .into_iter()
                    .for_each(|refusal| self.refuse(path, refusal)),
            }
        }
        default_value(kind, default).expect("invariant: every default in the table suits its kind")
    }

    /// Where a key was written; `None` when it has its default.
    pub(super) fn origin(&self, path: &str) -> Option<&Origin> {
        self.given.get(path).map(|given| &given.origin)
    }

    /// Notes a mistake about a key.
    pub(super) fn refuse(&mut self, path: &str, refusal: Refusal) {
        let Refusal {
            origin,
            problem,
            remedy,
        } = refusal;
        self.errors.push(ConfigError {
            origin,
            key: path.to_owned(),
            problem,
            remedy,
        });
    }

    /// Whether nothing has been refused about this key so far.
    pub(super) fn is_sound(&self, path: &str) -> bool {
        self.errors.iter().all(|error| error.key != path)
    }

    /// The mistakes found.
    pub(super) fn into_errors(self) -> Vec<ConfigError> {
        self.errors
    }
}

/// The table's default for a kind; `None` when the table is wrong.
fn default_value<K: Kind>(kind: &K, default: &str) -> Option<K::Value> {
    if default.is_empty() {
        return kind.unset();
    }
    let value = DeValue::parse(default).ok()?;
    kind.read(&Given::from_toml(&value, &|_| Origin::Default))
        .ok()
}
