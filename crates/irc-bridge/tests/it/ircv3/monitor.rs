//! Whether the partners of talks are there.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use bridgehead_appservice::id::{RoomId, UserId};
use bridgehead_irc::{
    link::dial::{Stream, Way},
    service_by,
};
use bridgehead_irc_server::{Dialect, Server};
use bridgehead_testkit::lab::{Lab, LabUser};
use serde_json::json;

use super::until;
use crate::{
    scenarios::{silence::told_of, talk::ghost},
    stage::{alias, control::Control, nick, settings},
};

/// Somebody of Matrix who has begun to talk to `bob` alone.
async fn talk(lab: &Lab, irc: &Arc<Server>) -> anyhow::Result<(LabUser, RoomId)> {
    let server = irc.clone();
    let way = Way::Within(Arc::new(move |_| {
        Ok(Box::new(server.wire()) as Box<dyn Stream>)
    }));
    lab.mount(service_by(&settings(6667)?, &way)).await?;
    let alice = lab.user("alice").await?;
    let channel = alice.join(&alias("#monitor")).await?;
    let bob = UserId::parse(&ghost("bob"))?;
    let body = json!({ "invite": [bob], "is_direct": true, "preset": "trusted_private_chat" });
    let room = alice.create_room_with(&body).await?;
    until(lab, "the ghost", async || {
        Ok(alice.members(&room).await?.get(&bob).map(String::as_str) == Some("join"))
    })
    .await?;
    alice.say(&channel, "here I am").await?;
    Ok((alice, room))
}

async fn presence(user: &LabUser, of: &str) -> anyhow::Result<serde_json::Value> {
    let path = format!("/_matrix/client/v3/presence/{}/status", ghost(of));
    let told = user.call(http::Method::GET, &path, &json!(null)).await?;
    Ok(told["presence"].clone())
}

#[test]
fn who_is_talked_to_is_there_away_or_gone() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let irc = Arc::new(Server::start(Dialect::modern()).await?);
        let bob = irc.person("bob").await?;
        let (alice, room) = talk(&lab, &irc).await?;
        alice.say(&room, "psst").await?;
        bob.wait_for(|line| line.command == "PRIVMSG").await?;
        bob.quit("lunch").await?;
        let is = async |wanted: &str| {
            until(&lab, wanted, async || {
                Ok(presence(&alice, "bob").await? == wanted)
            })
            .await
        };
        is("offline").await?;
        let bob = irc.person("bob").await?;
        is("online").await?;
        // Bob shares no channel with the bridge: it hears of him because it watches him.
        bob.raw("AWAY :at tea").await?;
        is("unavailable").await?;
        bob.raw("AWAY").await?;
        is("online").await
    })
}

#[test]
fn who_writes_to_somebody_who_is_gone_is_told_without_a_connection() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let irc = Arc::new(Server::start(Dialect::modern()).await?);
        let bob = irc.person("bob").await?;
        let (alice, room) = talk(&lab, &irc).await?;
        let control = Control::open(&alice).await?;
        alice.say(&room, "psst").await?;
        bob.wait_for(|line| line.command == "PRIVMSG").await?;
        bob.quit("gone for good").await?;
        control.expect("!quit", "not connected").await?;
        until(&lab, "her leave", async || {
            Ok(irc.whois(&nick(&alice)).await.is_none())
        })
        .await?;
        let said = alice.say(&room, "are you there?").await?;
        let mut words = None;
        until(&lab, "the refusal", async || {
            words = told_of(&alice, &room, &said).await?;
            Ok(words.is_some())
        })
        .await?;
        let words = words.context("it has just been there")?;
        ensure!(words.contains("is not online on IRC"), "{words}");
        ensure!(
            irc.whois(&nick(&alice)).await.is_none(),
            "nobody connects for it"
        );
        // He is back, and so is she.
        let bob = irc.person("bob").await?;
        lab.pass(Duration::from_secs(1)).await;
        alice.say(&room, "and now?").await?;
        let heard = bob.wait_for(|line| line.command == "PRIVMSG").await?;
        ensure!(heard.text(1) == "and now?", "{heard:?}");
        Ok(())
    })
}
