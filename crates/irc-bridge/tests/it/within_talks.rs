//! What somebody is told alone while they are not connected is there when they are again: once, in order, by the time at
//! which it was said. Where the server cannot or will not tell, nothing else suffers.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use bridgehead_appservice::{Event, id::RoomId};
use bridgehead_irc_server::{Dialect, Logged};
use bridgehead_testkit::lab::Lab;

use crate::{
    stage::{
        NETWORK,
        control::{Control, body_of},
        nick,
    },
    within::Scene,
};

/// How long until all has come that comes.
const A_WHILE: Duration = Duration::from_secs(60);

impl Scene {
    /// Alice has an account, as servers want it that keep what was said to her.
    async fn with_account(self) -> anyhow::Result<Self> {
        let own = nick(&self.alice);
        self.irc.account(&own, "sesame").await;
        let control = Control::open(&self.alice).await?;
        let stored = format!("!storepass {NETWORK} {own} sesame");
        control.expect(&stored, "kept").await?;
        control.expect("!reconnect", "Connecting").await?;
        self.is_logged_in().await?;
        Ok(self)
    }

    async fn is_logged_in(&self) -> anyhow::Result<()> {
        for _ in 0..600 {
            let seen = self.irc.whois(&nick(&self.alice)).await;
            if seen.is_some_and(|seen| seen.account.is_some()) {
                return Ok(());
            }
            self.lab.pass(Duration::from_secs(1)).await;
        }
        anyhow::bail!("she never was")
    }

    /// Bob tells Alice something alone.
    async fn tells(&self, text: &str) -> anyhow::Result<()> {
        Ok(self.bob.say(&nick(&self.alice), text).await?)
    }

    /// The next room that Alice is asked into.
    async fn asked_into(&self) -> anyhow::Result<RoomId> {
        for _ in 0..600 {
            if let Some(room) = self.alice.invitations().await?.pop() {
                return Ok(self.alice.join(&room).await?);
            }
            self.lab.pass(Duration::from_secs(1)).await;
        }
        anyhow::bail!("nobody asks her")
    }

    /// Bob has told her `before` alone.
    async fn talk(&self) -> anyhow::Result<RoomId> {
        self.tells("before").await?;
        let room = self.asked_into().await?;
        self.alice.hears(&room, "before").await?;
        Ok(room)
    }

    /// What Alice has asked the server for what was.
    async fn asked(&self, what: &str) -> Vec<Logged> {
        let own = nick(&self.alice);
        let mut log = self.irc.log().await;
        log.retain(|logged| {
            let line = &logged.line;
            logged.nick == own && line.command == "CHATHISTORY" && line.text(0) == what
        });
        log
    }
}

/// What was said, without what the bridge tells of it.
fn texts(events: &[Event]) -> Vec<&str> {
    let said = events.iter().filter(|event| event.kind == "m.room.message");
    said.map(body_of).collect()
}

#[test]
fn what_was_said_to_somebody_alone_comes_when_they_are_back() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab, Dialect::ergo())
            .await?
            .with_account()
            .await?;
        let room = scene.talk().await?;
        let eve = scene.irc.person("eve").await?;
        scene.service.stop().await?;
        let begin_ms = scene.irc.clock().now_ms();
        let mut said: Vec<String> = (0..250).map(|at| format!("line {at}")).collect();
        for text in &said {
            scene.tells(text).await?;
        }
        // Nobody has talked to her alone before.
        eve.action(&nick(&scene.alice), "waves").await?;
        let end_ms = scene.irc.clock().now_ms();
        scene.service.start().await?;
        scene.alice.hears(&room, "line 249").await?;
        let of_eve = scene.asked_into().await?;
        let wave = scene.alice.hears(&of_eve, "waves").await?;
        ensure!(wave.content["msgtype"] == "m.emote", "{:?}", wave.content);
        said.insert(0, "before".to_owned());
        for restart in 0..3 {
            let events = scene.alice.timeline(&room).await?;
            ensure!(
                texts(&events) == said,
                "after restart {restart}: {:#?}",
                texts(&events)
            );
            let missed = events
                .iter()
                .filter(|event| body_of(event).starts_with("line"));
            let late = missed.filter(|event| !(begin_ms..=end_ms).contains(&event.sent_at_ms));
            ensure!(late.count() == 0, "they have other times");
            ensure!(scene.alice.texts(&of_eve).await? == ["waves"]);
            match restart {
                0 => scene.service.stop().await?,
                _ => scene.service.crash(),
            }
            scene.service.start().await?;
            scene.is_logged_in().await?;
            scene.lab.pass(A_WHILE).await;
        }
        Ok(())
    })
}

