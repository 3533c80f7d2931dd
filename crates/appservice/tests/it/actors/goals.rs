//! Memberships and profiles that are brought about in the background.

use std::{collections::BTreeMap, time::Duration};

use futures_util::future::try_join_all;
use serde_json::json;

use super::*;
use crate::harness::until;

#[tokio::test]
async fn a_join_that_a_part_follows_is_never_seen() -> anyhow::Result<()> {
    let slow = service().limits(|limits| limits.membership_pace = Duration::from_secs(2));
    let pair = Pair::start(slow).await?;
    let alice = pair.user("alice").await?;
    let room = shared_room(&pair, &alice, json!({ "preset": "public_chat" })).await?;
    let ghosts = pair.running.ghosts();
    let (first, second) = (ghosts.named("first")?, ghosts.named("second")?);
    first.want(&room, true).await?;
    let told = pair.running.room(&room);
    until("the first is in", || async {
        told.membership_gap().await.is_ok_and(|gap| gap.is_closed())
    })
    .await?;
    second.want(&room, true).await?;
    let gap = told.membership_gap().await?;
    assert_eq!(gap.to_join, [second.id().clone()]);
    second.want(&room, false).await?;
    pair.settled().await?;
    assert!(
        memberships(&alice, &room, &ghost_id("second"))
            .await?
            .is_empty()
    );
    assert!(pair.running.room(&room).membership_gap().await?.is_closed());
    Ok(())
}

#[tokio::test]
async fn who_speaks_first_joins_past_the_queue() -> anyhow::Result<()> {
    let slow = service().limits(|limits| limits.membership_pace = Duration::from_secs(3600));
    let pair = Pair::start(slow).await?;
    let alice = pair.user("alice").await?;
    let room = shared_room(&pair, &alice, json!({ "preset": "public_chat" })).await?;
    let ghosts = pair.running.ghosts();
    let members: Vec<UserId> = (0..20)
        .map(|n| Ok(ghosts.named(&format!("g{n}"))?.id().clone()))
        .collect::<Result<_, Error>>()?;
    let handle = pair.running.room(&room);
    handle.want_members(members.clone()).await?;
    let speaker = ghosts.user(&members[19])?;
    speaker.send(&room, "me first").await?;
    assert_eq!(
        said(&alice, &room, members[19].as_str(), "me first").await?,
        1
    );
    until("its goal is reached", || async {
        let gap = handle.membership_gap().await.expect("a gap");
        !gap.to_join.contains(&members[19])
    })
    .await?;
    let gap = handle.membership_gap().await?;
    assert!(gap.to_join.len() >= 18, "{gap:?}");
    assert!(
        gap.clear_in > Duration::from_secs(3600),
        "{:?}",
        gap.clear_in
    );
    Ok(())
}

#[tokio::test]
async fn a_restart_in_the_midst_of_two_hundred_joins() -> anyhow::Result<()> {
    let service = || service().limits(|limits| limits.membership_pace = Duration::from_millis(4));
    let pair = Pair::start(service()).await?;
    let alice = pair.user("alice").await?;
    // Each of them has to be invited first.
    let room = shared_room(&pair, &alice, json!({ "preset": "private_chat" })).await?;
    let ghosts = pair.running.ghosts();
    let members: Vec<UserId> = (0..200)
        .map(|n| Ok(ghosts.named(&format!("g{n:03}"))?.id().clone()))
        .collect::<Result<_, Error>>()?;
    pair.running
        .room(&room)
        .want_members(members.clone())
        .await?;
    let joined = async || {
        let path = format!("/_matrix/client/v3/rooms/{room}/joined_members");
        let answer = alice
            .expect_ok(reqwest::Method::GET, &path, &[], None)
            .await;
        let answer = answer.expect("members");
        answer["joined"].as_object().map_or(0, serde_json::Map::len) - 2
    };
    until("some have joined", || async { joined().await >= 20 }).await?;
    let pair = pair.crash_and_start(service()).await?;
    let before = joined().await;
    assert!(before < 200, "all had joined before the crash");
    until("all have joined", || async { joined().await == 200 }).await?;
    pair.settled().await?;
    let mut joins: BTreeMap<String, usize> = BTreeMap::new();
    for event in timeline(&alice, &room).await? {
        let user = event["state_key"].as_str().unwrap_or_default();
        if event["content"]["membership"] == "join" && user.starts_with("@_act_") {
            *joins.entry(user.to_owned()).or_default() += 1;
        }
    }
    assert_eq!(joins.len(), 200);
    assert!(joins.values().all(|count| *count == 1), "{joins:?}");

    // And out again, all but two; people are left alone.
    let room = pair.running.room(&room);
    room.want_members(members[..2].to_vec()).await?;
    until("the others have left", || async { joined().await == 2 }).await?;
    pair.settled().await
}

