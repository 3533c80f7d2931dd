//! Making the portal of a room of the network.
//!
//! ```text
//! lock the room ─▶ watch ─▶ make it, once (`Core::make_named`) ─▶ link ─▶ info
//! ```

use std::sync::Arc;

use serde_json::json;

use super::{Portal, PortalData, PortalKind};
use crate::{
    Error,
    bridge::{
        Network, RemoteId, RoomInfo, calls, ghosts, info,
        links::LinkKind as _,
        live::Live,
        network::{Undone, join_rules},
    },
    core::Core,
    handler::RoomPlan,
    id::{RoomAlias, RoomId, UserId},
    state::JoinRule,
    store::LinkRow,
};

/// What the room is made for.
fn making_of<N: Network>(room: &N::Room) -> String {
    format!("portal/{}/{}", N::NAME, room.to_text())
}

/// What is held while a room's portal is made.
pub(crate) fn lock(room: &impl RemoteId) -> String {
    format!("room/{}", room.to_text())
}

/// The portal of a room of the network: the one that is there, or a new one. For an alias the room is made by whoever
/// asked, so `None` is said where there is no such room.
pub(crate) async fn ensure<N: Network>(
    live: &Arc<Live<N>>,
    core: &Arc<Core>,
    room: &N::Room,
    creator: Option<&UserId>,
) -> Result<Portal<N>, Undone> {
    let _alone = live.making.enter(&lock(room)).await;
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
    let _alone = live.making.enter(&lock(&room)).await;
    if let Some(portal) = live.portal(&room).await? {
        // The portal is there, and somebody has taken its alias away, or it has none. Homeservers invite who asks for an
        // alias that is made for them: so only a room that is open to everybody gets one.
        if !is_open(core, &portal).await? {
            return Ok(None);
        }
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

/// Whether everybody may join a portal.
async fn is_open<N: Network>(core: &Core, portal: &Portal<N>) -> Result<bool, Error> {
    let view = core.known_view(&portal.matrix).await?;
    Ok(view.join_rule() == Some(JoinRule::Public))
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
        join_rule: described.join_rule.clone(),
        broken: None,
        is_put_out: false,
        speech: None,
    };
    let agent = data.agent.clone().unwrap_or_else(|| core.bot.clone());
    let room_id = match create(live, core, room, (described, &data), &agent).await {
        Ok(room_id) => room_id,
        Err(error) => {
            // Nobody is to listen there for a room that is not.
            if let Err(error) = live.network().watch(room, false).await {
                tracing::warn!(network = N::NAME, remote = ?room, %error, "it is listened to a room without a portal");
            }
            return Err(error.into());
        }
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
    let (kind, making) = (super::Rooms::<N>::kind(), making_of::<N>(room));
    core.store
        .write(move |unit| {
            unit.put_link(&kind, &row)?;
            unit.end_making(&making)
        })
        .await?;
    Ok(())
}

async fn create<N: Network>(
    live: &Arc<Live<N>>,
    core: &Arc<Core>,
    room: &N::Room,
    (described, data): (&RoomInfo<N>, &PortalData),
    agent: &UserId,
) -> Result<RoomId, Error> {
    let plan = plan(live, core, room, described, data);
    let made = core.make_named(agent, plan, &making_of::<N>(room)).await;
    match (made, &data.alias) {
        (Err(error), Some(alias)) if error.errcode() == Some("M_ROOM_IN_USE") => {
            adopted(core, agent, alias, error).await
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
        plan = plan.state("m.room.join_rules", "", join_rules(rule, &described.allow));
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
