//! Who may come into a channel, and who may speak there, is the same on both sides.

use std::time::Duration;

use anyhow::ensure;
use bridgehead_irc::{Irc, ids::Place};
use bridgehead_irc_protocol::CaseMapping;
use bridgehead_irc_server::Dialect;
use bridgehead_testkit::lab::Lab;
use serde_json::json;

use crate::{
    scenarios::silence::told_of,
    stage::NETWORK,
    within::{CHANNEL, Scene},
};

impl Scene {
    /// Waits until something is so.
    pub(crate) async fn becomes(
        &self,
        what: &str,
        is_so: impl AsyncFn() -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        for _ in 0..300 {
            if is_so().await? {
                return Ok(());
            }
            self.lab.pass(Duration::from_secs(1)).await;
        }
        anyhow::bail!("it never came to that: {what}")
    }

    async fn to_speak(&self) -> anyhow::Result<i64> {
        let levels = self.alice.power_levels(&self.room).await?;
        Ok(levels["events_default"].as_i64().unwrap_or(0))
    }

    async fn takes_to_speak(&self, level: i64) -> anyhow::Result<()> {
        let what = format!("it takes {level} to speak");
        let is_so = async || Ok(self.to_speak().await? == level);
        self.becomes(&what, is_so).await
    }

    async fn has_flag(&self, flag: char, is_set: bool) -> anyhow::Result<()> {
        let what = format!("{flag} is set: {is_set}");
        let is_so = async || {
            let channel = self.irc.channel(CHANNEL).await;
            Ok(channel.is_some_and(|channel| channel.flags.contains(&flag)) == is_set)
        };
        self.becomes(&what, is_so).await
    }

    /// Gives Alice this power, as an admin of the service has it.
    pub(crate) async fn give_alice(&self, level: i64) -> anyhow::Result<()> {
        let portals = self.service.running().portals::<Irc>();
        let portals = portals.ok_or_else(|| anyhow::anyhow!("it is the bridge to IRC"))?;
        let place = Place::channel(NETWORK, CHANNEL, CaseMapping::Ascii);
        let people = [(self.alice.id().clone(), level)];
        portals.remote().power_of_people(&place, &people).await?;
        let is_so = async || {
            let levels = self.alice.power_levels(&self.room).await?;
            Ok(levels["users"][self.alice.id().as_str()] == level)
        };
        self.becomes("Alice has power", is_so).await
    }

    async fn set_join_rule(&self, rule: &str) -> anyhow::Result<()> {
        let (room, rule) = (&self.room, json!({ "join_rule": rule }));
        self.alice
            .set_state(room, "m.room.join_rules", "", &rule)
            .await?;
        Ok(())
    }

    async fn set_to_speak(&self, level: i64) -> anyhow::Result<()> {
        let mut levels = self.alice.power_levels(&self.room).await?;
        levels["events_default"] = json!(level);
        self.alice
            .set_state(&self.room, "m.room.power_levels", "", &levels)
            .await?;
        Ok(())
    }

    /// How often the server was asked for these modes.
    async fn asked_for(&self, modes: &str) -> usize {
        let log = self.irc.log().await;
        let lines = log.iter().map(|logged| &logged.line);
        let lines = lines.filter(|line| line.command == "MODE" && line.text(0) == CHANNEL);
        lines.filter(|line| line.text(1) == modes).count()
    }
}

/// What Alice was told of the last change of this state.
async fn refusal_of(scene: &Scene, kind: &str) -> anyhow::Result<Option<String>> {
    let (alice, room) = (&scene.alice, &scene.room);
    let timeline = alice.timeline(room).await?;
    match timeline.iter().rfind(|event| event.kind == kind) {
        Some(event) => told_of(alice, room, &event.id).await,
        None => Ok(None),
    }
}

