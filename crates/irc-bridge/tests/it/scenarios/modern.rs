//! What the drafts of IRCv3 offer, on a server that has all of them; and what is missed without.

use std::time::Duration;

use anyhow::Context as _;
use bridgehead_appservice::{Event, id::RoomId};
use bridgehead_irc::{
    Settings,
    settings::{ChannelSettings, Mode},
};
use bridgehead_irc_server::{Dialect, Person, Server as OurServer};
use bridgehead_testkit::lab::LabUser;
use serde_json::json;

use super::talk::ghost;
use crate::{
    peers::{
        inspircd::{Inspircd, InspircdOptions},
        ngircd::{Ngircd, NgircdOptions},
        raw::RawClient,
    },
    stage::{BOT, NETWORK, Server, Stage, alias, comes_to, nick, on_ours, play_all, settings},
};

scenarios![
    several_lines_are_one_message_on_both_sides,
    what_is_taken_back_is_taken_back_on_both_sides,
    people_are_spoken_for_under_their_own_names,
    who_is_away_is_away_in_matrix,
    what_was_said_then_was_said_then,
];

#[test]
fn on_a_modern_server() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let irc = runtime.block_on(OurServer::start(Dialect::modern()))?;
    let port = irc.address().port();
    let mut settings = settings(port)?;
    let relay = ChannelSettings {
        mode: Some(Mode::Relay),
        ..ChannelSettings::default()
    };
    network(&mut settings)?
        .channels
        .insert("#relaymsg".to_owned(), relay);
    on_ours(&settings, (port, Server::Modern), async |stage| {
        play_all(stage, &[ALL]).await
    })?;
    runtime.block_on(irc.stop());
    Ok(())
}

fn network(
    settings: &mut Settings,
) -> anyhow::Result<&mut bridgehead_irc::settings::NetworkSettings> {
    settings.networks.get_mut(NETWORK).context("the network")
}

/// Somebody who has agreed to these, in a channel, with somebody of Matrix.
async fn modern(
    stage: &Stage,
    channel: &str,
    (matrix, irc, caps): (&str, &str, &str),
) -> anyhow::Result<(RawClient, LabUser, RoomId)> {
    let mut bob = RawClient::welcomed(stage.port, irc).await?;
    bob.join(channel).await?;
    bob.ask(&format!("CAP REQ :{caps}"), " ACK ").await?;
    let alice = stage.lab.user(matrix).await?;
    let room = alice.join(&alias(channel)).await?;
    alice.say(&room, "ready").await?;
    bob.hear("ready").await?;
    Ok((bob, alice, room))
}

const LINES: &str = "batch message-tags draft/multiline";

async fn several_lines_are_one_message_on_both_sides(stage: Stage) -> anyhow::Result<()> {
    let (mut bob, alice, room) = modern(&stage, "#multi", ("mmula", "mmulb", LINES)).await?;
    alice.say(&room, "one\ntwo\nthree").await?;
    let opening = bob.hear("draft/multiline").await?;
    anyhow::ensure!(opening.contains(&nick(&alice)), "{opening}");
    for line in ["one", "two", "three"] {
        let said = bob.hear("PRIVMSG").await?;
        anyhow::ensure!(
            said.starts_with("@batch=") && said.ends_with(line),
            "{said}"
        );
    }
    bob.say("BATCH +7 draft/multiline #multi").await;
    bob.say("@batch=7 PRIVMSG #multi :four").await;
    bob.say("@batch=7 PRIVMSG #multi :five").await;
    bob.say("@batch=7;draft/multiline-concat PRIVMSG #multi : and six")
        .await;
    bob.say("BATCH -7").await;
    alice.hears(&room, "four\nfive and six").await?;
    Ok(())
}

