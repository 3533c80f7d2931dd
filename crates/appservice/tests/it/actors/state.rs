//! What the service knows of rooms, and for how long.

use bridgehead_appservice::{JoinRule, Membership};
use serde_json::json;

use super::*;
use crate::harness::until;

#[tokio::test]
async fn a_room_is_read_once_and_followed() -> anyhow::Result<()> {
    let pair = Pair::start(service()).await?;
    let alice = pair.user("alice").await?;
    let body =
        json!({ "preset": "public_chat", "name": "first", "topic": "t", "room_version": "11" });
    let id = shared_room(&pair, &alice, body).await?;
    let room = pair.running.room(&id);
    assert_eq!(room.name().await?, Fresh::Known(Some("first".to_owned())));
    assert_eq!(room.topic().await?, Fresh::Known(Some("t".to_owned())));
    assert_eq!(room.version().await?, Fresh::Known("11".to_owned()));
    assert_eq!(
        room.join_rule().await?,
        Fresh::Known(Some(JoinRule::Public))
    );
    assert_eq!(room.encryption().await?, Fresh::Known(None));
    assert_eq!(room.tombstone().await?, Fresh::Known(None));
    assert_eq!(room.aliases().await?, Fresh::Known(vec![]));
    assert_eq!(room.pinned().await?, Fresh::Known(vec![]));
    assert_eq!(
        room.state("m.room.topic", "")
            .await?
            .map(|topic| topic.is_some()),
        Fresh::Known(true)
    );
    assert_eq!(room.state("org.example", "x").await?, Fresh::Known(None));
    let person = UserId::parse(alice.user_id())?;
    let levels = room.power_levels().await?.known().context("known")?;
    assert!(
        levels.of(&person).is_at_least(100) && !levels.of(pair.running.bot_id()).is_at_least(1)
    );
    assert_eq!(room.members().await?.known().context("known")?.len(), 2);

    set_state(&alice, &id, "m.room.name", json!({ "name": "second" })).await?;
    until("the new name is heard of", || async {
        room.name()
            .await
            .is_ok_and(|name| name == Fresh::Known(Some("second".to_owned())))
    })
    .await?;
    let bob = pair.user("bob").await?;
    bob.join(id.as_str()).await?;
    let bob = UserId::parse(bob.user_id())?;
    until("the newcomer is heard of", || async {
        let member = room
            .member(&bob)
            .await
            .expect("an answer")
            .known()
            .flatten();
        member.is_some_and(|member| member.membership == Membership::Join)
    })
    .await
}

#[tokio::test]
async fn who_has_left_does_not_claim_to_know() -> anyhow::Result<()> {
    let pair = Pair::start(service()).await?;
    let alice = pair.user("alice").await?;
    let id = shared_room(
        &pair,
        &alice,
        json!({ "preset": "public_chat", "name": "first" }),
    )
    .await?;
    let room = pair.running.room(&id);
    assert!(room.name().await?.is_known());
    pair.running.bot().leave(&id, None).await?;
    set_state(&alice, &id, "m.room.name", json!({ "name": "second" })).await?;
    let name = room.name().await?;
    assert!(
        matches!(&name, Fresh::Stale(Some(name), since) if name == "first" && *since > 0),
        "{name:?}"
    );
    assert!(room.members().await?.known().is_none());
    // Back again, it is read anew.
    pair.running.bot().join(&id).await?;
    assert_eq!(room.name().await?, Fresh::Known(Some("second".to_owned())));
    Ok(())
}

#[tokio::test]
async fn rooms_of_others_are_not_known() -> anyhow::Result<()> {
    let pair = Pair::start(service()).await?;
    let alice = pair.user("alice").await?;
    let id = room_id(&alice.create_room(&json!({ "name": "private" })).await?)?;
    let room = pair.running.room(&id);
    assert_eq!(room.name().await?, Fresh::Unknown);
    assert!(matches!(room.members().await?, Fresh::Unknown));
    room.refresh().await?;
    assert_eq!(room.version().await?, Fresh::Unknown);
    Ok(())
}

#[tokio::test]
async fn rooms_of_the_namespace_are_heard_without_joining() -> anyhow::Result<()> {
    let pair = Pair::start(service().watch_rooms("!.*")).await?;
    let alice = pair.user("alice").await?;
    let id = room_id(&alice.create_room(&json!({ "name": "overheard" })).await?)?;
    let room = pair.running.room(&id);
    until("the name is overheard", || async {
        room.name()
            .await
            .is_ok_and(|name| name == Fresh::Known(Some("overheard".to_owned())))
    })
    .await?;
    // The whole is known only when it is certain that all of it was heard.
    assert!(room.members().await?.known().is_none());
    Ok(())
}

#[tokio::test]
async fn a_ghost_reads_for_all() -> anyhow::Result<()> {
    let pair = Pair::start(service()).await?;
    let alice = pair.user("alice").await?;
    let body = json!({ "preset": "public_chat", "name": "theirs" });
    let id = room_id(&alice.create_room(&body).await?)?;
    pair.running.ghosts().named("ann")?.join(&id).await?;
    let room = pair.running.room(&id);
    assert_eq!(room.name().await?, Fresh::Known(Some("theirs".to_owned())));
    let members = room.members().await?.known().context("known")?;
    assert!(
        members.iter().all(|member| member.user_id.as_str() != BOT),
        "{members:?}"
    );
    Ok(())
}
