//! Servers that have had enough: too many connections, too fast, bans; and servers that are not there.

use std::{net::IpAddr, time::Duration};

use anyhow::ensure;
use bridgehead_appservice::{Event, id::RoomId};
use bridgehead_irc::settings::NetworkSettings;
use bridgehead_testkit::{free_port, lab::LabUser};

use crate::{
    peers::{
        SOON,
        ii::{Ii, Shown},
        inspircd::{Inspircd, InspircdOptions},
        judge::Judge,
        ngircd::NgircdOptions,
        raw::RawClient,
    },
    scenarios::silence::{refused, told_of},
    stage::{
        BOT, NETWORK, Server, Stage, alias,
        control::{Control, ask},
        nick, on_ours, server_at, settings,
    },
};

use super::{proxy::Proxy, with_ngircd};

#[test]
fn where_a_server_takes_few_connections_who_speaks_gets_one() -> anyhow::Result<()> {
    // The bridge's own, the judge's, and two for people.
    let options = NgircdOptions {
        connections_per_address: Some(4),
        ..NgircdOptions::default()
    };
    with_ngircd(
        options,
        |_| {},
        async |stage, _| {
            let mut judge = Judge::listen(stage.port, "judge", "#few").await?;
            let mut people = Vec::new();
            for number in 0..5 {
                let user = stage.lab.user(&format!("user{number}")).await?;
                let room = user.join(&alias("#few")).await?;
                people.push((user, room));
            }
            // Each in turn, and the first again: whoever is silent makes room.
            for (user, room) in people.iter().chain(people.first()) {
                let text = format!("I am {}", user.name());
                user.say(room, &text).await?;
                judge.said_until(&nick(user), &text).await?;
            }
            Ok(())
        },
    )
}

#[test]
fn a_network_that_throttles_is_left_alone_and_nobody_is_banned() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let options = InspircdOptions {
        throttled_after: Some(3),
        ..InspircdOptions::default()
    };
    let irc = runtime.block_on(Inspircd::start(options))?;
    let proxy = Proxy::default();
    let port = runtime.block_on(proxy.listen(irc.port))?;
    on_ours(
        &settings(port)?,
        (irc.port, Server::Inspircd),
        async |stage| {
            let mut people = Vec::new();
            for number in 0..6 {
                let user = stage.lab.user(&format!("user{number}")).await?;
                let room = user.join(&alias("#slow")).await?;
                let event = user.say(&room, "here").await?;
                people.push((user, room, event));
            }
            // All are put out with the first that was too many.
            let is_shut =
                |lines: &[String]| lines.iter().any(|line| line.contains("Connect flooding"));
            irc.process
                .wait_for_output("the throttle", SOON, is_shut)
                .await?;
            let before = proxy.connections();
            tokio::time::sleep(Duration::from_secs(8)).await;
            let attempts = proxy.connections() - before;
            assert!(attempts <= 6, "{attempts} attempts against a closed door");
            let still = proxy.connections();
            tokio::time::sleep(Duration::from_secs(8)).await;
            assert_eq!(proxy.connections(), still, "it knocks on");
            for (user, room, event) in &people {
                let told = told_of(user, room, event).await?.unwrap_or_default();
                assert!(!told.contains("banned you"), "{told}");
            }
            Ok(())
        },
    )
}

