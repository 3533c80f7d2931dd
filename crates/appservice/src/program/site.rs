//! Where a program stands: its configuration, and the files and addresses that follow from it.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use bridgehead_registration::{
    Registration, RegistrationDraft, Written, parse, read_bounded, replace_file,
};

use super::{
    Current, Failure, Given, Result,
    cli::FirstRun,
    first::{SERVER_NAME_KEY, make, name_files},
    terminal,
};
use crate::{
    Database, Limits, Service, Setup,
    config::{self, Config, ListenAddress, ListenConfig, ServiceConfig, Warning, Whole},
    surroundings::{Surroundings, SystemRandomness},
};

/// A program's configuration, and where it is from.
pub(super) struct Site<C> {
    pub(super) name: String,
    pub(super) config_file: PathBuf,
    pub(super) config: Arc<Whole<C>>,
    /// The same, as reloads leave it.
    pub(super) current: Current<C>,
    pub(super) warnings: Vec<Warning>,
    /// The configuration was made just now.
    pub(super) is_new: bool,
    env: Vec<(String, String)>,
}

/// What variables of the service of this name begin with.
pub(super) fn prefix(name: &str) -> String {
    let spell = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        }
    };
    name.chars().map(spell).collect()
}

fn config_file(given: &Given) -> PathBuf {
    let named = given.arguments.config.clone();
    named.unwrap_or_else(|| PathBuf::from(format!("{}.toml", given.name)))
}

impl<C: Config + Send + Sync + 'static> Site<C> {
    /// The service that the author declares here.
    pub(super) fn declare(&self, declare: impl FnOnce(&C) -> Service) -> Service {
        declare(&self.config.own).state(self.current.clone())
    }
}

impl<C: Config> Site<C> {
    /// Reads the configuration. Without a file, the variables may say everything.
    pub(super) fn open(given: &Given) -> Result<Self> {
        let file = config_file(given);
        let has_file = given.arguments.config.is_some() || is_there(&file);
        if !has_file && given.variable(SERVER_NAME_KEY).is_none() {
            return Err(Failure::Setup(format!(
                "there is no {}: start the service once, and it is written; or name the file with --config",
                file.display()
            )));
        }
        Self::load(given, file, has_file)
    }

    /// The same, with the configuration made where there is none.
    pub(super) fn open_or_make(given: &Given) -> Result<Self> {
        let file = config_file(given);
        let is_new = !is_there(&file) && make::<C>(given, &file)?;
        let has_file = is_new || is_there(&file);
        let mut site = Self::load(given, file, has_file)?;
        site.is_new = is_new;
        if !is_new {
            site.warn_of_late(&given.arguments.first);
        }
        Ok(site)
    }

    /// What is only for the first start changes nothing later, and must not seem to.
    fn warn_of_late(&self, first: &FirstRun) {
        let homeserver = &self.keys().homeserver;
        let said = [
            (
                "--server-name",
                &first.server_name,
                &*homeserver.server_name,
                "homeserver.server_name",
            ),
            (
                "--homeserver",
                &first.homeserver,
                homeserver.address.as_str(),
                "homeserver.address",
            ),
        ];
        for (option, said, counts, key) in said {
            if let Some(said) = said.as_deref().map(|said| said.trim_end_matches('/'))
                && said != counts
            {
                terminal::complain(&format!(
                    "{option} {said} is not used: it is for the first start, and {} exists. What counts is {key} there: \
                     {counts}",
                    self.config_file.display()
                ));
            }
        }
    }

    fn load(given: &Given, file: PathBuf, has_file: bool) -> Result<Self> {
        let (env, prefix) = (given.env.clone(), prefix(&given.name));
        let path = has_file.then_some(file.as_path());
        let loaded = config::load::<Whole<C>>(path, env, &prefix).map_err(Failure::setup)?;
        let mut config = loaded.config;
        if !has_file {
            name_files(&mut config.service, &given.name);
        }
        let config = Arc::new(config);
        Ok(Self {
            name: given.name.clone(),
            config_file: file,
            current: Current::new(config.clone()),
            config,
            warnings: loaded.warnings,
            is_new: false,
            env: given.env.clone(),
        })
    }

    /// Reads the configuration again.
    pub(super) fn reload(&self) -> std::result::Result<config::Loaded<Whole<C>>, config::Mistakes> {
        let path = Some(self.config_file.as_path()).filter(|file| is_there(file));
        let mut loaded = config::load::<Whole<C>>(path, self.env.clone(), &prefix(&self.name))?;
        if path.is_none() {
            name_files(&mut loaded.config.service, &self.name);
        }
        Ok(loaded)
    }

