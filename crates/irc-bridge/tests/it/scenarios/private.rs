//! Two talk alone, or somebody talks to the bridge.

use anyhow::Context as _;
use bridgehead_appservice::id::{RoomId, UserId};
use bridgehead_testkit::lab::LabUser;
use serde_json::json;

use super::talk::ghost;
use crate::{
    peers::raw::RawClient,
    stage::{
        BOT, Stage, alias, comes_to,
        control::{Control, body_of},
        nick,
    },
};

scenarios![
    a_person_of_matrix_begins_a_talk,
    a_talk_goes_on_under_another_nick,
    who_has_left_a_talk_is_invited_again,
    nobody_is_there_and_the_sender_is_told,
    who_is_ignored_is_not_heard_alone,
    a_notice_makes_no_room,
    the_bridge_answers_those_on_irc,
];

/// The room that somebody is invited to.
pub(super) async fn invited(user: &LabUser) -> anyhow::Result<RoomId> {
    let mut invited = Vec::new();
    comes_to(&1, async || {
        invited = user.invitations().await?;
        Ok(invited.len())
    })
    .await?;
    Ok(invited.remove(0))
}

/// Begins to talk to somebody on IRC.
async fn talk_to(user: &LabUser, ghost_id: &str) -> anyhow::Result<RoomId> {
    let body = json!({ "preset": "trusted_private_chat", "is_direct": true, "invite": [ghost_id] });
    let room = user.create_room_with(&body).await?;
    let ghost_id = UserId::parse(ghost_id)?;
    comes_to(&Some("join".to_owned()), async || {
        Ok(user.members(&room).await?.remove(&ghost_id))
    })
    .await?;
    Ok(room)
}

async fn a_person_of_matrix_begins_a_talk(stage: Stage) -> anyhow::Result<()> {
    let mut bob = RawClient::welcomed(stage.port, "BobTalk").await?;
    let alice = stage.lab.user("alice-talk").await?;
    let room = talk_to(&alice, &ghost("bobtalk")).await?;
    alice.say(&room, "are you there?").await?;
    bob.hear(" :are you there?").await?;
    bob.say(&format!("PRIVMSG {} :I am", nick(&alice))).await;
    let heard = alice.hears(&room, "I am").await?;
    anyhow::ensure!(
        heard.sender.to_string() == ghost("bobtalk"),
        "{}",
        heard.sender
    );
    anyhow::ensure!(
        alice.invitations().await?.is_empty(),
        "there is a second room"
    );
    Ok(())
}

async fn a_talk_goes_on_under_another_nick(stage: Stage) -> anyhow::Result<()> {
    let mut bob = RawClient::welcomed(stage.port, "bob-before").await?;
    bob.join("#renames").await?;
    let alice = stage.lab.user("alice-renames").await?;
    let channel = alice.join(&alias("#renames")).await?;
    alice.say(&channel, "hello").await?;
    bob.hear("hello").await?;
    let own = nick(&alice);
    bob.say(&format!("PRIVMSG {own} :psst")).await;
    let room = invited(&alice).await?;
    alice.join(&room).await?;
    alice.hears(&room, "psst").await?;
    bob.ask("NICK bob-behind", "NICK").await?;
    alice
        .hears(&room, "bob-before is now called bob-behind.")
        .await?;
    alice.say(&room, "still you?").await?;
    bob.hear("PRIVMSG bob-behind :still you?").await?;
    bob.say(&format!("PRIVMSG {own} :still me")).await;
    let heard = alice.hears(&room, "still me").await?;
    anyhow::ensure!(
        heard.sender.to_string() == ghost("bob-behind"),
        "{}",
        heard.sender
    );
    // Somebody else who takes the old nick is answered as who they are.
    let mut mallory = RawClient::welcomed(stage.port, "bob-before").await?;
    mallory.say(&format!("PRIVMSG {own} :who am I?")).await;
    let heard = alice.hears(&room, "who am I?").await?;
    anyhow::ensure!(
        heard.sender.to_string() == ghost("bob-before"),
        "{}",
        heard.sender
    );
    alice.say(&room, "not who I thought").await?;
    mallory.hear("not who I thought").await?;
    anyhow::ensure!(
        alice.invitations().await?.is_empty(),
        "there is a second room"
    );
    Ok(())
}

