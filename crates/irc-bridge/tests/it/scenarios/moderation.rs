//! Who may do what is the same on both sides: operators, bans, modes, topics.

use bridgehead_appservice::id::{RoomId, UserId};
use bridgehead_irc::{Irc, ids::Place};
use bridgehead_irc_protocol::CaseMapping;
use bridgehead_testkit::lab::LabUser;
use serde_json::{Value, json};

use super::{
    membership::{becomes, power},
    messages::two_in,
    talk::ghost,
};
use crate::{
    peers::raw::RawClient,
    stage::{BOT, NETWORK, Server, Stage, alias, comes_to, nick},
};

scenarios![
    operators_of_the_channel_have_power_in_the_room,
    power_in_the_room_is_a_mode_in_the_channel,
    several_standings_at_once_are_taken_one_by_one,
    power_comes_back_with_who_has_it,
    moderators_of_matrix_kick_and_ban_on_irc,
    a_ban_lifted_on_irc_is_lifted_in_matrix,
    a_ban_on_irc_is_one_for_whom_it_meets,
    bans_that_were_there_before_are_seen,
    an_exception_lets_them_in_again,
    who_is_quieted_is_told,
    a_moderated_channel_tells_who_may_not_speak,
    a_moderated_channel_has_a_moderated_room,
    a_closed_channel_has_a_closed_room,
    a_key_is_kept_and_used,
    topics_are_the_same_on_both_sides,
    what_the_bridge_lacks_is_told,
    drift_is_told_and_brought_in_line,
    without_any_power_the_bridge_works,
];

async fn has_power(user: &LabUser, room: &RoomId, (who, level): (&str, i64)) -> anyhow::Result<()> {
    comes_to(&json!(level), async || power(user, room, who).await).await
}

fn id(of: &str) -> anyhow::Result<UserId> {
    Ok(UserId::parse(of)?)
}

/// Makes the bridge an operator, and a person of Matrix one whose power is known in the room.
async fn moderated(
    stage: &Stage,
    channel: &str,
    names: (&str, &str),
) -> anyhow::Result<(RawClient, LabUser, RoomId)> {
    let (mut bob, alice, room) = two_in(stage, channel, names).await?;
    bob.ask(
        &format!("MODE {channel} +oo {BOT} {}", nick(&alice)),
        "MODE",
    )
    .await?;
    has_power(&alice, &room, (alice.id().as_str(), 50)).await?;
    Ok((bob, alice, room))
}

async fn operators_of_the_channel_have_power_in_the_room(stage: Stage) -> anyhow::Result<()> {
    let (bob, alice, room) = two_in(&stage, "#mod1", ("alicep1", "bobp1")).await?;
    // Who was operator before.
    has_power(&alice, &room, (&ghost("bobp1"), 50)).await?;
    let mut carol = RawClient::welcomed(stage.port, "carolp1").await?;
    carol.join("#mod1").await?;
    bob.say("MODE #mod1 +v carolp1").await;
    has_power(&alice, &room, (&ghost("carolp1"), 1)).await?;
    bob.say("MODE #mod1 +o carolp1").await;
    has_power(&alice, &room, (&ghost("carolp1"), 50)).await?;
    bob.say("MODE #mod1 -ov carolp1 carolp1").await;
    has_power(&alice, &room, (&ghost("carolp1"), 0)).await?;
    bob.say(&format!("MODE #mod1 +o {}", nick(&alice))).await;
    has_power(&alice, &room, (alice.id().as_str(), 50)).await?;
    bob.say(&format!("MODE #mod1 -o {}", nick(&alice))).await;
    has_power(&alice, &room, (alice.id().as_str(), 0)).await
}