async fn what_is_taken_back_is_taken_back_on_both_sides(stage: Stage) -> anyhow::Result<()> {
    const CAPS: &str = "message-tags echo-message draft/message-redaction";
    let (mut bob, alice, room) = modern(&stage, "#redact", ("mreda", "mredb", CAPS)).await?;
    let said = alice.say(&room, "a mistake").await?;
    let heard = bob.hear("a mistake").await?;
    let msgid = super::messages::tag(&heard, "msgid")
        .context("an id")?
        .to_owned();
    alice.redact(&room, &said).await?;
    let taken = bob.hear("REDACT #redact").await?;
    anyhow::ensure!(taken.contains(&msgid), "{taken}");
    bob.say("PRIVMSG #redact :another mistake").await;
    let echo = bob.hear("another mistake").await?;
    alice.hears(&room, "another mistake").await?;
    let msgid = super::messages::tag(&echo, "msgid").context("an id")?;
    bob.say(&format!("REDACT #redact {msgid} :oops")).await;
    let is_it =
        |event: &Event| event.kind == "m.room.redaction" && event.sender.as_str() == ghost("mredb");
    alice.wait_for(&room, "the redaction", is_it).await?;
    Ok(())
}

async fn people_are_spoken_for_under_their_own_names(stage: Stage) -> anyhow::Result<()> {
    const CAPS: &str = "message-tags draft/relaymsg";
    let mut bob = RawClient::welcomed(stage.port, "mrelb").await?;
    bob.join("#relaymsg").await?;
    bob.ask(&format!("CAP REQ :{CAPS}"), " ACK ").await?;
    let alice = stage.lab.user("mrela").await?;
    alice.set_display_name("Alice <3").await?;
    let room = alice.join(&alias("#relaymsg")).await?;
    bob.hear(&format!(":{BOT}!")).await?;
    // The bridge is operator there, and so may speak for others.
    bob.ask(&format!("MODE #relaymsg +o {BOT}"), "+o").await?;
    let wave = json!({ "msgtype": "m.emote", "body": "waves" });
    alice.send(&room, "m.room.message", &wave).await?;
    alice.say(&room, "one\ntwo").await?;
    for said in [":\x01ACTION waves\x01", ":one", ":two"] {
        let line = bob.hear(said).await?;
        anyhow::ensure!(line.contains(":Alice3/matrix!"), "{line}");
        assert_eq!(super::messages::tag(&line, "draft/relaymsg"), Some(BOT));
    }
    // What comes back of it is no news.
    bob.say("PRIVMSG #relaymsg :heard").await;
    alice.hears(&room, "heard").await?;
    let texts = alice.texts(&room).await?;
    assert_eq!(texts, ["waves", "one\ntwo", "heard"]);
    // An operator no more, it names people before their lines.
    bob.ask(&format!("MODE #relaymsg -o {BOT}"), "-o").await?;
    alice.say(&room, "three").await?;
    let three = bob.hear("three").await?;
    anyhow::ensure!(three.contains(&format!(":{BOT}!")), "{three}");
    anyhow::ensure!(three.contains("3> three"), "{three}");
    Ok(())
}

async fn who_is_away_is_away_in_matrix(stage: Stage) -> anyhow::Result<()> {
    let (bob, alice, room) = modern(&stage, "#away", ("mawaa", "mawab", LINES)).await?;
    bob.say("PRIVMSG #away :hello").await;
    alice.hears(&room, "hello").await?;
    bob.say("AWAY :at lunch").await;
    let path = format!(
        "/_matrix/client/v3/presence/{}/status",
        ghost("mawab").replace('#', "%23")
    );
    let presence = async || {
        let told = alice.call(http::Method::GET, &path, &json!(null)).await?;
        Ok((told["presence"].clone(), told["status_msg"].clone()))
    };
    // It is told and not kept: who changes hands at that moment has not heard it, and hears the next.
    let mut looks = 0;
    let away = (json!("unavailable"), json!("at lunch"));
    comes_to(&away, async || {
        looks += 1;
        if looks % 50 == 0 {
            bob.say("AWAY").await;
            bob.say("AWAY :at lunch").await;
        }
        presence().await
    })
    .await?;
    bob.say("AWAY").await;
    comes_to(&json!("online"), async || Ok(presence().await?.0)).await
}