    /// The kit's keys.
    pub(super) fn keys(&self) -> &ServiceConfig {
        &self.config.service
    }

    pub(super) fn server_name(&self) -> &str {
        &self.keys().homeserver.server_name
    }

    pub(super) fn registration_file(&self) -> &Path {
        self.keys().registration.as_ref()
    }

    pub(super) fn database_file(&self) -> &Path {
        self.keys().database.as_ref()
    }

    /// The registration as the declaration and the configuration want it.
    pub(super) fn draft(&self, service: &Service) -> Result<RegistrationDraft> {
        let url = public_url(&self.keys().listen).map_err(|problem| self.mistake(&problem))?;
        Ok(service.registration(Some(&url), self.server_name())?)
    }

    /// A sentence about the configuration, with the file's name before it.
    pub(super) fn mistake(&self, problem: &str) -> Failure {
        Failure::Setup(format!("{}: {problem}", self.config_file.display()))
    }

    /// Makes the registration's file where there is none, or brings it up to the draft.
    pub(super) fn write_registration(&self, draft: &RegistrationDraft) -> Result<Written> {
        let randomness: &dyn crate::surroundings::Randomness = &SystemRandomness;
        draft
            .write(self.registration_file(), self.server_name(), |bytes| {
                randomness.fill(bytes);
            })
            .map_err(|error| Failure::Setup(with_source(&error)))
    }

    /// The registration in its file; `None` where there is none.
    pub(super) fn read_registration(&self) -> Result<Option<Registration>> {
        let file = self.registration_file();
        if !is_there(file) {
            return Ok(None);
        }
        let content = read_bounded(file).map_err(Failure::setup)?;
        let (registration, warnings) = parse(file, &content).map_err(|errors| {
            let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
            Failure::Setup(lines.join("\n"))
        })?;
        for warning in warnings {
            terminal::complain(&warning.to_string());
        }
        Ok(Some(registration))
    }

    /// What a service needs to run here.
    pub(super) fn setup(&self, registration: Registration) -> Setup {
        Setup {
            registration,
            server_name: self.server_name().to_owned(),
            homeserver: self.keys().homeserver.address.as_str().to_owned(),
            database: Database::File(self.database_file().to_owned()),
            surroundings: Surroundings::default(),
        }
    }
}

