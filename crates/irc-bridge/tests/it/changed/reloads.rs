//! The configuration is read again.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use bridgehead_appservice::{
    bridge::{Level, Permissions},
    id::RoomId,
};
use bridgehead_irc::{
    Irc, Settings,
    ids::Place,
    settings::{ChannelSettings, Mode},
};
use bridgehead_irc_protocol::CaseMapping;
use bridgehead_testkit::lab::Lab;

use super::{ALICE, OTHER, SECOND, Scene, one, other_alias, two};
use crate::stage::{BOT, server_at};

#[test]
fn a_network_is_added_and_the_others_go_on() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab, &one()?).await?;
        let room = scene.talk_in("#tea").await?;
        let moves = scene.comings_and_goings();

        let told = scene.reload(&two()?).await?;

        ensure!(told == "other is bridged from now on", "{told}");
        let carol = scene.irc[1].person("carol").await?;
        carol.join("#rust").await?;
        let other = scene.alice.join(&other_alias("#rust")).await?;
        scene.members(1, "#rust", &["carol", ALICE, BOT]).await?;
        carol.say("#rust", "hello from the other side").await?;
        scene
            .alice_hears(&other, "hello from the other side")
            .await?;
        scene.alice.say(&room, "still here").await?;
        scene.bob_hears("still here").await?;
        ensure!(scene.comings_and_goings() == moves, "somebody has moved");
        Ok(())
    })
}

#[test]
fn settings_of_messages_and_limits_count_at_once() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let mut settings = one()?;
        let scene = Scene::new(lab, &settings).await?;
        let room = scene.talk_in("#tea").await?;
        let moves = scene.comings_and_goings();
        scene.alice.say(&room, "1\n2\n3").await?;
        scene.bob_hears("3").await?;

        let network = settings.networks.get_mut("net").expect("it is there");
        network.limits.max_lines = 2;
        network.bot.nick = "herald".to_owned();
        scene.reload(&settings).await?;

        scene.members(0, "#tea", &["bob", ALICE, "herald"]).await?;
        scene.alice.say(&room, "4\n5\n6").await?;
        scene.bob_hears("4").await?;
        scene.lab.settle().await;
        let heard = scene.bob.heard();
        ensure!(!heard.iter().any(|line| line.text(1) == "6"), "{heard:?}");
        ensure!(scene.comings_and_goings() == moves, "somebody has moved");
        Ok(())
    })
}

#[test]
fn who_speaks_for_people_changes_where_they_are() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let puppets = one()?;
        let scene = Scene::new(lab, &puppets).await?;
        let room = scene.talk_in("#tea").await?;
        scene.members(0, "#tea", &["bob", ALICE, BOT]).await?;

        // By the channel's mode.
        let mut relay = puppets.clone();
        let channel = ChannelSettings {
            mode: Some(Mode::Relay),
            ..ChannelSettings::default()
        };
        let network = relay.networks.get_mut("net").expect("it is there");
        network.channels.insert("#tea".to_owned(), channel);
        scene.reload(&relay).await?;
        scene.members(0, "#tea", &["bob", BOT]).await?;
        scene.alice.say(&room, "by the bridge").await?;
        scene.bob_hears("by the bridge").await?;
        scene.reload(&puppets).await?;
        scene.members(0, "#tea", &["bob", ALICE, BOT]).await?;

        // By what they may do.
        let mut heard = puppets.clone();
        heard.permissions = Permissions::new().allow("*", Level::Relay);
        scene.reload(&heard).await?;
        scene.members(0, "#tea", &["bob", BOT]).await?;
        scene.reload(&puppets).await?;
        scene.members(0, "#tea", &["bob", ALICE, BOT]).await?;
        Ok(())
    })
}

#[test]
fn connections_move_to_other_servers_when_they_are_made_again() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let mut settings = one()?;
        let scene = Scene::new(lab, &settings).await?;
        let room = scene.talk_in("#tea").await?;

        let network = settings.networks.get_mut("net").expect("it is there");
        network.servers = vec![server_at(SECOND)?];
        scene.reload(&settings).await?;

        scene.alice.say(&room, "still with the first").await?;
        scene.bob_hears("still with the first").await?;
        let carol = scene.irc[1].person("carol").await?;
        carol.join("#tea").await?;
        scene.irc[0].faults().crash().await;
        scene.members(1, "#tea", &["carol", ALICE, BOT]).await?;
        Ok(())
    })
}

