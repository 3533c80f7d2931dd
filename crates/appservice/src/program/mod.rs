//! A service as a program: configuration, commands, signals, pages for those who watch it.
//!
//! [`Service::main`] is all that an author writes. The program then has these commands:
//!
//! | command | does |
//! |---|---|
//! | `run`, or nothing | runs the service; the first time, writes configuration and registration and says what to tell the homeserver |
//! | `register` | brings the registration up to date, id and tokens kept; `--apply` makes it live on a homeserver with an operator API |
//! | `doctor` | tries everything between service and homeserver, and what the author adds, and says which file and key to change |
//! | `parked`, `replay` | lists, gives up, or handles again what could not be handled, also while the service runs |
//! | `config` | example, JSON schema, reference, check, upgrade |
//!
//! Exit codes: 0 is good; 1: it was tried and failed, or the doctor found something; 2: the command line or the
//! configuration is wrong.
//!
//! Signals: SIGTERM and SIGINT end the service in order (a second one at once), SIGHUP reads the configuration again: one
//! with mistakes changes nothing; else each key counts from when the reference says, and [`Service::on_reload`] is told.
//!
//! Files: `cli` (the command line), `site` (configuration and what follows from it), `first` (makes it), `run` with `serve`, `reload`, `pages`,
//! `control` (a running service as seen by the same program's other commands) and `log`, `register` with `operator`,
//! `parked`, `doctor`; `api` is the way to anything over HTTP, `stand_in` answers in place of a service that does not
//! run.

mod api;
mod cli;
mod control;
mod current;
mod doctor;
mod first;
mod log;
mod operator;
mod pages;
mod parked;
mod register;
mod reload;
mod run;
mod serve;
mod site;
mod stand_in;
mod terminal;

use std::{ffi::OsString, process::ExitCode};

use clap::Parser as _;

use self::{
    cli::{Arguments, Command, ConfigCommand},
    site::Site,
};
pub use self::{
    current::{Current, Now},
    doctor::Finding,
};
use crate::{
    config::{self, Config, NoConfig, Whole},
    run::StartError,
    service::Service,
};

/// Why a command has not done what it should. Displays as what the operator reads.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The command line, the configuration or the declaration is wrong.
    #[error("{0}")]
    Setup(String),
    /// It was tried, and failed.
    #[error("{0}")]
    Tried(String),
    /// Everything was said already.
    #[error("")]
    Told,
}

impl Failure {
    fn setup(error: impl std::fmt::Display) -> Self {
        Self::Setup(error.to_string())
    }

    fn tried(error: impl std::fmt::Display) -> Self {
        Self::Tried(error.to_string())
    }

    fn code(&self) -> ExitCode {
        match self {
            Self::Setup(_) => ExitCode::from(2),
            Self::Tried(_) | Self::Told => ExitCode::FAILURE,
        }
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Declaration(_) | StartError::Setup(_) => Self::setup(error),
            StartError::Store(_) => Self::tried(error),
        }
    }
}

type Result<T, E = Failure> = std::result::Result<T, E>;

/// What the process was given.
struct Given {
    name: String,
    arguments: Arguments,
    env: Vec<(String, String)>,
}

impl Service {
    /// Runs the service as a program: reads the command line, does what it says, and returns the process's exit code.
    /// See [`program`](crate::program) for the commands.
    ///
    /// The configuration is `NAME.toml` in the working directory unless `--config` says otherwise; variables
    /// `NAME_SECTION_KEY` go before it.
    pub async fn main(self) -> ExitCode {
        let name = self.name.to_string();
        Self::main_with::<NoConfig>(&name, move |_| self).await
    }

    /// The same for a service with keys of its own in the configuration: `declare` makes the service from them. It is
    /// called once, and not by commands that need no service. `name` is the service's name.
    ///
    /// Handlers that want to see what a reload has changed take [`State<Current<C>>`](Current); what has to do something
    /// about it is given to [`on_reload`](Self::on_reload).
    pub async fn main_with<C>(name: &str, declare: impl FnOnce(&C) -> Self + Send) -> ExitCode
    where
        C: Config + Send + Sync + 'static,
    {
        // What is not UTF-8 is none of our variables.
        let env = std::env::vars_os();
        let env = env
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)));
        enter(name, declare, std::env::args_os(), env.collect()).await
    }
}

async fn enter<C: Config + Send + Sync + 'static>(
    name: &str,
    declare: impl FnOnce(&C) -> Service + Send,
    arguments: impl IntoIterator<Item = OsString>,
    env: Vec<(String, String)>,
) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // A closed terminal is no reason to fail otherwise.
            error.print().ok();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let given = Given {
        name: name.to_owned(),
        arguments,
        env,
    };
    match obey(&given, declare).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let text = failure.to_string();
            if !text.is_empty() {
                terminal::complain(&text);
            }
            failure.code()
        }
    }
}

async fn obey<C: Config + Send + Sync + 'static>(
    given: &Given,
    declare: impl FnOnce(&C) -> Service + Send,
) -> Result<()> {
    match given.arguments.command.as_ref().unwrap_or(&Command::Run) {
        Command::Run => run::run(&Site::<C>::open_or_make(given)?, declare).await,
        Command::Register(asked) => {
            let site = Site::<C>::open_or_make(given)?;
            let service = site.declare(declare);
            register::register(&site, &service, asked).await
        }
        Command::Doctor(asked) => {
            let site = Site::<C>::open(given)?;
            let service = site.declare(declare);
            doctor::examine(&site, &service, asked).await
        }
        Command::Parked(asked) => {
            let site = Site::<C>::open(given)?;
            let service = site.declare(declare);
            parked::parked(&site, &service, asked).await
        }
        Command::Replay(asked) => {
            let site = Site::<C>::open(given)?;
            let service = site.declare(declare);
            parked::replay(&site, &service, asked).await
        }
        Command::Config(asked) => configure::<C>(given, asked),
    }
}

fn configure<C: Config>(given: &Given, asked: &ConfigCommand) -> Result<()> {
    match asked {
        ConfigCommand::Example => {
            terminal::say(first::example::<C>(&given.name).trim_end());
        }
        ConfigCommand::Reference => {
            let prefix = site::prefix(&given.name);
            terminal::say(config::reference::<Whole<C>>(&prefix).trim_end());
        }
        ConfigCommand::Schema => {
            let schema = serde_json::to_string_pretty(&config::schema::<Whole<C>>());
            terminal::say(&schema.map_err(Failure::tried)?);
        }
        ConfigCommand::Check => {
            let site = Site::<C>::open(given)?;
            for warning in &site.warnings {
                terminal::say(&warning.to_string());
            }
            terminal::say(&format!("{}: good", site.config_file.display()));
        }
        ConfigCommand::Upgrade => site::upgrade::<C>(given)?,
    }
    Ok(())
}