impl Given {
    /// What the variable for this key says, if it says anything.
    pub(super) fn variable(&self, key: &str) -> Option<&str> {
        let name = format!("{}_{key}", prefix(&self.name));
        let found = self.env.iter().find(|(variable, _)| *variable == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }
}

/// Whether there is anything of this name; a broken link counts.
fn is_there(file: &Path) -> bool {
    file.symlink_metadata().is_ok()
}

/// An error with what it comes from.
pub(super) fn with_source(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// Where the homeserver reaches the service.
pub(super) fn public_url(listen: &ListenConfig) -> Result<String, String> {
    if listen.websocket {
        return Ok("websocket".to_owned());
    }
    if let Some(address) = &listen.public_address {
        return Ok(address.as_str().to_owned());
    }
    let ListenAddress::Tcp(address) = &listen.address else {
        return Err(
            "listen.public_address: missing; a unix socket has no URL by itself, say under which one the homeserver \
             reaches it"
                .to_owned(),
        );
    };
    if address.port() == 0 {
        return Err(
            "listen.public_address: missing; with port 0 in listen.address, nobody knows the port beforehand"
                .to_owned(),
        );
    }
    let scheme = if listen.tls().is_some() {
        "https"
    } else {
        "http"
    };
    let port = address.port();
    Ok(if address.ip().is_unspecified() {
        format!("{scheme}://localhost:{port}")
    } else {
        format!("{scheme}://{address}")
    })
}

/// The service with the limits of the configuration. What the operator has left at its default stays as the author
/// has declared it.
pub(super) fn limited(service: Service, keys: &ServiceConfig) -> Service {
    let usual = ServiceConfig::default();
    let differs = |is_usual: bool| !is_usual;
    service.limits(|limits: &mut Limits| {
        let (inbox, retries, outbox) = (&keys.inbox, &keys.retries, &keys.outbox);
        if differs(inbox.high_water == usual.inbox.high_water) {
            limits.inbox_high_water = inbox.high_water as usize;
        }
        if differs(inbox.concurrency == usual.inbox.concurrency) {
            limits.concurrency = inbox.concurrency as usize;
        }
        if differs(inbox.max_body == usual.inbox.max_body) {
            limits.max_body_bytes = usize::try_from(inbox.max_body.bytes()).unwrap_or(usize::MAX);
        }
        if differs(retries.first_wait == usual.retries.first_wait) {
            limits.first_retry = retries.first_wait.get();
        }
        if differs(retries.max_wait == usual.retries.max_wait) {
            limits.max_retry = retries.max_wait.get();
        }
        if differs(retries.attempts == usual.retries.attempts) {
            limits.attempts = retries.attempts;
        }
        if differs(outbox.concurrency == usual.outbox.concurrency) {
            limits.send_concurrency = outbox.concurrency as usize;
        }
        if differs(outbox.give_up_after == usual.outbox.give_up_after) {
            limits.give_up_after = outbox.give_up_after.get();
        }
    })
}

/// `config upgrade`: new names for keys in the operator's file.
pub(super) fn upgrade<C: Config>(given: &Given) -> Result<()> {
    let file = config_file(given);
    let failed = |error: io::Error| Failure::Setup(format!("{}: {error}", file.display()));
    let text = std::fs::read_to_string(&file).map_err(failed)?;
    let moved = [ServiceConfig::MOVED, C::MOVED].concat();
    let upgraded = config::upgrade(&text, &moved).map_err(Failure::setup)?;
    if upgraded.text != text {
        replace_file(&file, &upgraded.text).map_err(failed)?;
    }
    for line in &upgraded.moved {
        terminal::say(&format!("moved: {line}"));
    }
    for line in &upgraded.left {
        terminal::say(&format!("left for you: {line}"));
    }
    if upgraded.moved.is_empty() && upgraded.left.is_empty() {
        terminal::say(&format!("{}: nothing to do", file.display()));
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::{config::NoConfig, program::cli::Arguments};

    pub(in crate::program) fn given(folder: &Path, more: &[&str], env: &[(&str, &str)]) -> Given {
        let file = folder.join("echo.toml");
        let line = ["echo", "--config", file.to_str().unwrap()];
        let line = line.iter().chain(more);
        let env = env
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Given {
            name: "echo".to_owned(),
            arguments: Arguments::try_parse_from(line).unwrap(),
            env: env.collect(),
        }
    }

    #[test]
    fn other_commands_make_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let asked = given(folder.path(), &["doctor"], &[]);
        assert!(Site::<NoConfig>::open(&asked).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_url_follows_from_the_address_where_it_can() {
        let url = |text: &str| {
            public_url(&ListenConfig {
                address: text.parse().unwrap(),
                ..ListenConfig::default()
            })
        };
        assert_eq!(url("127.0.0.1:9000").unwrap(), "http://127.0.0.1:9000");
        assert_eq!(url("0.0.0.0:9000").unwrap(), "http://localhost:9000");
        assert_eq!(url("[::1]:9000").unwrap(), "http://[::1]:9000");
        for text in ["127.0.0.1:0", "unix:/run/echo.sock"] {
            assert!(
                url(text).unwrap_err().contains("listen.public_address"),
                "{text}"
            );
        }
        let websocket = ListenConfig {
            websocket: true,
            ..ListenConfig::default()
        };
        assert_eq!(public_url(&websocket).unwrap(), "websocket");
    }

    #[test]
    fn the_operator_goes_before_the_author_and_the_author_before_the_defaults() {
        let keys = ServiceConfig {
            retries: config::RetryConfig {
                attempts: 3,
                ..config::RetryConfig::default()
            },
            ..ServiceConfig::default()
        };
        let service = Service::new("echo").limits(|limits| {
            limits.attempts = 99;
            limits.concurrency = 7;
        });
        let limits = limited(service, &keys).limits;
        assert_eq!((limits.attempts, limits.concurrency), (3, 7));
    }

    #[test]
    fn the_defaults_of_the_configuration_are_those_of_the_kit() {
        let (limits, keys) = (Limits::default(), ServiceConfig::default());
        assert_eq!(limits.inbox_high_water, keys.inbox.high_water as usize);
        assert_eq!(limits.concurrency, keys.inbox.concurrency as usize);
        assert_eq!(limits.max_body_bytes as u64, keys.inbox.max_body.bytes());
        assert_eq!(limits.first_retry, keys.retries.first_wait.get());
        assert_eq!(limits.max_retry, keys.retries.max_wait.get());
        assert_eq!(limits.attempts, keys.retries.attempts);
        assert_eq!(limits.send_concurrency, keys.outbox.concurrency as usize);
        assert_eq!(limits.give_up_after, keys.outbox.give_up_after.get());
    }
}
