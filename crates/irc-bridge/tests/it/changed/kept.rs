//! What people have set outlives the bridge's end, whichever way it ends.

use anyhow::ensure;
use bridgehead_testkit::lab::Lab;

use super::{ALICE, Scene, one};
use crate::stage::{BOT, control::Control};

#[test]
fn what_people_have_set_is_there_after_a_crash() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab, &one()?).await?;
        let room = scene.talk_in("#tea").await?;
        scene.irc[0].account("alice", "swordfish").await;
        let control = Control::open(&scene.alice).await?;
        control
            .expect("!storepass alice swordfish", "is kept")
            .await?;
        control
            .expect("!nick allie", "You are called allie")
            .await?;
        control
            .expect("!ignore mallory", "You hear nothing")
            .await?;
        control
            .expect("!username ali", "Your user name is ali")
            .await?;
        control.expect("!away at lunch", "").await?;
        scene
            .until("she is away", async || {
                let seen = scene.irc[0].whois("allie").await;
                Ok(seen.is_some_and(|seen| seen.away.as_deref() == Some("at lunch")))
            })
            .await?;
        scene.lab.settle().await;

        scene.service.crash();
        scene.service.start().await?;

        scene.members(0, "#tea", &["bob", "allie", BOT]).await?;
        scene
            .until("she is logged in, and away", async || {
                let seen = scene.irc[0].whois("allie").await;
                Ok(seen.is_some_and(|seen| {
                    seen.account.as_deref() == Some("alice")
                        && seen.user.trim_start_matches('~') == "ali"
                        && seen.away.as_deref() == Some("at lunch")
                }))
            })
            .await?;
        control.expect("!ignores", "mallory").await?;
        scene.alice.say(&room, "as before").await?;
        scene.bob_hears("as before").await?;
        control.expect("!away", "").await?;
        scene.lab.settle().await;
        scene.service.crash();
        scene.service.start().await?;
        scene.members(0, "#tea", &["bob", "allie", BOT]).await?;
        scene.lab.settle().await;
        let seen = scene.irc[0].whois("allie").await;
        ensure!(seen.is_some_and(|seen| seen.away.is_none()), "she is back");
        Ok(())
    })
}

#[test]
fn a_talk_under_another_nick_is_followed_after_a_crash() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab, &one()?).await?;
        scene.talk_in("#tea").await?;
        scene.bob.say(ALICE, "psst").await?;
        scene
            .until("a talk begins", async || {
                Ok(!scene.alice.invitations().await?.is_empty())
            })
            .await?;
        let talk = scene.alice.invitations().await?[0].clone();
        scene.alice.join(&talk).await?;
        scene.alice_hears(&talk, "psst").await?;
        scene.bob.change_nick("robert").await?;
        scene.alice_hears(&talk, "is now called robert").await?;
        scene.lab.settle().await;

        scene.service.crash();
        scene.service.start().await?;

        scene.members(0, "#tea", &["robert", ALICE, BOT]).await?;
        scene.alice.say(&talk, "who are you now").await?;
        scene.bob_hears("who are you now").await?;
        scene.bob.say(ALICE, "still me").await?;
        scene.alice_hears(&talk, "still me").await
    })
}

#[test]
fn keys_that_people_have_given_open_channels_after_a_crash() -> anyhow::Result<()> {
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
        ensure!(scene.stored("sesame").await?.is_empty(), "in the clear");

        scene.service.crash();
        scene.service.start().await?;

        scene.members(0, "#club", &["bob", ALICE, BOT]).await?;
        scene.alice.say(&room, "inside").await?;
        scene.bob_hears("inside").await
    })
}
