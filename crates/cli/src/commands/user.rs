//! `bridgehead user …`

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use bridgehead_homeserver::create_user_offline;
use clap::{Args, Subcommand};

use super::serve;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make an account. The server must not be running on the same data folder.
    Create(Create),
}

#[derive(Args)]
pub(crate) struct Create {
    /// The part of the user id between @ and :.
    localpart: String,
    /// The password; read from standard input when left out.
    #[arg(long)]
    password: Option<String>,
    /// Let the account use the admin endpoints.
    #[arg(long)]
    admin: bool,
    #[command(flatten)]
    server: serve::Arguments,
}

/// Runs the command.
pub(crate) async fn run(command: Command) -> anyhow::Result<ExitCode> {
    let Command::Create(create) = command;
    let password = match create.password {
        Some(password) => password,
        None => read_password()?,
    };
    if password.is_empty() {
        bail!("the password is empty; give one with --password or on standard input");
    }
    let config = create.server.load()?;
    let user_id = create_user_offline(config, &create.localpart, &password, create.admin).await?;
    println!("Made {user_id}");
    Ok(ExitCode::SUCCESS)
}

fn read_password() -> anyhow::Result<String> {
    eprintln!("Password (standard input, one line):");
    let mut line = String::new();
    std::io::stdin()
        .read_line(&mut line)
        .context("reading the password")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
