//! Rooms say what they are bridged to, and take their channel along when they are replaced.

use anyhow::{Context as _, ensure};
use bridgehead_appservice::id::RoomId;
use bridgehead_testkit::lab::Lab;
use serde_json::{Value, json};

use super::{ALICE, Scene, one};
use crate::stage::{
    BOT, NETWORK,
    control::{ask, bot},
};

/// What a room says of a channel (MSC2346), under this name of the event.
async fn info(scene: &Scene, room: &RoomId, kind: &str) -> anyhow::Result<Value> {
    let events = scene.alice.timeline(room).await?;
    let last = events.iter().rfind(|event| event.kind == kind);
    let last = last.with_context(|| format!("no {kind}"))?;
    let key = last.state_key.clone().context("it is state")?;
    ensure!(key.starts_with("io.bridgehead://irc/net/"), "{key}");
    Ok(last.content.clone())
}

#[test]
fn each_portal_says_what_it_is_bridged_to() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab, &one()?).await?;
        let room = scene.talk_in("#tea").await?;
        scene.lab.settle().await;
        for kind in ["m.bridge", "uk.half-shot.bridge"] {
            let info = info(&scene, &room, kind).await?;
            ensure!(info["bridgebot"] == bot()?.as_str(), "{info}");
            ensure!(
                info["protocol"] == json!({ "id": "irc", "displayname": "IRC" }),
                "{info}"
            );
            ensure!(info["network"]["id"] == NETWORK, "{info}");
            ensure!(info["channel"]["id"] == "#tea", "{info}");
        }
        Ok(())
    })
}

#[test]
fn a_room_that_is_upgraded_takes_its_channel_along() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab, &one()?).await?;
        scene.bob.join("#own").await?;
        let old = scene.own_room_with("public_chat").await?;
        let portals = scene.handle()?.portals::<bridgehead_irc::Irc>()?;
        let place = bridgehead_irc::ids::Place::channel(
            NETWORK,
            "#own",
            bridgehead_irc_protocol::CaseMapping::Ascii,
        );
        portals
            .link(None, &old, &place)
            .await
            .map_err(|error| anyhow::anyhow!("{error}"))?;
        drop(portals);
        scene.members(0, "#own", &["bob", ALICE, BOT]).await?;
        scene.bob.say("#own", "in the old room").await?;
        scene.alice_hears(&old, "in the old room").await?;
        let moves = scene.comings_and_goings();

        let new = scene.alice.upgrade_room(&old, "11").await?;

        scene
            .until("the channel has moved", async || {
                let portals = scene.handle()?.portals::<bridgehead_irc::Irc>()?;
                let portal = portals.of(&place).await?;
                Ok(portal.is_some_and(|portal| portal.matrix == new))
            })
            .await?;
        scene.bob.say("#own", "in the new room").await?;
        scene.alice_hears(&new, "in the new room").await?;
        scene.alice.say(&new, "so am I").await?;
        scene.bob_hears("so am I").await?;
        scene
            .until("those of IRC are there", async || {
                let bob = scene.joined(&new).await?;
                Ok(bob.iter().any(|user| user.localpart() == "irc_net_bob"))
            })
            .await?;
        scene.lab.settle().await;
        ensure!(info(&scene, &new, "m.bridge").await?["channel"]["id"] == "#own");
        ensure!(scene.comings_and_goings() == moves, "somebody has moved");
        let answer = ask(&scene.alice, &new, "!irc listrooms").await?;
        ensure!(answer.contains("#own"), "{answer}");
        Ok(())
    })
}
