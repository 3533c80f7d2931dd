//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::{Report, Result, heisenbridge, mai};

/// Takes over what another IRC bridge keeps: makes a configuration, a registration and a database of it. The other bridge's
/// things are only read.
#[derive(Debug, Parser)]
#[command(name = "bridgehead-irc import")]
pub struct Arguments {
    /// The other bridge.
    #[command(subcommand)]
    pub source: Source,
}

/// Another bridge.
#[derive(Debug, Subcommand)]
pub enum Source {
    /// Take over matrix-appservice-irc: its configuration and its PostgreSQL database.
    MatrixAppserviceIrc(MatrixAppserviceIrc),
    /// Take over heisenbridge: what its user keeps at the homeserver.
    Heisenbridge(Heisenbridge),
}

/// What is needed of matrix-appservice-irc.
#[derive(Debug, Args)]
pub struct MatrixAppserviceIrc {
    /// Its database, such as postgres://user:password@localhost/irc; where it is not given, the one that its
    /// configuration names.
    #[arg(long, value_name = "URL")]
    pub database: Option<String>,

    /// Its configuration.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,

    /// Its registration, the one that the homeserver has.
    #[arg(long, value_name = "FILE")]
    pub registration: PathBuf,

    /// The key of stored passwords; where it is not given, the one that its configuration names.
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,

    /// The folder for irc.toml, irc-registration.yaml and irc.db.
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    pub into: PathBuf,

    /// Only say what would be done.
    #[arg(long)]
    pub dry_run: bool,
}

/// What is needed of heisenbridge.
#[derive(Debug, Args)]
pub struct Heisenbridge {
    /// Its registration, the one that the homeserver has.
    #[arg(long, value_name = "FILE")]
    pub registration: PathBuf,

    /// The homeserver, such as http://localhost:8008.
    #[arg(long, value_name = "URL")]
    pub homeserver: String,

    /// The folder for irc.toml, irc-registration.yaml and irc.db.
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    pub into: PathBuf,

    /// Only say what would be done.
    #[arg(long)]
    pub dry_run: bool,
}

/// Takes over what was asked for.
///
/// # Errors
/// What is in the way, and what to do.
pub async fn run(arguments: &Arguments) -> Result<Report> {
    match &arguments.source {
        Source::MatrixAppserviceIrc(asked) => mai::run(asked).await,
        Source::Heisenbridge(asked) => heisenbridge::run(asked).await,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }
}