async fn who_has_left_a_talk_is_invited_again(stage: Stage) -> anyhow::Result<()> {
    let mut bob = RawClient::welcomed(stage.port, "bob-again").await?;
    bob.join("#invited-again").await?;
    let alice = stage.lab.user("alice-again").await?;
    let channel = alice.join(&alias("#invited-again")).await?;
    alice.say(&channel, "hello").await?;
    bob.hear("hello").await?;
    bob.say(&format!("PRIVMSG {} :first", nick(&alice))).await;
    let first = invited(&alice).await?;
    alice.join(&first).await?;
    alice.hears(&first, "first").await?;
    alice.leave(&first).await?;
    // The bridge has seen it when its ghost has left as well; until then, what is said would still go there.
    comes_to(&true, async || {
        let portals = stage.service.running().portals::<bridgehead_irc::Irc>();
        let portals = portals.context("the bridge")?;
        Ok(portals.at(&first).await?.is_none())
    })
    .await?;
    bob.say(&format!("PRIVMSG {} :second", nick(&alice))).await;
    let again = invited(&alice).await?;
    alice.join(&again).await?;
    alice.hears(&again, "second").await?;
    Ok(())
}

async fn nobody_is_there_and_the_sender_is_told(stage: Stage) -> anyhow::Result<()> {
    let alice = stage.lab.user("alice-nobody").await?;
    let room = talk_to(&alice, &ghost("nobody-there")).await?;
    alice.say(&room, "hello?").await?;
    let is_told = |event: &bridgehead_appservice::Event| {
        event.sender != *alice.id() && body_of(event).contains("nobody-there")
    };
    alice
        .wait_for(&room, "that nobody is there", is_told)
        .await?;
    Ok(())
}

async fn who_is_ignored_is_not_heard_alone(stage: Stage) -> anyhow::Result<()> {
    let mut bob = RawClient::welcomed(stage.port, "bob-ign").await?;
    let mut eve = RawClient::welcomed(stage.port, "eve-ign").await?;
    bob.join("#ignore").await?;
    let alice = stage.lab.user("alice-ign").await?;
    let control = Control::open(&alice).await?;
    let channel = alice.join(&alias("#ignore")).await?;
    alice.say(&channel, "hello").await?;
    bob.hear("hello").await?;
    control.expect("!ignores", "nobody").await?;
    control.expect("!ignore *", "everybody").await?;
    control.expect("!ignore EVE-ign", "EVE-ign!*@*").await?;
    control.expect("!ignores", "EVE-ign!*@*").await?;
    let own = nick(&alice);
    eve.ask(&format!("PRIVMSG {own} :buy\r\nPING end"), " PONG ")
        .await?;
    bob.ask(&format!("PRIVMSG {own} :hi\r\nPING end"), " PONG ")
        .await?;
    let room = invited(&alice).await?;
    alice.join(&room).await?;
    alice.hears(&room, "hi").await?;
    control
        .expect("!unignore eve-ign", "You do not ignore")
        .await?;
    control
        .expect("!unignore EVE-ign", "hear of them again")
        .await?;
    eve.say(&format!("PRIVMSG {own} :sorry")).await;
    let room = invited(&alice).await?;
    alice.join(&room).await?;
    alice.hears(&room, "sorry").await?;
    let texts = alice.texts(&room).await?;
    anyhow::ensure!(!texts.contains(&"buy".to_owned()), "{texts:?}");
    Ok(())
}

async fn a_notice_makes_no_room(stage: Stage) -> anyhow::Result<()> {
    let mut bob = RawClient::welcomed(stage.port, "bob-note").await?;
    bob.join("#notes").await?;
    let alice = stage.lab.user("alice-note").await?;
    let control = Control::open(&alice).await?;
    let channel = alice.join(&alias("#notes")).await?;
    alice.say(&channel, "hello").await?;
    bob.hear("hello").await?;
    bob.say(&format!("NOTICE {} :mind the *gap*", nick(&alice)))
        .await;
    let told = control.told("mind the").await?;
    anyhow::ensure!(body_of(&told).contains("bob-note"), "{}", body_of(&told));
    anyhow::ensure!(body_of(&told).contains("*gap*"), "{}", body_of(&told));
    anyhow::ensure!(
        alice.invitations().await?.is_empty(),
        "a notice makes a room"
    );
    Ok(())
}

async fn the_bridge_answers_those_on_irc(stage: Stage) -> anyhow::Result<()> {
    let mut bob = RawClient::welcomed(stage.port, "bob-bot").await?;
    bob.join("#botroom").await?;
    let alice = stage.lab.user("alice-bot").await?;
    let channel = alice.join(&alias("#botroom")).await?;
    alice.say(&channel, "hello").await?;
    bob.hear("hello").await?;
    let help = bob.ask(&format!("PRIVMSG {BOT} :hi"), "who <nick>").await?;
    anyhow::ensure!(help.contains(" NOTICE bob-bot "), "{help}");
    bob.ask(
        &format!("PRIVMSG {BOT} :who {}", nick(&alice)),
        alice.id().as_str(),
    )
    .await?;
    bob.ask(&format!("PRIVMSG {BOT} :!who bob-bot"), "nobody of Matrix")
        .await?;
    Ok(())
}
