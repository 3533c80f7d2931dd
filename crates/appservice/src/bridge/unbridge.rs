//! Taking a portal apart, and finding ghosts that are of no use.
//!
//! In this order, each step stored, so that a crash leaves nothing behind that nobody knows of: the room is told, the
//! ghosts leave, the room says no more that it is bridged, the alias goes, the bridge itself leaves, and the link is
//! removed last.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    LinkKind as _, Network, RemoteId, calls, info,
    live::Live,
    management::notice,
    network::{Change, Doing, Undone},
    portal::{Portal, PortalKind, Rooms},
};
use crate::{
    Bot, Error, Room, Urgency,
    core::Core,
    id::{RoomId, UserId},
    store::{Result as StoreResult, Unit},
};

/// The scope of the notes of rooms that were unlinked: the last task that was given before that.
const UNLINKED: &str = "unlinked";

/// How far it has come: what is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stage {
    #[default]
    Begun,
    Told,
    GhostsGone,
    InfoGone,
    AliasGone,
    BridgeGone,
}

/// Takes a portal apart.
pub(crate) async fn carry_out<N: Network>(
    doing: &Doing<'_, N>,
    room: &N::Room,
    (reason, linked_ms): (Option<&str>, Option<i64>),
) -> Result<Option<Change>, Undone> {
    let Some(portal) = doing.live.portal(room).await? else {
        return Ok(None);
    };
    // The one that was meant is gone; this is another, made since.
    if linked_ms.is_some_and(|linked_ms| linked_ms != portal.linked_ms) {
        return Ok(None);
    }
    let done = doing.row.progress.as_deref();
    let mut done: Stage = done
        .and_then(|stage| serde_json::from_str(stage).ok())
        .unwrap_or_default();
    for stage in [
        Stage::Told,
        Stage::GhostsGone,
        Stage::InfoGone,
        Stage::AliasGone,
        Stage::BridgeGone,
    ] {
        if done < stage {
            step(doing, &portal, stage, reason).await?;
            store_stage(doing, stage).await?;
            done = stage;
        }
    }
    let watched = doing.live.network().watch(room, false).await;
    watched.map_err(|error| Undone::later(&error))?;
    tracing::info!(network = N::NAME, room.id = %portal.matrix, remote = ?room, "a portal was taken apart");
    let (kind, remote) = (Rooms::<N>::kind(), room.to_text());
    Ok(Some(Box::new(move |unit| {
        let last = unit.last_task()?;
        unit.put_kv(UNLINKED, &note_key::<N>(&remote), &last.to_string())?;
        unit.delete_link(&kind, &remote).map(drop)
    })))
}

/// Whether a task was given before its room was unlinked. What was said meanwhile waits behind the unlinking, and is
/// not meant to make a new portal.
pub(crate) async fn is_of_before<N: Network>(
    doing: &Doing<'_, N>,
    room: &N::Room,
) -> Result<bool, Error> {
    let key = note_key::<N>(&room.to_text());
    let note = doing
        .core
        .store
        .read(move |unit| unit.kv(UNLINKED, &key))
        .await?;
    let last = note.and_then(|last| last.parse::<i64>().ok());
    Ok(last.is_some_and(|last| doing.row.id <= last))
}

/// Forgets of which rooms it is known when they were unlinked, once nothing waits from before.
pub(crate) fn forget_unlinked<N: Network>(unit: &Unit<'_>) -> StoreResult<usize> {
    let first = unit.first_task(N::NAME)?;
    unit.delete_numbers_below(UNLINKED, &note_key::<N>(""), first.unwrap_or(i64::MAX))
}

fn note_key<N: Network>(room: &str) -> String {
    format!("{}/{room}", N::NAME)
}

async fn store_stage<N: Network>(doing: &Doing<'_, N>, stage: Stage) -> Result<(), Error> {
    let (id, text) = (
        doing.row.id,
        serde_json::to_string(&stage).unwrap_or_default(),
    );
    doing
        .core
        .store
        .write(move |unit| unit.note_task_progress(id, &text))
        .await?;
    Ok(())
}

async fn step<N: Network>(
    doing: &Doing<'_, N>,
    portal: &Portal<N>,
    stage: Stage,
    reason: Option<&str>,
) -> Result<(), Error> {
    let (core, agent) = (doing.core, portal.agent(doing.core));
    match stage {
        Stage::Begun => Ok(()),
        Stage::Told => unless_forbidden(tell(doing, portal, reason).await),
        Stage::GhostsGone => ghosts_leave(doing.live, core, portal, &agent).await,
        Stage::InfoGone => unless_forbidden(info::clear(doing.live, core, portal).await),
        Stage::AliasGone => match &portal.data.alias {
            Some(alias) => {
                let removed = Bot::outside(core.clone()).remove_alias(alias).await;
                unless_forbidden(removed.map(drop))
            }
            None => Ok(()),
        },
        Stage::BridgeGone => core.leave(&agent, &portal.matrix, None).await,
    }
}

/// What the bridge may not do any more, where it was removed already, stays undone.
fn unless_forbidden(outcome: Result<(), Error>) -> Result<(), Error> {
    match outcome {
        Err(error) if calls::is_refused(&error) || matches!(error, Error::GivenUp { .. }) => {
            tracing::debug!(%error, "left as it is: the bridge may not");
            Ok(())
        }
        other => other,
    }
}