/// A room of somebody's own that is linked to a channel, in which the bridge has this power.
pub(super) async fn linked(
    stage: &Stage,
    channel: &str,
    (owner, nick, level): (&str, &str, i64),
) -> anyhow::Result<(RawClient, LabUser, RoomId)> {
    let mut bob = RawClient::welcomed(stage.port, nick).await?;
    bob.join(channel).await?;
    let alice = stage.lab.user(owner).await?;
    let room = alice.create_room(channel).await?;
    let handle = stage.handle().await?;
    let bot = handle.bot()?;
    alice.invite(&room, bot.id()).await?;
    if level > 0 {
        alice.set_power(&room, bot.id(), level).await?;
    }
    bot.join(&room).await?;
    let place = Place::channel(NETWORK, channel, CaseMapping::Ascii);
    handle
        .portals::<Irc>()?
        .link(None, &room, &place)
        .await
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    // The owner was there before, and so comes to the channel too.
    bob.sees_enter(&[BOT, &crate::stage::nick(&alice)]).await?;
    Ok((bob, alice, room))
}

/// Hears a change of modes, however the server writes it.
async fn hears_mode(bob: &mut RawClient, mode: &str) -> anyhow::Result<()> {
    let is_it = |line: &str| line.contains(" MODE ") && line.replace(" :", " ").ends_with(mode);
    bob.heard.next(mode, is_it).await?;
    Ok(())
}

async fn power_in_the_room_is_a_mode_in_the_channel(stage: Stage) -> anyhow::Result<()> {
    let names = ("alicep2", "bobp2", 99);
    let (mut bob, alice, room) = linked(&stage, "#mod2", names).await?;
    bob.say(&format!("MODE #mod2 +o {BOT}")).await;
    hears_mode(&mut bob, &format!("+o {BOT}")).await?;
    // She has made the room, and is given what that means.
    hears_mode(&mut bob, &format!("+o {}", nick(&alice))).await?;
    let mut carol = RawClient::welcomed(stage.port, "carolp2").await?;
    carol.join("#mod2").await?;
    becomes(&alice, &room, (&ghost("carolp2"), "join")).await?;
    let carols = id(&ghost("carolp2"))?;
    alice.set_power(&room, &carols, 20).await?;
    hears_mode(&mut bob, "+v carolp2").await?;
    alice.set_power(&room, &carols, 60).await?;
    hears_mode(&mut bob, "o carolp2").await?;
    alice.set_power(&room, &carols, 0).await?;
    comes_to(&false, async || {
        let names = bob.ask("NAMES #mod2", " 353 ").await?;
        Ok(names.contains("@carolp2") || names.contains("+carolp2"))
    })
    .await?;
    // None of it comes back: what Matrix has set stays as it set it.
    alice.set_power(&room, &carols, 20).await?;
    hears_mode(&mut bob, "+v carolp2").await?;
    carol.say("PRIVMSG #mod2 :after all that").await;
    alice.hears(&room, "after all that").await?;
    has_power(&alice, &room, (&ghost("carolp2"), 20)).await
}

async fn without_any_power_the_bridge_works(stage: Stage) -> anyhow::Result<()> {
    let names = ("alicep17", "bobp17", 0);
    let (mut bob, alice, room) = linked(&stage, "#mod17", names).await?;
    bob.say("PRIVMSG #mod17 :from IRC").await;
    let heard = alice.hears(&room, "from IRC").await?;
    assert_eq!(heard.sender.to_string(), ghost("bobp17"));
    alice.say(&room, "from Matrix").await?;
    bob.hear(":from Matrix").await?;
    // Bob is operator, and his ghost has no power: nobody can give it.
    has_power(&alice, &room, (&ghost("bobp17"), 0)).await?;
    let lacks = "give power to the channel's operators (that takes 100, the bridge has 0)";
    asks(&alice, &room, ("!irc missing", lacks)).await?;
    asks(
        &alice,
        &room,
        ("!irc drift", "bobp17 has the power 0 in the room, and +"),
    )
    .await
}

async fn several_standings_at_once_are_taken_one_by_one(stage: Stage) -> anyhow::Result<()> {
    let (bob, alice, room) = two_in(&stage, "#mod3", ("alicep3", "bobp3")).await?;
    let mut carol = RawClient::welcomed(stage.port, "carolp3").await?;
    carol.join("#mod3").await?;
    bob.say("MODE #mod3 +ov carolp3 carolp3").await;
    has_power(&alice, &room, (&ghost("carolp3"), 50)).await?;
    bob.say("MODE #mod3 -o carolp3").await;
    has_power(&alice, &room, (&ghost("carolp3"), 1)).await?;
    bob.say("MODE #mod3 -v carolp3").await;
    has_power(&alice, &room, (&ghost("carolp3"), 0)).await
}

