//! The server's configuration: one TOML file, the environment, and flags, made into one typed [`Config`].
//!
//! ```text
//! file ─▶ sources ─▶ reader + kinds ─▶ checks ─▶ Config
//! env ──▶    │             │             │
//! flags ▶    └─────────────┴─────────────┴─────▶ ConfigErrors: all mistakes at once
//! ```
//!
//! The keys are declared once, in `keys.rs`; the reference page and the example file are generated from there.
//! Nothing here reads the process's environment or arguments: the caller passes them in.

mod checks;
mod errors;
mod files;
mod keys;
mod kinds;
mod reader;
mod reference;
mod schema;
mod sources;
#[cfg(test)]
mod tests;
mod value;

use std::{fmt, path::Path};

use self::{errors::write_lines, reader::Reader, sources::Sources};
pub use self::{
    errors::{ConfigError, ConfigErrors, ConfigWarning, Origin, Position},
    keys::{
        Accounts, Appservices, Config, Limits, Log, LogFormat, Metrics, Presence, RateCategory,
        RateLimit, Rooms, Tls,
    },
    reference::{render_example, render_reference},
    sources::Overrides,
};

/// A configuration that is right, and what is odd about it.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What the operator should be told.
    pub warnings: Vec<ConfigWarning>,
}

impl Config {
    /// Reads the configuration: flags win over `env`, `env` over the file, the file over the defaults.
    ///
    /// `env` is all of the environment; variables that do not start with `BRIDGEHEAD_` are ignored. Besides reading the
    /// file, this looks at the files that it names, but opens none of them except the one with the shared secret.
    pub fn load(
        file: Option<&Path>,
        env: impl Iterator<Item = (String, String)>,
        overrides: Overrides,
    ) -> Result<Loaded, ConfigErrors> {
        let (config, report) = examine(file, env, overrides);
        match report.errors {
            Some(errors) => Err(errors),
            None => Ok(Loaded {
                config,
                warnings: report.warnings,
            }),
        }
    }
}

/// What [`check`] found in a configuration file.
#[derive(Debug, Clone)]
pub struct Report {
    /// The mistakes, if any.
    pub errors: Option<ConfigErrors>,
    /// What is odd but does not stop the server.
    pub warnings: Vec<ConfigWarning>,
}

impl Report {
    /// Whether the server would start with this file.
    pub fn is_ok(&self) -> bool {
        self.errors.is_none()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        match &self.errors {
            None => f.write_str("no mistakes"),
            Some(errors) => {
                let errors: Vec<_> = errors.iter().collect();
                write_lines(f, &errors)?;
                let plural = if errors.len() == 1 { "" } else { "s" };
                write!(f, "\n{} mistake{plural}", errors.len())
            }
        }
    }
}

/// How the log is to look, also when the rest has mistakes: so that these can be told in the same way.
pub fn log_format(
    file: Option<&Path>,
    env: impl Iterator<Item = (String, String)>,
    overrides: Overrides,
) -> LogFormat {
    examine(file, env, overrides).0.log.format
}

/// Checks a configuration file alone, as if no variable and no flag were given.
pub fn check(file: &Path) -> Report {
    examine(Some(file), std::iter::empty(), Overrides::default()).1
}

/// The configuration with defaults in place of whatever is wrong, and what is wrong.
fn examine(
    file: Option<&Path>,
    env: impl Iterator<Item = (String, String)>,
    overrides: Overrides,
) -> (Config, Report) {
    let mut sources = Sources::default();
    if let Some(file) = file {
        sources.add_file(file);
    }
    sources.add_variables(env);
    sources.add_flags(overrides);
    let mut warnings = std::mem::take(&mut sources.warnings);
    let mut reader = Reader::new(sources);
    let mut config = Config::read(&mut reader);
    checks::run(&mut config, &mut reader);
    warnings.extend(file.and_then(|file| checks::warn_of_open_secrets(file, &reader)));
    (
        config,
        Report {
            errors: ConfigErrors::collect(reader.into_errors()),
            warnings,
        },
    )
}
