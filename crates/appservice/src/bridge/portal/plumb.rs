//! Linking a room that is there already (*plumbing*): only those may who have the power in it.

use std::sync::Arc;

use super::{Portal, PortalData, PortalKind, Rooms};
use crate::{
    Error, HandlerError,
    bridge::{Level, Network, RemoteId, RoomInfo, info, links::Links, live::Live, management},
    core::Core,
    id::{RoomId, UserId},
    state::{Power, Standing},
};

/// Why a room was not linked. Displays as a sentence for whoever asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkRefused {
    /// Whoever asked has not the power in the room.
    #[error(
        "that takes the power {needed} in this room, and you have {has}, or an admin of the bridge"
    )]
    NoPower {
        /// What it takes.
        needed: i64,
        /// What they have.
        has: Power,
    },
    /// The room's power levels cannot be read.
    #[error("I cannot see who has which power in this room: invite me, and try again")]
    PowerUnknown,
    /// The room is linked to something.
    #[error("this room is linked to {0} already: unlink that first")]
    RoomLinked(String),
    /// The network's room is linked to another room.
    #[error("that is linked to {0} already: unlink it there first")]
    RemoteLinked(RoomId),
    /// The network has no such room.
    #[error("{0} has no such room")]
    NoRoom(&'static str),
    /// The network's room is a talk of two.
    #[error("on {0} two talk there alone: nobody can link that")]
    Direct(&'static str),
    /// The network does not let them ([`Network::may_link`]).
    #[error("you may not link that room of {0}: ask who runs this bridge")]
    NotAllowed(&'static str),
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
    let view = core.rooms.view(room_id).await.map_err(Error::from)?;
    if core.policies.bans_room(&view) {
        let why = format!("{room_id} is on a ban list that this bridge follows");
        return Err(Error::Forbidden(why).into());
    }
    // Who has put the bridge out of the room decides whether it comes back.
    if let Some(by) = by
        && core.removed_by(&core.bot, room_id).await?.is_some()
    {
        check_power(core, by, room_id).await?;
    }
    core.ensure_joined(&core.bot, room_id).await?;
    if let Some(by) = by {
        check_power(core, by, room_id).await?;
    }
    let _alone = live.making.enter(&super::lock(remote)).await;
    if let Some(other) = live.portal_at(room_id).await? {
        return Err(LinkRefused::RoomLinked(other.remote.to_text()));
    }
    // Before anything is said of the room: who may not link it need not know where it is.
    let described = linkable(live, core, by, remote).await?;
    if let Some(other) = live.portal(remote).await? {
        return Err(LinkRefused::RemoteLinked(other.matrix));
    }
    let watched = live.network().watch(remote, true).await;
    watched.map_err(|error| LinkRefused::Network(N::TITLE, error))?;
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
    management::forget(core, room_id).await?;
    let portal = live.portal(remote).await?;
    let portal = portal.ok_or(LinkRefused::NoRoom(N::TITLE))?;
    info::update(live, core, &portal).await?;
    tracing::info!(network = N::NAME, room.id = %room_id, remote = ?remote, "a room was linked");
    Ok(portal)
}

/// What the network knows of a room, if whoever asks may link it.
async fn linkable<N: Network>(
    live: &Live<N>,
    core: &Core,
    by: Option<&UserId>,
    remote: &N::Room,
) -> Result<RoomInfo<N>, LinkRefused> {
    let network = |error| LinkRefused::Network(N::TITLE, error);
    let described = live.network().describe_room(remote).await;
    let described = described
        .map_err(network)?
        .ok_or(LinkRefused::NoRoom(N::TITLE))?;
    if described.direct.is_some() {
        return Err(LinkRefused::Direct(N::TITLE));
    }
    let asker = by.filter(|by| core.level(by) < Level::Admin);
    if let Some(asker) = asker {
        let may = live.network().may_link(asker, remote, &described).await;
        if !may.map_err(network)? {
            return Err(LinkRefused::NotAllowed(N::TITLE));
        }
    }
    Ok(described)
}

/// Whether somebody may say what a room is bridged to.
pub(crate) async fn check_power(
    core: &Core,
    user: &UserId,
    room: &RoomId,
) -> Result<(), LinkRefused> {
    let view = core.known_view(room).await?;
    let levels = view
        .power_levels()
        .filter(|_| core.standing(&view) == Standing::Known);
    let Some(levels) = levels else {
        return Err(LinkRefused::PowerUnknown);
    };
    let (needed, has) = (levels.to_set(info::KINDS[0]), levels.of(user));
    match has.is_at_least(needed) {
        true => Ok(()),
        false => Err(LinkRefused::NoPower { needed, has }),
    }
}
