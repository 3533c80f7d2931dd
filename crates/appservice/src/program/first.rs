//! The first start: the configuration is written, with every key and what is known.

use std::{io, path::Path};

use bridgehead_registration::create_file;

use super::{Failure, Given, Result, site::prefix, terminal};
use crate::config::{self, Config, FilePath, Mistakes, ServiceConfig, Whole};

/// What is taken for the homeserver's name where nobody has said it: what a homeserver on a developer's machine is
/// called.
const ASSUMED_NAME: &str = "localhost";

/// The key that must be given.
pub(super) const SERVER_NAME_KEY: &str = "HOMESERVER_SERVER_NAME";

/// The same for the homeserver's address.
const ADDRESS_KEY: &str = "HOMESERVER_ADDRESS";

/// Writes the first configuration: the defaults, what the command line and the variables say, and a guess at the
/// homeserver's name if need be. `false`: it cannot be written, and is not needed either.
pub(super) fn make<C: Config>(given: &Given, file: &Path) -> Result<bool> {
    let name = given.arguments.first.server_name.as_deref();
    let name = name.or_else(|| given.variable(SERVER_NAME_KEY));
    let (config, is_whole) = match said::<C>(given, name.unwrap_or(ASSUMED_NAME)) {
        Ok(config) => (config, true),
        // The operator fills in what is missing, and is told all of it when the file is read.
        Err(_) => (first_words(given, name.unwrap_or(ASSUMED_NAME))?, false),
    };
    let text = first_text(config, &given.name, is_whole);
    match create_file(file, &text) {
        Ok(()) => {}
        // Somebody else was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(true),
        // Where nothing can be written, such as in a container, variables may say it all.
        Err(_) if given.variable(SERVER_NAME_KEY).is_some() && given.arguments.config.is_none() => {
            return Ok(false);
        }
        Err(error) => {
            return Err(Failure::Setup(format!(
                "{} cannot be written: {error}",
                file.display()
            )));
        }
    }
    tell(file, is_whole, name.is_none());
    Ok(true)
}

fn tell(file: &Path, is_whole: bool, is_guessed: bool) {
    let file = file.display();
    if !is_whole {
        terminal::say(&format!(
            "{file} is written. Something in it has to be said before the service can start:"
        ));
    }
    if is_guessed {
        terminal::say(&format!(
            "The homeserver's name is taken to be `{ASSUMED_NAME}`. If it is another one, set homeserver.server_name in \
             {file} and run `register` before the homeserver is told anything."
        ));
    }
}

/// The defaults, with what the command line and the variables say.
fn said<C: Config>(given: &Given, server_name: &str) -> std::result::Result<Whole<C>, Mistakes> {
    let mut env = given.env.clone();
    let prefix = prefix(&given.name);
    let address = given.arguments.first.homeserver.as_deref();
    for (key, value) in [(SERVER_NAME_KEY, Some(server_name)), (ADDRESS_KEY, address)] {
        if let Some(value) = value {
            let name = format!("{prefix}_{key}");
            env.retain(|(variable, _)| *variable != name);
            env.push((name, value.to_owned()));
        }
    }
    Ok(config::load::<Whole<C>>(None, env, &prefix)?.config)
}

/// The text of a first configuration. Where it is not whole, keys that must be given and are not wait behind a `#`: a
/// value to copy must not count as one that was given.
fn first_text<C: Config>(mut config: Whole<C>, name: &str, is_whole: bool) -> String {
    name_files(&mut config.service, name);
    if is_whole {
        config::example_with(&config)
    } else {
        config::form_with(&config)
    }
}

/// The defaults, with what the command line says of the homeserver.
fn first_words<C: Config>(given: &Given, server_name: &str) -> Result<Whole<C>> {
    let mut config = Whole::<C>::default();
    let homeserver = &mut config.service.homeserver;
    server_name.clone_into(&mut homeserver.server_name);
    if let Some(address) = &given.arguments.first.homeserver {
        homeserver.address = address
            .parse()
            .map_err(|error| Failure::Setup(format!("--homeserver {address}: {error}")))?;
    }
    Ok(config)
}

/// The example of the service of this name, with its files named as the first start names them.
pub(super) fn example<C: Config>(name: &str) -> String {
    let mut config = Whole::<C>::default();
    name_files(&mut config.service, name);
    config::example_with(&config)
}

/// Files of several services may be in one folder.
pub(super) fn name_files(keys: &mut ServiceConfig, name: &str) {
    let usual = ServiceConfig::default();
    if keys.registration == usual.registration {
        keys.registration = FilePath::new(format!("{name}-registration.yaml"));
    }
    if keys.database == usual.database {
        keys.database = FilePath::new(format!("{name}.db"));
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::{
        config::{JsonSchema, NoConfig, Refusals, schemars},
        program::site::{Site, tests::given},
    };

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

    /// A service that cannot do with defaults alone.
    #[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
    #[serde(default, deny_unknown_fields)]
    struct Irc {
        /// Name of the network.
        #[schemars(extend("x-required" = true), example = "libera".to_owned())]
        network: String,
        /// Where it is.
        gate: String,
    }

    impl Config for Irc {
        fn check(&self, refusals: &mut Refusals<'_>) {
            if self.gate.is_empty() {
                refusals.refuse("gate", "there is none", "write a host");
            }
        }
    }

    #[test]
    fn what_is_missing_is_asked_for_in_a_file_that_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let options = [
            "--server-name",
            "example.org",
            "--homeserver",
            "http://hs:1",
        ];
        let open = |options: &[&str]| {
            Site::<Irc>::open_or_make(&given(folder.path(), options, &[]))
                .map(|site| {
                    (
                        site.config.own.network.clone(),
                        site.server_name().to_owned(),
                    )
                })
                .map_err(|failure| failure.to_string())
        };
        let file = folder.path().join("echo.toml");
        let told = open(&options).unwrap_err();
        let text = std::fs::read_to_string(&file).unwrap();
        for line in [
            "#network = \"libera\"",
            "#gate = \"\"",
            "server_name = \"example.org\"",
            "address = \"http://hs:1\"",
            "database = \"echo.db\"",
        ] {
            assert!(text.lines().any(|l| l == line), "no {line} in\n{text}");
        }
        for part in ["network: not given", "gate: there is none"] {
            assert!(told.contains(part), "{told}");
        }
        assert!(
            told.contains("echo.toml: network"),
            "the file is named: {told}"
        );
        // It goes on asking until it is told, and does not take the value to copy for an answer.
        assert_eq!(open(&options).unwrap_err(), told);
        let filled = text
            .replace("#network = \"libera\"", "network = \"oftc\"")
            .replace("#gate = \"\"", "gate = \"irc.oftc.net\"");
        std::fs::write(&file, filled).unwrap();
        let given = ("oftc".to_owned(), "example.org".to_owned());
        assert_eq!(open(&options), Ok(given));
    }

    #[test]
    fn an_address_that_is_none_is_refused_before_anything_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let asked = given(folder.path(), &["--homeserver", "nonsense"], &[]);
        let told = Site::<NoConfig>::open_or_make(&asked)
            .err()
            .unwrap()
            .to_string();
        assert!(
            told.contains("--homeserver nonsense: expected an http"),
            "{told}"
        );
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_example_names_files_as_the_first_start_does() {
        let text = example::<NoConfig>("echo");
        for line in [
            "registration = \"echo-registration.yaml\"",
            "database = \"echo.db\"",
        ] {
            assert!(text.lines().any(|l| l == line), "no {line} in\n{text}");
        }
    }
}
