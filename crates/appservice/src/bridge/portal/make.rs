//! Making the portal of a room of the network.
//!
//! ```text
//! lock the room ─▶ watch ─▶ note that it is being made ─▶ createRoom ─▶ link, note gone ─▶ info
//!                                        └── crash: what was made is found by its bridge info, and linked
//! ```

use std::sync::Arc;

use serde_json::json;

use super::{Portal, PortalData, PortalKind};
use crate::{
    Error,
    bridge::{
        Network, RemoteId, RoomInfo, calls, ghosts, info, links::LinkKind as _, live::Live,
        network::Undone,
    },
    core::Core,
    handler::RoomPlan,
    id::{RoomAlias, RoomId, UserId},
    store::LinkRow,
};

/// The scope of the notes of portals that are being made.
const MAKING: &str = "making";

fn note_key<N: Network>(room: &N::Room) -> String {
    format!("{}/{}", N::NAME, room.to_text())
}

/// The portal of a room of the network: the one that is there, or a new one. For an alias the room is made by whoever
/// asked, so `None` is said where there is no such room.
pub(crate) async fn ensure<N: Network>(
    live: &Arc<Live<N>>,
    core: &Arc<Core>,
    room: &N::Room,
    creator: Option<&UserId>,
) -> Result<Portal<N>, Undone> {
    let _alone = live.making.enter(&format!("room/{}", room.to_text())).await;
    if let Some(portal) = live.portal(room).await? {
        return Ok(portal);
    }
    let described = live.network().describe_room(room).await;
    let described = described.map_err(|error| Undone::later(&error))?;
    let Some(described) = described else {
        return Err(Undone::Dropped(format!(
            "{} has no room {room:?}",
            N::TITLE
        )));
    };
    make(live, core, room, &described, creator).await
}

/// The portal that an alias asks for; `None` where the network has no such room.
pub(crate) async fn ensure_for_alias<N: Network>(
    live: &Arc<Live<N>>,
    core: &Arc<Core>,
    alias: &RoomAlias,
) -> Result<Option<Portal<N>>, Undone> {
    let Some(room) = live.room_of_alias(alias) else {
        return Ok(None);
    };
    let _alone = live.making.enter(&format!("room/{}", room.to_text())).await;
    if let Some(portal) = live.portal(&room).await? {
        // The portal is there, and somebody has taken its alias away.
        calls::move_alias(core, alias, &portal.matrix).await?;
        return Ok(Some(portal));
    }
    let described = live.network().describe_room(&room).await;
    match described.map_err(|error| Undone::later(&error))? {
        Some(described) if described.is_public => {
            make(live, core, &room, &described, None).await.map(Some)
        }
        Some(_) | None => Ok(None),
    }
}

async fn make<N: Network>(
    live: &Arc<Live<N>>,
    core: &Arc<Core>,
    room: &N::Room,
    described: &RoomInfo<N>,
    creator: Option<&UserId>,
) -> Result<Portal<N>, Undone> {
    let watched = live.network().watch(room, true).await;
    watched.map_err(|error| Undone::later(&error))?;
    let agent = match &described.direct {
        Some((_, user)) => Some(ghosts::ensure(live, core, user).await?),
        None => None,
    };
    let data = PortalData {
        kind: match described.direct {
            Some(_) => PortalKind::Direct,
            None => PortalKind::Made,
        },
        creator: creator.cloned(),
        alias: live.alias_of(room).filter(|_| described.is_public),
        agent,
        name: described.name.clone(),
        topic: described.topic.clone(),
        avatar: described.avatar.clone(),
        broken: None,
    };
    let agent = data.agent.clone().unwrap_or_else(|| core.bot.clone());
    let room_id = match found_again::<N>(live, core, room, &agent).await? {
        Some(room_id) => room_id,
        None => create(live, core, room, described, &data).await?,
    };
    store::<N>(core, room, &room_id, &data).await?;
    tracing::info!(network = N::NAME, room.id = %room_id, remote = ?room, "a portal was made");
    let portal = live.portal(room).await?;
    portal.ok_or_else(|| Undone::Dropped("the portal was unlinked again".to_owned()))
}

