//! Collects what was written: the file, over it the environment, over that the flags. Names are looked up here;
//! values are made sense of later, by their kinds.

use std::{collections::BTreeMap, path::Path, path::PathBuf};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    errors::{ConfigError, ConfigWarning, Origin, Position},
    files,
    schema::{self, Key, SECTIONS, VARIABLE_PREFIX},
    value::{Given, Raw},
};
use crate::secret::Secret;

/// Largest configuration file that is read.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Variables with our prefix that the command line reads and that are no keys.
const OTHER_VARIABLES: [&str; 3] = [
    "BRIDGEHEAD_CONFIG",
    "BRIDGEHEAD_OPERATOR_TOKEN",
    "BRIDGEHEAD_SERVER",
];

/// Values given by command-line flags. What is empty was not given; a list replaces the one of the lower layers.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--data-dir`
    pub data_dir: Option<PathBuf>,
    /// `--server-name`
    pub server_name: Option<String>,
    /// `--listen`, repeatable
    pub listen: Vec<String>,
    /// `--registration`, repeatable
    pub registrations: Vec<PathBuf>,
    /// `--open-registration`
    pub open_registration: bool,
    /// `--rate-limits on` or `off`
    pub rate_limits: Option<bool>,
    /// `--registration-shared-secret`
    pub registration_shared_secret: Option<Secret>,
}

/// All that was written, each key from its highest layer.
#[derive(Default)]
pub(super) struct Sources {
    pub(super) given: BTreeMap<&'static str, Given>,
    pub(super) errors: Vec<ConfigError>,
    pub(super) warnings: Vec<ConfigWarning>,
}

impl Sources {
    /// Adds the file. One that cannot be read is a mistake like any other.
    pub(super) fn add_file(&mut self, path: &Path) {
        match files::read_bounded(path, MAX_FILE_BYTES) {
            Ok(text) => self.add_text(path, &text),
            Err(error) => self.errors.push(ConfigError {
                origin: Origin::whole_file(path),
                key: String::new(),
                problem: format!("cannot read the configuration: {}", files::reason(&error)),
                remedy: "correct the path, or create the file and let the server read it"
                    .to_owned(),
            }),
        }
    }

    fn add_text(&mut self, path: &Path, text: &str) {
        let (table, mistakes) = DeTable::parse_recoverable(text);
        let origin_of = |offset| Origin::File {
            path: path.to_owned(),
            position: Some(Position::at(text, offset)),
        };
        for mistake in &mistakes {
            self.errors.push(ConfigError {
                origin: origin_of(mistake.span().map_or(0, |span| span.start)),
                key: String::new(),
                problem: format!("not TOML: {}", mistake.message().replace('\n', ", ")),
                remedy: "correct this line; texts stand in quotes, lists in [ ]".to_owned(),
            });
        }
        // What the parser made up to get past a mistake must not be reported as if the operator had written it.
        if mistakes.is_empty() {
            self.add_table("", table.get_ref(), &origin_of);
        }
    }

    fn add_table(
        &mut self,
        section: &str,
        table: &DeTable<'_>,
        origin_of: &impl Fn(usize) -> Origin,
    ) {
        for (name, value) in table {
            let path = if section.is_empty() {
                name.get_ref().to_string()
            } else {
                format!("{section}.{}", name.get_ref())
            };
            if let Some(key) = schema::find(&path) {
                self.add_from_file(key, &path, Given::from_toml(value, origin_of));
            } else if section.is_empty() && SECTIONS.iter().any(|section| section.name == path) {
                self.add_section(&path, value, origin_of);
            } else {
                let origin = origin_of(name.span().start);
                self.errors
                    .push(unknown_key(origin, path, value.get_ref().is_table()));
            }
        }
    }

    fn add_section(
        &mut self,
        name: &str,
        value: &Spanned<DeValue<'_>>,
        origin_of: &impl Fn(usize) -> Origin,
    ) {
        if let Some(table) = value.get_ref().as_table() {
            self.add_table(name, table, origin_of);
            return;
        }
        self.errors.push(ConfigError {
            origin: origin_of(value.span().start),
            key: name.to_owned(),
            problem: "expected a section, found a value".to_owned(),
            remedy: format!("write [{name}] on a line of its own and the section's keys below it"),
        });
    }

    fn add_from_file(&mut self, key: &'static Key, written: &str, given: Given) {
        let origin = given.origin.clone();
        if self.given.insert(key.path, given).is_some() {
            self.errors.push(ConfigError {
                origin,
                key: written.to_owned(),
                problem: format!("{} is given a second time, by another name", key.path),
                remedy: format!("keep {} alone", key.path),
            });
        }
    }