#[test]
fn a_connection_that_is_lost_loses_nothing_that_is_said_alone() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab, Dialect::ergo())
            .await?
            .with_account()
            .await?;
        let room = scene.talk().await?;
        let mut said = vec!["before".to_owned()];
        for turn in 0..4 {
            let reason = "Server is being restarted";
            let faults = scene.irc.faults();
            ensure!(faults.close(&nick(&scene.alice), reason).await);
            for text in [format!("lost {turn}"), format!("lost {turn} too")] {
                scene.tells(&text).await?;
                said.push(text);
            }
            scene.is_logged_in().await?;
            let text = format!("now {turn}");
            scene.tells(&text).await?;
            scene.alice.hears(&room, &text).await?;
            said.push(text);
        }
        scene.lab.pass(A_WHILE).await;
        let texts = scene.alice.texts(&room).await?;
        ensure!(texts == said, "{texts:#?}");
        Ok(())
    })
}

#[test]
fn what_is_said_now_comes_behind_what_was_said_before() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab, Dialect::ergo())
            .await?
            .with_account()
            .await?;
        let room = scene.talk().await?;
        scene.service.stop().await?;
        let mut said: Vec<String> = (0..120).map(|at| format!("line {at}")).collect();
        for text in &said {
            scene.tells(text).await?;
        }
        // The answers to two pages and more take longer than what is said now.
        scene.irc.faults().lag(Duration::from_secs(2)).await;
        scene.service.start().await?;
        scene.is_logged_in().await?;
        scene.tells("now").await?;
        scene.alice.hears(&room, "now").await?;
        said.insert(0, "before".to_owned());
        said.push("now".to_owned());
        scene.lab.pass(A_WHILE).await;
        let texts = scene.alice.texts(&room).await?;
        ensure!(texts == said, "{texts:#?}");
        Ok(())
    })
}

#[test]
fn a_bridge_that_crashes_while_it_fetches_brings_everything_once() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab, Dialect::ergo())
            .await?
            .with_account()
            .await?;
        let room = scene.talk().await?;
        scene.service.crash();
        let mut said = vec!["before".to_owned()];
        for turn in 0..8 {
            for at in 0..60 {
                let text = format!("line {at} of turn {turn}");
                scene.tells(&text).await?;
                said.push(text);
            }
            scene.service.start().await?;
            // At another moment each time.
            scene.lab.pass(Duration::from_millis(150 * turn)).await;
            scene.service.crash();
        }
        scene.service.start().await?;
        scene.alice.hears(&room, "line 59 of turn 7").await?;
        scene.lab.pass(A_WHILE).await;
        let texts = scene.alice.texts(&room).await?;
        ensure!(texts == said, "{texts:#?}");
        Ok(())
    })
}

#[test]
fn who_is_ignored_was_not_missed() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab, Dialect::ergo())
            .await?
            .with_account()
            .await?;
        let room = scene.talk().await?;
        let control = Control::open(&scene.alice).await?;
        control.expect("!ignore eve", "eve!*@*").await?;
        let eve = scene.irc.person("eve").await?;
        scene.service.stop().await?;
        eve.say(&nick(&scene.alice), "buy").await?;
        scene.tells("meanwhile").await?;
        scene.service.start().await?;
        scene.alice.hears(&room, "meanwhile").await?;
        scene.lab.pass(A_WHILE).await;
        ensure!(
            scene.asked("AFTER").await.len() >= 2,
            "both talks were asked for"
        );
        let invitations = scene.alice.invitations().await?;
        ensure!(invitations.is_empty(), "{invitations:?}");
        Ok(())
    })
}

