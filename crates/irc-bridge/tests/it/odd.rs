//! Servers that behave oddly, and networks unlike others: nobody loses a message by it.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use bridgehead_irc::Settings;
use bridgehead_irc_server::{Dialect, Faults, Server};
use bridgehead_testkit::lab::Lab;

use crate::{
    stage::{BOT, NETWORK, alias, nick, settings},
    within::{CHANNEL, Scene},
};

/// Somebody talks on each side, with a server that is odd from before the bridge connects.
fn talks(dialect: Dialect, odd: impl AsyncFn(Faults<'_>)) -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let irc = Arc::new(Server::start(dialect).await?);
        odd(irc.faults()).await;
        let scene = Scene::at(lab, irc, &settings(6667)?, Arc::new(|stream| stream)).await?;
        both_talk(&scene).await
    })
}

/// Each side says something three times, and the other hears it once and in order.
async fn both_talk(scene: &Scene) -> anyhow::Result<()> {
    let (before, heard) = (scene.order_on_irc(), scene.texts_of_bob().await?);
    let said = |whose: &str| (1..=3).map(|n| format!("{whose} says {n}")).collect();
    let (alices, bobs): (Vec<String>, Vec<String>) = (said("alice"), said("bob"));
    for (alices, bobs) in alices.iter().zip(&bobs) {
        scene.alice.say(&scene.room, alices).await?;
        scene.bob.say(CHANNEL, bobs).await?;
    }
    scene.hears_on_irc(&alices[2]).await?;
    scene.hears_in_matrix(&bobs[2]).await?;
    let order = scene.order_on_irc();
    ensure!(order[before.len()..] == alices, "{order:?}");
    let texts = scene.texts_of_bob().await?;
    ensure!(texts[heard.len()..] == bobs, "{texts:?}");
    Ok(())
}

#[test]
fn whatever_capability_is_refused_both_sides_talk() -> anyhow::Result<()> {
    let all = [
        "message-tags",
        "echo-message",
        "labeled-response",
        "batch",
        "server-time",
        "multi-prefix",
        "draft/multiline",
        "draft/chathistory",
    ];
    for cap in all {
        talks(Dialect::modern(), async |faults| faults.nak(cap).await).context(cap)?;
    }
    talks(Dialect::modern(), async |faults| {
        for cap in all {
            faults.nak(cap).await;
        }
        faults.poison("example.org/poison").await;
    })
}

#[test]
fn where_nobody_knows_of_capabilities_both_sides_talk() -> anyhow::Result<()> {
    talks(Dialect::modern(), async |faults| faults.refuse_cap().await)
}

#[test]
fn where_everything_comes_late_both_sides_talk() -> anyhow::Result<()> {
    for dialect in [Dialect::modern(), Dialect::inspircd(), Dialect::ngircd()] {
        talks(dialect, async |faults| {
            faults.lag(Duration::from_secs(3)).await;
        })?;
    }
    Ok(())
}

#[test]
fn a_server_that_is_silent_for_a_while_costs_nothing() -> anyhow::Result<()> {
    for dialect in [Dialect::modern(), Dialect::ngircd()] {
        Lab::run(async |lab| {
            let scene = Scene::new(lab, dialect).await?;
            scene.irc.faults().silent(Duration::from_secs(20)).await;
            both_talk(&scene).await
        })?;
    }
    Ok(())
}

#[test]
fn a_server_that_answers_no_ping_is_left_and_nothing_is_lost_or_doubled() -> anyhow::Result<()> {
    for dialect in [Dialect::modern(), Dialect::inspircd()] {
        Lab::run(async |lab| {
            let scene = Scene::new(lab, dialect).await?;
            scene.irc.faults().ignore_pings().await;
            // Longer than the bridge takes a connection for alive that answers nothing.
            scene.lab.pass(Duration::from_mins(10)).await;
            scene.irc.faults().clear().await;
            both_talk(&scene).await
        })?;
    }
    Ok(())
}

#[test]
fn a_nick_that_services_take_away_keeps_nobody_from_talking() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab, Dialect::inspircd()).await?;
        let taken = scene.irc.faults();
        ensure!(taken.force_nick(&nick(&scene.alice), "Guest1").await);
        ensure!(taken.force_nick(BOT, "Guest2").await);
        both_talk(&scene).await
    })
}

#[test]
fn who_comes_back_with_a_netsplits_end_has_missed_nothing() -> anyhow::Result<()> {
    for dialect in [Dialect::modern(), Dialect::inspircd()] {
        Lab::run(async |lab| {
            let scene = Scene::new(lab, dialect).await?;
            both_talk(&scene).await?;
            scene.irc.faults().netsplit(&["bob"]).await;
            scene.lab.pass(Duration::from_secs(30)).await;
            scene.irc.faults().netjoin().await;
            scene.lab.pass(Duration::from_secs(5)).await;
            let members = scene.alice.members(&scene.room).await?;
            let is_there = members.keys().any(|user| user.localpart() == "irc_net_bob");
            ensure!(is_there, "{members:?}");
            scene.bob.say(CHANNEL, "back again").await?;
            scene.hears_in_matrix("back again").await
        })?;
    }
    Ok(())
}

