//! Who has power in the room has a standing in the channel, however late the bridge's own connection hears of it, and
//! however what both sides change crosses. Homeserver, bridge and IRC server in one process.

use std::{collections::BTreeSet, time::Duration};

use anyhow::ensure;
use bridgehead_appservice::id::UserId;
use bridgehead_irc_server::{Dialect, Person};
use bridgehead_testkit::lab::Lab;

use crate::{
    lagging::Lag,
    scenarios::talk::ghost,
    stage::BOT,
    within::{CHANNEL, Scene},
};

/// Alice has all power in the room, and Carol is on IRC.
struct Play {
    scene: Scene,
    /// Of the bridge's own connection, which observes.
    lag: Lag,
    carol: UserId,
    _there: Person,
}

impl Play {
    async fn new(lab: Lab) -> anyhow::Result<Self> {
        let lag = Lag::of(BOT);
        let scene = Scene::behind(lab, Dialect::inspircd(), lag.between()).await?;
        scene.give_alice(100).await?;
        let modes = format!("+oo {BOT} alice[m]");
        scene.irc.set_modes(CHANNEL, &modes).await;
        let there = scene.irc.person("carol").await?;
        there.join(CHANNEL).await?;
        // Until then another connection may observe.
        scene.lab.pass(Duration::from_secs(10)).await;
        Ok(Self {
            scene,
            lag,
            carol: UserId::parse(&ghost("carol"))?,
            _there: there,
        })
    }

    async fn set_power(&self, level: i64) -> anyhow::Result<()> {
        let scene = &self.scene;
        Ok(scene
            .alice
            .set_power(&scene.room, &self.carol, level)
            .await?)
    }

    async fn power(&self) -> anyhow::Result<i64> {
        let levels = self.scene.alice.power_levels(&self.scene.room).await?;
        Ok(levels["users"][self.carol.as_str()].as_i64().unwrap_or(0))
    }

    async fn standing(&self) -> BTreeSet<char> {
        let channel = self.scene.irc.channel(CHANNEL).await;
        let member = channel.and_then(|channel| Some(channel.member("carol")?.standing.clone()));
        member.unwrap_or_default()
    }

    /// Waits until the server lets Carol do this.
    async fn stands(&self, modes: &str) -> anyhow::Result<()> {
        for _ in 0..200 {
            if self.standing().await == modes.chars().collect() {
                return Ok(());
            }
            self.scene.lab.pass(Duration::from_millis(10)).await;
        }
        anyhow::bail!("she has {:?}, not {modes:?}", self.standing().await)
    }

    /// What both sides have come to.
    async fn is_in_the_end(&self, (level, modes): (i64, &str)) -> anyhow::Result<()> {
        self.scene.lab.pass(Duration::from_secs(90)).await;
        let is = (self.power().await?, self.standing().await);
        ensure!(
            is == (level, modes.chars().collect()),
            "wanted ({level}, {modes:?}), and there is {is:?}"
        );
        Ok(())
    }

    /// The server has told the bridge what Carol has now.
    async fn names_are(&self, shown: &str) {
        let lines = format!(
            ":irc.test 353 {BOT} = {CHANNEL} :@{BOT} @alice[m] bob {shown}\r\n\
             :irc.test 366 {BOT} {CHANNEL} :End of /NAMES list.\r\n"
        );
        self.scene.irc.faults().send_raw(BOT, &lines).await;
    }
}

#[test]
fn power_that_changes_before_the_bridge_has_heard_of_it_is_followed() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let play = Play::new(lab).await?;
        play.lag.is(true);
        for (level, modes) in [(20, "v"), (60, "vo"), (20, "v"), (60, "vo"), (0, "")] {
            play.set_power(level).await?;
            play.stands(modes).await?;
        }
        play.lag.is(false);
        play.is_in_the_end((0, "")).await
    })
}

#[test]
fn names_from_before_a_change_do_not_take_it_back() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let play = Play::new(lab).await?;
        play.lag.is(true);
        play.names_are("carol").await;
        play.set_power(20).await?;
        play.stands("v").await?;
        play.lag.is(false);
        play.is_in_the_end((20, "v")).await?;
        play.lag.is(true);
        play.names_are("+carol").await;
        play.set_power(0).await?;
        play.stands("").await?;
        play.lag.is(false);
        play.is_in_the_end((0, "")).await
    })
}

#[test]
fn a_change_that_has_to_wait_for_its_turn_stays() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let play = Play::new(lab).await?;
        let (alice, room) = (&play.scene.alice, &play.scene.room);
        // Whether this was heard is not known for a while, and what comes behind it waits.
        play.scene.irc.faults().silent(Duration::from_secs(5)).await;
        alice.say(room, "held up").await?;
        play.set_power(60).await?;
        // Meanwhile the server tells what is over as soon as that has been done.
        play.names_are("carol").await;
        play.is_in_the_end((60, "o")).await
    })
}

#[test]
fn what_irc_gives_again_is_given_again() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let play = Play::new(lab).await?;
        for _ in 0..2 {
            play.scene.irc.set_modes(CHANNEL, "+v carol").await;
            play.scene.lab.pass(Duration::from_secs(5)).await;
            ensure!(play.power().await? == 1);
            play.set_power(0).await?;
            play.stands("").await?;
            play.scene.lab.pass(Duration::from_secs(5)).await;
            ensure!(play.power().await? == 0);
        }
        play.scene.irc.set_modes(CHANNEL, "+o carol").await;
        play.is_in_the_end((50, "o")).await
    })
}