#[test]
fn in_the_room_of_a_moderated_channel_voices_speak() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab, Dialect::modern()).await?;
        let before = scene.alice.power_levels(&scene.room).await?;
        scene.irc.set_modes(CHANNEL, "+m").await;
        scene.takes_to_speak(1).await?;
        let mut wanted = before.clone();
        wanted["events_default"] = json!(1);
        let now = scene.alice.power_levels(&scene.room).await?;
        ensure!(now == wanted, "other levels are others' own: {now}");
        ensure!(scene.alice.say(&scene.room, "may I?").await.is_err());
        // Who has a voice there has one here.
        scene.irc.set_modes(CHANNEL, "+v bob").await;
        scene.bob.say(CHANNEL, "bob has a voice").await?;
        scene.hears_in_matrix("bob has a voice").await?;
        scene.irc.set_modes(CHANNEL, "+v alice[m]").await;
        let may_speak = async || Ok(scene.alice.say(&scene.room, "I may").await.is_ok());
        scene.becomes("Alice may speak", may_speak).await?;
        scene.hears_on_irc("I may").await?;
        // What the server lets through is heard, whoever has said it: here it is open again at once.
        let carol = scene.irc.person("carol").await?;
        carol.join(CHANNEL).await?;
        scene.lab.pass(Duration::from_secs(5)).await;
        let line = format!(":carol!~carol@127.0.0.1 PRIVMSG {CHANNEL} :carol was let through\r\n");
        for ear in ["bridge", "alice[m]"] {
            scene.irc.faults().send_raw(ear, &line).await;
        }
        scene.hears_in_matrix("carol was let through").await?;
        ensure!(scene.to_speak().await? == 1);
        scene.irc.set_modes(CHANNEL, "-m").await;
        scene.takes_to_speak(0).await
    })
}

#[test]
fn a_channel_that_was_opened_while_nobody_looked_has_an_open_room() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab, Dialect::modern()).await?;
        for (modes, level) in [("+m", 1), ("-m", 0), ("+m", 1)] {
            scene.service.crash();
            scene.irc.set_modes(CHANNEL, modes).await;
            scene.service.start().await?;
            scene.takes_to_speak(level).await?;
        }
        // What it is like there is told again with each connection.
        scene
            .irc
            .faults()
            .close_all("Server is being restarted")
            .await;
        scene.lab.pass(Duration::from_secs(120)).await;
        ensure!(scene.to_speak().await? == 1);
        Ok(())
    })
}

#[test]
fn an_operator_closes_and_moderates_from_matrix() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab, Dialect::modern()).await?;
        scene.irc.set_modes(CHANNEL, "+o alice[m]").await;
        scene.give_alice(100).await?;
        // Rooms that were just made are not closed yet.
        scene.lab.pass(Duration::from_secs(30)).await;
        for _ in 0..2 {
            scene.set_join_rule("invite").await?;
            scene.has_flag('i', true).await?;
            scene.set_join_rule("public").await?;
            scene.has_flag('i', false).await?;
            scene.set_to_speak(50).await?;
            scene.has_flag('m', true).await?;
            scene.set_to_speak(0).await?;
            scene.has_flag('m', false).await?;
        }
        scene.lab.pass(Duration::from_secs(60)).await;
        // Nothing of it has come back to change the room, or the channel.
        for modes in ["+i", "-i", "+m", "-m"] {
            let asked = scene.asked_for(modes).await;
            ensure!(asked == 2, "{modes} was asked for {asked} times");
        }
        let rules = scene.alice.state(&scene.room, "m.room.join_rules", "");
        ensure!(rules.await?["join_rule"] == "public");
        ensure!(scene.to_speak().await? == 0);
        // What is moderated from here, and let be there, is open here as well.
        scene.set_to_speak(20).await?;
        scene.has_flag('m', true).await?;
        scene.irc.set_modes(CHANNEL, "-m").await;
        scene.takes_to_speak(0).await
    })
}

#[test]
fn a_room_where_people_knock_stays_one_when_its_channel_is_closed() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab, Dialect::modern()).await?;
        scene.irc.set_modes(CHANNEL, "+o alice[m]").await;
        scene.give_alice(100).await?;
        scene.lab.pass(Duration::from_secs(30)).await;
        scene.set_join_rule("knock").await?;
        scene.has_flag('i', true).await?;
        // The server tells of it, and each connection that comes hears that it is so.
        scene.irc.faults().close_all("restart").await;
        scene.lab.pass(Duration::from_secs(60)).await;
        let rules = scene.alice.state(&scene.room, "m.room.join_rules", "");
        ensure!(rules.await?["join_rule"] == "knock");
        scene.irc.set_modes(CHANNEL, "-i").await;
        let is_open = async || {
            let rules = scene.alice.state(&scene.room, "m.room.join_rules", "");
            Ok(rules.await?["join_rule"] == "public")
        };
        scene.becomes("the room is open", is_open).await
    })
}

#[test]
fn who_is_no_operator_is_told_that_the_channel_is_as_it_was() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab, Dialect::modern()).await?;
        scene.give_alice(100).await?;
        for (kind, flag) in [("m.room.join_rules", 'i'), ("m.room.power_levels", 'm')] {
            match flag {
                'i' => scene.set_join_rule("invite").await?,
                _ => scene.set_to_speak(50).await?,
            }
            let is_told = async || Ok(refusal_of(&scene, kind).await?.is_some());
            scene.becomes(kind, is_told).await?;
            scene.has_flag(flag, false).await?;
        }
        Ok(())
    })
}
