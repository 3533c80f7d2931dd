//! What takes a stage of its own: servers that split, and a bridge that ends and begins again.

use bridgehead_irc::Settings;

use super::{
    membership::{becomes, member},
    messages::two_in,
    talk::ghost,
};
use crate::{
    peers::{
        inspircd::{HUB, Inspircd, InspircdOptions, LEAF},
        raw::RawClient,
    },
    stage::{NETWORK, Server, Stage, comes_to, nick, on_ours, settings},
};

async fn inspircd() -> anyhow::Result<Inspircd> {
    Inspircd::start(InspircdOptions::default()).await
}

fn with_netsplit(port: u16, hold: &str) -> anyhow::Result<Settings> {
    let mut settings = settings(port)?;
    if let Some(network) = settings.networks.get_mut(NETWORK) {
        network.sync.netsplit = hold.parse()?;
    }
    Ok(settings)
}

/// Somebody on the other server, seen in two channels of this one.
async fn on_the_leaf(port: u16) -> anyhow::Result<RawClient> {
    let mut dave = RawClient::welcomed(port, "dave").await?;
    dave.join("#one").await?;
    dave.join("#two").await?;
    Ok(dave)
}

async fn two_channels(
    stage: &Stage,
) -> anyhow::Result<
    [(
        RawClient,
        bridgehead_testkit::lab::LabUser,
        bridgehead_appservice::id::RoomId,
    ); 2],
> {
    Ok([
        two_in(stage, "#one", ("alice", "bob")).await?,
        two_in(stage, "#two", ("carol", "ben")).await?,
    ])
}

#[test]
fn who_comes_back_from_a_netsplit_has_never_left() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let irc = runtime.block_on(inspircd())?;
    let settings = with_netsplit(irc.port, "300s")?;
    on_ours(&settings, (irc.port, Server::Inspircd), async |stage| {
        let [(mut bob, alice, one), (_ben, _carol, _two)] = two_channels(&stage).await?;
        let leaf = irc.start_leaf().await?;
        let _dave = on_the_leaf(leaf.port).await?;
        becomes(&alice, &one, (&ghost("dave"), "join")).await?;
        drop(leaf);
        bob.hear(&format!("QUIT :{HUB} {LEAF}")).await?;
        // What is said after it has come, and so has all before it.
        bob.say("PRIVMSG #one :split").await;
        alice.hears(&one, "split").await?;
        assert_eq!(
            member(&alice, &one, &ghost("dave")).await?["membership"],
            "join"
        );
        let leaf = irc.start_leaf().await?;
        let dave = on_the_leaf(leaf.port).await?;
        dave.say("PRIVMSG #one :back").await;
        alice.hears(&one, "back").await?;
        let was_gone = alice.timeline(&one).await?.into_iter().any(|event| {
            event.state_key.as_deref() == Some(&ghost("dave"))
                && event.content["membership"] == "leave"
        });
        anyhow::ensure!(!was_gone, "dave has left and come again");
        Ok(())
    })
}

#[test]
fn who_does_not_come_back_from_a_netsplit_leaves() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let irc = runtime.block_on(inspircd())?;
    let settings = with_netsplit(irc.port, "5s")?;
    on_ours(&settings, (irc.port, Server::Inspircd), async |stage| {
        let [(mut bob, alice, one), (_ben, carol, two)] = two_channels(&stage).await?;
        let leaf = irc.start_leaf().await?;
        let _dave = on_the_leaf(leaf.port).await?;
        becomes(&alice, &one, (&ghost("dave"), "join")).await?;
        becomes(&carol, &two, (&ghost("dave"), "join")).await?;
        drop(leaf);
        bob.hear(&format!("QUIT :{HUB} {LEAF}")).await?;
        // To one of the channels alone he comes back, by another server.
        let mut dave = RawClient::welcomed(irc.port, "dave").await?;
        dave.join("#one").await?;
        let left = becomes(&carol, &two, (&ghost("dave"), "leave")).await?;
        assert_eq!(left["reason"], "Netsplit");
        assert_eq!(
            member(&alice, &one, &ghost("dave")).await?["membership"],
            "join"
        );
        Ok(())
    })
}

#[test]
fn after_a_restart_everybody_is_where_they_are_on_the_other_side() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let irc = runtime.block_on(inspircd())?;
    let settings = settings(irc.port)?;
    on_ours(&settings, (irc.port, Server::Inspircd), async |stage| {
        let (mut bob, alice, room) = two_in(&stage, "#one", ("alice", "bob")).await?;
        let mut gone = RawClient::welcomed(irc.port, "gone").await?;
        gone.join("#one").await?;
        becomes(&alice, &room, (&ghost("gone"), "join")).await?;
        bob.say("MODE #one +k sesame").await;
        comes_to(&serde_json::json!("invite"), async || {
            let rules = alice.state(&room, "m.room.join_rules", "").await?;
            Ok(rules["join_rule"].clone())
        })
        .await?;
        stage.service.crash();
        bob.hear(&format!(":{}!", nick(&alice))).await?;
        gone.say("PART #one").await;
        let mut comes = RawClient::welcomed(irc.port, "comes").await?;
        comes.join("#one sesame").await?;
        stage.service.start().await?;
        becomes(&alice, &room, (&ghost("comes"), "join")).await?;
        becomes(&alice, &room, (&ghost("gone"), "leave")).await?;
        let joined = format!(":{}!", nick(&alice));
        bob.heard
            .next("the return", |line| {
                line.contains(&joined) && line.contains(" JOIN ")
            })
            .await?;
        alice.say(&room, "back again").await?;
        bob.hear(":back again").await?;
        Ok(())
    })
}
