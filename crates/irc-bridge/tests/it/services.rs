//! What services of a network do, and those who stand above its operators: founders, half-operators, logins that a
//! server demands, nicks that are given back, channels that nobody is to find.

use anyhow::{Context as _, ensure};
use bridgehead_testkit::lab::LabUser;
use http::Method;
use serde_json::{Value, json};

use crate::{
    peers::{
        atheme::{self, Atheme},
        inspircd::{Inspircd, InspircdOptions},
        raw::RawClient,
    },
    scenarios::{membership::power, messages::two_in, talk::ghost},
    stage::{NETWORK, Server, alias, comes_to, control::Control, nick, on_ours, settings},
};

#[test]
fn founders_admins_and_half_operators_have_their_power() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let irc = runtime.block_on(Inspircd::start(InspircdOptions::default()))?;
    let server = (irc.port, Server::Inspircd);
    on_ours(&settings(irc.port)?, server, async |stage| {
        let mut early = RawClient::welcomed(stage.port, "early").await?;
        early.join("#ranks").await?;
        let (bob, alice, room) = {
            early.become_operator().await?;
            early.say("SAMODE #ranks -o early").await;
            early.ask("SAMODE #ranks +q early", "+q").await?;
            two_in(&stage, "#ranks", ("alice", "bob")).await?
        };
        let is = async |nick: &str, level: i64| {
            comes_to(&json!(level), async || {
                power(&alice, &room, &ghost(nick)).await
            })
            .await
        };
        // Who was founder before, and who becomes something.
        is("early", 95).await?;
        let mut people = Vec::new();
        for (nick, mode, level) in [("adam", 'a', 75), ("hal", 'h', 40)] {
            let mut client = RawClient::welcomed(stage.port, nick).await?;
            client.join("#ranks").await?;
            early.say(&format!("SAMODE #ranks +{mode} {nick}")).await;
            is(nick, level).await?;
            people.push(client);
        }
        early.say("SAMODE #ranks -h hal").await;
        is("hal", 0).await?;
        // A half-operator of Matrix is one on IRC, with the same power.
        early
            .say(&format!("SAMODE #ranks +h {}", nick(&alice)))
            .await;
        comes_to(&json!(40), async || {
            power(&alice, &room, alice.id().as_str()).await
        })
        .await?;
        drop(bob);
        Ok(())
    })
}

async fn listed(user: &LabUser) -> anyhow::Result<Vec<String>> {
    let path = "/_matrix/client/v3/publicRooms";
    let found = user.call(Method::GET, path, &Value::Null).await?;
    let rooms = found["chunk"].as_array().context("a list")?;
    let ids = rooms.iter().filter_map(|room| room["room_id"].as_str());
    Ok(ids.map(str::to_owned).collect())
}

#[test]
fn a_secret_channel_is_not_in_the_directory() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let irc = runtime.block_on(Inspircd::start(InspircdOptions::default()))?;
    let mut settings = settings(irc.port)?;
    let network = settings.networks.get_mut(NETWORK).context("the network")?;
    network.dynamic.published = true;
    on_ours(&settings, (irc.port, Server::Inspircd), async |stage| {
        let (mut bob, alice, room) = two_in(&stage, "#found", ("alice", "bob")).await?;
        let is_listed = async |wanted: bool| {
            comes_to(&wanted, async || {
                Ok(listed(&alice).await?.contains(&room.to_string()))
            })
            .await
        };
        is_listed(true).await?;
        for mode in ['s', 'p', 'i'] {
            bob.ask(&format!("MODE #found +{mode}"), " MODE ").await?;
            is_listed(false).await?;
            bob.ask(&format!("MODE #found -{mode}"), " MODE ").await?;
            is_listed(true).await?;
        }
        Ok(())
    })
}

#[test]
fn power_that_chanserv_gives_is_power_in_the_room() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let irc = runtime.block_on(Inspircd::start(InspircdOptions::default()))?;
    let _services = runtime.block_on(Atheme::start(&irc))?;
    let server = (irc.port, Server::Inspircd);
    on_ours(&settings(irc.port)?, server, async |stage| {
        let mut founder = atheme::register(&irc, "acct", "sesame7opens").await?;
        founder.join("#mine").await?;
        let registered = "is now registered to";
        founder
            .ask("PRIVMSG ChanServ :REGISTER #mine", registered)
            .await?;
        let alice = stage.lab.user("alice").await?;
        let control = Control::open(&alice).await?;
        control
            .expect("!storepass net acct sesame7opens", "kept")
            .await?;
        let room = alice.join(&alias("#mine")).await?;
        // She is logged in as the founder, and he is given power by a word of hers to the service.
        comes_to(&json!(95), async || {
            power(&alice, &room, alice.id().as_str()).await
        })
        .await?;
        let mut bob = RawClient::welcomed(stage.port, "bob").await?;
        bob.join("#mine").await?;
        let bob_has = async |level: i64| {
            comes_to(&json!(level), async || {
                power(&alice, &room, &ghost("bob")).await
            })
            .await
        };
        control
            .expect("!msg ChanServ OP #mine bob", "is told")
            .await?;
        bob_has(50).await?;
        control
            .expect("!msg ChanServ DEOP #mine bob", "is told")
            .await?;
        bob_has(0).await
    })
}

#[test]
fn a_nick_that_hangs_is_taken_back_from_its_ghost() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let irc = runtime.block_on(Inspircd::start(InspircdOptions::default()))?;
    let _services = runtime.block_on(Atheme::start(&irc))?;
    let server = (irc.port, Server::Inspircd);
    on_ours(&settings(irc.port)?, server, async |stage| {
        let mut bob = RawClient::welcomed(stage.port, "bob").await?;
        bob.join("#ghosts").await?;
        // A connection of hers that nobody holds any more: the server has not noticed.
        let alice = stage.lab.user("alice").await?;
        let wanted = nick(&alice);
        let mut hanging = atheme::register(&irc, "acct", "sesame7opens").await?;
        hanging.say(&format!("NICK {wanted}")).await;
        // What the service says of the registration may come in between.
        let grouped = "now registered to your account";
        hanging.ask("PRIVMSG NickServ :GROUP", grouped).await?;
        let control = Control::open(&alice).await?;
        control
            .expect("!storepass net acct sesame7opens", "kept")
            .await?;
        let room = alice.join(&alias("#ghosts")).await?;
        alice.say(&room, "under another name").await?;
        let said = bob.hear("under another name").await?;
        ensure!(!said.starts_with(&format!(":{wanted}!")), "{said}");
        control
            .expect(&format!("!msg NickServ GHOST {wanted}"), "is told")
            .await?;
        hanging.error().await?;
        let is_it = |line: &str| line.contains(" NICK ") && line.ends_with(&wanted);
        bob.heard.next("her nick", is_it).await?;
        alice.say(&room, "as myself").await?;
        let said = bob.hear("as myself").await?;
        ensure!(said.starts_with(&format!(":{wanted}!")), "{said}");
        Ok(())
    })
}