async fn what_was_said_then_was_said_then(stage: Stage) -> anyhow::Result<()> {
    let caps = "message-tags server-time echo-message";
    let (mut bob, alice, room) = modern(&stage, "#times", ("mtima", "mtimb", caps)).await?;
    bob.say("PRIVMSG #times :tick").await;
    let echo = bob.hear("tick").await?;
    let time = super::messages::tag(&echo, "time").context("a time")?;
    let heard = alice.hears(&room, "tick").await?;
    let said_at_ms = bridgehead_irc_protocol::channels::server_time_ms(time);
    assert_eq!(Some(heard.sent_at_ms), said_at_ms);
    Ok(())
}

/// Bridges a channel with somebody of each side in it, who have talked.
async fn a_talk(stage: &Stage, channel: &str) -> anyhow::Result<(LabUser, RoomId)> {
    let alice = stage.lab.user("halice").await?;
    let room = alice.join(&alias(channel)).await?;
    Ok((alice, room))
}

/// What the room was told, of what ends like this.
async fn those(alice: &LabUser, room: &RoomId, end: &str) -> anyhow::Result<Vec<Event>> {
    let events = alice.timeline(room).await?;
    let is_one = |event: &Event| {
        let body = event.content["body"].as_str();
        event.kind == "m.room.message" && body.is_some_and(|body| body.ends_with(end))
    };
    Ok(events.into_iter().filter(is_one).collect())
}

#[test]
fn what_was_said_while_the_bridge_was_away_comes_once_and_in_order() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let irc = runtime.block_on(OurServer::start(Dialect::modern()))?;
    let bob = runtime.block_on(irc.person("hbob"))?;
    let port = irc.address().port();
    on_ours(&settings(port)?, (port, Server::Modern), async |stage| {
        missed(&stage, &bob, &irc).await
    })
}

async fn missed(stage: &Stage, bob: &Person, irc: &OurServer) -> anyhow::Result<()> {
    bob.join("#missed").await?;
    let (alice, room) = a_talk(stage, "#missed").await?;
    alice.say(&room, "before, from Matrix").await?;
    bob.wait_for(|line| line.last() == b"before, from Matrix")
        .await?;
    bob.say("#missed", "before, from IRC").await?;
    alice.hears(&room, "before, from IRC").await?;
    stage.service.stop().await?;
    let begin_ms = irc.clock().now_ms();
    let expected: Vec<String> = (0..250).map(|n| format!("{n} meanwhile")).collect();
    for text in &expected {
        bob.say("#missed", text).await?;
    }
    let end_ms = irc.clock().now_ms();
    stage.service.start().await?;
    let bodies = async || {
        let events = those(&alice, &room, "meanwhile").await?;
        let bodies = events
            .iter()
            .filter_map(|event| event.content["body"].as_str());
        Ok(bodies.map(str::to_owned).collect::<Vec<_>>())
    };
    comes_to(&expected, bodies).await?;
    for event in those(&alice, &room, "meanwhile").await? {
        let at_ms = event.sent_at_ms;
        anyhow::ensure!((begin_ms..=end_ms).contains(&at_ms), "{at_ms}");
    }
    // The connection alone is lost, and nothing else.
    irc.faults().close(BOT, "a fault").await;
    bob.say("#missed", "while it was lost").await?;
    alice.hears(&room, "while it was lost").await?;
    bob.say("#missed", "after").await?;
    alice.hears(&room, "after").await?;
    for once in [
        "before, from Matrix",
        "before, from IRC",
        "while it was lost",
        "after",
    ] {
        let count = those(&alice, &room, once).await?.len();
        anyhow::ensure!(count == 1, "{once}: {count} times");
    }
    anyhow::ensure!(those(&alice, &room, "meanwhile").await?.len() == expected.len());
    Ok(())
}

