//! heisenbridge: a bouncer that keeps everything in the account data of its own user, of type `irc`. That of the user has
//! networks and permissions; that of each room says what the room is.
//!
//! - `account_data` reads it, by the registration's token; nothing is written
//! - `settings` the configuration that follows
//! - `rooms` rooms, people and their secrets, taken over
//! - `names` what its ghosts are called
//!
//! There each person has rooms of their own for the channels that they are in. Here a channel has one room, so the first
//! that is read goes on: those of the bridge's owner before others.

mod account_data;
mod names;
mod rooms;
mod settings;

use crate::{
    Failure, Heisenbridge, Report, Result,
    site::{Site, registered},
};

/// What it is called in what is written.
const NAME: &str = "heisenbridge";

pub(crate) async fn run(asked: &Heisenbridge) -> Result<Report> {
    let registered = registered(&asked.registration)?;
    let registration = &registered.registration;
    let prefix = names::Prefix::of(registration).ok_or_else(|| {
        Failure::at(
            asked.registration.display(),
            "there is no namespace such as @irc_.*: this is no registration of heisenbridge",
        )
    })?;
    let reader = account_data::Reader::connect(&asked.homeserver, &registration.as_token).await?;
    let own = reader.own().await?;
    let read = reader.rooms(&own).await?;
    let taken = settings::translate(
        own,
        (registration, &asked.homeserver, &reader),
        &prefix,
        &read,
    )?;
    let mut report = Report::default();
    let site = Site::new(&asked.into, asked.dry_run)?;
    let (settings, import) = site
        .open((&taken.draft, NAME), &registered, &mut report)
        .await?;
    let done = rooms::all(&reader, (&taken, &read), &settings, (&import, &mut report)).await;
    import.close().await;
    done?;
    for note in &taken.draft.notes {
        report.left_out(note.clone());
    }
    site.steps(
        &mut report,
        &[
            "Stop heisenbridge, if it still runs, and run this once more: what has changed since is added.",
            "Its registration has no aliases. For channels that people get by joining an alias, run `bridgehead-irc \
             register`, and give the homeserver the registration again.",
        ],
    );
    Ok(report)
}
