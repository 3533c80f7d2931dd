//! Who hears a channel when the bridge's own connection does not.

use std::time::Duration;

use super::{lines, texts_are, with_inspircd, with_ngircd};
use crate::{
    peers::{
        ii::{Ii, Shown},
        inspircd::InspircdOptions,
        ngircd::NgircdOptions,
        raw::RawClient,
    },
    stage::{BOT, alias, comes_to, nick},
};

/// Between the lines of somebody who goes on talking.
const BREATH: Duration = Duration::from_millis(20);

#[test]
fn nothing_is_lost_when_the_observer_is_killed_and_comes_back() -> anyhow::Result<()> {
    with_inspircd(
        InspircdOptions::default(),
        |_| {},
        async |stage, _| {
            let mut oper = RawClient::welcomed(stage.port, "oper").await?;
            oper.become_operator().await?;
            let mut bob = Ii::start(stage.port, "bob").await?;
            bob.join("#ears").await?;
            let alice = stage.lab.user("alice").await?;
            let room = alice.join(&alias("#ears")).await?;
            alice.say(&room, "here").await?;
            bob.wait_for("#ears", &Shown::said(&nick(&alice), "here"))
                .await?;
            let said = lines("line", 150);
            for (number, line) in said.iter().enumerate() {
                bob.say("#ears", line).await?;
                if number % 50 == 20 {
                    oper.say(&format!("KILL {BOT} :again")).await;
                }
                tokio::time::sleep(BREATH).await;
            }
            texts_are(&alice, &room, "line", &said).await?;
            // Both ways, and with the bridge's own connection in its place again.
            alice.say(&room, "heard you").await?;
            bob.wait_for("#ears", &Shown::said(&nick(&alice), "heard you"))
                .await?;
            Ok(())
        },
    )
}

#[test]
fn a_channel_without_a_bot_is_heard_by_whoever_is_there() -> anyhow::Result<()> {
    with_ngircd(
        NgircdOptions::default(),
        |network| network.bot.enabled = false,
        async |stage, _| {
            let mut bob = Ii::start(stage.port, "bob").await?;
            bob.join("#free").await?;
            let (alice, carol) = (
                stage.lab.user("alice").await?,
                stage.lab.user("carol").await?,
            );
            let room = alice.join(&alias("#free")).await?;
            carol.join(&alias("#free")).await?;
            for user in [&alice, &carol] {
                user.say(&room, "here").await?;
                bob.wait_for("#free", &Shown::said(&nick(user), "here"))
                    .await?;
            }
            let first = lines("line", 30);
            for line in &first {
                bob.say("#free", line).await?;
            }
            texts_are(&alice, &room, "line", &first).await?;
            // Whoever heard it leaves; the other one hears it from then on.
            let said = lines("line", 90);
            for (number, line) in said.iter().enumerate().skip(30) {
                bob.say("#free", line).await?;
                if number == 50 {
                    alice.leave(&room).await?;
                }
                tokio::time::sleep(BREATH).await;
            }
            texts_are(&carol, &room, "line", &said).await
        },
    )
}

#[test]
fn a_bot_that_is_banned_is_replaced_and_comes_back_when_it_may() -> anyhow::Result<()> {
    with_inspircd(
        InspircdOptions::default(),
        |_| {},
        async |stage, _| {
            let mut op = RawClient::welcomed(stage.port, "op").await?;
            op.join("#nobots").await?;
            let alice = stage.lab.user("alice").await?;
            let room = alice.join(&alias("#nobots")).await?;
            alice.say(&room, "here").await?;
            op.hear("here").await?;
            op.ask(&format!("MODE #nobots +b {BOT}!*@*"), "+b").await?;
            op.ask(&format!("KICK #nobots {BOT} :no bots"), "KICK")
                .await?;
            op.say("PRIVMSG #nobots :line 0").await;
            texts_are(&alice, &room, "line", &lines("line", 1)).await?;
            // The room goes on: both ways, and without a word of the bridge that it were cut off.
            alice.say(&room, "still here").await?;
            op.hear("still here").await?;
            op.ask(&format!("MODE #nobots -b {BOT}!*@*"), "-b").await?;
            let mut turn = 1;
            op.hear(&format!(":{BOT}!")).await?;
            comes_to(&5, async || {
                turn += 1;
                op.say(&format!("PRIVMSG #nobots :line {}", turn - 1)).await;
                texts_are(&alice, &room, "line", &lines("line", turn)).await?;
                Ok(turn)
            })
            .await
        },
    )
}

#[test]
fn where_nobody_hears_a_channel_its_people_are_told() -> anyhow::Result<()> {
    with_inspircd(
        InspircdOptions::default(),
        |network| network.sync.to_irc = false,
        async |stage, _| {
            let mut op = RawClient::welcomed(stage.port, "op").await?;
            op.join("#deaf").await?;
            let alice = stage.lab.user("alice").await?;
            let room = alice.join(&alias("#deaf")).await?;
            op.hear(&format!(":{BOT}!")).await?;
            op.ask(&format!("MODE #deaf +b {BOT}!*@*"), "+b").await?;
            op.ask(&format!("KICK #deaf {BOT} :no bots"), "KICK")
                .await?;
            alice
                .wait_for(&room, "the notice", |event| {
                    let body = event.content["body"].as_str();
                    body.is_some_and(|body| body.contains("no bots"))
                })
                .await?;
            op.ask(&format!("MODE #deaf -b {BOT}!*@*"), "-b").await?;
            op.hear(&format!(":{BOT}!")).await?;
            op.say("PRIVMSG #deaf :line 0").await;
            texts_are(&alice, &room, "line", &lines("line", 1)).await
        },
    )
}
