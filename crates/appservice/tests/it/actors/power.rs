//! Power on demand.

use futures_util::future::try_join_all;
use serde_json::json;

use super::*;
use crate::harness::until;

async fn levels(person: &Client, room: &RoomId) -> anyhow::Result<Value> {
    person.state(room.as_str(), "m.room.power_levels", "").await
}

async fn changes_of_levels(person: &Client, room: &RoomId) -> anyhow::Result<usize> {
    let events = timeline(person, room).await?;
    let changes = events
        .iter()
        .filter(|event| event["type"] == "m.room.power_levels");
    Ok(changes.count() - 1)
}

#[tokio::test]
async fn ghosts_are_raised_together_and_no_further_than_they_need() -> anyhow::Result<()> {
    let pair = Pair::start(service()).await?;
    let alice = pair.user("alice").await?;
    let body = json!({ "preset": "public_chat", "power_level_content_override": {
        "users": { "@alice:localhost": 100, BOT: 90 }, "users_default": 3,
        "events": { "m.room.topic": 40, "m.room.power_levels": 80 }, "state_default": 70,
    } });
    let room = shared_room(&pair, &alice, body).await?;
    // Known beforehand, so that the rules are asked before the homeserver is.
    assert!(pair.running.room(&room).power_levels().await?.is_known());
    let ghosts = pair.running.ghosts();
    let topics = (0..6).map(|n| {
        let (ghosts, room) = (ghosts.clone(), room.clone());
        async move {
            let ghost = ghosts.named(&format!("g{n}"))?;
            let topic = json!({ "topic": format!("of {n}") });
            ghost.set_state(&room, "m.room.topic", "", topic).await
        }
    });
    try_join_all(topics).await?;
    let found = levels(&alice, &room).await?;
    let expected = json!({
        "@alice:localhost": 100, BOT: 90, "@_act_g0:localhost": 40, "@_act_g1:localhost": 40,
        "@_act_g2:localhost": 40, "@_act_g3:localhost": 40, "@_act_g4:localhost": 40, "@_act_g5:localhost": 40,
    });
    assert_eq!(
        (&found["users"], &found["users_default"]),
        (&expected, &json!(3))
    );
    let changes = changes_of_levels(&alice, &room).await?;
    assert!(changes <= 3, "{changes} changes for six ghosts");
    // Who has what it needs changes nothing.
    let ghost = ghosts.named("g0")?;
    ghost
        .set_state(&room, "m.room.topic", "", json!({ "topic": "again" }))
        .await?;
    assert_eq!(changes_of_levels(&alice, &room).await?, changes);
    Ok(())
}

#[tokio::test]
async fn who_wants_too_much_takes_nothing_from_others() -> anyhow::Result<()> {
    let pair = Pair::start(service()).await?;
    let alice = pair.user("alice").await?;
    let body = json!({ "preset": "public_chat", "power_level_content_override": {
        "users": { "@alice:localhost": 100, BOT: 50 }, "state_default": 50,
        "events": { "x.fifty": 50, "x.hundred": 100, "m.room.power_levels": 50 },
    } });
    let room = shared_room(&pair, &alice, body).await?;
    assert!(pair.running.room(&room).power_levels().await?.is_known());
    let ghosts = pair.running.ghosts();
    for name in ["low", "high"] {
        ghosts.named(name)?.join(&room).await?;
    }
    let (low, high) = (ghosts.named("low")?, ghosts.named("high")?);
    let (low, high) = tokio::join!(
        low.set_state(&room, "x.fifty", "", json!({ "n": 1 })),
        high.set_state(&room, "x.hundred", "", json!({ "n": 1 })),
    );
    low?;
    let why = forbidden(high);
    assert!(why.contains("cannot give 100"), "{why}");
    Ok(())
}

#[tokio::test]
async fn what_the_homeserver_refuses_is_seen_to_and_sent_once() -> anyhow::Result<()> {
    let pair = Pair::start(service()).await?;
    let alice = pair.user("alice").await?;
    let body = json!({ "preset": "public_chat", "power_level_content_override": {
        "users": { "@alice:localhost": 100, BOT: 100 }, "events_default": 25,
    } });
    let room = shared_room(&pair, &alice, body).await?;
    // Nothing was asked about the room, so nothing is known of it: the homeserver says no first.
    let ghost = pair.running.ghosts().named("ann")?;
    let event = ghost.send_with_key(&room, ("net", "1"), "hello").await?;
    assert_eq!(said(&alice, &room, &ghost_id("ann"), "hello").await?, 1);
    assert_eq!(
        levels(&alice, &room).await?["users"][ghost_id("ann")],
        json!(25)
    );
    assert_eq!(
        ghost.send_with_key(&room, ("net", "1"), "hello").await?,
        event
    );
    assert_eq!(said(&alice, &room, &ghost_id("ann"), "hello").await?, 1);
    Ok(())
}

#[tokio::test]
async fn who_cannot_be_helped_is_told_who_could() -> anyhow::Result<()> {
    let pair = Pair::start(service()).await?;
    let alice = pair.user("alice").await?;
    let room = shared_room(
        &pair,
        &alice,
        json!({ "preset": "public_chat", "room_version": "11" }),
    )
    .await?;
    let ghost = pair.running.ghosts().named("ann")?;
    let topic = || ghost.set_state(&room, "m.room.topic", "", json!({ "topic": "t" }));
    let why = forbidden(topic().await);
    assert!(
        why.contains("sending m.room.topic (state_default) needs power level 50"),
        "{why}"
    );
    assert!(why.contains("@actorsbot:localhost cannot give it"), "{why}");
    assert!(why.contains("@alice:localhost could give"), "{why}");
    // Once it can, the same is done.
    let mut all = levels(&alice, &room).await?;
    all["users"][BOT] = json!(100);
    set_state(&alice, &room, "m.room.power_levels", all).await?;
    until("the service's own user has heard of its power", || async {
        topic().await.is_ok()
    })
    .await?;
    assert_eq!(
        levels(&alice, &room).await?["users"][ghost_id("ann")],
        json!(50)
    );
    Ok(())
}

#[tokio::test]
async fn creators_of_version_12_need_no_level_and_get_none() -> anyhow::Result<()> {
    let pair = Pair::start(service()).await?;
    let alice = pair.user("alice").await?;
    let bot = pair.running.bot();
    let room = bot.create_room(RoomPlan::public().version("12")).await?;
    alice.join(room.id.as_str()).await?;
    assert_eq!(room.version().await?, Fresh::Known("12".to_owned()));
    let levels_known = room.power_levels().await?.known().context("known")?;
    assert!(levels_known.of(bot.id()).is_at_least(i64::MAX));
    let ghost = pair.running.ghosts().named("ann")?;
    ghost
        .set_state(&room, "m.room.topic", "", json!({ "topic": "of a ghost" }))
        .await?;
    bot.set_state(
        &room,
        "m.room.tombstone",
        "",
        json!({ "body": "as the maker may" }),
    )
    .await?;
    let found = levels(&alice, &room.id).await?;
    assert_eq!(found["users"], json!({ ghost_id("ann"): 50 }));
    // Nobody kicks the maker, whatever level they get.
    let why = forbidden(ghost.kick(&room, bot.id(), None).await);
    assert!(why.contains("Nobody can: it has made the room"), "{why}");
    Ok(())
}
