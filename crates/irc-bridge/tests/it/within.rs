//! Homeserver, bridge and IRC server in one process, without sockets, by a clock that stands still until nothing is left
//! to do; and whatever can go wrong goes wrong.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::ensure;
use bridgehead_appservice::id::RoomId;
use bridgehead_irc::{
    Settings,
    link::dial::{Stream, Way},
    service_by,
};
use bridgehead_irc_server::{Dialect, LastLine, Person, Server};
use bridgehead_testkit::lab::{Lab, LabService, LabUser};

use crate::stage::{alias, settings};

pub(crate) const CHANNEL: &str = "#within";

/// Everybody is there.
pub(crate) struct Scene {
    pub(crate) lab: Lab,
    pub(crate) irc: Arc<Server>,
    pub(crate) service: LabService,
    pub(crate) alice: LabUser,
    pub(crate) room: RoomId,
    pub(crate) bob: Person,
}

/// What stands between the bridge and each of its connections.
pub(crate) type Between = Arc<dyn Fn(Box<dyn Stream>) -> Box<dyn Stream> + Send + Sync>;

impl Scene {
    pub(crate) async fn new(lab: Lab, dialect: Dialect) -> anyhow::Result<Self> {
        Self::with(lab, dialect, |_| Ok(())).await
    }

    /// With settings of its own.
    pub(crate) async fn with(
        lab: Lab,
        dialect: Dialect,
        change: impl FnOnce(&mut Settings) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let mut settings = settings(6667)?;
        change(&mut settings)?;
        Self::of(lab, dialect, &settings, Arc::new(|stream| stream)).await
    }

    /// With something between the bridge and the server.
    pub(crate) async fn behind(
        lab: Lab,
        dialect: Dialect,
        between: Between,
    ) -> anyhow::Result<Self> {
        Self::of(lab, dialect, &settings(6667)?, between).await
    }

    async fn of(
        lab: Lab,
        dialect: Dialect,
        settings: &Settings,
        between: Between,
    ) -> anyhow::Result<Self> {
        let irc = Arc::new(Server::start(dialect).await?);
        Self::at(lab, irc, settings, between).await
    }

    /// At a server that runs already, with what may be wrong with it.
    pub(crate) async fn at(
        lab: Lab,
        irc: Arc<Server>,
        settings: &Settings,
        between: Between,
    ) -> anyhow::Result<Self> {
        let server = irc.clone();
        let way = Way::Within(Arc::new(move |_| {
            Ok(between(Box::new(server.wire()) as Box<dyn Stream>))
        }));
        let service = lab.mount(service_by(settings, &way)).await?;
        let bob = irc.person("bob").await?;
        bob.join(CHANNEL).await?;
        let alice = lab.user("alice").await?;
        let room = alice.join(&alias(CHANNEL)).await?;
        alice.say(&room, "first").await?;
        let scene = Self {
            lab,
            irc,
            service,
            alice,
            room,
            bob,
        };
        scene.hears_on_irc("first").await?;
        Ok(scene)
    }

    /// Waits until Bob has heard this.
    pub(crate) async fn hears_on_irc(&self, text: &str) -> anyhow::Result<()> {
        for _ in 0..600 {
            if self.heard_on_irc().contains_key(text) {
                return Ok(());
            }
            self.lab.pass(Duration::from_secs(1)).await;
        }
        anyhow::bail!("{text:?} was never said: {:?}", self.bob.heard())
    }

    pub(crate) async fn hears_in_matrix(&self, text: &str) -> anyhow::Result<()> {
        for _ in 0..600 {
            if self
                .alice
                .texts(&self.room)
                .await?
                .iter()
                .any(|said| said == text)
            {
                return Ok(());
            }
            self.lab.pass(Duration::from_secs(1)).await;
        }
        anyhow::bail!("{text:?} was never heard in Matrix")
    }

    /// What has come from Bob into the room, in its order.
    pub(crate) async fn texts_of_bob(&self) -> anyhow::Result<Vec<String>> {
        let texts = self.alice.texts(&self.room).await?.into_iter();
        Ok(texts.filter(|text| text.starts_with("bob ")).collect())
    }