async fn power_comes_back_with_who_has_it(stage: Stage) -> anyhow::Result<()> {
    let (mut bob, alice, _room) = moderated(&stage, "#mod4", ("alicep4", "bobp4")).await?;
    // Their connection is lost, and with it what they were in the channel.
    bob.become_operator().await?;
    bob.say(&format!("KILL {} :test", nick(&alice))).await;
    let given = format!("+o {}", nick(&alice));
    let line = bob
        .heard
        .next("the mode", |line| {
            line.contains(" MODE #mod4 ") && line.replace(" :", " ").contains(&given)
        })
        .await?;
    anyhow::ensure!(line.contains(&format!(":{BOT}!")), "{line}");
    Ok(())
}

async fn moderators_of_matrix_kick_and_ban_on_irc(stage: Stage) -> anyhow::Result<()> {
    let (mut bob, alice, room) = moderated(&stage, "#mod5", ("alicep5", "bobp5")).await?;
    let mut carol = RawClient::welcomed(stage.port, "carolp5").await?;
    carol.join("#mod5").await?;
    becomes(&alice, &room, (&ghost("carolp5"), "join")).await?;
    // Ghosts have no more power than who removes them.
    alice.kick(&room, &id(&ghost("carolp5"))?).await?;
    carol.hear(" KICK #mod5 carolp5").await?;
    carol.join("#mod5").await?;
    becomes(&alice, &room, (&ghost("carolp5"), "join")).await?;
    alice.ban(&room, &id(&ghost("carolp5"))?).await?;
    let ban = bob.hear(" MODE #mod5 +b ").await?;
    anyhow::ensure!(ban.contains("carolp5"), "it has to meet nobody else: {ban}");
    carol.hear(" KICK #mod5 carolp5").await?;
    carol.ask("JOIN #mod5", " 474 ").await?;
    alice.unban(&room, &id(&ghost("carolp5"))?).await?;
    bob.hear(" MODE #mod5 -b ").await?;
    carol.join("#mod5").await?;
    becomes(&alice, &room, (&ghost("carolp5"), "join")).await?;
    Ok(())
}

async fn a_ban_lifted_on_irc_is_lifted_in_matrix(stage: Stage) -> anyhow::Result<()> {
    let (mut bob, alice, room) = moderated(&stage, "#mod6", ("alicep6", "bobp6")).await?;
    let mut carol = RawClient::welcomed(stage.port, "carolp6").await?;
    carol.join("#mod6").await?;
    becomes(&alice, &room, (&ghost("carolp6"), "join")).await?;
    alice.ban(&room, &id(&ghost("carolp6"))?).await?;
    let ban = bob.hear(" MODE #mod6 +b ").await?;
    let mask = ban.rsplit(' ').next().unwrap_or_default().to_owned();
    bob.say(&format!("MODE #mod6 -b {}", mask.trim_start_matches(':')))
        .await;
    becomes(&alice, &room, (&ghost("carolp6"), "leave")).await?;
    carol.join("#mod6").await?;
    becomes(&alice, &room, (&ghost("carolp6"), "join")).await?;
    Ok(())
}

async fn a_ban_on_irc_is_one_for_whom_it_meets(stage: Stage) -> anyhow::Result<()> {
    let (bob, alice, room) = two_in(&stage, "#mod7", ("alicep7", "bobp7")).await?;
    let carol = stage.lab.user("carolp7").await?;
    carol.join(&room).await?;
    carol.say(&room, "here").await?;
    let mut bob = bob;
    bob.hear(":here").await?;
    let mask = format!("{}!*@*", nick(&carol));
    bob.say(&format!("MODE #mod7 +b {mask}")).await;
    becomes(&alice, &room, (carol.id().as_str(), "ban")).await?;
    // They have no connection any more, and are known all the same.
    bob.hear(" PART ").await?;
    bob.say(&format!("MODE #mod7 -b {mask}")).await;
    becomes(&alice, &room, (carol.id().as_str(), "leave")).await?;
    carol.join(&room).await?;
    carol.say(&room, "back").await?;
    bob.hear(":back").await?;
    Ok(())
}

