//! Who is on one side is on the other.

use std::collections::BTreeMap;

use bridgehead_appservice::{
    axum::http::Method,
    id::{RoomId, UserId},
};
use bridgehead_testkit::lab::LabUser;
use serde_json::{Value, json};

use super::{messages::two_in, talk::ghost};
use crate::{
    peers::raw::RawClient,
    stage::{NETWORK, Stage, alias, comes_to, control::Control, nick},
};

scenarios![
    who_is_in_the_channel_is_in_the_room,
    who_leaves_the_channel_leaves_the_room_and_says_why,
    a_nick_change_is_another_ghost,
    who_is_in_the_room_is_in_the_channel,
    who_is_put_out_of_the_room_leaves_the_channel,
    who_is_kicked_from_the_channel_is_kicked_from_the_room,
    a_new_name_in_matrix_is_a_new_nick,
    people_are_invited_from_both_sides,
];

/// What somebody's membership event says.
pub(crate) async fn member(user: &LabUser, room: &RoomId, who: &str) -> anyhow::Result<Value> {
    let found = user.state(room, "m.room.member", who).await;
    Ok(found.unwrap_or(Value::Null))
}

/// Waits until somebody is this to a room.
pub(crate) async fn becomes(
    user: &LabUser,
    room: &RoomId,
    (who, membership): (&str, &str),
) -> anyhow::Result<Value> {
    let mut seen = Value::Null;
    comes_to(&Some(membership.to_owned()), async || {
        seen = member(user, room, who).await?;
        Ok(seen["membership"].as_str().map(str::to_owned))
    })
    .await?;
    Ok(seen)
}

/// The ghosts in a room.
async fn ghosts(user: &LabUser, room: &RoomId) -> anyhow::Result<Vec<String>> {
    let members: BTreeMap<UserId, String> = user.members(room).await?;
    let prefix = format!("@irc_{NETWORK}_");
    let joined = members
        .into_iter()
        .filter(|(id, membership)| membership == "join" && id.as_str().starts_with(&prefix));
    Ok(joined.map(|(id, _)| id.to_string()).collect())
}

async fn who_is_in_the_channel_is_in_the_room(stage: Stage) -> anyhow::Result<()> {
    let mut bob = RawClient::welcomed(stage.port, "bobm1").await?;
    bob.join("#memb1").await?;
    let mut carol = RawClient::welcomed(stage.port, "carolm1").await?;
    carol.join("#memb1").await?;
    let alice = stage.lab.user("alicem1").await?;
    let room = alice.join(&alias("#memb1")).await?;
    let mut wanted = vec![ghost("bobm1"), ghost("carolm1")];
    comes_to(&wanted, async || ghosts(&alice, &room).await).await?;
    let mut dave = RawClient::welcomed(stage.port, "davem1").await?;
    dave.join("#memb1").await?;
    wanted.push(ghost("davem1"));
    comes_to(&wanted, async || ghosts(&alice, &room).await).await?;
    // Nobody of Matrix is somebody of IRC as well.
    bob.hear(&format!("{}!", nick(&alice))).await?;
    comes_to(&wanted, async || ghosts(&alice, &room).await).await
}

async fn who_leaves_the_channel_leaves_the_room_and_says_why(stage: Stage) -> anyhow::Result<()> {
    let (bob, alice, room) = two_in(&stage, "#memb2", ("alicem2", "bobm2")).await?;
    let mut others = Vec::new();
    for name in ["partsm2", "quitsm2", "kickedm2"] {
        let mut other = RawClient::welcomed(stage.port, name).await?;
        other.join("#memb2").await?;
        becomes(&alice, &room, (&ghost(name), "join")).await?;
        others.push(other);
    }
    others[0].say("PART #memb2 :tired").await;
    others[1].say("QUIT :bye").await;
    bob.say("KICK #memb2 kickedm2 :no spam").await;
    for (name, why) in [
        ("partsm2", "tired"),
        ("quitsm2", "bye"),
        ("kickedm2", "Kicked by bobm2: no spam"),
    ] {
        let left = becomes(&alice, &room, (&ghost(name), "leave")).await?;
        let reason = left["reason"].as_str().unwrap_or_default();
        anyhow::ensure!(reason.contains(why), "{name}: {left}");
    }
    Ok(())
}

async fn a_nick_change_is_another_ghost(stage: Stage) -> anyhow::Result<()> {
    let (bob, alice, room) = two_in(&stage, "#memb3", ("alicem3", "bobm3")).await?;
    becomes(&alice, &room, (&ghost("bobm3"), "join")).await?;
    bob.say("NICK bobbym3").await;
    becomes(&alice, &room, (&ghost("bobbym3"), "join")).await?;
    becomes(&alice, &room, (&ghost("bobm3"), "leave")).await?;
    // Who was operator is so under the other nick.
    comes_to(&json!(50), async || {
        power(&alice, &room, &ghost("bobbym3")).await
    })
    .await?;
    // Another case is the same person, written differently.
    bob.say("NICK BobbyM3").await;
    comes_to(&json!("BobbyM3"), async || {
        let seen = member(&alice, &room, &ghost("bobbym3")).await?;
        Ok(seen["displayname"].clone())
    })
    .await
}

/// The level that somebody is given.
pub(crate) async fn power(user: &LabUser, room: &RoomId, who: &str) -> anyhow::Result<Value> {
    let levels = user.power_levels(room).await?;
    Ok(levels["users"].get(who).cloned().unwrap_or(json!(0)))
}

