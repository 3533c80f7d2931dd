//! Bans of `InspIRCd` under the bridge: of one person, and of the address that all come from.

use std::{net::IpAddr, time::Duration};

use anyhow::ensure;
use bridgehead_appservice::{Event, id::RoomId};
use bridgehead_irc::settings::NetworkSettings;
use bridgehead_testkit::lab::LabUser;

use crate::{
    peers::{
        inspircd::{Inspircd, InspircdOptions},
        judge::Judge,
        raw::RawClient,
    },
    scenarios::silence::{refused, told_of},
    stage::{
        BOT, NETWORK, Server, Stage, alias,
        control::{Control, ask},
        nick, on_ours, settings,
    },
};

use super::proxy::Proxy;

#[test]
fn a_k_line_on_inspircd_is_one_persons_alone_until_it_is_lifted() -> anyhow::Result<()> {
    with_proxy(
        |_| {},
        async |stage, proxy| {
            let mut judge = Judge::listen(stage.port, "judge", "#line").await?;
            let mut oper = RawClient::welcomed(stage.port, "oper").await?;
            oper.become_operator().await?;
            let (alice, carol, room) = two_of_matrix(&stage, "#line").await?;
            for user in [&alice, &carol] {
                user.say(&room, "here").await?;
                judge.said_until(&nick(user), "here").await?;
            }
            let before = proxy.connections();
            // Her user name, which nobody else has.
            let whois = format!("WHOIS {}", nick(&alice));
            let whois = oper.ask(&whois, " 311 ").await?;
            let username = whois.split(' ').nth(4).unwrap_or_default();
            oper.say(&format!("KLINE {username}@* 1h :no spam")).await;
            let (_, words) = refused(&alice, &room, "me too").await?;
            ensure!(words.contains("banned you") && words.contains("no spam"));
            ensure!(words.contains("`reconnect`"), "no cure: {words}");
            // She is told in her own room too, once, and what she can do.
            let own = alice.invitations().await?;
            ensure!(own.len() == 1, "{own:?}");
            let own = alice.join(&own[0]).await?;
            let told = alice.texts(&own).await?;
            ensure!(told.len() == 1, "{told:?}");
            for words in ["no spam", "for an hour", "`reconnect`", "lift"] {
                ensure!(told[0].contains(words), "no `{words}` in {told:?}");
            }
            // Nothing is tried, however often she speaks; the others go on.
            refused(&alice, &room, "me still").await?;
            carol.say(&room, "I am not meant").await?;
            judge.said_until(&nick(&carol), "I am not meant").await?;
            tokio::time::sleep(Duration::from_secs(5)).await;
            ensure!(proxy.connections() == before, "she knocks on");
            // Asked for, it is tried once.
            ask(&alice, &own, "reconnect").await?;
            refused(&alice, &room, "and now?").await?;
            ensure!(proxy.connections() == before + 1, "not once");
            oper.say(&format!("KLINE {username}@*")).await;
            oper.ask("PING lifted", "PONG").await?;
            ask(&alice, &own, "reconnect").await?;
            alice.say(&room, "here again").await?;
            let said = judge.said_until(&nick(&alice), "here again").await?;
            let hers = said.iter().filter(|(by, _)| *by == nick(&alice));
            let hers: Vec<&str> = hers.map(|(_, text)| text.as_str()).collect();
            ensure!(hers == ["here", "here again"], "{hers:?}");
            Ok(())
        },
    )
}

#[test]
fn a_z_line_on_the_bridges_address_is_nobodys_ban_and_ends_with_it() -> anyhow::Result<()> {
    with_proxy(
        |network| {
            if let Ok(patience) = "5s".parse() {
                network.limits.patience = patience;
            }
        },
        async |stage, proxy| {
            // The bridge comes from 127.0.0.1, and these do not.
            let elsewhere = IpAddr::from([127, 0, 0, 9]);
            let at = (elsewhere, stage.port);
            let mut oper = RawClient::welcomed_from(at, ("oper", "oper")).await?;
            oper.become_operator().await?;
            oper.join("#zed").await?;
            let (alice, carol, room) = two_of_matrix(&stage, "#zed").await?;
            for user in [&alice, &carol] {
                user.say(&room, "here").await?;
                let hers = format!(":{}!", nick(user));
                let is_it = |line: &str| line.starts_with(&hers) && line.ends_with(" :here");
                oper.heard.next("her first words", is_it).await?;
            }
            let control = Control::open(&carol).await?;
            oper.say("ZLINE 127.0.0.1 1h :no bridges").await;
            let all = [nick(&alice), nick(&carol), BOT.to_owned()];
            let is_out = |lines: &[String]| {
                let quits = lines.iter().filter(|line| line.contains(" QUIT :Z-lined"));
                quits.count() == all.len()
            };
            oper.heard.wait("the end of all three", is_out).await?;
            let before = proxy.connections();
            let during = alice.say(&room, "during").await?;
            // It waits for the network, and is not refused.
            let is_pending = |event: &Event| {
                event.content["m.relates_to"]["event_id"] == during.to_string()
                    && event.content["status"] == "PENDING"
            };
            alice.wait_for(&room, "that it waits", is_pending).await?;
            for words in ["the bridge's address", "no bridges"] {
                control.expect("status", words).await?;
            }
            ensure!(proxy.connections() == before, "it knocks on");
            let invitations = alice.invitations().await?;
            ensure!(invitations.is_empty(), "she is told of a ban of hers");
            ensure!(told_of(&alice, &room, &during).await?.is_none(), "refused");
            // Lifted, it is found out by the next attempt, and what was said meanwhile is said then.
            oper.say("ZLINE 127.0.0.1").await;
            oper.ask("PING lifted", "PONG").await?;
            oper.heard
                .next("what was said", |line| line.ends_with(" #zed :during"))
                .await?;
            carol.say(&room, "back").await?;
            oper.hear(" #zed :back").await?;
            oper.say("PRIVMSG #zed :welcome").await;
            alice.hears(&room, "welcome").await?;
            let heard = oper.heard.all();
            let during = heard.iter().filter(|line| line.ends_with(" :during"));
            ensure!(during.count() == 1, "it was said twice");
            let attempts = proxy.connections() - before;
            ensure!(attempts <= all.len(), "{attempts} attempts");
            Ok(())
        },
    )
}

/// Plays with an `InspIRCd` behind a proxy, which counts connections.
fn with_proxy(
    change: impl FnOnce(&mut NetworkSettings),
    play: impl AsyncFnOnce(Stage, Proxy) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let irc = runtime.block_on(Inspircd::start(InspircdOptions::default()))?;
    let proxy = Proxy::default();
    let port = runtime.block_on(proxy.listen(irc.port))?;
    let mut settings = settings(port)?;
    settings
        .networks
        .entry(NETWORK.to_owned())
        .and_modify(change);
    on_ours(&settings, (irc.port, Server::Inspircd), async |stage| {
        play(stage, proxy).await
    })
}

/// Alice and Carol, in the room of a channel.
async fn two_of_matrix(stage: &Stage, channel: &str) -> anyhow::Result<(LabUser, LabUser, RoomId)> {
    let alice = stage.lab.user("alice").await?;
    let carol = stage.lab.user("carol").await?;
    let room = alice.join(&alias(channel)).await?;
    carol.join(&alias(channel)).await?;
    Ok((alice, carol, room))
}
