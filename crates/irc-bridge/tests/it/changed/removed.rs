//! What becomes of rooms, people and what was stored when a mapping or a network is there no more.

use anyhow::ensure;
use bridgehead_irc::settings::ChannelSettings;
use bridgehead_testkit::lab::Lab;

use super::{ALICE, Scene, one, other_alias, two};
use crate::stage::{
    BOT,
    control::{Control, bot},
};

/// A network that goes while people talk there: by a reload, or by a restart with another file.
fn goes(change: impl AsyncFn(&Scene) -> anyhow::Result<()>) -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab, &two()?).await?;
        let stays = scene.talk_in("#tea").await?;
        let carol = scene.irc[1].person("carol").await?;
        carol.join("#rust").await?;
        let room = scene.alice.join(&other_alias("#rust")).await?;
        scene.members(1, "#rust", &["carol", ALICE, BOT]).await?;
        carol.say("#rust", "one more word").await?;
        scene.alice_hears(&room, "one more word").await?;
        let control = Control::open(&scene.alice).await?;
        control
            .expect("!storepass other alice swordfish", "is kept")
            .await?;
        control
            .expect("!ignore other mallory", "You hear nothing more")
            .await?;
        carol.say(ALICE, "psst").await?;
        scene
            .until("a talk begins", async || {
                Ok(!scene.alice.invitations().await?.is_empty())
            })
            .await?;
        let talk = scene.alice.invitations().await?[0].clone();
        scene.alice.join(&talk).await?;
        scene.alice_hears(&talk, "psst").await?;
        scene.lab.settle().await;

        change(&scene).await?;

        scene
            .until("all have quit", async || {
                let nicks = scene.irc[1].nicks().await;
                Ok(nicks == ["carol"])
            })
            .await?;
        scene
            .alice_hears(&room, "other is not bridged any more")
            .await?;
        for left in [&room, &talk] {
            scene
                .until("alone in the room", async || {
                    Ok(scene.joined(left).await? == [scene.alice.id().clone()])
                })
                .await?;
        }
        let lost = scene.lab.user("dora").await?;
        ensure!(lost.join(&other_alias("#rust")).await.is_err());
        scene.lab.settle().await;
        for what in ["#rust", "swordfish", "mallory", talk.as_str()] {
            scene.is_forgotten(what).await?;
        }
        // But for who is who there.
        let rows = scene.stored("Text(\"other\")").await?;
        let left: Vec<&String> = rows
            .iter()
            .filter(|row| !row.starts_with("people:"))
            .collect();
        ensure!(left.is_empty(), "{left:#?}");
        // The others go on.
        scene.alice.say(&stays, "we go on").await?;
        scene.bob_hears("we go on").await?;
        Ok(())
    })
}

#[test]
fn a_network_is_removed_while_the_bridge_runs() -> anyhow::Result<()> {
    goes(async |scene| {
        let told = scene.reload(&one()?).await?;
        ensure!(told.starts_with("other is not bridged any more"), "{told}");
        Ok(())
    })
}

#[test]
fn a_network_is_removed_while_the_bridge_is_away() -> anyhow::Result<()> {
    goes(async |scene| scene.restart_with(&one()?).await)
}

#[test]
fn a_mapping_is_removed_while_the_bridge_is_away() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab, &one()?).await?;
        scene.bob.join("#mapped").await?;
        let room = scene.own_room().await?;
        let mut mapped = one()?;
        let channel = ChannelSettings {
            room: Some(room.to_string()),
            ..ChannelSettings::default()
        };
        let network = mapped.networks.get_mut("net").expect("it is there");
        network.channels.insert("#mapped".to_owned(), channel);
        scene.restart_with(&mapped).await?;
        scene.members(0, "#mapped", &["bob", ALICE, BOT]).await?;
        scene.bob.say("#mapped", "hello").await?;
        scene.alice_hears(&room, "hello").await?;

        scene.restart_with(&one()?).await?;

        scene
            .alice_hears(&room, "not bridged to IRC any more")
            .await?;
        scene.members(0, "#mapped", &["bob"]).await?;
        scene
            .until("alone in the room", async || {
                Ok(scene.joined(&room).await? == [scene.alice.id().clone()])
            })
            .await?;
        scene.is_forgotten("#mapped").await
    })
}

#[test]
fn nothing_is_left_of_a_channel_that_is_unlinked() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab, &one()?).await?;
        let room = scene.talk_in("#club").await?;
        scene.bob.mode("#club", "+k sesame").await?;
        scene
            .until("the key is kept", async || {
                let rows = scene.stored("#club").await?;
                Ok(rows.iter().any(|row| row.starts_with("channel_keys")))
            })
            .await?;
        scene.lab.settle().await;
        let portals = scene.handle()?.portals::<bridgehead_irc::Irc>()?;
        let portal = portals.at(&room).await?.expect("it is linked");

        portals.unbridge(&portal, Some("it is enough")).await?;

        scene.alice_hears(&room, "it is enough").await?;
        scene.members(0, "#club", &["bob"]).await?;
        scene
            .until("alone in the room", async || {
                Ok(scene.joined(&room).await? == [scene.alice.id().clone()])
            })
            .await?;
        let state = scene.alice.timeline(&room).await?;
        let mut infos = state.iter().filter(|event| event.kind == "m.bridge");
        let last = infos.next_back().map(|event| event.content.clone());
        ensure!(
            last.as_ref()
                .is_some_and(|content| content.as_object().is_none_or(serde_json::Map::is_empty)),
            "{last:?}"
        );
        ensure!(!scene.joined(&room).await?.contains(&bot()?));
        scene.is_forgotten("#club").await
    })
}