async fn who_is_in_the_room_is_in_the_channel(stage: Stage) -> anyhow::Result<()> {
    let (mut bob, _alice, room) = two_in(&stage, "#memb4", ("alicem4", "bobm4")).await?;
    let carol = stage.lab.user("carolm4").await?;
    carol.join(&room).await?;
    let joined = format!(":{}!", nick(&carol));
    bob.heard
        .next("carol's entry", |line| {
            line.contains(&joined) && line.contains(" JOIN ")
        })
        .await?;
    let path = format!(
        "/_matrix/client/v3/rooms/{}/leave",
        room.as_str().replace('!', "%21").replace(':', "%3A")
    );
    let body = json!({ "reason": "dinner" });
    carol.call(Method::POST, &path, &body).await?;
    bob.heard
        .next("carol's leaving", |line| {
            line.contains(&joined) && line.contains(" PART #memb4 ") && line.contains("dinner")
        })
        .await?;
    // Who is nowhere has no connection.
    bob.say(&format!("ISON {}", nick(&carol))).await;
    comes_to(&true, async || {
        let answer = bob.ask(&format!("ISON {}", nick(&carol)), " 303 ").await?;
        Ok(!answer.contains(&nick(&carol)))
    })
    .await
}

async fn who_is_put_out_of_the_room_leaves_the_channel(stage: Stage) -> anyhow::Result<()> {
    let (mut bob, alice, room) = two_in(&stage, "#memb5", ("alicem5", "bobm5")).await?;
    let carol = stage.lab.user("carolm5").await?;
    carol.join(&room).await?;
    bob.hear(&format!(":{}!", nick(&carol))).await?;
    bob.say(&format!("MODE #memb5 +o {}", nick(&alice))).await;
    comes_to(&json!(50), async || {
        power(&alice, &room, alice.id().as_str()).await
    })
    .await?;
    alice.kick(&room, carol.id()).await?;
    let wanted = format!("Kicked by {}", alice.id().localpart());
    let left = bob.hear(" PART #memb5 ").await?;
    anyhow::ensure!(
        left.contains(&wanted) && left.contains(&nick(&carol)),
        "{left}"
    );
    carol.join(&room).await?;
    bob.hear(&format!(":{}!", nick(&carol))).await?;
    alice.ban(&room, carol.id()).await?;
    let wanted = format!("Banned by {}", alice.id().localpart());
    let left = bob.hear(" PART #memb5 ").await?;
    anyhow::ensure!(left.contains(&wanted), "{left}");
    Ok(())
}

async fn who_is_kicked_from_the_channel_is_kicked_from_the_room(
    stage: Stage,
) -> anyhow::Result<()> {
    let (bob, alice, room) = two_in(&stage, "#memb6", ("alicem6", "bobm6")).await?;
    let watcher = stage.lab.user("watchm6").await?;
    watcher.join(&room).await?;
    bob.say(&format!("KICK #memb6 {} :behave", nick(&alice)))
        .await;
    let kicked = becomes(&watcher, &room, (alice.id().as_str(), "leave")).await?;
    assert_eq!(kicked["reason"], "behave");
    // They may come again.
    alice.join(&room).await?;
    alice.say(&room, "sorry").await?;
    let mut bob = bob;
    bob.hear(":sorry").await?;
    Ok(())
}

async fn a_new_name_in_matrix_is_a_new_nick(stage: Stage) -> anyhow::Result<()> {
    let (mut bob, alice, _room) = two_in(&stage, "#memb7", ("alicem7", "bobm7")).await?;
    alice.set_display_name("Alinam7").await?;
    let changed = format!(":{}!", nick(&alice));
    let line = bob
        .heard
        .next("the new nick", |line| {
            line.contains(&changed) && line.contains(" NICK ")
        })
        .await?;
    anyhow::ensure!(line.ends_with("Alinam7[m]"), "{line}");
    Ok(())
}

async fn people_are_invited_from_both_sides(stage: Stage) -> anyhow::Result<()> {
    let (mut bob, alice, room) = two_in(&stage, "#memb8", ("alicem8", "bobm8")).await?;
    // From IRC to a channel that has no room yet: she is told, and it is made when she asks for it.
    bob.join("#memb8b").await?;
    let control = Control::open(&alice).await?;
    bob.say(&format!("INVITE {} #memb8b", nick(&alice))).await;
    let told = "bobm8 invites you to #memb8b on net: `!join net #memb8b`";
    control.told(told).await?;
    control
        .expect("!join net #memb8b", "You are invited")
        .await?;
    let mut invited = Vec::new();
    comes_to(&true, async || {
        for invitation in alice.invitations().await? {
            if !invited.contains(&invitation) {
                alice.join(&invitation).await?;
                invited.push(invitation);
            }
        }
        Ok(has_alias(&alice, &invited, &alias("#memb8b")).await)
    })
    .await?;
    // From Matrix into the channel, as who may invite there.
    bob.say(&format!("MODE #memb8 +o {}", nick(&alice))).await;
    comes_to(&json!(50), async || {
        power(&alice, &room, alice.id().as_str()).await
    })
    .await?;
    let mut dave = RawClient::welcomed(stage.port, "davem8").await?;
    alice
        .invite(&room, &UserId::parse(&ghost("davem8"))?)
        .await?;
    let invitation = dave.hear(" INVITE ").await?;
    anyhow::ensure!(invitation.ends_with("#memb8"), "{invitation}");
    dave.join("#memb8").await?;
    becomes(&alice, &room, (&ghost("davem8"), "join")).await?;
    Ok(())
}

/// Whether one of these rooms has this alias.
async fn has_alias(user: &LabUser, rooms: &[RoomId], alias: &str) -> bool {
    for room in rooms {
        let seen = user.state(room, "m.room.canonical_alias", "").await;
        if seen.is_ok_and(|seen| seen["alias"] == alias) {
            return true;
        }
    }
    false
}
