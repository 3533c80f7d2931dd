//! Whatever can go wrong goes wrong at moments that a seed draws, while both sides talk: each line is heard once, in its
//! speaker's order.
//!
//! `BRIDGEHEAD_IRC_SEEDS` says how many seeds are drawn from (fewer in the pipeline), or which range of them: `40`, `7..8`.

use std::{ops::Range, time::Duration};

use anyhow::{Context as _, ensure};
use bridgehead_irc_server::{Dialect, LastLine};
use bridgehead_testkit::lab::{Fault, Lab, LabOptions};

use crate::within::{CHANNEL, Scene};

/// How many seeds are run where nobody says.
const SEEDS: u64 = 12;
/// How many lines each side says.
const LINES: usize = 30;
/// Says which seeds are run.
const VARIABLE: &str = "BRIDGEHEAD_IRC_SEEDS";

/// What a seed draws: a small generator of its own, so that a seed means the same for ever.
struct Chance(u64);

impl Chance {
    /// A number below `bound` (SplitMix64).
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    /// A moment, mostly a short one: what matters happens within milliseconds.
    fn moment(&mut self) -> Duration {
        let longest = [3, 40, 400, 4_000][usize::try_from(self.below(4)).unwrap_or(0)];
        Duration::from_millis(self.below(longest))
    }
}

/// What can go wrong.
#[derive(Clone, Copy, Debug)]
enum Misfortune {
    BridgeCrashes,
    BridgeRestarts,
    HomeserverRestarts,
    ServerCrashes,
    ServerRestarts,
    LineIsLost,
    LineArrivesAndNobodyKnows,
    BotIsCutOff,
    AnswerIsLost,
    TransactionComesTwice,
}

const MISFORTUNES: [Misfortune; 10] = [
    Misfortune::BridgeCrashes,
    Misfortune::BridgeRestarts,
    Misfortune::HomeserverRestarts,
    Misfortune::ServerCrashes,
    Misfortune::ServerRestarts,
    Misfortune::LineIsLost,
    Misfortune::LineArrivesAndNobodyKnows,
    Misfortune::BotIsCutOff,
    Misfortune::AnswerIsLost,
    Misfortune::TransactionComesTwice,
];

impl Misfortune {
    async fn happens(self, scene: &Scene) -> anyhow::Result<()> {
        let faults = scene.irc.faults();
        match self {
            Self::BridgeCrashes => {
                scene.service.crash();
                scene.service.start().await?;
            }
            Self::BridgeRestarts => {
                scene.service.stop().await?;
                scene.service.start().await?;
            }
            Self::HomeserverRestarts => scene.lab.restart_host().await?,
            Self::ServerCrashes => faults.crash().await,
            Self::ServerRestarts => faults.close_all("Server is being restarted").await,
            Self::LineIsLost => {
                let last = LastLine::Lost;
                faults
                    .drop_connection_after("alice[m]", Some("PRIVMSG"), 1, last)
                    .await;
            }
            Self::LineArrivesAndNobodyKnows => {
                let last = LastLine::Delivered;
                faults
                    .drop_connection_after("alice[m]", Some("PRIVMSG"), 1, last)
                    .await;
            }
            Self::BotIsCutOff => {
                faults.drop_connection("bridge", "Ping timeout").await;
            }
            Self::AnswerIsLost => {
                let fault = Fault::of_calls()
                    .put("/_matrix/client/v3/rooms/")
                    .lose_answer();
                scene.lab.faults().plan(fault);
            }
            Self::TransactionComesTwice => {
                scene.lab.faults().double_next_transaction(&scene.service);
            }
        }
        Ok(())
    }
}

/// Both sides talk, and things happen.
async fn talk(lab: Lab, seed: u64, dialect: Dialect) -> anyhow::Result<()> {
    let mut chance = Chance(seed);
    let scene = Scene::new(lab, dialect).await?;
    let (mut by_alice, mut by_bob) = (vec!["first".to_owned()], Vec::new());
    let mut happened = Vec::new();
    for at in 0..LINES {
        let text = format!("alice {at}");
        scene.alice.say(&scene.room, &text).await?;
        by_alice.push(text);
        scene.lab.pass(chance.moment()).await;
        let text = format!("bob {at}");
        scene.bob.say(CHANNEL, &text).await?;
        by_bob.push(text);
        scene.lab.pass(chance.moment()).await;
        if chance.below(3) == 0 {
            let drawn = usize::try_from(chance.below(MISFORTUNES.len() as u64))?;
            let misfortune = MISFORTUNES[drawn];
            happened.push((at, misfortune));
            misfortune.happens(&scene).await?;
        }
    }
    scene.irc.faults().clear().await;
    scene.lab.faults().clear();
    let all = async {
        scene.hears_on_irc("alice 29").await?;
        scene.hears_in_matrix("bob 29").await
    };
    let came = all.await;
    // What should not come at all has had its time.
    scene.lab.pass(Duration::from_secs(120)).await;
    let on_irc = scene.order_on_irc();
    let in_matrix = scene.texts_of_bob().await?;
    ensure!(
        on_irc == by_alice,
        "{happened:?}\non IRC: {on_irc:?}\nsaid: {by_alice:?}"
    );
    ensure!(
        in_matrix == by_bob,
        "{happened:?}\nin Matrix: {in_matrix:?}\nsaid: {by_bob:?}"
    );
    came
}

/// The seeds of this run.
fn seeds() -> anyhow::Result<Range<u64>> {
    let Ok(wanted) = std::env::var(VARIABLE) else {
        return Ok(0..SEEDS);
    };
    let number = |text: &str| -> anyhow::Result<u64> {
        text.parse()
            .with_context(|| format!("{VARIABLE}: `{text}` is no number"))
    };
    match wanted.split_once("..") {
        Some((from, to)) => Ok(number(from)?..number(to)?),
        None => Ok(0..number(&wanted)?),
    }
}

fn survives(dialect: impl Fn() -> Dialect) -> anyhow::Result<()> {
    let mut failed = Vec::new();
    for seed in seeds()? {
        let run = LabOptions::default()
            .seed(seed)
            .run(async |lab| talk(lab, seed, dialect()).await);
        if let Err(error) = run {
            failed.push(format!("seed {seed}: {error:#}"));
        }
    }
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(())
}

#[test]
fn each_line_is_heard_once_and_in_order_whatever_happens() -> anyhow::Result<()> {
    survives(Dialect::modern)
}
