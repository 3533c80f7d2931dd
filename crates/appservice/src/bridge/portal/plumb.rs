//! Linking a room that is there already (*plumbing*): only those may who have the power in it.

use std::sync::Arc;

use serde_json::Value;

use super::{Portal, PortalData, PortalKind, Rooms};
use crate::{
    Error, HandlerError,
    bridge::{Network, RemoteId, calls, info, links::Links, live::Live},
    core::Core,
    id::{RoomId, UserId},
};

/// The power that linking takes where the room says nothing: that of changing its state.
const USUAL_POWER: i64 = 50;

/// Why a room was not linked. Displays as a sentence for whoever asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkRefused {
    /// Whoever asked has not the power in the room.
    #[error("that takes the power {needed} in this room, and you have {has}")]
    NoPower {
        /// What it takes.
        needed: i64,
        /// What they have.
        has: i64,
    },
    /// The room is linked to something.
    #[error("this room is linked to {0} already: unlink that first")]
    RoomLinked(String),
    /// The network's room is linked to another room.
    #[error("that is linked to {0} already: unlink it there first")]
    RemoteLinked(RoomId),
    /// The network has no such room.
    #[error("{0} has no such room")]
    NoRoom(&'static str),
    /// The network could not do it.
    #[error("{0} says: {1}")]
    Network(&'static str, HandlerError),
    /// The homeserver or the database could not do it.
    #[error(transparent)]
    Failed(#[from] Error),
}

/// Links a room to one of the network's.
pub(crate) async fn plumb<N: Network>(
    live: &Arc<Live<N>>,
    core: &Arc<Core>,
    by: Option<&UserId>,
    room_id: &RoomId,
    remote: &N::Room,
) -> Result<Portal<N>, LinkRefused> {
    core.ensure_joined(&core.bot, room_id).await?;
    if let Some(by) = by {
        check_power(core, &core.bot, by, room_id).await?;
    }
    let _alone = live
        .making
        .lock(&format!("room/{}", remote.to_text()))
        .await;
    if let Some(other) = live.portal_at(room_id).await? {
        return Err(LinkRefused::RoomLinked(other.remote.to_text()));
    }
    if let Some(other) = live.portal(remote).await? {
        return Err(LinkRefused::RemoteLinked(other.matrix));
    }
    let network = |error| LinkRefused::Network(N::TITLE, error);
    let described = live
        .network()
        .describe_room(remote)
        .await
        .map_err(network)?;
    let described = described.ok_or(LinkRefused::NoRoom(N::TITLE))?;
    live.network().watch(remote, true).await.map_err(network)?;
    let data = PortalData {
        kind: PortalKind::Plumbed,
        creator: by.cloned(),
        name: described.name,
        topic: described.topic,
        avatar: described.avatar,
        ..PortalData::default()
    };
    let links = Links::<Rooms<N>>::of(core);
    links
        .link(remote, room_id, &data)
        .await
        .map_err(Error::from)?;
    let portal = live.portal(remote).await?;
    let portal = portal.ok_or(LinkRefused::NoRoom(N::TITLE))?;
    info::update(live, core, &portal).await?;
    tracing::info!(network = N::NAME, room.id = %room_id, remote = ?remote, "a room was linked");
    Ok(portal)
}

/// Whether somebody may say what a room is bridged to, as one of the service's users sees it.
pub(crate) async fn check_power(
    core: &Core,
    agent: &UserId,
    user: &UserId,
    room: &RoomId,
) -> Result<(), LinkRefused> {
    let state = calls::all_state(core, agent, room).await?;
    let (needed, has) = power(&state, user);
    match has.is_none_or(|has| has >= needed) {
        true => Ok(()),
        false => Err(LinkRefused::NoPower {
            needed,
            has: has.unwrap_or_default(),
        }),
    }
}

/// The power that it takes, and that somebody has; `None` is without bound (creators, since room version 12).
fn power(state: &[Value], user: &UserId) -> (i64, Option<i64>) {
    let event = |kind: &str| {
        state.iter().find(|event| {
            event.get("type").and_then(Value::as_str) == Some(kind)
                && event.get("state_key").and_then(Value::as_str) == Some("")
        })
    };
    let create = event("m.room.create");
    let sender = create.and_then(|create| create.get("sender")?.as_str());
    let is_creator = sender == Some(user.as_str());
    if create.is_some_and(has_mighty_creators) {
        let others =
            create.and_then(|create| create.pointer("/content/additional_creators")?.as_array());
        let is_named = others.is_some_and(|others| others.iter().any(|id| id == user.as_str()));
        if is_creator || is_named {
            return (USUAL_POWER, None);
        }
    }
    let Some(levels) = event("m.room.power_levels").and_then(|event| event.get("content")) else {
        // Without power levels the creator has all the power there is.
        return (0, Some(if is_creator { 100 } else { 0 }));
    };
    let number = |value: Option<&Value>| value.and_then(Value::as_i64);
    let needed = number(levels.pointer(&format!("/events/{}", info::KINDS[0])))
        .or_else(|| number(levels.get("state_default")))
        .unwrap_or(USUAL_POWER);
    let users = levels
        .get("users")
        .and_then(|users| users.get(user.as_str()));
    let has = number(users).or_else(|| number(levels.get("users_default")));
    (needed, Some(has.unwrap_or(0)))
}

/// Whether the room is of a version whose creators stand above all power levels (specification, *Room version 12*).
fn has_mighty_creators(create: &Value) -> bool {
    let version = create
        .pointer("/content/room_version")
        .and_then(Value::as_str);
    match version.unwrap_or("1").parse::<u32>() {
        Ok(number) => number >= 12,
        Err(_) => version.is_some_and(|version| version.starts_with("org.matrix.hydra")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn may(state: &[Value], user: &str) -> bool {
        let user = UserId::parse(user).expect("an id");
        let (needed, has) = power(state, &user);
        has.is_none_or(|has| has >= needed)
    }

    fn create(version: &str, more: &[&str]) -> Value {
        json!({ "type": "m.room.create", "state_key": "", "sender": "@maker:x",
            "content": { "room_version": version, "additional_creators": more } })
    }

    fn levels(content: Value) -> Value {
        json!({ "type": "m.room.power_levels", "state_key": "", "sender": "@maker:x", "content": content })
    }

    #[test]
    fn power_is_what_the_room_says() {
        let usual = [
            create("11", &[]),
            levels(json!({ "users": { "@maker:x": 100, "@mod:x": 50 } })),
        ];
        assert!(may(&usual, "@maker:x") && may(&usual, "@mod:x") && !may(&usual, "@guest:x"));
        let own = [
            create("11", &[]),
            levels(
                json!({ "users": { "@mod:x": 50 }, "events": { "m.bridge": 75 }, "state_default": 0 }),
            ),
        ];
        assert!(!may(&own, "@mod:x"));
        let open = [
            create("11", &[]),
            levels(json!({ "users_default": 10, "state_default": 10 })),
        ];
        assert!(may(&open, "@guest:x"));
        let none = [create("11", &[])];
        assert!(may(&none, "@maker:x"));
    }

    #[test]
    fn creators_stand_above_levels_since_version_12() {
        let content = json!({ "users": {}, "events": { "m.bridge": 100 } });
        let state = |version: &str| [create(version, &["@second:x"]), levels(content.clone())];
        for user in ["@maker:x", "@second:x"] {
            assert!(may(&state("12"), user), "{user}");
            assert!(!may(&state("11"), user), "{user}");
        }
        assert!(!may(&state("12"), "@guest:x"));
    }
}
