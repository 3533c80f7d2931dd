//! Somebody says something on one side, and it is heard on the other.

use bridgehead_appservice::id::UserId;
use bridgehead_testkit::SERVER_NAME;

use crate::{
    peers::{
        ii::{Ii, Shown},
        judge::Judge,
    },
    stage::{NETWORK, Stage, alias, comes_to, nick},
};

scenarios![
    a_channel_is_made_by_joining_its_alias,
    both_sides_talk_in_order,
    two_talk_alone
];

/// The ghost of somebody on IRC.
pub(crate) fn ghost(nick: &str) -> String {
    format!("@irc_{NETWORK}_{nick}:{SERVER_NAME}")
}

async fn a_channel_is_made_by_joining_its_alias(stage: Stage) -> anyhow::Result<()> {
    let mut bob = Ii::start(stage.port, "bob1").await?;
    bob.join("#made").await?;
    let alice = stage.lab.user("alice1").await?;
    let room = alice.join(&alias("#made")).await?;
    alice.say(&room, "hello from Matrix").await?;
    bob.wait_for("#made", &Shown::said(&nick(&alice), "hello from Matrix"))
        .await?;
    bob.say("#made", "hello from IRC").await?;
    let heard = alice.hears(&room, "hello from IRC").await?;
    assert_eq!(heard.sender.to_string(), ghost("bob1"));
    let members = alice.members(&room).await?;
    let bob_id = UserId::parse(&ghost("bob1"))?;
    assert_eq!(members.get(&bob_id).map(String::as_str), Some("join"));
    Ok(())
}

async fn both_sides_talk_in_order(stage: Stage) -> anyhow::Result<()> {
    let mut judge = Judge::listen(stage.port, "judge2", "#order").await?;
    let mut bob = Ii::start(stage.port, "bob2").await?;
    bob.join("#order").await?;
    let (alice, carol) = (
        stage.lab.user("alice2").await?,
        stage.lab.user("carol2").await?,
    );
    let room = alice.join(&alias("#order")).await?;
    carol.join(&alias("#order")).await?;
    let mut expected = Vec::new();
    for turn in 0..20 {
        for (user, nick) in [(&alice, nick(&alice)), (&carol, nick(&carol))] {
            let text = format!("turn {turn} of {nick}");
            user.say(&room, &text).await?;
            expected.push((nick, text));
        }
    }
    let (nick, text) = expected.last().cloned().unwrap_or_default();
    let said = judge.said_until(&nick, &text).await?;
    assert_eq!(said, expected);
    let lines: Vec<String> = (0..20).map(|turn| format!("line {turn} of bob")).collect();
    for line in &lines {
        bob.say("#order", line).await?;
    }
    comes_to(&lines, async || {
        let texts = alice.texts(&room).await?;
        Ok(texts
            .into_iter()
            .filter(|text| text.ends_with("of bob"))
            .collect())
    })
    .await
}

async fn two_talk_alone(stage: Stage) -> anyhow::Result<()> {
    let alice = stage.lab.user("alice3").await?;
    let mut bob = Ii::start(stage.port, "bob3").await?;
    // Alice is on IRC by being in a channel.
    bob.join("#meet").await?;
    let room = alice.join(&alias("#meet")).await?;
    alice.say(&room, "here I am").await?;
    bob.wait_for("#meet", &Shown::said(&nick(&alice), "here I am"))
        .await?;
    bob.open(&nick(&alice)).await?;
    bob.tell(&nick(&alice), "psst").await?;
    let mut invited = None;
    comes_to(&true, async || {
        invited = alice.invitations().await?.into_iter().next();
        Ok(invited.is_some())
    })
    .await?;
    let own = invited.expect("an invitation");
    alice.join(&own).await?;
    alice.hears(&own, "psst").await?;
    alice.say(&own, "yes?").await?;
    bob.wait_for(&nick(&alice), &Shown::said(&nick(&alice), "yes?"))
        .await?;
    Ok(())
}
