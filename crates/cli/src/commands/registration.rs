//! `bridgehead registration …`

use std::{
    fmt::Write as _,
    io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use bridgehead_homeserver::appservices::registration::{
    Features, Namespace, RegistrationDraft, create_file, load,
};
use clap::{Args, Subcommand};
use rand::Rng as _;

use super::print;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Write a registration file with fresh tokens.
    New(New),
    /// Read registration files, alone and against each other, and say what is wrong with them.
    Check {
        /// Files, or folders of them.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

#[derive(Args)]
pub(crate) struct New {
    /// The service's id: unique on the server, never to be changed.
    #[arg(long)]
    id: String,
    /// Where the service listens, e.g. `http://localhost:9000`; leave it out for a service that
    /// only sends.
    #[arg(long)]
    url: Option<String>,
    /// Localpart of the service's own user.
    #[arg(long)]
    sender_localpart: String,
    /// Pattern of user ids that the service owns, e.g. `@irc_.*:example.org`; may be repeated.
    #[arg(long, value_name = "REGEX")]
    user_regex: Vec<String>,
    /// Pattern of room aliases that the service owns, e.g. `#irc_.*:example.org`; may be repeated.
    #[arg(long, value_name = "REGEX")]
    alias_regex: Vec<String>,
    /// Pattern of room ids that the service watches; may be repeated.
    #[arg(long, value_name = "REGEX")]
    room_regex: Vec<String>,
    /// Share the namespaces with others instead of reserving them.
    #[arg(long)]
    shared: bool,
    /// Third-party protocol that the service answers for; may be repeated.
    #[arg(long)]
    protocol: Vec<String>,
    /// Hold the service's users to the server's rate limits.
    #[arg(long)]
    rate_limited: bool,
    /// Tell the service of typing, read receipts and presence.
    #[arg(long)]
    receive_ephemeral: bool,
    /// Where to write the file (readable by its owner only); standard output when left out.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Runs the command. Exit code 1: a file has mistakes.
pub(crate) fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::New(new) => write_new(new),
        Command::Check { files } => check(&files),
    }
}

fn write_new(new: New) -> anyhow::Result<ExitCode> {
    let namespaces = |patterns: Vec<String>| {
        patterns
            .into_iter()
            .map(|regex| Namespace {
                regex,
                exclusive: !new.shared,
            })
            .collect::<Vec<_>>()
    };
    let draft = RegistrationDraft {
        id: new.id,
        url: new.url,
        sender_localpart: new.sender_localpart,
        users: namespaces(new.user_regex),
        aliases: namespaces(new.alias_regex),
        rooms: namespaces(new.room_regex),
        protocols: new.protocol,
        rate_limited: new.rate_limited,
        features: Features {
            receive_ephemeral: new.receive_ephemeral,
            ..Features::default()
        },
        ..RegistrationDraft::default()
    };
    let text = match draft.generate(|bytes| rand::rng().fill_bytes(bytes)) {
        Ok(generated) => generated.text,
        Err(errors) => {
            let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
            bail!("no such registration can be made:\n{}", errors.join("\n"));
        }
    };
    let Some(path) = new.output else {
        print(text.expose())?;
        return Ok(ExitCode::SUCCESS);
    };
    write_private(&path, text.expose())?;
    print(&format!(
        "Wrote {0}. Give it to the service, and to the server with\n  bridgehead serve --registration {0}\n",
        path.display()
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// The file holds secrets: only its owner may read it, and an existing one is not replaced.
fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    match create_file(path, text) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => bail!(
            "{} is there already and its tokens may be in use; remove it, or name another file",
            path.display()
        ),
        written => written.with_context(|| format!("cannot write {}", path.display())),
    }
}

fn check(files: &[PathBuf]) -> anyhow::Result<ExitCode> {
    let mut report = String::new();
    let code = match load(files) {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                writeln!(report, "warning: {warning}")?;
            }
            for registration in &loaded.registrations {
                let file = registration.source.file.display();
                writeln!(report, "{file}: {}", registration.id)?;
            }
            report.push_str(match loaded.registrations.len() {
                0 => "no registrations: of a folder, its .yaml and .yml files are read\n",
                _ => "no mistakes\n",
            });
            ExitCode::SUCCESS
        }
        Err(errors) => {
            for error in &errors {
                writeln!(report, "{error}")?;
            }
            let plural = if errors.len() == 1 { "" } else { "s" };
            writeln!(report, "{} mistake{plural}", errors.len())?;
            ExitCode::FAILURE
        }
    };
    print(&report)?;
    Ok(code)
}
