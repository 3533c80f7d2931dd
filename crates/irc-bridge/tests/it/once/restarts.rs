//! Something ends and begins again: the IRC server, the bridge.

use super::{lines, texts_are, with_inspircd, with_ngircd};
use crate::{
    peers::{
        ii::{Ii, Shown},
        inspircd::InspircdOptions,
        judge::Judge,
        ngircd::NgircdOptions,
        raw::RawClient,
    },
    stage::{alias, nick},
};

#[test]
fn what_is_said_while_the_server_is_away_arrives_when_it_is_back() -> anyhow::Result<()> {
    with_ngircd(
        NgircdOptions::default(),
        |_| {},
        async |stage, irc| {
            let alice = stage.lab.user("alice").await?;
            let mut bob = Ii::start(stage.port, "bob").await?;
            bob.join("#dead").await?;
            let room = alice.join(&alias("#dead")).await?;
            alice.say(&room, "before").await?;
            bob.wait_for("#dead", &Shown::said(&nick(&alice), "before"))
                .await?;
            irc.process.kill9().await?;
            let said = lines("line", 10);
            for line in &said {
                alice.say(&room, line).await?;
            }
            irc.start_again().await?;
            let mut judge = Judge::listen(stage.port, "judge", "#dead").await?;
            let last = &said[said.len() - 1];
            let heard = judge.said_until(&nick(&alice), last).await?;
            let texts: Vec<String> = heard.into_iter().map(|(_, text)| text).collect();
            assert_eq!(texts, said);
            let mut bob = Ii::start(stage.port, "bob2").await?;
            bob.join("#dead").await?;
            bob.say("#dead", "line of bob").await?;
            alice.hears(&room, "line of bob").await?;
            Ok(())
        },
    )
}

#[test]
fn a_bridge_that_ends_in_order_says_so_and_forgets_nothing() -> anyhow::Result<()> {
    with_inspircd(
        InspircdOptions::default(),
        |_| {},
        async |stage, _| {
            let mut bob = RawClient::welcomed(stage.port, "bob").await?;
            bob.join("#order").await?;
            let alice = stage.lab.user("alice").await?;
            let room = alice.join(&alias("#order")).await?;
            alice.say(&room, "before").await?;
            bob.hear("before").await?;
            stage.service.stop().await?;
            let quit = bob.hear(" QUIT ").await?;
            assert!(quit.contains("is being restarted"), "no reason: {quit}");
            let said = lines("line", 5);
            for line in &said {
                alice.say(&room, line).await?;
            }
            stage.service.start().await?;
            for line in &said {
                bob.hear(&format!("PRIVMSG #order :{line}")).await?;
            }
            bob.say("PRIVMSG #order :answer 0").await;
            texts_are(&alice, &room, "answer", &lines("answer", 1)).await
        },
    )
}
