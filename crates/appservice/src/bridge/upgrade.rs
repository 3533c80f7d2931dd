//! Room upgrades: a portal that was replaced goes on in the new room.
//!
//! A tombstone is a task in the portal's lane, so what the network says meanwhile waits until the bridge has moved.
//! Its stages are stored, and each may be done again:
//!
//! ```text
//! the bridge joins the new room (again and again, until it may) ─▶ links move ─▶ ghosts move ─▶ alias, info
//! ```

use std::{collections::BTreeSet, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    Network, calls, info,
    live::Live,
    network::{Change, Doing, Task, Undone},
    portal::Portal,
};
use crate::{
    Error, Event,
    core::Core,
    id::{RoomId, UserId},
};

/// How far an upgrade has come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "snake_case")]
enum Stage {
    /// The bridge is to join the new room.
    #[default]
    Joining,
    /// The links have moved; these ghosts are still to.
    Moving { ghosts: BTreeSet<UserId> },
}

/// A tombstone was set in a portal.
pub(crate) async fn begin<N: Network>(
    live: &Arc<Live<N>>,
    event: &Event,
    portal: &Portal<N>,
) -> Result<(), Error> {
    let replacement = event.text("replacement_room").map(RoomId::parse);
    let Some(Ok(to)) = replacement.filter(|_| event.state_key.as_deref() == Some("")) else {
        return Ok(());
    };
    let task = Task::Upgrade {
        from: event.room_id.clone(),
        to,
    };
    let key = format!("{}/upgrade/{}", N::NAME, event.id);
    live.take(task.in_room::<N>(&portal.remote, Some(key)))
        .await
}

/// Moves a portal.
pub(crate) async fn carry_out<N: Network>(
    doing: &Doing<'_, N>,
    room: &N::Room,
    from: &RoomId,
    to: &RoomId,
) -> Result<Option<Change>, Undone> {
    let stage = doing.row.progress.as_deref();
    let stage: Stage = stage.map_or_else(Stage::default, |stage| {
        serde_json::from_str(stage).unwrap_or_default()
    });
    let mut ghosts = match stage {
        Stage::Moving { ghosts } => ghosts,
        Stage::Joining => {
            let portal = doing.live.portal(room).await?;
            let Some(portal) = portal.filter(|portal| portal.matrix == *from) else {
                return Err(Undone::Dropped("the room is no portal any more".to_owned()));
            };
            enter(doing, &portal, to).await?;
            move_links(doing, from, to).await?
        }
    };
    let Some(portal) = doing.live.portal(room).await? else {
        return Err(Undone::Dropped("the room is no portal any more".to_owned()));
    };
    while let Some(ghost) = ghosts.pop_first() {
        move_ghost(doing.core, &ghost, from, to).await?;
        let stage = Stage::Moving {
            ghosts: ghosts.clone(),
        };
        store_stage(doing, &stage).await?;
    }
    if let Some(alias) = &portal.data.alias {
        move_alias(doing.core, &portal, alias).await?;
    }
    info::update(doing.live, doing.core, &portal).await?;
    let agent = portal.agent(doing.core);
    calls::leave(doing.core, &agent, from, Some("the room was replaced")).await?;
    tracing::info!(network = N::NAME, from = %from, to = %to, "a portal has moved to a new room");
    Ok(None)
}

/// The bridge joins the new room, and makes sure that it is what it says.
async fn enter<N: Network>(
    doing: &Doing<'_, N>,
    portal: &Portal<N>,
    to: &RoomId,
) -> Result<(), Undone> {
    let agent = portal.agent(doing.core);
    match doing.core.ensure_joined(&agent, to).await {
        // A room that is not open has to invite the bridge, or is not there yet.
        Err(error) if matches!(error.status(), Some(403 | 404)) => {
            return Err(Undone::Later(format!(
                "the new room is not open yet: {error}"
            )));
        }
        joined => joined?,
    }
    let create = calls::state(doing.core, &agent, to, ("m.room.create", "")).await?;
    let predecessor = create
        .as_ref()
        .and_then(|create| create.pointer("/predecessor/room_id")?.as_str());
    if predecessor == Some(portal.matrix.as_str()) {
        return Ok(());
    }
    // Whoever may set a tombstone may not thereby take the portal into a room of somebody else's.
    calls::leave(doing.core, &agent, to, None).await?;
    Err(Undone::Dropped(format!(
        "{to} does not say that it replaces {}",
        portal.matrix
    )))
}

/// Moves all links of a room at once, and notes which ghosts are to follow.
async fn move_links<N: Network>(
    doing: &Doing<'_, N>,
    from: &RoomId,
    to: &RoomId,
) -> Result<BTreeSet<UserId>, Error> {
    let (old, new, id) = (from.to_string(), to.to_string(), doing.row.id);
    let (core, agent) = (doing.core.clone(), doing.core.bot.clone());
    let ghosts = doing
        .core
        .store
        .write(move |unit| {
            let members = unit.members_with(&old, "join")?;
            let members = members.iter().filter_map(|id| UserId::parse(id).ok());
            let ghosts: BTreeSet<UserId> = members
                .filter(|user| core.is_own(user) && *user != agent)
                .collect();
            unit.move_links(&old, &new)?;
            let stage = Stage::Moving {
                ghosts: ghosts.clone(),
            };
            unit.note_task_progress(id, &text_of(&stage))?;
            Ok(ghosts)
        })
        .await?;
    Ok(ghosts)
}

fn text_of(stage: &Stage) -> String {
    serde_json::to_string(stage).unwrap_or_default()
}

async fn store_stage<N: Network>(doing: &Doing<'_, N>, stage: &Stage) -> Result<(), Error> {
    let (id, text) = (doing.row.id, text_of(stage));
    doing
        .core
        .store
        .write(move |unit| unit.note_task_progress(id, &text))
        .await?;
    Ok(())
}

/// A ghost that may not come stays behind: it comes when it speaks.
async fn move_ghost(
    core: &Arc<Core>,
    ghost: &UserId,
    from: &RoomId,
    to: &RoomId,
) -> Result<(), Error> {
    match core.ensure_joined(ghost, to).await {
        Err(error) if error.status() == Some(403) => {
            tracing::debug!(%ghost, room.id = %to, %error, "may not follow into the new room");
        }
        joined => joined?,
    }
    calls::leave(core, ghost, from, None).await
}

/// Servers move aliases with an upgrade; where they have not, the bridge does.
async fn move_alias<N: Network>(
    core: &Arc<Core>,
    portal: &Portal<N>,
    alias: &crate::id::RoomAlias,
) -> Result<(), Error> {
    if calls::resolve_alias(core, alias).await?.as_ref() == Some(&portal.matrix) {
        return Ok(());
    }
    calls::delete_alias(core, alias).await?;
    calls::set_alias(core, alias, &portal.matrix).await
}
