//! Room upgrades: a portal that was replaced goes on in the new room.
//!
//! A tombstone is a task in the portal's lane, so what the network says meanwhile waits until the bridge has moved.
//! Its stages are stored, and each may be done again:
//!
//! ```text
//! the bridge joins the new room (again and again, until it may) ─▶ links move ─▶ ghosts move ─▶ alias, info
//! ```

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    Network, calls, info,
    live::Live,
    network::{Change, Doing, Task, Undone},
    portal::Portal,
};
use crate::{
    Error, Event, Ghosts, JoinOptions,
    core::Core,
    id::{RoomId, UserId},
};

/// How far an upgrade has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stage {
    /// The bridge is to join the new room.
    #[default]
    Joining,
    /// The links have moved; the ghosts are to follow.
    Moving,
}

/// The room that replaces a portal.
#[derive(Clone, Debug)]
pub(crate) struct Successor {
    pub(crate) room: RoomId,
    /// A server that is in it: since room version 12 an id does not say one.
    pub(crate) via: Option<String>,
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
        // Who has replaced a room is in the new one.
        via: Some(event.sender.server().to_owned()),
    };
    let key = format!("{}/upgrade/{}", N::NAME, event.id);
    live.take(task.in_room::<N>(&portal.remote, Some(key)))
        .await
}

/// The room that replaces this one, as the homeserver has it now.
pub(crate) async fn replacement<N: Network>(
    doing: &Doing<'_, N>,
    agent: &UserId,
    room: &RoomId,
) -> Result<Option<Successor>, Error> {
    let kind = "m.room.tombstone";
    let tombstone = match calls::state(doing.core, agent, room, (kind, "")).await {
        Err(error) if calls::is_refused(&error) => None,
        asked => asked?,
    };
    let id = tombstone
        .as_ref()
        .and_then(|content| content.get("replacement_room")?.as_str());
    let Some(to) = id.and_then(|id| RoomId::parse(id).ok()) else {
        return Ok(None);
    };
    let id = room.to_string();
    let heard = doing
        .core
        .store
        .read(move |unit| unit.state_row(&id, kind, ""));
    let sender = heard.await?.and_then(|row| UserId::parse(&row.sender).ok());
    Ok(Some(Successor {
        room: to,
        via: sender.map(|sender| sender.server().to_owned()),
    }))
}

/// Moves a portal.
pub(crate) async fn carry_out<N: Network>(
    doing: &Doing<'_, N>,
    room: &N::Room,
    from: &RoomId,
    successor: &Successor,
) -> Result<Option<Change>, Undone> {
    let to = &successor.room;
    let stage = doing.row.progress.as_deref();
    let stage: Option<Stage> = stage.and_then(|stage| serde_json::from_str(stage).ok());
    if stage.unwrap_or_default() == Stage::Joining {
        let portal = doing.live.portal(room).await?;
        match portal {
            Some(portal) if portal.matrix == *from => {
                enter(doing, &portal, successor).await?;
                move_links(doing, from, to).await?;
            }
            // Another bridge to the same room has moved them.
            Some(portal) if portal.matrix == *to => {}
            Some(_) | None => {
                return Err(Undone::Dropped("the room is no portal any more".to_owned()));
            }
        }
    }
    let Some(portal) = doing.live.portal(room).await? else {
        return Err(Undone::Dropped("the room is no portal any more".to_owned()));
    };
    move_ghosts(doing.core, &portal, from).await?;
    if let Some(alias) = &portal.data.alias {
        calls::move_alias(doing.core, alias, &portal.matrix).await?;
    }
    info::update(doing.live, doing.core, &portal).await?;
    let agent = portal.agent(doing.core);
    doing
        .core
        .leave(&agent, from, Some("the room was replaced"))
        .await?;
    tracing::info!(network = N::NAME, from = %from, to = %to, "a portal has moved to a new room");
    Ok(None)
}

/// The bridge joins the new room, and makes sure that it is what it says.
async fn enter<N: Network>(
    doing: &Doing<'_, N>,
    portal: &Portal<N>,
    successor: &Successor,
) -> Result<(), Undone> {
    let (agent, to) = (portal.agent(doing.core), &successor.room);
    let via = successor.via.iter();
    let options = via.fold(JoinOptions::new(), |options, server| options.via(server));
    match doing.core.ensure_joined_with(&agent, to, &options).await {
        // A room that is not open has to invite the bridge, or is not there yet.
        Err(error) if calls::is_refused(&error) || error.status() == Some(404) => {
            doing.live.awaited.lock().insert(to.clone());
            let why = format!("the new room is not open yet: {error}");
            return Err(Undone::Later(why));
        }
        joined => joined?,
    }
    doing.live.awaited.lock().remove(to);
    let create = calls::state(doing.core, &agent, to, ("m.room.create", "")).await?;
    let predecessor = create
        .as_ref()
        .and_then(|create| create.pointer("/predecessor/room_id")?.as_str());
    if predecessor == Some(portal.matrix.as_str()) {
        return Ok(());
    }
    // Whoever may set a tombstone may not thereby take the portal into a room of somebody else's.
    doing.core.leave(&agent, to, None).await?;
    Err(Undone::Dropped(format!(
        "{to} does not say that it replaces {}",
        portal.matrix
    )))
}

/// Moves all links of a room at once.
async fn move_links<N: Network>(
    doing: &Doing<'_, N>,
    from: &RoomId,
    to: &RoomId,
) -> Result<(), Error> {
    let (old, new, id) = (from.to_string(), to.to_string(), doing.row.id);
    let stage = serde_json::to_string(&Stage::Moving).unwrap_or_default();
    doing
        .core
        .store
        .write(move |unit| {
            unit.move_links(&old, &new)?;
            unit.note_task_progress(id, &stage)
        })
        .await?;
    Ok(())
}

/// Ghosts follow in the background; one that may not, comes when it speaks.
async fn move_ghosts<N: Network>(
    core: &Arc<Core>,
    portal: &Portal<N>,
    from: &RoomId,
) -> Result<(), Error> {
    let agent = portal.agent(core);
    let view = core.known_view(from).await?;
    let joined = view.members().filter(|member| member.is_joined());
    for member in joined.filter(|member| core.is_own(&member.user_id)) {
        if member.user_id != agent && member.user_id != core.bot {
            let ghost = Ghosts::new(core.clone(), None).user(&member.user_id)?;
            ghost.want(&portal.matrix, true).await?;
            ghost.want(from, false).await?;
        }
    }
    Ok(())
}