    /// What Bob has heard in the channel, and how often.
    fn heard_on_irc(&self) -> BTreeMap<String, usize> {
        let mut heard = BTreeMap::new();
        for text in self.order_on_irc() {
            *heard.entry(text).or_default() += 1;
        }
        heard
    }

    pub(crate) fn order_on_irc(&self) -> Vec<String> {
        let lines = self.bob.heard().into_iter();
        let said = lines.filter(|line| line.command == "PRIVMSG" && line.text(0) == CHANNEL);
        said.map(|line| line.text(1).into_owned()).collect()
    }
}

#[test]
fn both_sides_talk() -> anyhow::Result<()> {
    for dialect in [
        Dialect::modern(),
        Dialect::ngircd(),
        Dialect::inspircd(),
        Dialect::ergo(),
        Dialect::hybrid(),
    ] {
        Lab::run(async |lab| {
            let scene = Scene::new(lab, dialect).await?;
            scene.bob.say(CHANNEL, "hello from IRC").await?;
            scene.hears_in_matrix("hello from IRC").await?;
            let texts = scene.alice.texts(&scene.room).await?;
            ensure!(texts == ["first", "hello from IRC"], "{texts:?}");
            anyhow::Ok(())
        })?;
    }
    Ok(())
}

/// What is said while this goes wrong is heard once, and in order.
fn survives(
    dialect: Dialect,
    fault: impl AsyncFn(&Scene, usize) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab, dialect).await?;
        let mut said = vec!["first".to_owned()];
        for turn in 0..6 {
            for at in 0..4 {
                let text = format!("turn {turn} line {at}");
                scene.alice.say(&scene.room, &text).await?;
                said.push(text);
                if at == 1 {
                    fault(&scene, turn).await?;
                }
            }
            scene.hears_on_irc(&said[said.len() - 1]).await?;
        }
        let order = scene.order_on_irc();
        ensure!(order == said, "said {said:#?}\nheard {order:#?}");
        Ok(())
    })
}

#[test]
fn a_bridge_that_crashes_says_everything_once() -> anyhow::Result<()> {
    survives(Dialect::modern(), async |scene, turn| {
        // At another moment each time.
        scene
            .lab
            .pass(Duration::from_millis(7 * u64::try_from(turn)?))
            .await;
        scene.service.crash();
        scene.service.start().await?;
        Ok(())
    })
}

#[test]
fn a_line_that_was_lost_with_its_connection_is_said_again() -> anyhow::Result<()> {
    survives(Dialect::modern(), async |scene, _| {
        let faults = scene.irc.faults();
        faults
            .drop_connection_after("alice[m]", Some("PRIVMSG"), 1, LastLine::Lost)
            .await;
        Ok(())
    })
}

#[test]
fn a_line_that_arrived_before_its_connection_broke_is_not_said_again() -> anyhow::Result<()> {
    survives(Dialect::modern(), async |scene, _| {
        let faults = scene.irc.faults();
        faults
            .drop_connection_after("alice[m]", Some("PRIVMSG"), 1, LastLine::Delivered)
            .await;
        Ok(())
    })
}

#[test]
fn a_homeserver_that_loses_answers_hears_every_line_once() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab, Dialect::ngircd()).await?;
        let mut said = vec!["first".to_owned()];
        for turn in 0..12 {
            let text = format!("line {turn} of bob");
            scene.bob.say(CHANNEL, &text).await?;
            said.push(text);
            if turn % 4 == 1 {
                scene.lab.restart_host().await?;
            }
        }
        scene.hears_in_matrix(&said[said.len() - 1]).await?;
        let texts = scene.alice.texts(&scene.room).await?;
        ensure!(texts == said, "said {said:#?}\nheard {texts:#?}");
        anyhow::Ok(())
    })
}

#[test]
fn what_was_heard_before_the_bridge_ended_is_told() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab, Dialect::ngircd()).await?;
        let mut said = vec!["first".to_owned()];
        for line in 0..400 {
            let text = format!("bob line {line}");
            scene.bob.say(CHANNEL, &text).await?;
            said.push(text);
        }
        scene.service.stop().await?;
        scene.service.start().await?;
        scene.hears_in_matrix(&said[said.len() - 1]).await?;
        let texts = scene.alice.texts(&scene.room).await?;
        ensure!(texts == said, "said {said:#?}\nheard {texts:#?}");
        anyhow::Ok(())
    })
}
