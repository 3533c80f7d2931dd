//! A channel goes by another name (draft/channel-rename).

use std::time::Duration;

use anyhow::ensure;
use bridgehead_irc_server::Dialect;
use bridgehead_testkit::lab::Lab;

use super::until;
use crate::{
    scenarios::silence::told_of,
    stage::{BOT, nick},
    within::{CHANNEL, Scene},
};

#[test]
fn of_a_channel_that_is_renamed_its_room_is_told() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab, Dialect::modern()).await?;
        let (alice, room) = (&scene.alice, &scene.room);
        scene.bob.raw("CAP REQ :draft/channel-rename").await?;
        scene
            .bob
            .raw(format!("RENAME {CHANNEL} #elsewhere"))
            .await?;
        until(&scene.lab, "the room's notice", async || {
            let texts = alice.texts(room).await?;
            Ok(texts.iter().any(|text| text.contains("`link #elsewhere`")))
        })
        .await?;
        // Nobody of ours is left there, and nobody comes into a channel of the old name.
        scene.lab.pass(Duration::from_secs(900)).await;
        let heard = scene.bob.heard();
        for ours in [BOT, &nick(alice)] {
            let mut left = heard.iter();
            let mut left = left.by_ref().skip_while(|line| line.command != "RENAME");
            ensure!(
                left.any(|line| {
                    let is_part = line.command == "PART" && line.text(0) == "#elsewhere";
                    (is_part || line.command == "QUIT") && line.from_name() == ours
                }),
                "{ours} stays: {heard:#?}"
            );
        }
        let event = alice.say(room, "is anybody there?").await?;
        let mut words = None;
        until(&scene.lab, "why nothing is said", async || {
            words = told_of(alice, room, &event).await?;
            Ok(words.is_some())
        })
        .await?;
        let words = words.unwrap_or_default();
        ensure!(words.contains("it is called #elsewhere now"), "{words}");
        let eve = scene.irc.person("eve").await?;
        eve.join(CHANNEL).await?;
        let names = eve.wait_for(|line| line.numeric() == Some(353)).await?;
        ensure!(names.text(3).trim() == "@eve", "{names:?}");
        anyhow::Ok(())
    })
}