#[test]
fn a_history_that_a_server_plays_is_not_doubled() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let irc = runtime.block_on(Inspircd::start(InspircdOptions::default()))?;
    on_ours(
        &settings(irc.port)?,
        (irc.port, Server::Inspircd),
        async |stage| played(&stage).await,
    )
}

async fn played(stage: &Stage) -> anyhow::Result<()> {
    let mut bob = RawClient::welcomed(stage.port, "pbob").await?;
    bob.join("#played").await?;
    bob.ask("MODE #played +H 50:3600", " MODE ").await?;
    bob.say("PRIVMSG #played :long before").await;
    let (alice, room) = a_talk(stage, "#played").await?;
    alice.say(&room, "from Matrix").await?;
    bob.hear("from Matrix").await?;
    bob.say("PRIVMSG #played :one of bob").await;
    alice.hears(&room, "one of bob").await?;
    // The server's times are seconds: what is of the same second as the last may come again, and is known then.
    stage.service.stop().await?;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    bob.say("PRIVMSG #played :two of bob").await;
    bob.ask("PING :two", "PONG").await?;
    stage.service.start().await?;
    bob.hear(&format!(":{BOT}!")).await?;
    alice.hears(&room, "two of bob").await?;
    bob.say("PRIVMSG #played :three of bob").await;
    alice.hears(&room, "three of bob").await?;
    for (text, expected) in [
        ("long before", 0),
        ("from Matrix", 1),
        ("one of bob", 1),
        ("two of bob", 1),
        ("three of bob", 1),
    ] {
        let count = those(&alice, &room, text).await?.len();
        anyhow::ensure!(count == expected, "{text}: {count} times");
    }
    Ok(())
}

#[test]
fn where_no_history_is_kept_a_gap_is_told() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let irc = runtime.block_on(Ngircd::start(NgircdOptions::default()))?;
    on_ours(
        &settings(irc.port)?,
        (irc.port, Server::Ngircd),
        async |stage| gap(&stage).await,
    )
}

async fn gap(stage: &Stage) -> anyhow::Result<()> {
    let mut bob = RawClient::welcomed(stage.port, "gbob").await?;
    bob.join("#gap").await?;
    let (alice, room) = a_talk(stage, "#gap").await?;
    bob.hear(&format!(":{BOT}!")).await?;
    bob.say("PRIVMSG #gap :before").await;
    alice.hears(&room, "before").await?;
    let carol = stage.lab.user("hcarol").await?;
    let alone = carol.join(&alias("#gap-alone")).await?;
    bob.join("#gap-alone").await?;
    carol.say(&alone, "is anybody here?").await?;
    bob.hear("is anybody here?").await?;
    bob.say("PART #gap-alone").await;
    stage.service.stop().await?;
    bob.say("PRIVMSG #gap :into the void").await;
    // It has to be away for as long as is worth a word.
    tokio::time::sleep(Duration::from_millis(5500)).await;
    stage.service.start().await?;
    let is_notice = |event: &Event| {
        let body = event.content["body"].as_str().unwrap_or_default();
        event.content["msgtype"] == "m.notice" && body.contains("was not in #gap from")
    };
    let notice = alice.wait_for(&room, "the notice", is_notice).await?;
    anyhow::ensure!(
        notice.content["body"]
            .as_str()
            .is_some_and(|body| body.ends_with("is missing here."))
    );
    bob.say("PRIVMSG #gap :after").await;
    alice.hears(&room, "after").await?;
    anyhow::ensure!(those(&alice, &room, "is missing here.").await?.len() == 1);
    // Where nobody else was, nothing was said.
    bob.join("#gap-alone").await?;
    bob.say("PRIVMSG #gap-alone :hello").await;
    carol.hears(&alone, "hello").await?;
    anyhow::ensure!(those(&carol, &alone, "is missing here.").await?.is_empty());
    Ok(())
}
