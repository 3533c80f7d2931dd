//! `bridgehead user …`

use std::{
    io::{self, BufRead as _, IsTerminal as _},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use bridgehead_homeserver::{
    config::{Config, Overrides},
    create_user_offline,
};
use clap::{Args, Subcommand};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use super::{Place, print};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make an account. The server must not be running on the same data folder.
    Create(Create),
}

#[derive(Args)]
pub(crate) struct Create {
    /// The part of the user id between @ and :.
    localpart: String,
    /// The password; read from standard input when left out, which keeps it out of the shell's
    /// history.
    #[arg(long)]
    password: Option<String>,
    /// Let the account use the admin endpoints.
    #[arg(long)]
    admin: bool,
    #[command(flatten)]
    place: Place,
}

/// Runs the command.
pub(crate) async fn run(command: Command) -> anyhow::Result<ExitCode> {
    let Command::Create(create) = command;
    let overrides = Overrides {
        data_dir: create.place.data_dir,
        server_name: create.place.server_name,
        ..Overrides::default()
    };
    let file = create.place.config.as_deref();
    let loaded = Config::load(file, std::env::vars(), overrides)
        .map_err(|errors| anyhow::anyhow!("the configuration has mistakes:\n{errors}"))?;
    for warning in &loaded.warnings {
        eprintln!("bridgehead: warning: {warning}");
    }
    let password = match create.password {
        Some(password) => password,
        None => read_password()?,
    };
    if password.is_empty() {
        bail!("the password is empty; give one with --password or on standard input");
    }
    let data_dir = loaded.config.data_dir.clone();
    let user_id =
        create_user_offline(loaded.config, &create.localpart, &password, create.admin).await?;
    let data_dir = std::path::absolute(&data_dir).unwrap_or(data_dir);
    print(&format!("Made {user_id} in {}\n", data_dir.display()))?;
    Ok(ExitCode::SUCCESS)
}

fn read_password() -> anyhow::Result<String> {
    let mut input = io::stdin().lock();
    let hidden = if input.is_terminal() {
        eprint!("Password: ");
        Hidden::start()
    } else {
        None
    };
    let mut line = String::new();
    input.read_line(&mut line).context("reading the password")?;
    if hidden.is_some() {
        // The person's own line break was hidden as well.
        eprintln!();
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// While this lives, the terminal does not show what is typed.
struct Hidden(Termios);

impl Hidden {
    /// `None` when the terminal cannot do it; the password is then typed in sight.
    fn start() -> Option<Self> {
        let before = tcgetattr(io::stdin()).ok()?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &silent).ok()?;
        Some(Self(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // Nothing more can be done; the shell restores most of it as well.
        tcsetattr(io::stdin(), OptionalActions::Now, &self.0).ok();
    }
}
