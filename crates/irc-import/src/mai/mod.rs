//! matrix-appservice-irc: its configuration, its registration and its PostgreSQL database.
//!
//! - `settings`, `network` its configuration, as one of this bridge's; `names` what its ghosts and aliases are called
//! - `database` its tables, page by page, in a transaction that can only read; `rows` what they hold, taken over
//! - `password` stored passwords, opened with its key

mod database;
mod names;
mod network;
mod password;
mod rows;
mod settings;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use crate::{
    Failure, MatrixAppserviceIrc, Report, Result, keys,
    site::{Site, registered},
};

/// What it is called in what is written.
const NAME: &str = "matrix-appservice-irc";

pub(crate) async fn run(asked: &MatrixAppserviceIrc) -> Result<Report> {
    let registered = registered(&asked.registration)?;
    let old = keys::read(&asked.config)?;
    let mut taken = settings::translate(old, &registered.registration)?;
    let key_file = asked
        .key
        .clone()
        .or_else(|| beside(asked, taken.key_file.take()));
    let opener = match (&asked.key, key_file) {
        (_, None) => None,
        // The one that the configuration names may be on another machine.
        (None, Some(file)) if !file.exists() => {
            taken.key_missing = Some(file);
            None
        }
        (_, Some(file)) => Some(password::Opener::load(&file)?),
    };
    let address = asked.database.clone().or_else(|| taken.database.take());
    let address = address.ok_or_else(|| {
        Failure::new(
            "the configuration names no PostgreSQL database: give it with --database postgres://…. The older files \
             (nedb://) are not read; matrix-appservice-irc itself moves them to PostgreSQL",
        )
    })?;
    let mut report = Report::default();
    let mut database = database::Old::connect(&address).await?;
    let tables = database.read().await?;
    let deactivated = rows::deactivated(&tables, &mut taken.draft, &mut report).await?;
    let site = Site::new(&asked.into, asked.dry_run)?;
    let (settings, import) = site
        .open((&taken.draft, NAME), &registered, &mut report)
        .await?;
    rows::not_kept_out(&deactivated, &settings, &mut report);
    let done = rows::all(
        &tables,
        &taken,
        &settings,
        opener.as_ref(),
        (&import, &mut report),
    )
    .await;
    import.close().await;
    done?;
    for note in &taken.draft.notes {
        report.left_out(note.clone());
    }
    site.steps(
        &mut report,
        &["Stop matrix-appservice-irc, if it still runs, and run this once more: what has changed since is added."],
    );
    Ok(report)
}

/// A file that the configuration names, beside it.
fn beside(asked: &MatrixAppserviceIrc, file: Option<String>) -> Option<PathBuf> {
    let folder = asked.config.parent()?;
    Some(folder.join(file?))
}
