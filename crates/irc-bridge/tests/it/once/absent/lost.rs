//! Whoever hears for all is lost while the bridge is away: those who stand by have heard the rest.

use bridgehead_irc_server::Dialect;

use super::{CHANNEL, LINES, Scene, lines, played, texts_are};
use crate::stage::{BOT, nick};

/// What is said while the bridge is away, behind this loss, is heard once and in order. Alice stands by.
fn is_heard_though(
    lost: impl AsyncFnOnce(&Scene, &str) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    // Nothing that is said has an id here.
    played(Dialect::ngircd(), async |scene| {
        let alice = scene.enters("alice").await?;
        scene.enters("carol").await?;
        scene.brings(&alice, "before").await?;
        scene.bridge.kill().await?;
        lost(scene, &nick(&alice.0)).await?;
        scene.says_lines().await?;
        scene.bridge.start()?;
        let (user, room) = &alice;
        texts_are(user, room, "line", &lines("line", LINES)).await?;
        // The bridge's own comes back, and nothing was told twice.
        scene.is_there(BOT).await?;
        scene.brings(&alice, "line, the last").await?;
        let mut expected = lines("line", LINES);
        expected.push("line, the last".to_owned());
        texts_are(user, room, "line", &expected).await
    })
}

#[test]
fn nothing_is_lost_though_the_bridges_own_connection_is_killed_while_it_is_away()
-> anyhow::Result<()> {
    is_heard_though(async |scene, _| {
        anyhow::ensure!(scene.irc.faults().kill(BOT, "enough").await);
        Ok(())
    })
}

#[test]
fn nothing_is_lost_though_it_is_kicked_while_it_is_away() -> anyhow::Result<()> {
    is_heard_though(async |scene, _| Ok(scene.bob.kick(CHANNEL, BOT, "out").await?))
}

#[test]
fn nothing_is_lost_though_who_stands_by_is_killed_as_well() -> anyhow::Result<()> {
    is_heard_though(async |scene, alice| {
        let faults = scene.irc.faults();
        anyhow::ensure!(faults.kill(BOT, "enough").await);
        anyhow::ensure!(faults.kill(alice, "enough").await);
        Ok(())
    })
}
