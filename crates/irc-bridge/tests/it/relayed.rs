//! How those are heard for whom the bridge speaks, and what of long or foreign texts is.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use bridgehead_appservice::{Secret, bridge::Level};
use bridgehead_irc_server::Dialect;
use bridgehead_testkit::{
    SERVER_NAME,
    lab::{Fault, Lab},
};
use serde_json::json;

use crate::{
    stage::{NETWORK, control::Control},
    within::{CHANNEL, Scene},
};

/// Who has said something in the channel, as Bob hears it, and with which words.
fn said(scene: &Scene, words: &str) -> Vec<(String, String)> {
    let lines = scene.bob.heard().into_iter();
    let said = lines.filter(|line| line.command == "PRIVMSG" && line.text(0) == CHANNEL);
    said.map(|line| (line.from_name().to_owned(), line.text(1).into_owned()))
        .filter(|(_, text)| text.contains(words))
        .collect()
}

#[test]
fn a_name_that_the_network_refuses_is_one_persons_alone() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let heard = ["carol", "dave"].map(|name| format!("@{name}:{SERVER_NAME}"));
        let scene = Scene::with(lab, Dialect::modern(), |settings| {
            for who in &heard {
                let permissions = settings.permissions.clone();
                settings.permissions = permissions.allow(who, Level::Relay);
            }
            Ok(())
        })
        .await?;
        scene.irc.set_modes(CHANNEL, "+o bridge").await;
        let (carol, dave) = (
            scene.lab.user("carol").await?,
            scene.lab.user("dave").await?,
        );
        carol.join(&scene.room).await?;
        dave.join(&scene.room).await?;
        let no = "432 carol/matrix :Erroneous nickname";
        scene.irc.faults().answer("RELAYMSG", no).await;
        carol.say(&scene.room, "one").await?;
        scene.lab.pass(Duration::from_secs(30)).await;
        scene.irc.faults().clear().await;
        dave.say(&scene.room, "two").await?;
        carol.say(&scene.room, "three").await?;
        scene.lab.pass(Duration::from_secs(30)).await;
        for (words, name) in [
            ("one", "bridge"),
            ("two", "dave/matrix"),
            ("three", "bridge"),
        ] {
            let said = said(&scene, words);
            let names: Vec<&str> = said.iter().map(|(name, _)| name.as_str()).collect();
            ensure!(names == [name], "{words}: {said:?}");
        }
        Ok(())
    })
}

/// Ten lines, the first of them `line 1`.
fn ten_lines() -> String {
    let lines: Vec<String> = (1..=10).map(|n| format!("line {n}")).collect();
    lines.join("\n")
}

#[test]
fn who_writes_more_than_is_said_is_told() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab, Dialect::ngircd()).await?;
        let control = Control::open(&scene.alice).await?;
        scene.alice.say(&scene.room, &ten_lines()).await?;
        let told = control
            .told("6 lines of your message were not said")
            .await?;
        let told = told.text("body").unwrap_or_default();
        ensure!(told.contains("media.public_url"), "{told}");
        let lines = said(&scene, "line");
        ensure!(lines.len() == 5, "{lines:?}");
        Ok(())
    })
}

#[test]
fn a_long_message_waits_for_a_homeserver_that_takes_no_media_for_a_while() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::with(lab, Dialect::ngircd(), |settings| {
            settings.media.public_url = Some("https://irc.example.org".to_owned());
            let secret = Secret::new("a secret of sixteen and more".to_owned());
            settings.media.secret = secret.into();
            Ok(())
        })
        .await?;
        let unavailable = http::StatusCode::SERVICE_UNAVAILABLE;
        let upload = Fault::of_calls().put("/upload/").times(40);
        let faults = scene.lab.faults();
        faults.plan(upload.answer_status(unavailable));
        scene.alice.say(&scene.room, &ten_lines()).await?;
        scene.lab.pass(Duration::from_secs(20)).await;
        ensure!(
            said(&scene, "line").is_empty(),
            "{:?}",
            said(&scene, "line")
        );
        faults.clear();
        scene.lab.pass(Duration::from_secs(600)).await;
        let lines = said(&scene, "line");
        let with_link = lines.last().context("it was never said")?;
        ensure!(with_link.1.contains("https://irc.example.org"), "{lines:?}");
        Ok(())
    })
}

#[test]
fn commands_and_topics_are_written_as_the_network_wants_it() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::with(lab, Dialect::ngircd(), |settings| {
            let network = settings.networks.get_mut(NETWORK).context("the network")?;
            network.send_encoding = Some("latin1".to_owned());
            Ok(())
        })
        .await?;
        let control = Control::open(&scene.alice).await?;
        control.expect("!msg bob un café", "is told").await?;
        let lines = scene.bob.heard();
        let alone = lines
            .iter()
            .find(|line| line.text(0) == "bob" && line.command == "PRIVMSG");
        let alone = alone.and_then(|line| line.param(1));
        ensure!(alone == Some(b"un caf\xe9"), "{alone:?}");
        scene.irc.set_modes(CHANNEL, "+o alice[m]").await;
        scene.lab.pass(Duration::from_secs(5)).await;
        let topic = json!({ "topic": "le café ☕" });
        let (room, alice) = (&scene.room, &scene.alice);
        alice.set_state(room, "m.room.topic", "", &topic).await?;
        scene.lab.pass(Duration::from_secs(30)).await;
        let on_irc = scene.irc.channel(CHANNEL).await.and_then(|it| it.topic);
        let on_irc = on_irc.context("a topic")?.text;
        ensure!(on_irc.starts_with(b"le caf\xe9 "), "{on_irc:?}");
        // What the encoding has left of it is no news.
        let topic = alice.state(room, "m.room.topic", "").await?;
        ensure!(topic["topic"] == "le café ☕", "{topic}");
        Ok(())
    })
}