async fn bans_that_were_there_before_are_seen(stage: Stage) -> anyhow::Result<()> {
    let (mut bob, alice, _room) = two_in(&stage, "#mod8", ("alicep8", "bobp8")).await?;
    // The bridge is not there yet.
    bob.join("#mod8b").await?;
    bob.ask(&format!("MODE #mod8b +b {}!*@*", nick(&alice)), " +b ")
        .await?;
    let carol = stage.lab.user("carolp8").await?;
    let room = carol.join(&alias("#mod8b")).await?;
    becomes(&carol, &room, (alice.id().as_str(), "ban")).await?;
    Ok(())
}

async fn an_exception_lets_them_in_again(stage: Stage) -> anyhow::Result<()> {
    let (mut bob, alice, room) = two_in(&stage, "#mod9", ("alicep9", "bobp9")).await?;
    let carol = stage.lab.user("carolp9").await?;
    carol.join(&room).await?;
    carol.say(&room, "here").await?;
    bob.hear(":here").await?;
    let mask = format!("{}!*@*", nick(&carol));
    bob.say(&format!("MODE #mod9 +b {mask}")).await;
    becomes(&alice, &room, (carol.id().as_str(), "ban")).await?;
    bob.say(&format!("MODE #mod9 +e {mask}")).await;
    becomes(&alice, &room, (carol.id().as_str(), "leave")).await?;
    carol.join(&room).await?;
    carol.say(&room, "excepted").await?;
    bob.hear(":excepted").await?;
    bob.say(&format!("MODE #mod9 -e {mask}")).await;
    becomes(&alice, &room, (carol.id().as_str(), "ban")).await?;
    Ok(())
}

/// The next text of somebody else's in one of the rooms that somebody is in or is invited to.
async fn is_told(user: &LabUser, part: &str) -> anyhow::Result<()> {
    let mut rooms = Vec::new();
    comes_to(&true, async || {
        for room in user.invitations().await? {
            user.join(&room).await?;
            rooms.push(room);
        }
        for room in &rooms {
            if user
                .texts(room)
                .await?
                .iter()
                .any(|text| text.contains(part))
            {
                return Ok(true);
            }
        }
        Ok(false)
    })
    .await
}

async fn who_is_quieted_is_told(stage: Stage) -> anyhow::Result<()> {
    if stage.server != Server::Inspircd {
        // ngIRCd has no quiets.
        return Ok(());
    }
    let (bob, alice, room) = two_in(&stage, "#mod10", ("alicep10", "bobp10")).await?;
    bob.say(&format!("MODE #mod10 +b m:{}!*@*", nick(&alice)))
        .await;
    is_told(&alice, "may not speak in #mod10").await?;
    // It is no ban, and what they say is not lost without a word.
    becomes(&alice, &room, (alice.id().as_str(), "join")).await?;
    alice.say(&room, "can you hear me").await?;
    alice
        .wait_for(&room, "the refusal", |event| is_refusal(&event.content))
        .await?;
    Ok(())
}

/// Whether a notice says that something was not delivered.
fn is_refusal(content: &Value) -> bool {
    let text = content["body"].as_str().unwrap_or_default().to_lowercase();
    content["msgtype"] == "m.notice"
        && (text.contains("not")
            && (text.contains("voice") || text.contains("speak") || text.contains("deliver")))
}

async fn a_moderated_channel_tells_who_may_not_speak(stage: Stage) -> anyhow::Result<()> {
    // In a room of her own it is she who says who may speak, so she can say what the channel does not take.
    let (mut bob, alice, room) = linked(&stage, "#mod11", ("alicep11", "bobp11", 100)).await?;
    bob.ask("MODE #mod11 +m", "MODE #mod11 ").await?;
    alice.say(&room, "not heard").await?;
    alice
        .wait_for(&room, "the refusal", |event| is_refusal(&event.content))
        .await?;
    let voiced = format!("MODE #mod11 +v {}", nick(&alice));
    bob.ask(&voiced, "MODE #mod11 +v").await?;
    alice.say(&room, "with a voice").await?;
    let heard = bob.hear("PRIVMSG #mod11").await?;
    anyhow::ensure!(heard.ends_with(":with a voice"), "{heard}");
    Ok(())
}

