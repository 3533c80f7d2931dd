//! How the bridge behaves in a channel while people and servers are fickle: it comes back where it is wanted, keeps off
//! where it is not, and does not take what a server has made of a topic for a new one.

use std::time::Duration;

use anyhow::ensure;
use bridgehead_irc::Settings;
use bridgehead_irc_protocol::Line;
use bridgehead_irc_server::Dialect;
use bridgehead_testkit::lab::Lab;
use serde_json::json;

use crate::{
    stage::{NETWORK, alias, control::bot},
    within::{CHANNEL, Scene},
};

impl Scene {
    /// Waits until somebody is in the channel on IRC, or is not.
    async fn is_in_channel(&self, nick: &str, is_wanted: bool) -> anyhow::Result<()> {
        for _ in 0..300 {
            let channel = self.irc.channel(CHANNEL).await;
            if channel.is_some_and(|channel| channel.member(nick).is_some()) == is_wanted {
                return Ok(());
            }
            self.lab.pass(Duration::from_secs(1)).await;
        }
        anyhow::bail!(
            "{nick}: {:?}",
            self.irc.channel(CHANNEL).await.map(|it| it.members)
        )
    }
}

#[test]
fn who_leaves_and_comes_in_one_breath_stays_wanted() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab, Dialect::modern()).await?;
        let alice = &scene.alice;
        alice.leave(&scene.room).await?;
        alice.join(&scene.room).await?;
        scene.lab.pass(Duration::from_secs(10)).await;
        scene.is_in_channel("alice[m]", true).await?;
        // A new connection goes where she is wanted, not where she speaks.
        scene
            .irc
            .faults()
            .close_all("Server is being restarted")
            .await;
        scene.lab.pass(Duration::from_secs(30)).await;
        scene.is_in_channel("alice[m]", true).await
    })
}

#[test]
fn who_is_kicked_again_and_again_comes_back_more_and_more_seldom() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab, Dialect::modern()).await?;
        scene.irc.set_modes(CHANNEL, "+o bob").await;
        let mut kicks = 0;
        for _ in 0..600 {
            let channel = scene.irc.channel(CHANNEL).await;
            if channel.is_some_and(|channel| channel.member("bridge").is_some()) {
                scene.bob.kick(CHANNEL, "bridge", "no bots").await?;
                kicks += 1;
            }
            scene.lab.pass(Duration::from_secs(1)).await;
        }
        ensure!(
            (3..=7).contains(&kicks),
            "in ten minutes it was kicked {kicks} times"
        );
        Ok(())
    })
}

#[test]
fn what_a_server_makes_of_a_topic_is_not_a_new_one() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab, Dialect::modern()).await?;
        // An operator there may change the topic here.
        scene.irc.set_modes(CHANNEL, "+o alice[m]").await;
        scene.lab.pass(Duration::from_secs(5)).await;
        let topic = json!({"topic": "tea at five\nand cake"});
        let (room, alice) = (&scene.room, &scene.alice);
        alice.set_state(room, "m.room.topic", "", &topic).await?;
        scene.lab.pass(Duration::from_secs(5)).await;
        let on_irc = scene.irc.channel(CHANNEL).await.and_then(|it| it.topic);
        ensure!(
            on_irc
                .as_ref()
                .is_some_and(|topic| topic.text == b"tea at five | and cake"),
            "{on_irc:?}"
        );
        scene
            .irc
            .faults()
            .close_all("Server is being restarted")
            .await;
        scene.lab.pass(Duration::from_secs(60)).await;
        let topic = alice.state(room, "m.room.topic", "").await?;
        ensure!(topic["topic"] == "tea at five\nand cake", "{topic}");
        Ok(())
    })
}

#[test]
fn who_speaks_from_outside_is_called_as_they_write_themselves() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab, Dialect::ngircd()).await?;
        let outside = scene.irc.person("OutSide").await?;
        outside.say(CHANNEL, "from outside").await?;
        let heard = scene.alice.hears(&scene.room, "from outside").await?;
        let profile = scene.alice.profile(&heard.sender).await?;
        ensure!(profile["displayname"] == "OutSide", "{profile}");
        Ok(())
    })
}

#[test]
fn what_is_said_to_operators_alone_comes_to_operators_alone() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let mut dialect = Dialect::modern();
        "@+".clone_into(&mut dialect.status_prefixes);
        let scene = Scene::new(lab, dialect).await?;
        let (alice, room) = (&scene.alice, &scene.room);
        let carol = scene.lab.user("carol").await?;
        carol.join(&alias(CHANNEL)).await?;
        carol.say(room, "I am here too").await?;
        scene.hears_on_irc("I am here too").await?;
        scene.irc.set_modes(CHANNEL, "+o alice[m]").await;
        scene.irc.set_modes(CHANNEL, "+o bob").await;
        scene
            .bob
            .say(&format!("@{CHANNEL}"), "who is that?")
            .await?;
        scene.bob.say(CHANNEL, "welcome").await?;
        scene.hears_in_matrix("welcome").await?;
        scene.lab.pass(Duration::from_secs(5)).await;
        let own = alice.invitations().await?;
        ensure!(own.len() == 1, "{own:?}");
        let own = alice.join(&own[0]).await?;
        let told = alice.texts(&own).await?;
        ensure!(
            told == ["bob to the operators of #within on net: who is that?"],
            "{told:?}"
        );
        let texts = alice.texts(room).await?;
        ensure!(
            texts == ["first", "I am here too", "welcome"],
            "everybody reads the room: {texts:?}"
        );
        let others = carol.invitations().await?;
        ensure!(others.is_empty(), "{others:?}");
        Ok(())
    })
}

#[test]
fn a_mapped_channel_is_what_the_network_takes_its_name_for() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let ann = lab.user("ann").await?;
        let public = json!({ "preset": "public_chat" });
        let room = ann.create_room_with(&public).await?;
        ann.set_power(&room, &bot()?, 50).await?;
        let mapped = |settings: &mut Settings| {
            let network = settings.networks.get_mut(NETWORK).expect("it is there");
            let channel = network.channels.entry("#A[b]".to_owned()).or_default();
            channel.room = Some(room.to_string());
            Ok(())
        };
        // It takes brackets for the upper case of braces.
        let scene = Scene::with(lab, Dialect::modern(), mapped).await?;
        scene.bob.join("#a[b]").await?;
        scene.lab.pass(Duration::from_secs(30)).await;
        scene.bob.say("#a{B}", "from IRC").await?;
        ann.hears(&room, "from IRC").await?;
        ann.say(&room, "from Matrix").await?;
        let is_it = |line: &Line| line.command == "PRIVMSG" && line.text(1) == "from Matrix";
        let within = Duration::from_secs(60);
        scene.bob.wait_within(within, is_it).await?;
        Ok(())
    })
}