/// Bob says something while the bridge is away, and then when it is back; gives back what came of it.
async fn told_before_and_after(scene: &Scene, room: &RoomId) -> anyhow::Result<Vec<String>> {
    scene.service.stop().await?;
    scene.tells("missed").await?;
    scene.service.start().await?;
    scene.is_logged_in().await?;
    scene.lab.pass(A_WHILE).await;
    scene.tells("after").await?;
    scene.alice.hears(room, "after").await?;
    Ok(scene.alice.texts(room).await?)
}

#[test]
fn a_server_that_does_not_say_where_something_was_said_is_left_alone() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let mut dialect = Dialect::ergo();
        dialect.quirks.lists_talks = false;
        let scene = Scene::new(lab, dialect).await?.with_account().await?;
        let room = scene.talk().await?;
        let texts = told_before_and_after(&scene, &room).await?;
        ensure!(texts == ["before", "after"], "{texts:?}");
        let asked = scene.asked("TARGETS").await.len();
        ensure!(asked == 1, "it was asked {asked} times");
        Ok(())
    })
}

#[test]
fn who_is_not_logged_in_is_not_asked_for() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        // Here a talk is theirs who have the nick, whoever that was meanwhile.
        let scene = Scene::new(lab, Dialect::modern()).await?;
        let room = scene.talk().await?;
        scene.service.stop().await?;
        scene.service.start().await?;
        scene.alice.say(&scene.room, "I am back").await?;
        scene.hears_on_irc("I am back").await?;
        scene.tells("after").await?;
        scene.alice.hears(&room, "after").await?;
        ensure!(scene.asked("TARGETS").await.is_empty());
        Ok(())
    })
}

#[test]
fn no_more_is_fetched_than_the_configuration_says() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::with(lab, Dialect::ergo(), |settings| {
            let network = settings.networks.get_mut(NETWORK).context("the network")?;
            network.messages.history = 20;
            Ok(())
        });
        let scene = scene.await?.with_account().await?;
        let room = scene.talk().await?;
        let control = Control::open(&scene.alice).await?;
        scene.service.stop().await?;
        for at in 0..40 {
            scene.tells(&format!("line {at}")).await?;
        }
        scene.service.start().await?;
        scene.alice.hears(&room, "line 15").await?;
        control.told("bob on net has written to you").await?;
        scene.lab.pass(A_WHILE).await;
        let texts = scene.alice.texts(&room).await?;
        ensure!(texts.len() <= 21, "{texts:#?}");
        Ok(())
    })
}

#[test]
fn thousands_who_are_said_to_have_written_are_not_all_asked_for() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab, Dialect::ergo())
            .await?
            .with_account()
            .await?;
        let room = scene.talk().await?;
        let control = Control::open(&scene.alice).await?;
        scene.irc.faults().ignore("CHATHISTORY").await;
        scene.service.stop().await?;
        scene.irc.clear_log().await;
        scene.service.start().await?;
        scene.is_logged_in().await?;
        scene.lab.pass(Duration::from_secs(2)).await;
        let asked = scene.asked("TARGETS").await.pop().context("it asks")?;
        let label = asked.line.tags.get("label").context("a label")?;
        scene.irc.faults().clear().await;
        let mut answer = format!("@label={label} :srv BATCH +many draft/chathistory-targets\r\n");
        for at in 0..3_000 {
            let time = "2100-01-01T00:00:00.000Z";
            answer += &format!("@batch=many :srv CHATHISTORY TARGETS spam{at} {time}\r\n");
        }
        answer += "BATCH -many\r\n";
        let own = nick(&scene.alice);
        ensure!(scene.irc.faults().send_raw(&own, answer).await);
        control
            .told("More people on net have written to you")
            .await?;
        scene.lab.pass(A_WHILE).await;
        let pages = scene.asked("AFTER").await;
        ensure!(pages.len() == 50, "{} questions", pages.len());
        scene.tells("after").await?;
        scene.alice.hears(&room, "after").await?;
        Ok(())
    })
}
