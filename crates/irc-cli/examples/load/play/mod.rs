//! People on both sides of the bridge, who talk; and who listen, and note when they heard what.
//!
//! - `stage` homeserver, IRC server, bridge
//! - `talk` what is said
//! - `ledger` what was said and heard, and what follows from it
//! - `irc` somebody on IRC
//! - `outcome` the figures

mod irc;
mod ledger;
mod outcome;
mod stage;
mod talk;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

pub(crate) use self::outcome::Outcome;
use self::{
    ledger::{Ledger, Way},
    outcome::Stretch,
    stage::Stage,
    talk::People,
};

/// How much is done.
pub(crate) struct Load {
    /// The bridge's binary.
    pub(crate) binary: PathBuf,
    /// People of Matrix.
    pub(crate) users: usize,
    /// Channels; people are spread over them.
    pub(crate) channels: usize,
    /// Messages of each side in each stretch.
    pub(crate) messages: usize,
    /// Messages a second of each side, where they do not talk as fast as they can.
    pub(crate) rate: usize,
    /// How long what was said may take to be heard.
    pub(crate) patience: Duration,
}

impl Load {
    /// What the figures are taken from.
    pub(crate) fn full(binary: PathBuf) -> Self {
        Self {
            binary,
            users: 500,
            channels: 50,
            messages: 2_000,
            rate: 50,
            patience: Duration::from_secs(600),
        }
    }
}

/// Plays all of it.
pub(crate) async fn play(load: &Load) -> anyhow::Result<Outcome> {
    let stage = Stage::set(load).await?;
    let mut outcome = Outcome::new(load, &stage);
    let ledger = Arc::new(Ledger::new(load.channels));
    let mut people = People::register(load, &stage, &ledger).await?;
    let mut stage = stage;
    outcome.memory(0, stage.memory()?);
    let began = Instant::now();
    let first = (load.users / 5).max(load.channels.min(load.users));
    for upto in [first, load.users] {
        people.join(upto).await?;
        stage.is_connected(upto, load.patience).await?;
        outcome.memory(upto, stage.memory()?);
    }
    outcome.connected_within = began.elapsed();
    people.listen().await?;

    let paced = talk(load, &people, &ledger, Some(load.rate)).await?;
    outcome.stretches.extend(paced);
    let burst = talk(load, &people, &ledger, None).await?;
    outcome.stretches.extend(burst);
    outcome.memory(load.users, stage.memory()?);

    restart(load, &mut stage, &people, &ledger, &mut outcome).await?;
    let after = talk(load, &people, &ledger, Some(load.rate)).await?;
    outcome.stretches.extend(after);
    outcome.memory(load.users, stage.memory()?);
    outcome.faults = ledger.faults();
    stage.end().await?;
    Ok(outcome)
}

/// Both sides talk, until all is heard.
async fn talk(
    load: &Load,
    people: &People,
    ledger: &Ledger,
    rate: Option<usize>,
) -> anyhow::Result<[Stretch; 2]> {
    let from = ledger.begin();
    let began = Instant::now();
    tokio::try_join!(
        people.say_on_matrix(load.messages, rate),
        people.say_on_irc(load.messages, rate)
    )?;
    ledger.all_is_heard(load.patience).await?;
    let name = match rate {
        Some(rate) => format!("{rate} a second each way"),
        None => "as fast as they can".to_owned(),
    };
    Ok(Way::ALL.map(|way| Stretch {
        name: name.clone(),
        way,
        took: began.elapsed(),
        latencies: ledger.latencies(way, from),
    }))
}

/// The bridge ends and is started again while people of Matrix talk. On IRC nobody does: this server keeps no history, so
/// what is said while nobody hears is not there for anybody.
async fn restart(
    load: &Load,
    stage: &mut Stage,
    people: &People,
    ledger: &Ledger,
    outcome: &mut Outcome,
) -> anyhow::Result<()> {
    let from = ledger.begin();
    let began = Instant::now();
    let ended_and_begun = async {
        stage.restart_bridge().await?;
        outcome.away = began.elapsed();
        stage.is_connected(load.users, load.patience).await?;
        outcome.back_within = began.elapsed();
        anyhow::Ok(())
    };
    tokio::try_join!(
        people.say_on_matrix(load.messages, Some(load.rate)),
        ended_and_begun
    )?;
    ledger.all_is_heard(load.patience).await?;
    outcome.stretches.push(Stretch {
        name: "across the restart".to_owned(),
        way: Way::ToIrc,
        took: began.elapsed(),
        latencies: ledger.latencies(Way::ToIrc, from),
    });
    Ok(())
}
