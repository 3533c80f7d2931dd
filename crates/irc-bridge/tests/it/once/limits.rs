//! Servers that have had enough: too many connections, too fast, bans; and servers that are not there.

use std::time::Duration;

use bridgehead_testkit::free_port;

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
    stage::{Server, alias, nick, on_ours, server_at, settings},
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