/// Links a portal, and forgets that it was being made.
async fn store<N: Network>(
    core: &Core,
    room: &N::Room,
    room_id: &RoomId,
    data: &PortalData,
) -> Result<(), Error> {
    let row = LinkRow {
        remote_id: room.to_text(),
        matrix_id: room_id.to_string(),
        data: serde_json::to_string(data).unwrap_or_default(),
        linked_ms: core.now_ms(),
    };
    let (kind, note) = (super::Rooms::<N>::kind(), note_key::<N>(room));
    core.store
        .write(move |unit| {
            unit.put_link(&kind, &row)?;
            unit.delete_kv(MAKING, &note)
        })
        .await?;
    Ok(())
}

async fn create<N: Network>(
    live: &Arc<Live<N>>,
    core: &Arc<Core>,
    room: &N::Room,
    described: &RoomInfo<N>,
    data: &PortalData,
) -> Result<RoomId, Error> {
    let note = note_key::<N>(room);
    core.store
        .write(move |unit| unit.put_kv(MAKING, &note, ""))
        .await?;
    let plan = plan(live, core, room, described, data);
    let agent = data.agent.clone().unwrap_or_else(|| core.bot.clone());
    match (core.create_room_as(&agent, plan).await, &data.alias) {
        (Err(error), Some(alias)) if error.errcode() == Some("M_ROOM_IN_USE") => {
            adopted(core, &agent, alias, error).await
        }
        (made, _) => made,
    }
}

/// The room that has the portal's alias already: made before the links were lost, or by the operator.
async fn adopted(
    core: &Arc<Core>,
    agent: &UserId,
    alias: &RoomAlias,
    error: Error,
) -> Result<RoomId, Error> {
    let (room_id, _) = core.resolve_alias(alias).await?.ok_or(error)?;
    core.ensure_joined(agent, &room_id).await?;
    Ok(room_id)
}

fn plan<N: Network>(
    live: &Arc<Live<N>>,
    core: &Core,
    room: &N::Room,
    described: &RoomInfo<N>,
    data: &PortalData,
) -> RoomPlan {
    let mut plan = match &described.direct {
        Some((person, _)) => RoomPlan::direct().invite([person]),
        None if described.is_public => RoomPlan::public(),
        None => RoomPlan::private(),
    };
    if let Some(name) = &described.name {
        plan = plan.name(name);
    }
    if let Some(topic) = &described.topic {
        plan = plan.topic(topic);
    }
    if let Some(avatar) = &described.avatar {
        plan = plan.state("m.room.avatar", "", json!({ "url": avatar }));
    }
    if let Some(alias) = &data.alias {
        plan = plan.alias(alias.localpart());
    }
    plan = ruled(plan, described);
    let (key, content) = info::content(live, core, room, data);
    for kind in info::KINDS {
        plan = plan.state(kind, &key, content.clone());
    }
    plan
}

/// Who may join the room and see it, and by which rules it goes.
fn ruled<N: Network>(mut plan: RoomPlan, described: &RoomInfo<N>) -> RoomPlan {
    if let Some(rule) = &described.join_rule {
        plan = plan.state("m.room.join_rules", "", json!({ "join_rule": rule }));
    }
    if described.is_listed {
        plan = plan.listed();
    }
    if described.is_local {
        plan = plan.local();
    }
    if let Some(version) = &described.version {
        plan = plan.version(version);
    }
    match &described.power_levels {
        Some(content) => plan.power_levels(content.clone()),
        None => plan,
    }
}

/// The portal that was made when the service crashed before it could link it.
async fn found_again<N: Network>(
    live: &Arc<Live<N>>,
    core: &Arc<Core>,
    room: &N::Room,
    agent: &UserId,
) -> Result<Option<RoomId>, Error> {
    let note = note_key::<N>(room);
    let is_noted = core.store.read(move |unit| unit.kv(MAKING, &note)).await?;
    if is_noted.is_none() {
        return Ok(None);
    }
    core.ensure_registered(agent).await?;
    let key = info::state_key(live, room);
    for room_id in calls::joined_rooms(core, agent).await? {
        if live.portal_at(&room_id).await?.is_some() {
            continue;
        }
        let found = calls::state(core, agent, &room_id, (info::KINDS[0], &key)).await?;
        if found.is_some_and(|content| content.get("channel").is_some()) {
            tracing::info!(network = N::NAME, room.id = %room_id, "a portal was found that was not linked yet");
            return Ok(Some(room_id));
        }
    }
    Ok(None)
}
