//! Invitations of ghosts, and who is removed from portals.

use std::sync::Arc;

use super::{Portal, PortalData, PortalKind, Rooms, sync::broken};
use crate::{
    Error, Event, HandlerError,
    bridge::{
        Level, Network, calls, ghosts, info, links::Links, live::Live, network::Task,
        network::Undone,
    },
    core::Core,
    id::UserId,
};

/// Somebody's membership has changed: what that means for the bridge itself. What the network is to be told is
/// [`deliver`](crate::bridge::network)'s business.
pub(crate) async fn on_member<N: Network>(
    live: &Arc<Live<N>>,
    core: &Arc<Core>,
    event: &Event,
    portal: Option<&Portal<N>>,
) -> Result<(), HandlerError> {
    let whom = event.state_key.as_deref().map(UserId::parse);
    let (Some(Ok(whom)), Some(membership)) = (whom, event.text("membership")) else {
        return Ok(());
    };
    let by_others = !core.is_own(&event.sender);
    match membership {
        "invite" if by_others => {
            if let Some(user) = live.user_of(&whom) {
                invited(live, core, event, portal, (&whom, &user)).await?;
            }
        }
        "leave" | "ban" => {
            if let Some(portal) = portal {
                left(live, core, event, portal, &whom).await?;
            }
        }
        "join" => {
            if let Some(portal) = portal.filter(|portal| portal.agent(core) == whom) {
                mended(live, portal).await?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// A ghost was invited: to a portal, where the network decides, or to talk alone. It always answers.
async fn invited<N: Network>(
    live: &Arc<Live<N>>,
    core: &Arc<Core>,
    event: &Event,
    portal: Option<&Portal<N>>,
    (ghost, user): (&UserId, &N::User),
) -> Result<(), HandlerError> {
    if portal.is_some() {
        // What they have said is waiting for just that; see `Core::release_held`.
        let is_awaited = portal.is_some_and(|portal| live.holds(&portal.remote, user));
        if !N::MEMBERSHIP && !is_awaited {
            let reason = format!("on {} nobody can be invited from here", N::TITLE);
            core.leave(ghost, &event.room_id, Some(&reason)).await?;
        }
        return Ok(());
    }
    if let Err(reason) = talk_alone(live, core, event, (ghost, user)).await? {
        core.leave(ghost, &event.room_id, Some(&reason)).await?;
    }
    Ok(())
}

/// Makes a room the portal of two who talk alone; the inner error is why not.
async fn talk_alone<N: Network>(
    live: &Arc<Live<N>>,
    core: &Arc<Core>,
    event: &Event,
    (ghost, user): (&UserId, &N::User),
) -> Result<Result<(), String>, HandlerError> {
    let person = &event.sender;
    if core.level(person) < Level::User {
        return Ok(Err("you may not use this bridge".to_owned()));
    }
    let Some(room) = live.network().direct_room(person, user).await? else {
        return Ok(Err(format!(
            "nobody can be talked to alone on {}",
            N::TITLE
        )));
    };
    let _alone = live.making.enter(&super::lock(&room)).await;
    if let Some(other) = live.portal(&room).await? {
        if other.matrix == event.room_id {
            return Ok(Ok(()));
        }
        if is_in(core, &other, person).await? {
            return Ok(Err(format!("you talk to them in {}", other.matrix)));
        }
    }
    match ghosts::ensure(live, core, user).await {
        Ok(_) => {}
        Err(Undone::Failed(error)) => return Err(error.into()),
        Err(undone) => return Err(HandlerError::new(undone.to_string())),
    }
    core.ensure_joined(ghost, &event.room_id).await?;
    if !is_direct(event) && !are_alone(core, event, ghost).await? {
        return Ok(Err(
            "there are others in this room: invite me into one where we are alone".to_owned(),
        ));
    }
    if let Some(other) = live.portal(&room).await? {
        // The person has left that room: they talk here from now on.
        core.leave(&other.agent(core), &other.matrix, None).await?;
    }
    live.network().watch(&room, true).await?;
    let data = PortalData {
        kind: PortalKind::Direct,
        creator: Some(person.clone()),
        agent: Some(ghost.clone()),
        ..PortalData::default()
    };
    Links::<Rooms<N>>::of(core)
        .link(&room, &event.room_id, &data)
        .await?;
    if let Some(portal) = live.portal(&room).await? {
        info::update(live, core, &portal).await?;
    }
    tracing::info!(network = N::NAME, room.id = %event.room_id, remote = ?room, "two talk alone");
    Ok(Ok(()))
}

/// Whether the invitation says that it is one to talk alone.
fn is_direct(event: &Event) -> bool {
    let is_direct = event.content.get("is_direct");
    is_direct.and_then(serde_json::Value::as_bool) == Some(true)
}

/// Whether nobody is in a room, or invited, but the ghost and who has invited it.
async fn are_alone(core: &Core, event: &Event, ghost: &UserId) -> Result<bool, Error> {
    let present = calls::present(core, ghost, &event.room_id).await?;
    Ok(present
        .iter()
        .all(|user| user == ghost || *user == event.sender))
}

/// Whether a person is in a portal.
async fn is_in<N: Network>(
    core: &Core,
    portal: &Portal<N>,
    person: &UserId,
) -> Result<bool, Error> {
    match calls::joined_members(core, &portal.agent(core), &portal.matrix).await {
        Ok(members) => Ok(members.contains(person)),
        // The ghost is in there no more: nobody talks to it there.
        Err(error) if calls::is_refused(&error) || error.status() == Some(404) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Somebody is out of a portal: the bridge itself, or the person of a talk of two.
async fn left<N: Network>(
    live: &Arc<Live<N>>,
    core: &Arc<Core>,
    event: &Event,
    portal: &Portal<N>,
    whom: &UserId,
) -> Result<(), Error> {
    let by_others = !core.is_own(&event.sender);
    let is_agent = *whom == portal.agent(core);
    // Of a talk of two either end is the end.
    let is_over = (is_agent && by_others) || !core.is_own(whom);
    if portal.data.kind == PortalKind::Direct {
        if is_over {
            let task = Task::Unbridge {
                reason: None,
                linked_ms: Some(portal.linked_ms),
            };
            let key = format!("{}/unbridge/{}", N::NAME, event.id);
            live.take(task.in_room::<N>(&portal.remote, Some(key)))
                .await?;
        }
        return Ok(());
    }
    if is_agent && by_others && !portal.data.is_put_out {
        let reason = event.text("reason").map(|reason| format!(" ({reason})"));
        let reason = format!(
            "the bridge was removed from the room by {}{}",
            event.sender,
            reason.unwrap_or_default()
        );
        let mut portal = portal.clone();
        portal.data.is_put_out = true;
        broken(live, core, portal, &reason).await?;
    }
    Ok(())
}

/// The network has the room again. Whoever has put the bridge out of the portal is not overruled by that.
pub(crate) async fn back<N: Network>(live: &Arc<Live<N>>, portal: &Portal<N>) -> Result<(), Error> {
    match portal.data.is_put_out {
        true => Ok(()),
        false => mended(live, portal).await,
    }
}

/// The bridge is in the room again.
async fn mended<N: Network>(live: &Arc<Live<N>>, portal: &Portal<N>) -> Result<(), Error> {
    if portal.data.broken.is_some() {
        let data = PortalData {
            broken: None,
            is_put_out: false,
            ..portal.data.clone()
        };
        live.links()?
            .link(&portal.remote, &portal.matrix, &data)
            .await?;
        tracing::info!(network = N::NAME, room.id = %portal.matrix, "a portal is whole again");
    }
    Ok(())
}
