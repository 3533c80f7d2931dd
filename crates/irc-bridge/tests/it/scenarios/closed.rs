//! Channels that let nobody in, and the people of Matrix who come all the same.

use anyhow::ensure;
use bridgehead_appservice::id::RoomId;
use bridgehead_testkit::lab::LabUser;
use serde_json::json;

use super::{
    messages::two_in,
    silence::{refused, told_of},
};
use crate::{
    peers::raw::RawClient,
    stage::{Stage, alias, comes_to, control::Control, nick},
};

scenarios![
    who_joins_the_alias_of_a_channel_for_the_invited_is_told,
    who_joins_the_alias_of_a_channel_with_a_key_comes_in_by_the_key,
    who_was_there_before_a_channel_closed_stays_and_is_told,
];

/// A channel that its operator has closed before anybody of Matrix came.
async fn closed(
    stage: &Stage,
    (channel, mode): (&str, &str),
    operator: &str,
) -> anyhow::Result<RawClient> {
    let mut operator = RawClient::welcomed(stage.port, operator).await?;
    operator.join(channel).await?;
    operator
        .ask(&format!("MODE {channel} {mode}"), " MODE ")
        .await?;
    Ok(operator)
}

/// Says things until one of them has arrived.
async fn gets_through(
    user: &LabUser,
    room: &RoomId,
    operator: &mut RawClient,
) -> anyhow::Result<()> {
    let mut turn = 0;
    comes_to(&true, async || {
        turn += 1;
        let event = user.say(room, &format!("try {turn}")).await?;
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        Ok(told_of(user, room, &event).await?.is_none())
    })
    .await?;
    operator.hear(&format!(":try {turn}")).await?;
    Ok(())
}

/// What somebody is told of a channel that does not let them in.
async fn shut_out(control: &Control<'_>) -> anyhow::Result<String> {
    let mut told = None;
    comes_to(&true, async || {
        let texts = control.user.texts(&control.room).await?;
        told = texts
            .into_iter()
            .find(|text| text.contains("does not let you in"));
        Ok(told.is_some())
    })
    .await?;
    Ok(told.unwrap_or_default())
}

async fn is_joined_by(user: &LabUser, room: &RoomId, rule: &str) -> anyhow::Result<()> {
    comes_to(&json!(rule), async || {
        let rules = user.state(room, "m.room.join_rules", "").await?;
        Ok(rules["join_rule"].clone())
    })
    .await
}

async fn who_joins_the_alias_of_a_channel_for_the_invited_is_told(
    stage: Stage,
) -> anyhow::Result<()> {
    let channel = "#invited";
    let mut op = closed(&stage, (channel, "+i"), "op-inv").await?;
    let alice = stage.lab.user("alice-inv").await?;
    let control = Control::open(&alice).await?;
    let room = alice.join(&alias(channel)).await?;
    let told = shut_out(&control).await?;
    let (_, words) = refused(&alice, &room, "may I?").await?;
    ensure!(words.contains("invited"), "{words}");
    let cure = format!("/invite {} {channel}", nick(&alice));
    ensure!(told.contains(&cure), "no `{cure}` in: {told}");
    // Invited on IRC she is in at once.
    op.say(&format!("INVITE {} {channel}", nick(&alice))).await;
    gets_through(&alice, &room, &mut op).await?;
    // Opened, the channel has an open room, and others come by the alias.
    op.ask(&format!("MODE {channel} -i"), " MODE ").await?;
    is_joined_by(&alice, &room, "public").await?;
    let carol = stage.lab.user("carol-inv").await?;
    let same = carol.join(&alias(channel)).await?;
    ensure!(same == room, "{same}");
    gets_through(&carol, &room, &mut op).await
}

async fn who_joins_the_alias_of_a_channel_with_a_key_comes_in_by_the_key(
    stage: Stage,
) -> anyhow::Result<()> {
    let channel = "#keyed";
    let mut op = closed(&stage, (channel, "+k sesame"), "op-key").await?;
    let alice = stage.lab.user("alice-key").await?;
    let control = Control::open(&alice).await?;
    let room = alice.join(&alias(channel)).await?;
    let told = shut_out(&control).await?;
    ensure!(told.contains("join #keyed KEY"), "{told}");
    let (_, words) = refused(&alice, &room, "may I?").await?;
    ensure!(words.contains("key"), "{words}");
    control.expect("join #keyed wrong", "key").await?;
    control.expect("join #keyed sesame", "#keyed").await?;
    gets_through(&alice, &room, &mut op).await?;
    // The room is as closed as the channel now, and the key opens both.
    is_joined_by(&alice, &room, "invite").await?;
    let carol = stage.lab.user("carol-key").await?;
    ensure!(carol.join(&alias(channel)).await.is_err(), "it is closed");
    let carols = Control::open(&carol).await?;
    carols
        .expect("join #keyed sesame", "You are invited")
        .await?;
    carol.join(&room).await?;
    gets_through(&carol, &room, &mut op).await?;
    op.ask(&format!("MODE {channel} -k sesame"), " MODE ")
        .await?;
    is_joined_by(&alice, &room, "public").await?;
    let dave = stage.lab.user("dave-key").await?;
    dave.join(&alias(channel)).await?;
    gets_through(&dave, &room, &mut op).await
}

async fn who_was_there_before_a_channel_closed_stays_and_is_told(
    stage: Stage,
) -> anyhow::Result<()> {
    let channel = "#closes";
    let (mut op, alice, room) = two_in(&stage, channel, ("alice-stay", "op-stay")).await?;
    let control = Control::open(&alice).await?;
    op.ask(&format!("MODE {channel} +i"), " MODE ").await?;
    is_joined_by(&alice, &room, "invite").await?;
    // Her next connection is not let in.
    control.expect("quit", "not connected").await?;
    op.hear(&format!(":{}!", nick(&alice))).await?;
    let (_, words) = refused(&alice, &room, "am I in?").await?;
    ensure!(words.contains("invited"), "{words}");
    shut_out(&control).await?;
    let membership = alice.members(&room).await?;
    ensure!(
        membership.get(alice.id()).map(String::as_str) == Some("join"),
        "she is in the room"
    );
    op.say(&format!("PRIVMSG {channel} :who is there?")).await;
    alice.hears(&room, "who is there?").await?;
    op.ask(&format!("MODE {channel} -i"), " MODE ").await?;
    gets_through(&alice, &room, &mut op).await
}
