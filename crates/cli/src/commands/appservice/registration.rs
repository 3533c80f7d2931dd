//! `add`, `change`, `rotate`: registrations of a running server.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, bail};
use bridgehead_admin_api::{
    AddRegistration, ClientError, Registered, ReplaceRegistration, RotateRequest, Rotated,
};
use clap::Args;
use serde::Serialize;

use super::{Caller, One, Reason, lint, write_private_answer};
use crate::{
    commands::print,
    output::{self, Look, clean, time},
};

/// The server takes no larger registration.
const MAX_FILE_BYTES: u64 = 1 << 20;

#[derive(Args)]
pub(super) struct Add {
    /// Registration files, in the usual YAML; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Check them and say what would happen; change nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    reason: Reason,
}

#[derive(Args)]
pub(super) struct Change {
    #[command(flatten)]
    one: One,
    /// The registration with the same id, in the usual YAML; `-` is standard input. A token that
    /// reads `***` stays as it is.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The revision that the change is based on; without it, the one in force now.
    #[arg(long, value_name = "NUMBER")]
    revision: Option<u64>,
    /// Check it and say what would happen; change nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    reason: Reason,
}

#[derive(Args)]
pub(super) struct Rotate {
    #[command(flatten)]
    one: One,
    /// For how long the old tokens are good, too; 0 ends them at once. One hour without it.
    #[arg(long, value_name = "DURATION", value_parser = time::parse_duration)]
    overlap: Option<Duration>,
    /// Write the tokens to a new file that only its owner may read, instead of to standard output.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    reason: Reason,
}

/// What became of each file, for scripts.
#[derive(Default, Serialize)]
struct Added {
    registered: Vec<Registered>,
    refused: Vec<Refused>,
}

#[derive(Serialize)]
struct Refused {
    file: String,
    errcode: String,
    error: String,
}

/// Adds every file that it can.
pub(super) async fn add(caller: &Caller, add: Add) -> anyhow::Result<ExitCode> {
    // What cannot be read is found before anything is changed.
    let mut files = Vec::new();
    for path in &add.files {
        files.push((path.display().to_string(), read(path)?));
    }
    let mut added = Added::default();
    let mut words = String::new();
    let mut not_allowed = None;
    for (file, yaml) in files {
        let request = AddRegistration {
            yaml,
            dry_run: add.dry_run,
            reason: add.reason.reason.clone(),
        };
        match caller.client.add_service(&request).await {
            Ok(registered) => {
                let verb = if add.dry_run {
                    "could be added"
                } else {
                    "is added"
                };
                words.push_str(&registered_words(&registered, verb, caller.look));
                added.registered.push(registered);
            }
            Err(error) if error.is_not_allowed() => {
                not_allowed = Some(error);
                break;
            }
            Err(ClientError::Refused { errcode, error, .. }) => {
                words.push_str(&format!(
                    "{} is refused: {}\n",
                    clean(&file),
                    clean_lines(&error)
                ));
                added.refused.push(Refused {
                    file,
                    errcode,
                    error,
                });
            }
            Err(error) => {
                // What was added so far is, whatever became of the server.
                print(&words)?;
                return Err(error.into());
            }
        }
    }
    if let Some(error) = not_allowed {
        return Err(error.into());
    }
    let is_complete = added.refused.is_empty();
    caller.answer(&added, |_, _| words)?;
    Ok(if is_complete {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

pub(super) async fn change(caller: &Caller, change: Change) -> anyhow::Result<ExitCode> {
    let id = &change.one.id;
    let yaml = read(&change.file)?;
    let revision = match change.revision {
        Some(revision) => revision,
        None => caller.client.get_registration(id).await?.revision,
    };
    let request = ReplaceRegistration {
        yaml,
        revision,
        dry_run: change.dry_run,
        reason: change.reason.reason,
    };
    let registered = caller.client.replace_registration(id, &request).await?;
    let verb = if change.dry_run {
        "could be changed"
    } else {
        "is changed"
    };
    caller.answer(&registered, |registered, look| {
        registered_words(registered, verb, look)
    })
}

fn registered_words(registered: &Registered, verb: &str, look: Look) -> String {
    let mut text = format!(
        "{} {verb}, revision {}.\n",
        clean(&registered.id),
        registered.revision
    );
    if !registered.findings.is_empty() {
        text.push_str(&lint::findings(&registered.findings, look));
    }
    text
}

pub(super) async fn rotate(caller: &Caller, rotate: Rotate) -> anyhow::Result<ExitCode> {
    if let Some(path) = &rotate.output
        && path.exists()
    {
        bail!("{} is there already; name another file", path.display());
    }
    let overlap_ms = rotate
        .overlap
        .map(|one| u64::try_from(one.as_millis()).unwrap_or(u64::MAX));
    let request = RotateRequest {
        overlap_ms,
        reason: rotate.reason.reason,
    };
    let rotated = caller.client.rotate(&rotate.one.id, &request).await?;
    let text = if caller.json {
        output::json(&rotated)?
    } else {
        tokens(&rotated)
    };
    let written = match &rotate.output {
        None => print(&text),
        Some(path) => write_private_answer(path, &text),
    };
    if let Err(error) = written {
        // The tokens are in force and nobody else has them: better on the screen than lost.
        eprint!("{text}");
        return Err(error);
    }
    if !caller.json {
        eprintln!("{}", rotated_words(&rotated, time::now_ms()));
    }
    Ok(ExitCode::SUCCESS)
}

/// As a registration has them.
pub(super) fn tokens(rotated: &Rotated) -> String {
    let quoted = |text: &str| text.replace('\'', "''");
    format!(
        "as_token: '{}'\nhs_token: '{}'\n",
        quoted(&rotated.as_token),
        quoted(&rotated.hs_token)
    )
}

fn rotated_words(rotated: &Rotated, now_ms: i64) -> String {
    let old = match rotated.overlap_until_ms {
        Some(until_ms) => format!(
            "The old ones are good until {} ({}).",
            time::utc(until_ms),
            time::ahead(until_ms, now_ms)
        ),
        None => "The old ones are good no more.".to_owned(),
    };
    format!(
        "These are the new tokens of {}, shown only now: write them into the service's registration. {old}",
        clean(&rotated.id)
    )
}

/// Several lines stay several lines.
fn clean_lines(text: &str) -> String {
    text.lines().map(clean).collect::<Vec<_>>().join("\n")
}

/// A registration's text.
pub(super) fn read(path: &Path) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        io::stdin()
            .lock()
            .take(MAX_FILE_BYTES + 1)
            .read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
    };
    let shown = path.display();
    read.with_context(|| format!("cannot read {shown}"))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        bail!("{shown} is larger than {MAX_FILE_BYTES} bytes; no registration comes near");
    }
    String::from_utf8(bytes).with_context(|| format!("{shown} is no text"))
}
