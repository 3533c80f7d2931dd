//! Who may be in a channel and not speak, and who needs no invitation, is told so by lists that were there before.

use std::time::Duration;

use anyhow::ensure;
use bridgehead_appservice::id::RoomId;
use bridgehead_irc_server::Dialect;
use bridgehead_testkit::lab::{Lab, LabUser};
use http::Method;
use serde_json::Value;

use crate::{
    stage::{BOT, alias},
    within::{CHANNEL, Scene},
};

impl Scene {
    /// Whether the bridge has told somebody alone something with these words in it.
    async fn is_told(&self, user: &LabUser, part: &str) -> anyhow::Result<()> {
        let what = format!("{} is told: {part}", user.id());
        self.becomes(&what, async || has_been_told(user, part).await)
            .await
    }
}

async fn has_been_told(user: &LabUser, part: &str) -> anyhow::Result<bool> {
    for room in user.invitations().await? {
        user.join(&room).await?;
    }
    let path = "/_matrix/client/v3/joined_rooms";
    let joined = user.call(Method::GET, path, &Value::Null).await?;
    for room in joined["joined_rooms"].as_array().into_iter().flatten() {
        let room = RoomId::parse(room.as_str().unwrap_or_default())?;
        let texts = user.texts(&room).await?;
        if texts.iter().any(|text| text.contains(part)) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[test]
fn who_was_quieted_before_the_bridge_came_is_told() -> anyhow::Result<()> {
    let check = |dialect: Dialect, quiet: &str| {
        Lab::run(async |lab| {
            let scene = Scene::new(lab, dialect).await?;
            scene.service.crash();
            scene.lab.pass(Duration::from_secs(5)).await;
            scene
                .irc
                .set_modes(CHANNEL, &quiet.replace("WHO", "alice*"))
                .await;
            scene
                .irc
                .set_modes(CHANNEL, &quiet.replace("WHO", "carol*"))
                .await;
            scene.service.start().await?;
            let words = format!("may not speak in {CHANNEL}");
            scene.is_told(&scene.alice, &words).await?;
            // And so is who comes later, and who may speak again.
            let carol = scene.lab.user("carol").await?;
            carol.join(&alias(CHANNEL)).await?;
            scene.is_told(&carol, &words).await?;
            let unset = quiet.replacen('+', "-", 1).replace("WHO", "alice*");
            scene.irc.set_modes(CHANNEL, &unset).await;
            scene
                .is_told(&scene.alice, "you may speak there again")
                .await?;
            ensure!(!has_been_told(&carol, "you may speak there again").await?);
            anyhow::Ok(())
        })
    };
    check(Dialect::modern(), "+q WHO!*@*")?;
    check(Dialect::inspircd(), "+b m:WHO!*@*")
}

#[test]
fn who_is_excepted_from_quiets_is_not_told_of_them() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab, Dialect::modern()).await?;
        // Only operators see whom a channel excepts.
        let modes = format!("+oe {BOT} alice*!*@*");
        scene.irc.set_modes(CHANNEL, &modes).await;
        scene.lab.pass(Duration::from_secs(5)).await;
        scene.irc.set_modes(CHANNEL, "+q *!*@*").await;
        // Carol is told, so the lists are known.
        let carol = scene.lab.user("carol").await?;
        carol.join(&alias(CHANNEL)).await?;
        scene.is_told(&carol, "may not speak").await?;
        ensure!(!has_been_told(&scene.alice, "may not speak").await?);
        Ok(())
    })
}

#[test]
fn who_needs_no_invitation_is_not_told_to_get_one() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab, Dialect::modern()).await?;
        // The server says no all the same, as one does that sees another host than the others.
        let modes = format!("+oiI {BOT} alice*!*@*");
        scene.irc.set_modes(CHANNEL, &modes).await;
        scene.lab.pass(Duration::from_secs(5)).await;
        let no = format!("473 {CHANNEL} :Cannot join channel (+i)");
        scene.irc.faults().answer("JOIN", &no).await;
        scene.irc.faults().close("alice[m]", "Ping timeout").await;
        scene
            .is_told(&scene.alice, "You need no invitation there")
            .await?;
        ensure!(!has_been_told(&scene.alice, "/invite").await?);
        Ok(())
    })
}
