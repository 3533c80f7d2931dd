//! Where a program stands: its configuration, and the files and addresses that follow from it. The first start makes
//! them.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use bridgehead_registration::{
    Registration, RegistrationDraft, Written, create_file, parse, read_bounded, replace_file,
};

use super::{Current, Failure, Given, Result, terminal};
use crate::{
    Database, Limits, Service, Setup,
    config::{self, Config, FilePath, ListenAddress, ListenConfig, ServiceConfig, Warning, Whole},
    surroundings::{Surroundings, SystemRandomness},
};

/// What is taken for the homeserver's name where nobody has said it: what a homeserver on a developer's machine is
/// called.
const ASSUMED_NAME: &str = "localhost";

/// The key that must be given.
const SERVER_NAME_KEY: &str = "HOMESERVER_SERVER_NAME";

/// The same for the homeserver's address.
const ADDRESS_KEY: &str = "HOMESERVER_ADDRESS";

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
        if !has_file && !given.has_variable(SERVER_NAME_KEY) {
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
        Ok(site)
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
    fn has_variable(&self, key: &str) -> bool {
        let name = format!("{}_{key}", prefix(&self.name));
        self.env
            .iter()
            .any(|(variable, value)| *variable == name && !value.is_empty())
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

/// Writes the first configuration: the defaults, what the command line and the variables say, and a guess at the
/// homeserver's name if need be. `false`: it cannot be written, and is not needed either.
fn make<C: Config>(given: &Given, file: &Path) -> Result<bool> {
    let mut env = given.env.clone();
    let prefix = prefix(&given.name);
    let first = &given.arguments.first;
    let mut say = |key: &str, value: Option<&str>| {
        if let Some(value) = value {
            let name = format!("{prefix}_{key}");
            env.retain(|(variable, _)| *variable != name);
            env.push((name, value.to_owned()));
        }
    };
    let is_known = first.server_name.is_some() || given.has_variable(SERVER_NAME_KEY);
    let guess = (!is_known).then_some(ASSUMED_NAME);
    say(SERVER_NAME_KEY, first.server_name.as_deref().or(guess));
    say(ADDRESS_KEY, first.homeserver.as_deref());
    let loaded = config::load::<Whole<C>>(None, env, &prefix).map_err(Failure::setup)?;
    let mut config = loaded.config;
    name_files(&mut config.service, &given.name);
    match create_file(file, &config::example_with(&config)) {
        Ok(()) => {}
        // Somebody else was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(true),
        // Where nothing can be written, such as in a container, variables may say it all.
        Err(_) if given.has_variable(SERVER_NAME_KEY) && given.arguments.config.is_none() => {
            return Ok(false);
        }
        Err(error) => {
            return Err(Failure::Setup(format!(
                "{} cannot be written: {error}",
                file.display()
            )));
        }
    }
    if guess.is_some() {
        terminal::say(&format!(
            "The homeserver's name is taken to be `{ASSUMED_NAME}`. If it is another one, set homeserver.server_name in \
             {} before the homeserver is told anything.",
            file.display()
        ));
    }
    Ok(true)
}

/// Files of several services may be in one folder.
fn name_files(keys: &mut ServiceConfig, name: &str) {
    let usual = ServiceConfig::default();
    if keys.registration == usual.registration {
        keys.registration = FilePath::new(format!("{name}-registration.yaml"));
    }
    if keys.database == usual.database {
        keys.database = FilePath::new(format!("{name}.db"));
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
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::{config::NoConfig, program::cli::Arguments};

    fn given(folder: &Path, more: &[&str], env: &[(&str, &str)]) -> Given {
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

    fn made(folder: &Path, more: &[&str], env: &[(&str, &str)]) -> Site<NoConfig> {
        Site::open_or_make(&given(folder, more, env)).unwrap()
    }

    #[test]
    fn the_first_configuration_says_what_was_said_and_is_its_owners() {
        let folder = tempfile::tempdir().unwrap();
        let site = made(
            folder.path(),
            &["--homeserver", "https://matrix.example.org"],
            &[("ECHO_HOMESERVER_SERVER_NAME", "example.org")],
        );
        assert!(site.is_new);
        let text = std::fs::read_to_string(&site.config_file).unwrap();
        for line in [
            "server_name = \"example.org\"",
            "address = \"https://matrix.example.org\"",
            "registration = \"echo-registration.yaml\"",
        ] {
            assert!(text.lines().any(|l| l == line), "no {line} in\n{text}");
        }
        assert_eq!(
            site.registration_file(),
            folder.path().join("echo-registration.yaml")
        );
        let again = made(folder.path(), &["--server-name", "elsewhere.org"], &[]);
        assert!(!again.is_new);
        assert_eq!(
            again.server_name(),
            "example.org",
            "only the first start asks"
        );
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(&site.config_file)
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn without_any_word_the_name_is_a_guess() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(made(folder.path(), &[], &[]).server_name(), "localhost");
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