#[test]
fn mappings_are_made_moved_and_removed() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let bare = two()?;
        let scene = Scene::new(lab, &bare).await?;
        scene.bob.join("#mapped").await?;
        let (first, second) = (scene.own_room().await?, scene.own_room().await?);
        let mapped = |room: &str| {
            let mut settings = bare.clone();
            let channel = ChannelSettings {
                room: Some(room.to_owned()),
                ..ChannelSettings::default()
            };
            let network = settings.networks.get_mut("net").expect("it is there");
            network.channels.insert("#mapped".to_owned(), channel);
            settings
        };

        let told = scene.reload(&mapped(first.as_str())).await?;
        ensure!(told.starts_with("#mapped on net is linked to"), "{told}");
        scene.members(0, "#mapped", &["bob", ALICE, BOT]).await?;
        scene.bob.say("#mapped", "in the first").await?;
        scene.alice_hears(&first, "in the first").await?;

        scene.reload(&mapped(second.as_str())).await?;
        scene
            .alice_hears(&first, "not bridged to IRC any more")
            .await?;
        scene
            .until("the second room is linked", async || {
                scene.bob.say("#mapped", "in the second").await?;
                let texts = scene.alice.texts(&second).await?;
                Ok(texts.iter().any(|said| said == "in the second"))
            })
            .await?;

        let told = scene.reload(&bare).await?;
        ensure!(told.contains("is not linked to"), "{told}");
        scene.members(0, "#mapped", &["bob"]).await?;
        scene
            .alice_hears(&second, "not bridged to IRC any more")
            .await?;
        scene.is_forgotten("#mapped").await?;
        ensure!(!scene.reload(&bare).await?.contains(OTHER));
        Ok(())
    })
}

/// A channel that is mapped by an alias to the first of two rooms, and what maps it so, or to whatever else.
async fn mapped_by_alias(
    lab: Lab,
) -> anyhow::Result<(Scene, [RoomId; 2], impl Fn(&str) -> Settings)> {
    let bare = one()?;
    let scene = Scene::new(lab, &bare).await?;
    scene.bob.join("#mapped").await?;
    let rooms = [scene.own_room().await?, scene.own_room().await?];
    let mapped = move |room: &str| {
        let mut settings = bare.clone();
        let channel = ChannelSettings {
            room: Some(room.to_owned()),
            ..ChannelSettings::default()
        };
        let network = settings.networks.get_mut("net").expect("it is there");
        network.channels.insert("#mapped".to_owned(), channel);
        settings
    };
    scene.alice.set_alias(&rooms[0], HERE).await?;
    scene.reload(&mapped(HERE)).await?;
    scene
        .until("the room is linked", async || {
            scene.bob.say("#mapped", "by its alias").await?;
            let texts = scene.alice.texts(&rooms[0]).await?;
            Ok(texts.iter().any(|said| said == "by its alias"))
        })
        .await?;
    Ok((scene, rooms, mapped))
}

const HERE: &str = "#here:localhost";

#[test]
fn what_somebody_else_has_linked_is_no_mapping_to_be_taken_apart() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let (scene, [_, second], _) = mapped_by_alias(lab).await?;
        let portals = scene.handle()?.portals::<Irc>()?;
        let place = Place::channel("net", "#mapped", CaseMapping::Ascii);
        let portal = portals.of(&place).await?.context("it is linked")?;
        portals.unbridge(&portal, None).await?;
        scene
            .until("it is linked elsewhere", async || {
                Ok(portals.link(None, &second, &place).await.is_ok())
            })
            .await?;
        scene.reload(&one()?).await?;
        scene.lab.pass(Duration::from_secs(60)).await;
        scene.bob.say("#mapped", "still here").await?;
        scene.alice_hears(&second, "still here").await
    })
}

#[test]
fn a_mapping_by_another_name_of_the_room_moves_nobody() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let (scene, [first, _], mapped) = mapped_by_alias(lab).await?;
        let before = scene.joined(&first).await?;
        scene.reload(&mapped(first.as_str())).await?;
        scene.lab.pass(Duration::from_secs(60)).await;
        scene.bob.say("#mapped", "still here").await?;
        scene.alice_hears(&first, "still here").await?;
        let texts = scene.alice.texts(&first).await?.join("\n");
        ensure!(!texts.contains("not bridged"), "{texts}");
        let after = scene.joined(&first).await?;
        ensure!(before == after, "{before:?} {after:?}");
        Ok(())
    })
}
