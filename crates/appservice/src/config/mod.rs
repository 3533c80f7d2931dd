//! A service's configuration, made from one struct: the TOML file, its commented example, the JSON schema, the
//! reference and the environment's variables all follow from the author's type.
//!
//! ```text
//! file ─▶ given ─▶ moved ─▶ read ─▶ author's type ─▶ check ─▶ Loaded
//! env ──▶   │                 ▲
//!           └─────────────────┤ shape ◀─ JSON schema
//!                             └─▶ Mistakes: all at once
//! ```
//!
//! - [`load`] reads a file and variables. A variable `PREFIX_SECTION_KEY` wins over the file, the file over the default.
//!   Lists in variables are separated by commas. For a secret `token`, the key `token_file` (or the variable
//!   `…_TOKEN_FILE`) names a file that holds it.
//! - [`example`], [`schema()`] and [`reference()`] are for the operator and for the documentation.
//! - [`upgrade`] gives keys their new names in the operator's file, comments kept; [`diff`] says what a reload changes.
//!
//! A struct's derived code looks for `schemars` by that name: import it from here. An author who does not depend on
//! `serde` writes `#[serde(crate = "bridgehead_appservice::config::serde")]`.
//!
//! Nothing here reads the process's environment: the caller passes it in. Secrets never reach an error or a page.

mod document;
mod given;
mod leaf;
mod mistake;
mod moved;
mod ordered;
mod places;
mod read;
mod refusals;
mod reload;
mod render;
mod secret;
mod service;
mod shape;
#[cfg(test)]
mod tests;
mod twice;
mod units;
mod upgrade;

use std::path::Path;

pub use schemars::{self, JsonSchema};
pub use serde;

pub use self::{
    document::{Config, Document, NoConfig, Whole},
    mistake::{Mistake, Mistakes, Origin, Warning},
    moved::Moved,
    places::{FilePath, HostPort, HttpUrl, ListenAddress, PlaceError},
    refusals::Refusals,
    reload::{Change, diff},
    render::{example, example_with, reference, schema},
    secret::SecretText,
    service::{
        HealthConfig, HomeserverConfig, InboxConfig, ListenConfig, LogConfig, LogFormat,
        MetricsConfig, OutboxConfig, RetryConfig, ServiceConfig,
    },
    units::{Size, Time, UnitError},
    upgrade::{UpgradeError, Upgraded, upgrade},
};
use self::{read::Reader, secret::read_bounded};
pub(crate) use self::{reload::sentences, render::form_with};

/// Largest configuration file that is read.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// A configuration that is right, and what is odd about it.
#[derive(Debug, Clone)]
pub struct Loaded<D> {
    /// The configuration.
    pub config: D,
    /// What the operator should be told.
    pub warnings: Vec<Warning>,
}

/// Reads a configuration. `env` is all of the environment; only variables that begin with `prefix` and `_` count.
/// Besides the file this opens those that `…_file` keys name.
///
/// # Errors
/// [`Mistakes`]: everything that is wrong, at once, each with its place and what to write instead.
pub fn load<D: Document>(
    file: Option<&Path>,
    env: impl IntoIterator<Item = (String, String)>,
    prefix: &str,
) -> Result<Loaded<D>, Mistakes> {
    let Some(path) = file else {
        return load_text(None, env, prefix);
    };
    match read_bounded(path, MAX_FILE_BYTES) {
        Ok(text) => load_text(Some((path, &text)), env, prefix),
        Err(error) => {
            let mistake = Mistake {
                origin: Origin::whole_file(path),
                key: String::new(),
                problem: format!("cannot read the configuration: {}", secret::reason(&error)),
                remedy: "correct the path, or create the file and let the service read it"
                    .to_owned(),
            };
            Err(Mistakes::collect(vec![mistake]).expect("invariant: there is one"))
        }
    }
}

/// Like [`load`], with the file's text at hand; its path is for messages and for relative paths.
fn load_text<D: Document>(
    file: Option<(&Path, &str)>,
    env: impl IntoIterator<Item = (String, String)>,
    prefix: &str,
) -> Result<Loaded<D>, Mistakes> {
    let table = D::table();
    let mut reader = Reader::new(&table, prefix);
    let mut whole = Origin::Default;
    let mut entries = Vec::new();
    if let Some((path, text)) = file {
        whole = Origin::whole_file(path);
        match given::parse(path, text) {
            Ok(written) => entries = written,
            Err(mistakes) => {
                // Values are missing then that are there, behind the mistake: nothing else can be said.
                return Err(Mistakes::collect(mistakes).expect("invariant: the parser gave some"));
            }
        }
    }
    let mut warnings = moved::apply(&mut entries, &D::moved(), &mut reader.mistakes);
    warnings.extend(given::add_variables(&mut entries, &table, prefix, env));
    let values = reader.values(&entries, &whole);
    let config = reader.typed(values, |values| D::read(values));
    let secrets = reader.secrets_in_file();
    warnings.append(&mut reader.warnings);
    let mut mistakes = reader.mistakes;
    if let Some(config) = &config {
        config.check_all(&mut Refusals::new(&reader.origins, &mut mistakes));
    }
    warnings.extend(file.and_then(|(path, _)| warn_of_open_secrets(path, &secrets)));
    match (config, Mistakes::collect(mistakes)) {
        (Some(config), None) => Ok(Loaded { config, warnings }),
        (_, Some(mistakes)) => Err(mistakes),
        (None, None) => unreachable!("invariant: what cannot be read is told"),
    }
}

/// Warns of secrets in a configuration file that everybody on the machine may read.
fn warn_of_open_secrets(file: &Path, secrets: &[String]) -> Option<Warning> {
    let metadata = std::fs::metadata(file).ok()?;
    (!secrets.is_empty() && secret::is_world_readable(&metadata)).then(|| Warning {
        origin: Origin::whole_file(file),
        text: format!(
            "everybody on this machine may read {}; run: chmod o-rwx {}",
            secrets.join(" and "),
            file.display()
        ),
    })
}
