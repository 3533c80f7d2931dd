//! What has come to differ between a channel and its room is named, and mended: who may come in, and who may not come back.

use anyhow::{Context as _, ensure};
use bridgehead_appservice::id::RoomId;
use bridgehead_irc::{Irc, ids::Place};
use bridgehead_irc_protocol::CaseMapping;
use bridgehead_testkit::lab::{Lab, LabUser};
use serde_json::json;

use crate::{
    access::{Scene, ghost},
    stage::{BOT, NETWORK, alias, comes_to, nick},
};

/// Gives a command in a room until the answer to it has this in it.
async fn asks(
    scene: &Scene,
    (user, room): (&LabUser, &RoomId),
    (command, part): (&str, &str),
) -> anyhow::Result<()> {
    let mut answer = None;
    for _ in 0..30 {
        let asked = user.say(room, command).await?;
        scene.passes(2).await;
        let events = user.timeline(room).await?;
        let after = events.iter().skip_while(|event| event.id != asked);
        let mut answers = after.filter(|event| event.content["msgtype"] == "m.notice");
        answer = answers
            .next()
            .map(|event| event.content["body"].to_string());
        if answer.as_ref().is_some_and(|answer| answer.contains(part)) {
            return Ok(());
        }
    }
    anyhow::bail!("no answer to {command} has `{part}`, but {answer:?}")
}

/// The masks that are banned from a channel.
async fn bans(scene: &Scene, channel: &str) -> Vec<String> {
    let seen = scene.irc.channel(channel).await;
    let bans = seen.and_then(|mut seen| seen.lists.remove(&'b'));
    let bans = bans.into_iter().flatten();
    bans.map(|entry| entry.mask).collect()
}

#[test]
fn a_room_that_was_opened_is_closed_as_its_channel_is() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab).await?;
        let (alice, channel) = (&scene.alice, "#closed");
        scene.bob.join(channel).await?;
        let room = alice.join(&alias(channel)).await?;
        scene.enters(channel, &nick(alice)).await?;
        // A moderator of the room who is no operator of the channel: what they change there stays there.
        let portals = scene.service.running().portals::<Irc>();
        let portals = portals.context("it is the bridge to IRC")?;
        let place = Place::channel(NETWORK, channel, CaseMapping::Ascii);
        let moderator = [(alice.id().clone(), 100)];
        portals.remote().power_of_people(&place, &moderator).await?;
        scene.bob.mode(channel, "+i").await?;
        comes_to(&json!("invite"), async || scene.join_rule(&room).await).await?;
        let by = (alice, &room);
        let open = json!({ "join_rule": "public" });
        alice
            .set_state(&room, "m.room.join_rules", "", &open)
            .await?;
        let told = "everybody may come into the room";
        asks(&scene, by, ("!irc drift", told)).await?;
        asks(&scene, by, ("!irc sync", "brought in line")).await?;
        comes_to(&json!("invite"), async || scene.join_rule(&room).await).await
    })
}

#[test]
fn who_was_banned_before_the_bridge_could_is_banned_when_it_can() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab).await?;
        let (alice, channel) = (&scene.alice, "#troll");
        let room = scene.linked(channel).await?;
        let mallory = scene.irc.person("mallory").await?;
        mallory.join(channel).await?;
        let troll = ghost("mallory")?;
        scene.becomes(&room, &troll, "join").await?;
        alice.ban(&room, &troll).await?;
        scene.passes(5).await;
        let is_banned = async || Ok(!bans(&scene, channel).await.is_empty());
        ensure!(!is_banned().await?, "nobody of ours may ban there");
        let by = (alice, &room);
        let told = "mallory is banned from the room, and not from the channel";
        asks(&scene, by, ("!irc drift", told)).await?;
        scene.bob.mode(channel, &format!("+o {BOT}")).await?;
        comes_to(&true, is_banned).await
    })
}

#[test]
fn a_ban_that_the_channel_lacks_is_set_by_command() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab).await?;
        let (alice, channel) = (&scene.alice, "#later");
        let room = scene.linked(channel).await?;
        scene.bob.mode(channel, &format!("+o {BOT}")).await?;
        let mallory = scene.irc.person("mallory").await?;
        mallory.join(channel).await?;
        let troll = ghost("mallory")?;
        scene.becomes(&room, &troll, "join").await?;
        alice.ban(&room, &troll).await?;
        let is_banned = async || Ok(!bans(&scene, channel).await.is_empty());
        comes_to(&true, is_banned).await?;
        // Where nobody of ours hears it, the ban is lifted.
        scene.service.stop().await?;
        for mask in bans(&scene, channel).await {
            scene.bob.mode(channel, &format!("-b {mask}")).await?;
        }
        scene.service.start().await?;
        scene.enters(channel, BOT).await?;
        scene.bob.mode(channel, &format!("+o {BOT}")).await?;
        let by = (alice, &room);
        asks(&scene, by, ("!irc sync", "mallory is banned from the room")).await?;
        comes_to(&true, is_banned).await
    })
}
