//! Rooms that are there already are linked to channels by command.

use bridgehead_appservice::{axum::http::Method, id::RoomId};
use bridgehead_testkit::lab::LabUser;
use serde_json::{Value, json};

use crate::{
    peers::raw::RawClient,
    stage::{
        BOT, NETWORK, Server, Stage, comes_to,
        control::{Control, ask, body_of, bot},
        nick,
    },
};

scenarios![
    an_operator_of_the_channel_agrees,
    an_operator_of_the_channel_says_no,
    who_is_an_operator_links_at_once,
    who_has_no_power_in_the_room_asks_nobody,
];

/// A room of somebody's own, with the bridge in it.
async fn own_room(user: &LabUser) -> anyhow::Result<RoomId> {
    let body = json!({ "preset": "private_chat", "invite": [bot()?] });
    let room = user.create_room_with(&body).await?;
    let bot = bot()?;
    comes_to(&Some("join".to_owned()), async || {
        Ok(user.members(&room).await?.remove(&bot))
    })
    .await?;
    user.set_power(&room, &bot, 50).await?;
    Ok(room)
}

async fn told(user: &LabUser, room: &RoomId, words: &str) -> anyhow::Result<()> {
    let bot = bot()?;
    let is_told = |event: &bridgehead_appservice::Event| {
        event.sender == bot && body_of(event).contains(words)
    };
    user.wait_for(room, words, is_told).await?;
    Ok(())
}

async fn an_operator_of_the_channel_agrees(stage: Stage) -> anyhow::Result<()> {
    let mut bob = RawClient::welcomed(stage.port, "bob-link").await?;
    bob.join("#linked").await?;
    let alice = stage.lab.user("alice-link").await?;
    let room = own_room(&alice).await?;
    let answer = ask(&alice, &room, "!irc link #linked").await?;
    anyhow::ensure!(answer.contains("An operator is asked"), "{answer}");
    bob.hear("asks to bridge #linked").await?;
    // What is said meanwhile is nobody's business.
    bob.ask("PRIVMSG #linked :not for them\r\nPING end", " PONG ")
        .await?;
    bob.ask(&format!("PRIVMSG {BOT} :what?"), "Answer `yes` or `no`")
        .await?;
    bob.ask(&format!("PRIVMSG {BOT} :Yes!"), "is being bridged")
        .await?;
    told(
        &alice,
        &room,
        "bob-link agrees. This room is linked to #linked now.",
    )
    .await?;
    alice.say(&room, "from the linked room").await?;
    bob.hear("from the linked room").await?;
    bob.say("PRIVMSG #linked :and back").await;
    alice.hears(&room, "and back").await?;
    let texts = alice.texts(&room).await?;
    anyhow::ensure!(!texts.contains(&"not for them".to_owned()), "{texts:?}");
    // It is hers to say who may come into it, whatever becomes of the channel.
    for (at, modes) in ["+i", "-i", "+k key", "-k key", "+s", "-s"]
        .into_iter()
        .enumerate()
    {
        bob.ask(&format!("MODE #linked {modes}"), " MODE ").await?;
        let text = format!("after {at}");
        bob.say(&format!("PRIVMSG #linked :{text}")).await;
        alice.hears(&room, &text).await?;
        let rules = alice.state(&room, "m.room.join_rules", "").await?;
        anyhow::ensure!(rules["join_rule"] == "invite", "{modes}: {rules}");
    }
    // The room says what it is bridged to (MSC2346).
    let path = format!("/_matrix/client/v3/rooms/{room}/state");
    let state = alice.call(Method::GET, &path, &Value::Null).await?;
    let is_info = |event: &&Value| event["type"] == "m.bridge";
    let info = state
        .as_array()
        .and_then(|state| state.iter().find(is_info));
    let info = info.map_or(&Value::Null, |info| &info["content"]);
    anyhow::ensure!(
        info["network"]["id"] == NETWORK && info["channel"]["id"] == "#linked",
        "{state}"
    );
    // A channel has one room.
    let other = own_room(&alice).await?;
    let answer = ask(&alice, &other, "!irc link #linked").await?;
    anyhow::ensure!(answer.contains("has a room already"), "{answer}");
    alice.say(&room, "!irc unlink").await?;
    bob.hear(" PART #linked").await?;
    Ok(())
}