#[test]
fn a_server_that_cuts_inside_characters_gets_none_to_cut() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let irc = Arc::new(Server::start(Dialect::ngircd()).await?);
        irc.faults().cut_utf8(true).await;
        let mut settings = settings(6667)?;
        let network = settings.networks.get_mut(NETWORK).context("the network")?;
        network.limits.max_lines = 40;
        let scene = Scene::at(lab, irc, &settings, Arc::new(|stream| stream)).await?;
        let long = "日本語の文章を書く".repeat(100);
        scene.alice.say(&scene.room, &long).await?;
        scene.alice.say(&scene.room, "the end").await?;
        scene.hears_on_irc("the end").await?;
        let order = scene.order_on_irc();
        let whole = order[1..order.len() - 1].concat();
        ensure!(whole == long, "{order:?}");
        // What others have cut is read as far as it goes.
        scene.bob.say(CHANNEL, "ä".repeat(400)).await?;
        scene.bob.say(CHANNEL, "and on").await?;
        scene.hears_in_matrix("and on").await?;
        let texts = scene.alice.texts(&scene.room).await?;
        ensure!(
            texts.iter().any(|text| text.starts_with("ääää")),
            "{texts:?}"
        );
        Ok(())
    })
}

#[test]
fn lines_that_make_no_sense_do_no_harm() -> anyhow::Result<()> {
    const NONSENSE: &[&[u8]] = &[
        b"\r\n\r\n",
        b":\r\n",
        b"@\r\n",
        b"@a=b;c \r\n",
        b": PRIVMSG\r\n",
        b":bob!b@h PRIVMSG\r\n",
        b":bob!b@h PRIVMSG #within\r\n",
        b":bob PRIVMSG #within :\xff\xfe\xfd\r\n",
        b":srv 353\r\n",
        b":srv 353 x = #within :@ + @@@@ ~&@%+\r\n",
        b":srv 005 x PREFIX=( CHANMODES=,,,,,,, CASEMAPPING=no :are\r\n",
        b":srv MODE #within +ooooo-vvv+bbb\r\n",
        b":srv MODE #within\r\n",
        b":srv 324 x #within +\xff\r\n",
        b":bob!b@h JOIN\r\n",
        b":bob!b@h JOIN ,,,,#within,\r\n",
        b":nobody!x@y PART #nowhere\r\n",
        b":nobody!x@y NICK\r\n",
        b":nobody!x@y NICK :\r\n",
        b":srv BATCH +\r\n",
        b":srv BATCH -never\r\n",
        b":srv CAP * NEW :\r\n",
        b":srv CAP * DEL :message-tags message-tags\r\n",
        b":srv 401 x\r\n",
        b":srv 999 \r\n",
        b"AUTHENTICATE\r\n",
        b"PING\r\n",
        b"\x00\x01\x02\r\n",
    ];
    for dialect in [Dialect::modern(), Dialect::ngircd()] {
        Lab::run(async |lab| {
            let scene = Scene::new(lab, dialect).await?;
            let faults = scene.irc.faults();
            for line in NONSENSE {
                for who in [BOT, &nick(&scene.alice)] {
                    faults.send_raw(who, line).await;
                }
            }
            // A line without an end, far longer than any may be.
            faults.send_raw(BOT, vec![b'x'; 200_000]).await;
            faults.send_raw(BOT, b"\r\n").await;
            both_talk(&scene).await
        })?;
    }
    Ok(())
}

#[test]
fn a_network_has_an_encoding_of_its_own() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::with(lab, Dialect::ngircd(), |settings| {
            let network = settings.networks.get_mut(NETWORK).context("the network")?;
            network.encoding = "koi8-r".parse()?;
            network.send_encoding = Some("koi8-r".parse()?);
            Ok(())
        })
        .await?;
        scene.bob.say(CHANNEL, b"\xf0\xd2\xc9\xd7\xc5\xd4").await?;
        scene.hears_in_matrix("Привет").await?;
        scene.bob.say(CHANNEL, "Пока").await?;
        scene.hears_in_matrix("Пока").await?;
        scene.alice.say(&scene.room, "Мир").await?;
        scene.alice.say(&scene.room, "end").await?;
        scene.hears_on_irc("end").await?;
        let heard = scene.bob.heard();
        let is_said = |line: &bridgehead_irc_protocol::Line| {
            line.command == "PRIVMSG"
                && line
                    .params
                    .get(1)
                    .is_some_and(|text| text == b"\xed\xc9\xd2")
        };
        ensure!(heard.iter().any(is_said), "{heard:?}");
        Ok(())
    })
}

#[test]
fn who_has_been_silent_for_longest_gives_up_their_connection() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let two = |settings: &mut Settings| {
            let network = settings.networks.get_mut(NETWORK).context("the network")?;
            network.people.max_connections = 2;
            Ok(())
        };
        // The bridge's own is not counted.
        let scene = Scene::with(lab, Dialect::inspircd(), two).await?;
        let carol = scene.lab.user("carol").await?;
        let dave = scene.lab.user("dave").await?;
        for (person, text) in [(&carol, "carol is here"), (&scene.alice, "alice again")] {
            let room = person.join(&alias(CHANNEL)).await?;
            scene.lab.pass(Duration::from_mins(2)).await;
            person.say(&room, text).await?;
            scene.hears_on_irc(text).await?;
        }
        let room = dave.join(&alias(CHANNEL)).await?;
        scene.lab.pass(Duration::from_mins(2)).await;
        dave.say(&room, "dave too").await?;
        scene.hears_on_irc("dave too").await?;
        let heard = scene.bob.heard();
        let has_quit = |who: &str| {
            let mut quits = heard.iter().filter(|line| line.command == "QUIT");
            quits.any(|line| line.from_name() == who)
        };
        ensure!(has_quit(&nick(&carol)), "{heard:?}");
        ensure!(
            !has_quit(&nick(&scene.alice)) && !has_quit(BOT),
            "{heard:?}"
        );
        Ok(())
    })
}
