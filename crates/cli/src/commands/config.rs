//! `bridgehead config …`

use std::{path::PathBuf, process::ExitCode};

use bridgehead_homeserver::config::{check, render_example, render_reference};
use clap::Subcommand;

use super::print;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Explain the mistakes of a configuration file, each with its line and what to write instead.
    Check {
        /// The configuration file (TOML).
        file: PathBuf,
    },
    /// Print a configuration file with every key, its meaning and its default.
    Example,
    /// Print the reference of all keys as Markdown.
    Reference,
}

/// Runs the command. Exit code 1: the file has mistakes.
pub(crate) fn run(command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Check { file } => {
            let report = check(file);
            print(&format!("{report}\n"))?;
            if !report.is_ok() {
                return Ok(ExitCode::FAILURE);
            }
        }
        Command::Example => print(&render_example())?,
        Command::Reference => print(&render_reference())?,
    }
    Ok(ExitCode::SUCCESS)
}