async fn tell<N: Network>(
    doing: &Doing<'_, N>,
    portal: &Portal<N>,
    reason: Option<&str>,
) -> Result<(), Error> {
    if portal.data.kind == PortalKind::Direct {
        return Ok(());
    }
    let why = reason.map_or_else(String::new, |reason| format!(": {reason}"));
    let text = format!("This room is not bridged to {} any more{why}.", N::TITLE);
    let agent = portal.agent(doing.core);
    let mut outgoing = notice(&portal.matrix, &agent, doing.key("told"), &text);
    outgoing.urgency = Urgency::Membership;
    calls::send(doing.core, &outgoing).await.map(drop)
}

/// All of the network's ghosts but the one who looks after the room. What was wished for is wished for no more.
async fn ghosts_leave<N: Network>(
    live: &Live<N>,
    core: &Arc<Core>,
    portal: &Portal<N>,
    agent: &UserId,
) -> Result<(), Error> {
    let is_ghost = |user: &UserId| user != agent && live.user_of(user).is_some();
    let view = core.known_view(&portal.matrix).await?;
    let joined = view.members().filter(|member| member.is_joined());
    let own = joined
        .map(|member| member.user_id.clone())
        .filter(|user| core.is_own(user));
    let (ghosts, others): (Vec<UserId>, Vec<UserId>) = own.partition(is_ghost);
    let room = Room::new(core.clone(), portal.matrix.clone(), None);
    room.want_members(others).await?;
    for ghost in &ghosts {
        core.leave(ghost, &portal.matrix, None).await?;
    }
    Ok(())
}

/// A ghost that is of no use.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Orphan {
    /// The ghost.
    pub user_id: UserId,
    /// The room that it is in, which is no portal; `None` where it is in no room at all.
    pub room_id: Option<RoomId>,
}

/// Finds ghosts that are of no use: first those in rooms that are no portals, then those in no room.
pub(crate) async fn census<N: Network>(
    live: &Live<N>,
    core: &Core,
    after: Option<&Orphan>,
    limit: usize,
) -> Result<Vec<Orphan>, Error> {
    let limit = limit.min(1000);
    let mut found = Vec::new();
    let mut last = after.cloned();
    while found.len() < limit {
        let page = page(core, Rooms::<N>::kind(), last.as_ref(), limit).await?;
        let Some(end) = page.last() else { break };
        last = Some(end.clone());
        // The service's own user is in rooms of its own, and other bridges have their own ghosts.
        let ours = page
            .into_iter()
            .filter(|orphan| orphan.user_id != core.bot && live.user_of(&orphan.user_id).is_some());
        found.extend(ours.take(limit - found.len()));
    }
    Ok(found)
}

/// The next that may be orphans, whoever's they are.
async fn page(
    core: &Core,
    kind: String,
    after: Option<&Orphan>,
    limit: usize,
) -> Result<Vec<Orphan>, Error> {
    let user = after.map_or_else(String::new, |orphan| orphan.user_id.to_string());
    let is_first = after.is_none_or(|orphan| orphan.room_id.is_some());
    let room = after.and_then(|orphan| orphan.room_id.as_ref());
    let room = room.map_or_else(String::new, ToString::to_string);
    let rows: Vec<(String, Option<String>)> = core
        .store
        .read(move |unit| {
            let mut rows: Vec<(String, Option<String>)> = Vec::new();
            if is_first {
                let in_rooms = unit.ghosts_unlinked(&kind, (&user, &room), limit)?;
                rows.extend(in_rooms.into_iter().map(|(user, room)| (user, Some(room))));
            }
            if rows.is_empty() {
                let after = if is_first { "" } else { user.as_str() };
                let nowhere = unit.ghosts_nowhere(after, limit)?;
                rows.extend(nowhere.into_iter().map(|user| (user, None)));
            }
            Ok(rows)
        })
        .await?;
    let orphan = |(user, room): (String, Option<String>)| {
        Ok(Orphan {
            user_id: UserId::parse(&user)?,
            room_id: room.as_deref().map(RoomId::parse).transpose()?,
        })
    };
    rows.into_iter().map(orphan).collect()
}

/// Takes an orphan out of its room, or closes its account if it is in none; `false` if it is of use by now.
pub(crate) async fn dismiss<N: Network>(
    live: &Arc<Live<N>>,
    core: &Arc<Core>,
    orphan: &Orphan,
) -> Result<bool, Error> {
    let ghost = &orphan.user_id;
    let Some(user) = live.user_of(ghost).filter(|_| *ghost != core.bot) else {
        return Ok(false);
    };
    let _alone = live.making.enter(&format!("user/{}", user.to_text())).await;
    if let Some(room) = &orphan.room_id {
        if live.portal_at(room).await?.is_some() {
            return Ok(false);
        }
        core.leave(ghost, room, None).await?;
        return Ok(true);
    }
    if !core.joined_rooms(ghost).await?.is_empty() {
        return Ok(false);
    }
    calls::deactivate(core, ghost).await?;
    let (kind, remote) = (super::ghosts::Users::<N>::kind(), user.to_text());
    core.store
        .write(move |unit| unit.delete_link(&kind, &remote))
        .await?;
    Ok(true)
}
