//! Into rooms.

use bridgehead_appservice::JoinOptions;
use serde_json::json;

use super::*;
use crate::harness::until;

#[tokio::test]
async fn a_ghost_speaks_in_a_room_for_the_invited() -> anyhow::Result<()> {
    let pair = Pair::start(service()).await?;
    let alice = pair.user("alice").await?;
    // The service's own user is invited and nothing more: it joins because its ghost wants to speak.
    let body = json!({ "preset": "private_chat", "invite": [BOT] });
    let room = room_id(&alice.create_room(&body).await?)?;
    let ghost = pair.running.ghosts().named("ann")?;
    ghost.send(&room, "hello").await?;
    let (bot, ann) = (
        memberships(&alice, &room, BOT).await?,
        memberships(&alice, &room, &ghost_id("ann")).await?,
    );
    assert_eq!(bot, ["invite", "join"]);
    // It is the ghost that joins after its invitation.
    assert_eq!(ann, ["invite", "join"]);
    assert_eq!(said(&alice, &room, &ghost_id("ann"), "hello").await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_closed_room_says_why_and_is_not_asked_again_at_once() -> anyhow::Result<()> {
    let pair = Pair::start(service()).await?;
    let alice = pair.user("alice").await?;
    let room = room_id(
        &alice
            .create_room(&json!({ "preset": "private_chat" }))
            .await?,
    )?;
    let ghost = pair.running.ghosts().named("ann")?;
    let refused = ghost.send(&room, "hello").await.expect_err("closed");
    assert_eq!(refused.status(), Some(403), "{refused}");
    let again = ghost.send(&room, "hello").await.expect_err("closed");
    assert_eq!(again.to_string(), refused.to_string());
    // An invitation opens it at once.
    alice.invite(room.as_str(), &ghost_id("ann")).await?;
    until("the ghost gets in", || async {
        ghost.send(&room, "hello").await.is_ok()
    })
    .await?;
    assert_eq!(said(&alice, &room, &ghost_id("ann"), "hello").await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_ban_holds_unless_the_author_asks() -> anyhow::Result<()> {
    let pair = Pair::start(service()).await?;
    let alice = pair.user("alice").await?;
    let body = json!({ "preset": "public_chat", "power_level_content_override": { "users": {
        "@alice:localhost": 100, BOT: 50
    } } });
    let room = shared_room(&pair, &alice, body).await?;
    let ghost = pair.running.ghosts().named("ann")?;
    ghost.send(&room, "one").await?;
    act(&alice, &room, "ban", json!({ "user_id": ghost_id("ann") })).await?;
    let told = pair.running.room(&room);
    until("the ban is heard of", || async {
        let member = told.member(ghost.id()).await.expect("an answer");
        member
            .value()
            .flatten()
            .is_some_and(|member| !member.is_joined())
    })
    .await?;
    let why = forbidden(ghost.send(&room, "two").await);
    assert!(why.contains("@_act_ann:localhost is banned"), "{why}");
    assert!(
        why.contains("@alice:localhost or @actorsbot:localhost could lift the ban"),
        "{why}"
    );
    ghost.join_with(&room, &JoinOptions::new().unban()).await?;
    ghost.send(&room, "three").await?;
    let all = memberships(&alice, &room, &ghost_id("ann")).await?;
    assert_eq!(all, ["join", "ban", "leave", "join"]);
    assert_eq!(said(&alice, &room, &ghost_id("ann"), "two").await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_ghost_that_was_kicked_comes_back_when_it_speaks() -> anyhow::Result<()> {
    let pair = Pair::start(service()).await?;
    let alice = pair.user("alice").await?;
    let room = shared_room(&pair, &alice, json!({ "preset": "public_chat" })).await?;
    let ghost = pair.running.ghosts().named("ann")?;
    ghost.send(&room, "one").await?;
    act(&alice, &room, "kick", json!({ "user_id": ghost_id("ann") })).await?;
    // Whether the kick has been heard of or not.
    ghost.send(&room, "two").await?;
    let all = memberships(&alice, &room, &ghost_id("ann")).await?;
    assert_eq!(all, ["join", "leave", "join"]);
    Ok(())
}

#[tokio::test]
async fn a_ghost_knocks_and_joins_when_it_is_let_in() -> anyhow::Result<()> {
    let pair = Pair::start(service()).await?;
    let alice = pair.user("alice").await?;
    let room = room_id(
        &alice
            .create_room(&json!({ "preset": "private_chat" }))
            .await?,
    )?;
    set_state(
        &alice,
        &room,
        "m.room.join_rules",
        json!({ "join_rule": "knock" }),
    )
    .await?;
    let ghost = pair.running.ghosts().named("ann")?;
    let options = JoinOptions::new().knock().reason("may I?");
    let why = forbidden(ghost.join_with(&room, &options).await);
    assert!(why.contains("has asked to be let into"), "{why}");
    alice.invite(room.as_str(), &ghost_id("ann")).await?;
    until("the ghost is in", || async {
        ghost.join(&room).await.is_ok()
    })
    .await?;
    let all = memberships(&alice, &room, &ghost_id("ann")).await?;
    assert_eq!(all, ["knock", "invite", "join"]);
    Ok(())
}

#[tokio::test]
async fn inviting_kicking_leaving() -> anyhow::Result<()> {
    let pair = Pair::start(service()).await?;
    let alice = pair.user("alice").await?;
    let bot = pair.running.bot();
    let room = bot.create_room(RoomPlan::private().name("ours")).await?;
    let person = UserId::parse(alice.user_id())?;
    bot.invite(&room, &person).await?;
    bot.invite(&room, &person).await?;
    alice.join(room.id.as_str()).await?;
    let ghost = pair.running.ghosts().named("ann")?;
    ghost.join(&room).await?;
    ghost.leave(&room, Some("enough")).await?;
    ghost.leave(&room, None).await?;
    assert_eq!(
        memberships(&alice, &room.id, &ghost_id("ann")).await?,
        ["invite", "join", "leave"]
    );
    bot.kick(&room, &person, Some("bye")).await?;
    bot.ban(&room, &person, None).await?;
    bot.unban(&room, &person).await?;
    let member = room.member(&person).await?;
    assert!(
        member
            .value()
            .flatten()
            .is_some_and(|member| !member.is_joined())
    );
    Ok(())
}

#[tokio::test]
async fn direct_rooms_and_aliases() -> anyhow::Result<()> {
    let pair = Pair::start(service().aliases("#act_{name}")).await?;
    let alice = pair.user("alice").await?;
    let person = UserId::parse(alice.user_id())?;
    let ghost = pair.running.ghosts().named("ann")?;
    let (room, same) = (
        ghost.create_dm(&person).await?,
        ghost.create_dm(&person).await?,
    );
    assert_eq!(room.id, same.id);
    alice.join(room.id.as_str()).await?;
    act(&alice, &room.id, "leave", json!({})).await?;
    until(
        "a new room is made for who has left the old one",
        || async {
            let new = ghost.create_dm(&person).await.expect("a room");
            new.id != room.id
        },
    )
    .await?;

    let alias = RoomAlias::parse("#act_lobby:localhost")?;
    let bot = pair.running.bot();
    assert_eq!(bot.resolve_alias(&alias).await?, None);
    let lobby = bot.create_room(RoomPlan::public()).await?;
    bot.set_alias(&lobby, &alias).await?;
    bot.set_alias(&lobby, &alias).await?;
    let (found, servers) = bot.resolve_alias(&alias).await?.context("an alias")?;
    assert_eq!(
        (found, servers),
        (lobby.id.clone(), vec!["localhost".to_owned()])
    );
    assert_eq!(ghost.join_alias(&alias).await?.id, lobby.id);
    assert!(bot.remove_alias(&alias).await?);
    assert!(!bot.remove_alias(&alias).await?);
    Ok(())
}