#[tokio::test]
async fn what_cannot_be_reached_is_told() -> anyhow::Result<()> {
    let pair = Pair::start(service()).await?;
    let alice = pair.user("alice").await?;
    let closed = room_id(
        &alice
            .create_room(&json!({ "preset": "private_chat" }))
            .await?,
    )?;
    let ghost = pair.running.ghosts().named("ann")?;
    ghost.set_profile(Some("Ann"), None).await?;
    ghost.want(&closed, true).await?;
    let room = pair.running.room(&closed);
    // Tried again after growing waits: open until the last has failed.
    assert_eq!(room.membership_gap().await?.to_join, [ghost.id().clone()]);
    // Invited meanwhile, it gets in.
    alice.invite(closed.as_str(), ghost.id().as_str()).await?;
    until("the ghost is in", || async {
        let seen = memberships(&alice, &closed, &ghost_id("ann")).await;
        seen.is_ok_and(|seen| seen.last().is_some_and(|last| last == "join"))
    })
    .await?;
    pair.settled().await?;
    assert!(room.membership_gap().await?.is_closed());
    let stranger = UserId::parse("@alice:localhost")?;
    assert!(room.want_members([stranger]).await.is_err());
    Ok(())
}

#[tokio::test]
async fn a_storm_of_names_is_one_change() -> anyhow::Result<()> {
    let pair = Pair::start(service()).await?;
    let alice = pair.user("alice").await?;
    let room = shared_room(&pair, &alice, json!({ "preset": "public_chat" })).await?;
    let ghost = pair.running.ghosts().named("ann")?;
    ghost.set_profile(Some("Ann"), None).await?;
    ghost.join(&room).await?;
    let names: Vec<String> = (0..100).map(|n| format!("Ann {n}")).collect();
    try_join_all(names.iter().map(|name| ghost.set_profile(Some(name), None))).await?;
    // What is so already is not set.
    ghost.set_profile(Some("Ann 99"), None).await?;
    ghost
        .set_room_profile(&room, Some("Ann of the room"), None)
        .await?;
    let seen_names = async || {
        let events = timeline(&alice, &room).await.expect("a timeline");
        let own = events
            .into_iter()
            .filter(|event| event["state_key"] == ghost_id("ann").as_str());
        own.filter_map(|event| Some(event["content"]["displayname"].as_str()?.to_owned()))
            .collect::<Vec<_>>()
    };
    until("the room has heard", || async {
        seen_names()
            .await
            .last()
            .is_some_and(|name| name == "Ann of the room")
    })
    .await?;
    let seen = seen_names().await;
    assert!(
        seen == ["Ann", "Ann 99", "Ann of the room"] || seen == ["Ann", "Ann of the room"],
        "{seen:?}"
    );
    let path = format!("/_matrix/client/v3/profile/{}", ghost_id("ann"));
    let (_, profile) = alice.get(&path).await?;
    assert_eq!(profile["displayname"], "Ann 99");
    Ok(())
}