async fn joined_by(user: &LabUser, room: &RoomId, rule: &str) -> anyhow::Result<()> {
    comes_to(&json!(rule), async || {
        let rules = user.state(room, "m.room.join_rules", "").await?;
        Ok(rules["join_rule"].clone())
    })
    .await
}

async fn a_moderated_channel_has_a_moderated_room(stage: Stage) -> anyhow::Result<()> {
    let (mut bob, alice, room) = two_in(&stage, "#mod20", ("alicep20", "bobp20")).await?;
    let takes = async |level: i64| {
        let to_speak = async || {
            let levels = alice.power_levels(&room).await?;
            Ok(levels["events_default"].as_i64().unwrap_or(0))
        };
        comes_to(&level, to_speak).await
    };
    bob.ask("MODE #mod20 +m", "MODE #mod20 ").await?;
    takes(1).await?;
    anyhow::ensure!(alice.say(&room, "may I?").await.is_err());
    bob.say("PRIVMSG #mod20 :an operator speaks").await;
    alice.hears(&room, "an operator speaks").await?;
    bob.say(&format!("MODE #mod20 +v {}", nick(&alice))).await;
    has_power(&alice, &room, (alice.id().as_str(), 1)).await?;
    alice.say(&room, "with a voice").await?;
    let heard = bob.hear("PRIVMSG #mod20").await?;
    anyhow::ensure!(heard.ends_with(":with a voice"), "{heard}");
    bob.ask("MODE #mod20 -m", "MODE #mod20 ").await?;
    takes(0).await
}

async fn a_closed_channel_has_a_closed_room(stage: Stage) -> anyhow::Result<()> {
    let (bob, alice, room) = two_in(&stage, "#mod12", ("alicep12", "bobp12")).await?;
    joined_by(&alice, &room, "public").await?;
    bob.say("MODE #mod12 +i").await;
    joined_by(&alice, &room, "invite").await?;
    // Who is on IRC comes into a closed room as well.
    bob.say("INVITE carolp12 #mod12").await;
    let mut carol = RawClient::welcomed(stage.port, "carolp12").await?;
    bob.say("INVITE carolp12 #mod12").await;
    carol.hear("INVITE").await?;
    carol.join("#mod12").await?;
    carol.say("PRIVMSG #mod12 :let in").await;
    alice.hears(&room, "let in").await?;
    bob.say("MODE #mod12 -i").await;
    joined_by(&alice, &room, "public").await
}

async fn a_key_is_kept_and_used(stage: Stage) -> anyhow::Result<()> {
    let (mut bob, alice, room) = two_in(&stage, "#mod13", ("alicep13", "bobp13")).await?;
    bob.say("MODE #mod13 +k sesame").await;
    joined_by(&alice, &room, "invite").await?;
    bob.become_operator().await?;
    bob.say(&format!("KILL {} :test", nick(&alice))).await;
    // Their next connection knows the key.
    let joined = format!(":{}!", nick(&alice));
    bob.heard
        .next("the return", |line| {
            line.contains(&joined) && line.contains(" JOIN ")
        })
        .await?;
    alice.say(&room, "with the key").await?;
    bob.hear(":with the key").await?;
    bob.say("MODE #mod13 -k sesame").await;
    joined_by(&alice, &room, "public").await
}