    /// Adds environment variables. An empty one counts as not set; a name of ours that no key has is a warning.
    pub(super) fn add_variables(&mut self, env: impl Iterator<Item = (String, String)>) {
        let mut ours: Vec<_> = env
            .filter(|(name, _)| name.starts_with(VARIABLE_PREFIX))
            .collect();
        ours.sort();
        for (name, value) in ours {
            if OTHER_VARIABLES.contains(&name.as_str()) {
                continue;
            }
            let key = schema::keys().find(|key| key.variables().any(|variable| variable == name));
            match key {
                None => self.warnings.push(unknown_variable(name)),
                Some(_) if value.is_empty() => {}
                Some(key) => {
                    let given = Given {
                        origin: Origin::Variable(name),
                        raw: Raw::Untyped(value),
                    };
                    self.given.insert(key.path, given);
                }
            }
        }
    }

    /// Adds the flags.
    pub(super) fn add_flags(&mut self, overrides: Overrides) {
        let untyped = |text: String| Raw::Untyped(text);
        let secret = overrides
            .registration_shared_secret
            .map(|secret| untyped(secret.expose().to_owned()));
        self.add_flag("data_dir", overrides.data_dir.map(Raw::Path));
        self.add_flag("server_name", overrides.server_name.map(untyped));
        self.add_flag_list("listen", overrides.listen.into_iter().map(untyped));
        self.add_flag_list(
            "registrations",
            overrides.registrations.into_iter().map(Raw::Path),
        );
        self.add_flag(
            "accounts.open_registration",
            overrides.open_registration.then_some(Raw::Bool(true)),
        );
        self.add_flag("limits.rate_limits", overrides.rate_limits.map(Raw::Bool));
        self.add_flag("accounts.registration_shared_secret", secret);
    }

    fn add_flag(&mut self, path: &str, raw: Option<Raw>) {
        if let Some(raw) = raw {
            let key = schema::find(path).expect("invariant: flags set keys of the table");
            let origin = Origin::Flag(
                key.flag
                    .expect("invariant: the table names the flag of each override"),
            );
            self.given.insert(key.path, Given { origin, raw });
        }
    }

    fn add_flag_list(&mut self, path: &str, items: impl Iterator<Item = Raw>) {
        let flag = schema::find(path)
            .and_then(|key| key.flag)
            .expect("invariant: the table names the flag of each override");
        let items: Vec<Given> = items
            .map(|raw| Given {
                origin: Origin::Flag(flag),
                raw,
            })
            .collect();
        self.add_flag(path, (!items.is_empty()).then_some(Raw::List(items)));
    }
}

fn unknown_key(origin: Origin, path: String, is_table: bool) -> ConfigError {
    let what = if is_table {
        "unknown section"
    } else {
        "unknown key"
    };
    let remedy = match meant(&path, is_table) {
        Some(meant) => format!("did you mean {meant}?"),
        None => "remove it; the reference lists every key".to_owned(),
    };
    ConfigError {
        origin,
        key: path,
        problem: what.to_owned(),
        remedy,
    }
}

/// What an unknown name was probably meant to be: a known one in the wrong section, or one with a slip.
fn meant(path: &str, is_table: bool) -> Option<&'static str> {
    if is_table {
        return schema::nearest(
            path,
            SECTIONS
                .iter()
                .map(|section| section.name)
                .filter(|name| !name.is_empty()),
        );
    }
    let name = path.rsplit_once('.').map_or(path, |(_, name)| name);
    let elsewhere = schema::keys()
        .find(|key| key.name() == name)
        .map(|key| key.path);
    elsewhere
        .or_else(|| schema::nearest(path, schema::keys().map(|key| key.path)))
        .or_else(|| {
            let close = schema::nearest(name, schema::keys().map(Key::name))?;
            schema::keys()
                .find(|key| key.name() == close)
                .map(|key| key.path)
        })
}

fn unknown_variable(name: String) -> ConfigWarning {
    let known: Vec<String> = schema::keys().flat_map(Key::variables).collect();
    let remedy = match schema::nearest(&name, known.iter().map(String::as_str)) {
        Some(nearest) => format!("did you mean {nearest}?"),
        None => "the reference lists every variable".to_owned(),
    };
    let text = format!("this variable is none of the server's and is ignored; {remedy}");
    ConfigWarning {
        origin: Origin::Variable(name),
        text,
    }
}
