//! Station 6: which application services an event is for.
//!
//! Application-service API, "Pushing events"; features/as-host.md 1.5 as rules 1–5:
//! 1. the sender is a user of the service, 2. the target of a membership event is,
//! 3. the room id matches, 4. a local alias of the room matches, 5. a user of the service is
//!    joined.
//!
//! Decided once, with the room as it was when the event was stored; the set goes into the log row.

use std::sync::Arc;

use bridgehead_room::{Event, Membership, RoomView};
use bridgehead_store::{AppserviceNid, InterestSet, Result, RoomInterest, Tx};
use smallvec::SmallVec;

use super::Registry;
use crate::app::App;

/// Rooms of a user that are looked at to find who shares one; with more, all services count.
const MAX_SHARED_ROOMS: usize = 500;

/// Rules 3–5 for a room: from the cache, or computed from its members and aliases.
pub(crate) fn of_room(
    tx: &mut Tx<'_>,
    registry: &Registry,
    view: &RoomView,
) -> Result<Arc<RoomInterest>> {
    let room_id = view.room_id.as_str();
    if let Some(cached) = tx.room_interest(room_id)?
        && cached.generation == registry.generation
    {
        return Ok(cached);
    }
    let aliases = tx.aliases_of(room_id)?;
    Ok(Arc::new(compute(registry, view, &aliases)))
}

/// Rules 3–5 for a room with these members and aliases.
pub(crate) fn compute(registry: &Registry, view: &RoomView, aliases: &[String]) -> RoomInterest {
    let mut named: SmallVec<[AppserviceNid; 4]> = registry.nids_of_room(view.room_id.as_str());
    for alias in aliases {
        named.extend(registry.nids_of_alias(alias));
    }
    named.sort_unstable();
    named.dedup();
    let mut interest = RoomInterest {
        generation: registry.generation,
        named,
        joined: imbl::OrdMap::new(),
    };
    for (user_id, membership) in &view.members {
        if *membership == Membership::Join {
            count(&mut interest, registry, user_id, 1);
        }
    }
    interest
}

/// Rules 3–5 for a room as it is now, outside a unit of work: for what is told and not logged.
/// `None`: no such room.
pub(crate) async fn of_room_now(
    app: &App,
    registry: &Registry,
    room_id: &str,
) -> Result<Option<Arc<RoomInterest>>> {
    if let Some(cached) = app.store.room_interest(room_id)
        && cached.generation == registry.generation
    {
        return Ok(Some(cached));
    }
    let Some(view) = app.store.room_view(room_id).await? else {
        return Ok(None);
    };
    let (aliases, read_at) = app.store.aliases_of_room(room_id).await?;
    let interest = Arc::new(compute(registry, &view, &aliases));
    app.store
        .offer_room_interest(&view, interest.clone(), read_at);
    Ok(Some(interest))
}

/// The services of a room's interest, sorted.
pub(crate) fn services_of(room: &RoomInterest) -> InterestSet {
    let mut set: InterestSet = room.named.iter().copied().collect();
    set.extend(room.joined.keys().copied());
    set.sort_unstable();
    set.dedup();
    set
}

/// Who is told of a receipt: those interested in the room, or (a private one) only those that own
/// the reader; of them, those that asked for ephemeral data.
pub(crate) fn of_receipt(
    registry: &Registry,
    room: &RoomInterest,
    user_id: &str,
    private: bool,
) -> InterestSet {
    let mut set = services_of(room);
    if private {
        let owners = registry.nids_of_user(user_id);
        set.retain(|nid| owners.contains(nid));
    }
    set.retain(|nid| {
        registry
            .by_nid(*nid)
            .is_some_and(|service| service.takes_ephemeral())
    });
    set
}

/// All rules for an event, given its room's interest before it.
pub(crate) fn of_event(registry: &Registry, room: &RoomInterest, event: &Event) -> InterestSet {
    let mut set = services_of(room);
    set.extend(registry.nids_of_user(event.sender.as_str()));
    if let Some(target) = &event.state_key
        && event.event_type.to_string() == "m.room.member"
    {
        set.extend(registry.nids_of_user(target));
    }
    set.sort_unstable();
    set.dedup();
    set
}

/// The room's interest after a membership event: the count of the target's services moves when
/// it joined or left.
pub(crate) fn after_member(
    registry: &Registry,
    room: &Arc<RoomInterest>,
    before: &RoomView,
    after: &RoomView,
    event: &Event,
) -> Arc<RoomInterest> {
    let Some(target) = event.state_key.as_deref() else {
        return room.clone();
    };
    let joined = |view: &RoomView| view.members.get(target) == Some(&Membership::Join);
    let change = match (joined(before), joined(after)) {
        (false, true) => 1,
        (true, false) => -1,
        _ => return room.clone(),
    };
    let mut next = (**room).clone();
    count(&mut next, registry, target, change);
    Arc::new(next)
}

/// Services to tell that a user's devices changed: those which take part in encryption and own the
/// user or share a room with it (as `device_lists` in `/sync`).
pub(crate) fn of_device_list(
    tx: &mut Tx<'_>,
    registry: &Registry,
    user_id: &str,
) -> Result<InterestSet> {
    let asking = registry.nids_of_encrypting();
    if asking.is_empty() {
        return Ok(asking);
    }
    let rooms = tx.joined_rooms(user_id)?;
    if rooms.len() > MAX_SHARED_ROOMS {
        return Ok(asking);
    }
    let owners = registry.nids_of_user(user_id);
    let mut told: InterestSet = asking
        .iter()
        .copied()
        .filter(|nid| owners.contains(nid))
        .collect();
    for room_id in rooms {
        if told.len() == asking.len() {
            break;
        }
        let Some(view) = tx.room_view(&room_id)? else {
            continue;
        };
        let room = of_room(tx, registry, &view)?;
        for nid in &asking {
            let shares = room.joined.contains_key(nid) || room.named.contains(nid);
            if shares && !told.contains(nid) {
                told.push(*nid);
            }
        }
    }
    told.sort_unstable();
    Ok(told)
}

fn count(room: &mut RoomInterest, registry: &Registry, user_id: &str, change: i32) {
    for nid in registry.nids_of_user(user_id) {
        let number = room
            .joined
            .get(&nid)
            .copied()
            .unwrap_or(0)
            .saturating_add_signed(change);
        if number == 0 {
            room.joined.remove(&nid);
        } else {
            room.joined.insert(nid, number);
        }
    }
}