async fn topics_are_the_same_on_both_sides(stage: Stage) -> anyhow::Result<()> {
    let (mut bob, alice, room) = moderated(&stage, "#mod14", ("alicep14", "bobp14")).await?;
    bob.say("TOPIC #mod14 :from \u{2}IRC\u{2}").await;
    comes_to(&json!("from IRC"), async || topic(&alice, &room).await).await?;
    let content = json!({ "topic": "from Matrix\nin lines" });
    alice.set_state(&room, "m.room.topic", "", &content).await?;
    let heard = bob
        .heard
        .next("the topic", |line| {
            line.contains(" TOPIC #mod14 ") && line.contains("Matrix")
        })
        .await?;
    anyhow::ensure!(heard.ends_with(":from Matrix | in lines"), "{heard}");
    bob.say("TOPIC #mod14 :again").await;
    comes_to(&json!("again"), async || topic(&alice, &room).await).await
}

async fn topic(user: &LabUser, room: &RoomId) -> anyhow::Result<Value> {
    let state = user.state(room, "m.room.topic", "").await?;
    Ok(state["topic"].clone())
}

/// Gives a command in a room until the answer to it has this in it.
async fn asks(user: &LabUser, room: &RoomId, (command, part): (&str, &str)) -> anyhow::Result<()> {
    for _ in 0..60 {
        let asked = user.say(room, command).await?;
        let mut answer = String::new();
        comes_to(&true, async || {
            let events = user.timeline(room).await?;
            let after = events.iter().skip_while(|event| event.id != asked);
            let mut answers = after.filter(|event| is_of_bridge(event));
            let found = answers.next();
            answer = found.map_or(String::new(), |event| event.content["body"].to_string());
            Ok(found.is_some())
        })
        .await?;
        if answer.contains(part) {
            return Ok(());
        }
    }
    anyhow::bail!("no answer to {command} has `{part}`")
}

fn is_of_bridge(event: &bridgehead_appservice::Event) -> bool {
    event.sender.localpart() == "ircbot" && event.content["msgtype"] == "m.notice"
}

async fn what_the_bridge_lacks_is_told(stage: Stage) -> anyhow::Result<()> {
    let (bob, alice, room) = two_in(&stage, "#mod15", ("alicep15", "bobp15")).await?;
    asks(
        &alice,
        &room,
        ("!irc missing", "In the channel the bridge cannot"),
    )
    .await?;
    bob.say(&format!("MODE #mod15 +o {BOT}")).await;
    let can = "In the channel the bridge can do all";
    asks(&alice, &room, ("!irc missing", can)).await
}

async fn drift_is_told_and_brought_in_line(stage: Stage) -> anyhow::Result<()> {
    let (mut bob, alice, room) = moderated(&stage, "#mod16", ("alicep16", "bobp16")).await?;
    asks(&alice, &room, ("!irc drift", "are the same")).await?;
    let mut carol = RawClient::welcomed(stage.port, "carolp16").await?;
    carol.join("#mod16").await?;
    becomes(&alice, &room, (&ghost("carolp16"), "join")).await?;
    // Alice is no operator any more after a new connection, and the bridge is none that could help.
    bob.ask(&format!("MODE #mod16 -o {BOT}"), "MODE #mod16 -o")
        .await?;
    bob.become_operator().await?;
    bob.say(&format!("KILL {} :test", nick(&alice))).await;
    let joined = format!(":{}!", nick(&alice));
    bob.heard
        .next("the return", |line| {
            line.contains(&joined) && line.contains(" JOIN ")
        })
        .await?;
    asks(
        &alice,
        &room,
        (
            "!irc drift",
            "has the power 50 in the room, and nothing in the channel",
        ),
    )
    .await?;
    // So her kick is done in Matrix alone.
    alice.kick(&room, &id(&ghost("carolp16"))?).await?;
    asks(
        &alice,
        &room,
        (
            "!irc drift",
            "carolp16 is in the channel, and not in the room",
        ),
    )
    .await?;
    asks(&alice, &room, ("!irc sync", "brought in line")).await?;
    becomes(&alice, &room, (&ghost("carolp16"), "join")).await?;
    // Once it may, the bridge gives her what she has in Matrix, without being asked.
    bob.say(&format!("MODE #mod16 +o {BOT}")).await;
    let given = format!("+o {}", nick(&alice));
    bob.heard
        .next("the mode", |line| line.replace(" :", " ").contains(&given))
        .await?;
    Ok(())
}
