//! The command line of a service.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// A Matrix application service.
#[derive(Debug, Parser)]
#[command(about)]
pub(super) struct Arguments {
    /// The configuration file, instead of NAME.toml in the working directory.
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,

    #[command(flatten)]
    pub(super) first: FirstRun,

    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

/// What the configuration is made with, when there is none yet.
#[derive(Debug, Args)]
pub(super) struct FirstRun {
    /// For the first start: the homeserver's name, which stands behind the colon in user ids.
    #[arg(long, global = true, value_name = "NAME")]
    pub(super) server_name: Option<String>,

    /// For the first start: where the homeserver's client-server API is, such as http://localhost:8008.
    #[arg(long, global = true, value_name = "URL")]
    pub(super) homeserver: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the service (also without any command). The first start writes configuration and registration.
    Run,
    /// Bring the registration up to date, with its id and tokens kept.
    Register(Register),
    /// Try everything between service and homeserver; say which file and key to change.
    Doctor(Doctor),
    /// List what could not be handled and was set aside.
    Parked(Parked),
    /// Handle again what was set aside.
    Replay(Replay),
    /// See, check and upgrade the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
}

#[derive(Debug, Args)]
pub(super) struct Register {
    /// Make it live on the homeserver named in homeserver.admin_address, and see that it reaches the service; if it
    /// does not, the homeserver gets back what it had.
    #[arg(long, conflicts_with_all = ["dry_run", "check", "print"])]
    pub(super) apply: bool,

    /// With --apply: keep it even if the homeserver does not reach the service.
    #[arg(long, requires = "apply")]
    pub(super) unverified: bool,

    /// With --apply: replace the registration in force even if its tokens are not those of the file here. Whoever runs
    /// with the old ones is locked out, and they cannot be put back.
    #[arg(long, requires = "apply")]
    pub(super) new_tokens: bool,

    /// Only say what would change.
    #[arg(long, conflicts_with_all = ["check", "print"])]
    pub(super) dry_run: bool,

    /// Print the registration that is in the file, with its tokens hidden.
    #[arg(long, conflicts_with = "check")]
    pub(super) print: bool,

    /// Hold the registration against those of other services: files, or folders of them.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(super) check: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// Print what was found as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Parked {
    /// Print one JSON object a line, with the whole event.
    #[arg(long)]
    pub(super) json: bool,

    #[command(subcommand)]
    pub(super) command: Option<ParkedCommand>,
}

#[derive(Debug, Subcommand)]
pub(super) enum ParkedCommand {
    /// Give up what was set aside under these numbers, for good.
    Drop {
        /// Numbers, as `parked` lists them; --all for all of them.
        #[arg(required = true, value_name = "NUMBER")]
        numbers: Vec<i64>,
    },
}

#[derive(Debug, Args)]
pub(super) struct Replay {
    /// Numbers, as `parked` lists them.
    #[arg(value_name = "NUMBER", required_unless_present = "all")]
    pub(super) numbers: Vec<i64>,

    /// Everything that is set aside now.
    #[arg(long, conflicts_with = "numbers")]
    pub(super) all: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Print a configuration with every key, its meaning and its default.
    Example,
    /// Print the JSON schema of the configuration, for editors.
    Schema,
    /// Print all keys and variables as Markdown.
    Reference,
    /// Say whether the configuration is right.
    Check,
    /// Give keys their new names in the configuration file, comments kept.
    Upgrade,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(line: &str) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn nothing_means_run_and_options_stand_anywhere() {
        let bare = parse("service").unwrap();
        assert!(bare.command.is_none());
        let run = parse("service run --config x.toml --server-name example.org").unwrap();
        assert!(matches!(run.command, Some(Command::Run)));
        assert_eq!(run.config, Some("x.toml".into()));
        assert_eq!(run.first.server_name.as_deref(), Some("example.org"));
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for line in [
            "service replay",
            "service replay 3 --all",
            "service parked drop",
            "service register --apply --dry-run",
            "service register --unverified",
            "service register --new-tokens",
            "service register --check",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
        assert!(parse("service replay 3 4").is_ok());
        assert!(parse("service parked drop 3").is_ok());
    }
}