#[test]
fn a_ban_of_one_person_is_theirs_alone_and_they_are_told() -> anyhow::Result<()> {
    with_ngircd(
        NgircdOptions::default(),
        |_| {},
        async |stage, _| {
            let mut judge = Judge::listen(stage.port, "judge", "#line").await?;
            let mut oper = RawClient::welcomed(stage.port, "oper").await?;
            oper.become_operator().await?;
            let (alice, carol) = (
                stage.lab.user("alice").await?,
                stage.lab.user("carol").await?,
            );
            let room = alice.join(&alias("#line")).await?;
            carol.join(&alias("#line")).await?;
            for user in [&alice, &carol] {
                user.say(&room, "here").await?;
                judge.said_until(&nick(user), "here").await?;
            }
            oper.say("KLINE alice*!*@* 3600 :no spam").await;
            let (_, words) = refused(&alice, &room, "me too").await?;
            assert!(words.contains("no spam"), "{words}");
            // At once, without another attempt.
            let (_, words) = refused(&alice, &room, "me still").await?;
            assert!(words.contains("no spam"), "{words}");
            // She is told what it is and what she can do, once, and by the bridge alone.
            let own = alice.invitations().await?;
            assert_eq!(own.len(), 1, "{own:?}");
            let own = alice.join(&own[0]).await?;
            let told = alice.texts(&own).await?;
            assert_eq!(told.len(), 1, "{told:?}");
            assert!(
                told[0].contains("no spam") && told[0].contains("`reconnect`"),
                "{told:?}"
            );
            carol.say(&room, "I am not meant").await?;
            judge.said_until(&nick(&carol), "I am not meant").await?;
            Ok(())
        },
    )
}

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
            // Asked for, it is tried once, and nothing is told anew.
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

#[test]
fn where_the_first_server_is_dead_the_next_is_taken() -> anyhow::Result<()> {
    let dead = free_port()?;
    with_ngircd(
        NgircdOptions::default(),
        |network| {
            if let Ok(server) = server_at(dead) {
                network.servers.insert(0, server);
            }
        },
        async |stage, _| {
            let mut bob = Ii::start(stage.port, "bob").await?;
            bob.join("#over").await?;
            let alice = stage.lab.user("alice").await?;
            let room = alice.join(&alias("#over")).await?;
            alice.say(&room, "here").await?;
            bob.wait_for("#over", &Shown::said(&nick(&alice), "here"))
                .await?;
            bob.say("#over", "there").await?;
            alice.hears(&room, "there").await?;
            Ok(())
        },
    )
}

#[test]
fn who_is_silent_for_too_long_is_parked_and_comes_back_by_speaking() -> anyhow::Result<()> {
    with_ngircd(
        NgircdOptions::default(),
        |network| {
            if let Ok(idle) = "2s".parse() {
                network.people.idle = idle;
            }
        },
        async |stage, _| {
            let mut bob = RawClient::welcomed(stage.port, "bob").await?;
            bob.join("#idle").await?;
            let alice = stage.lab.user("alice").await?;
            let room = alice.join(&alias("#idle")).await?;
            alice.say(&room, "here").await?;
            bob.hear("PRIVMSG #idle :here").await?;
            let quit = bob.hear(" QUIT ").await?;
            assert!(quit.contains(&nick(&alice)), "{quit}");
            alice.say(&room, "back").await?;
            bob.hear("PRIVMSG #idle :back").await?;
            Ok(())
        },
    )
}

#[test]
fn many_start_one_by_one_and_who_speaks_goes_first() -> anyhow::Result<()> {
    with_ngircd(
        NgircdOptions::default(),
        |network| {
            network.limits.connects_per_minute = 60;
            network.limits.connects_at_once = 2;
            network.limits.patience = network
                .limits
                .patience
                .max("60s".parse().unwrap_or(network.limits.patience));
        },
        async |stage, _| {
            let mut bob = RawClient::welcomed(stage.port, "bob").await?;
            bob.join("#many").await?;
            let mut last = None;
            for number in 0..20 {
                let user = stage.lab.user(&format!("user{number}")).await?;
                let room = user.join(&alias("#many")).await?;
                last = Some((user, room));
            }
            let Some((user, room)) = last else {
                anyhow::bail!("twenty have come");
            };
            user.say(&room, "I am in a hurry").await?;
            bob.hear("I am in a hurry").await?;
            let joined = bob.ask("NAMES #many", " 353 ").await?;
            let there = joined.split(' ').count();
            assert!(there < 20, "all were there already: {joined}");
            Ok(())
        },
    )
}
