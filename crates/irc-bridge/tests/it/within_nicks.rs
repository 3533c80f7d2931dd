//! Nicks that change hands while a connection lags: what the observer hears of somebody of Matrix is newer then than what
//! their own connection has told. Homeserver, bridge and IRC server in one process.

use anyhow::{Context as _, ensure};
use bridgehead_irc_server::{Dialect, Person};
use bridgehead_testkit::lab::Lab;

use crate::{
    lagging::Lag,
    within::{CHANNEL, Scene},
};

/// Alice's nick.
const NICK: &str = "alice[m]";
/// What a server calls her who gives her nick to somebody else.
const UID: &str = "1AAAAAAAB";

/// Everybody is there, and Alice's connection may lag.
struct Play {
    scene: Scene,
    lag: Lag,
}

impl Play {
    async fn new(lab: Lab) -> anyhow::Result<Self> {
        let lag = Lag::of(NICK);
        let scene = Scene::behind(lab, Dialect::inspircd(), lag.between()).await?;
        Ok(Self { scene, lag })
    }

    /// Somebody else takes her nick, comes into the channel and is heard, before her own connection knows of it and after.
    async fn is_taken(&self) -> anyhow::Result<()> {
        let irc = &self.scene.irc;
        let eve = irc.person(NICK).await?;
        irc.change_host(NICK, "eve", "eve.example").await;
        eve.join(CHANNEL).await?;
        self.shows(&eve, "I am Eve").await?;
        self.lag.is(false);
        self.scene.alice.say(&self.scene.room, "I am Alice").await?;
        self.scene.hears_on_irc("I am Alice").await?;
        self.shows(&eve, "I am still Eve").await
    }

    async fn shows(&self, eve: &Person, text: &str) -> anyhow::Result<()> {
        eve.say(CHANNEL, text).await?;
        self.scene.hears_in_matrix(text).await?;
        let timeline = self.scene.alice.timeline(&self.scene.room).await?;
        let mut said = timeline
            .iter()
            .filter(|event| event.content["body"] == text);
        let said = said.next().context("it was heard")?;
        ensure!(said.sender != *self.scene.alice.id(), "Alice says {text}");
        Ok(())
    }

    /// All that was said is there once.
    async fn is_said_once(&self) -> anyhow::Result<()> {
        let texts = self.scene.alice.texts(&self.scene.room).await?;
        let all = ["first", "I am Eve", "I am Alice", "I am still Eve"];
        ensure!(texts == all, "{texts:?}");
        let heard = self.scene.order_on_irc();
        ensure!(heard == all, "{heard:?}");
        Ok(())
    }
}

#[test]
fn who_gets_a_nick_that_a_server_has_taken_from_somebody_is_heard() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let play = Play::new(lab).await?;
        play.lag.is(true);
        let faults = play.scene.irc.faults();
        ensure!(faults.force_nick(NICK, UID).await, "she is there");
        play.is_taken().await?;
        play.is_said_once().await
    })
}

#[test]
fn who_takes_the_nick_of_somebody_who_was_killed_is_heard() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let play = Play::new(lab).await?;
        play.lag.is(true);
        let faults = play.scene.irc.faults();
        ensure!(faults.kill(NICK, "Nick collision").await, "she is there");
        play.is_taken().await?;
        play.is_said_once().await
    })
}