async fn an_operator_of_the_channel_says_no(stage: Stage) -> anyhow::Result<()> {
    let mut bob = RawClient::welcomed(stage.port, "bob-no").await?;
    let mut carl = RawClient::welcomed(stage.port, "carl-no").await?;
    bob.join("#refused").await?;
    carl.join("#refused").await?;
    let alice = stage.lab.user("alice-no").await?;
    let room = own_room(&alice).await?;
    ask(&alice, &room, "!irc link net #refused --operator=carl-no").await?;
    told(&alice, &room, "carl-no is no operator").await?;
    bob.hear(&format!(":{BOT}!")).await?;
    bob.hear(" PART #refused").await?;
    ask(&alice, &room, "!irc link net #refused --operator=bob-no").await?;
    bob.hear("asks to bridge #refused").await?;
    carl.ask(&format!("PRIVMSG {BOT} :yes"), "I am a bridge")
        .await?;
    bob.ask(&format!("PRIVMSG {BOT} :no"), "is not bridged")
        .await?;
    told(&alice, &room, "bob-no does not want it").await?;
    bob.hear(" PART #refused").await?;
    Ok(())
}

async fn who_is_an_operator_links_at_once(stage: Stage) -> anyhow::Result<()> {
    if stage.server != Server::Inspircd {
        // ngIRCd has no way to bring somebody into a channel that the bridge has no room for.
        return Ok(());
    }
    let mut carl = RawClient::welcomed(stage.port, "carl-own").await?;
    carl.become_operator().await?;
    carl.join("#own").await?;
    let alice = stage.lab.user("alice-own").await?;
    let room = own_room(&alice).await?;
    let control = Control::open(&alice).await?;
    control.ask("!whois carl-own").await?;
    let nick = nick(&alice);
    carl.ask(&format!("SAJOIN {nick} #own"), " JOIN ").await?;
    carl.ask(&format!("MODE #own -o+v {nick} {nick}"), " MODE ")
        .await?;
    let answer = ask(&alice, &room, "!irc link #own").await?;
    anyhow::ensure!(answer.contains("An operator is asked"), "{answer}");
    carl.hear("asks to bridge #own").await?;
    carl.ask(&format!("PRIVMSG {BOT} :no"), "is not bridged")
        .await?;
    carl.ask(&format!("MODE #own +o {nick}"), " MODE ").await?;
    let answer = ask(&alice, &room, "!irc link #own").await?;
    anyhow::ensure!(answer == "This room is linked to #own now.", "{answer}");
    alice.say(&room, "at once").await?;
    carl.hear("at once").await?;
    Ok(())
}

async fn who_has_no_power_in_the_room_asks_nobody(stage: Stage) -> anyhow::Result<()> {
    let mut bob = RawClient::welcomed(stage.port, "bob-pow").await?;
    bob.join("#powerless").await?;
    let (alice, eve) = (
        stage.lab.user("alice-pow").await?,
        stage.lab.user("eve-pow").await?,
    );
    let room = own_room(&alice).await?;
    alice.invite(&room, eve.id()).await?;
    eve.join(&room).await?;
    let answer = ask(&eve, &room, "!irc link #powerless").await?;
    anyhow::ensure!(answer.contains("that takes the power"), "{answer}");
    bob.ask("PING end", " PONG ").await?;
    let heard = bob.heard.all().join("\n");
    anyhow::ensure!(!heard.contains(BOT), "{heard}");
    Ok(())
}
