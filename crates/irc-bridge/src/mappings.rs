//! Channels that the configuration maps to rooms: linked at the start or when they are new, and unlinked when they are
//! taken out of it.

use std::{collections::BTreeMap, time::Duration};

use bridgehead_appservice::{
    Error, Handle as Service, HandlerError,
    bridge::{LinkRefused, Portals},
    id::{RoomAlias, RoomId},
};
use bridgehead_irc_protocol::CaseMapping;

use crate::{Irc, Settings, ids::Place};

/// Under this name it is remembered what the configuration mapped last.
const KEY: &str = "mappings";
/// Between attempts, where the homeserver is away or the bridge is not in the room yet.
const PAUSE: Duration = Duration::from_secs(10);
/// For so many attempts; then it is for the next start, or for somebody who mends the room.
const ATTEMPTS: u32 = 360;

/// A network, and a channel of it as the configuration writes it.
type Key = (String, String);
/// What the configuration maps: rooms by network and channel.
type Mapped = BTreeMap<Key, String>;

/// Under this name it is remembered which room was linked to a channel by the configuration, whatever that calls it.
fn linked_key((network, channel): &Key) -> String {
    format!("mappings/{network}/{channel}")
}

fn mapped(settings: &Settings) -> Mapped {
    let all = settings.networks.iter().flat_map(|(name, network)| {
        network
            .channels
            .iter()
            .filter_map(move |(channel, settings)| {
                let room = settings.room.clone()?;
                Some(((name.clone(), channel.clone()), room))
            })
    });
    all.collect()
}

/// What the running bridge goes by.
fn wanted(portals: &Portals<Irc>) -> Mapped {
    mapped(&portals.network().networks().settings())
}

/// Brings what is linked in line with the configuration, and says what of it has changed. Nobody waits for the links; at
/// the start all of them are looked at.
pub(crate) async fn keep(service: &Service, is_start: bool) -> Result<Vec<String>, HandlerError> {
    let portals = service.portals::<Irc>()?;
    let wanted = wanted(&portals);
    let store = service.store()?;
    let before: Vec<(Key, String)> = store.get(KEY).await?.unwrap_or_default();
    let before: Mapped = before.into_iter().collect();
    let mut told = Vec::new();
    for (key, room) in &before {
        if wanted.get(key) != Some(room) {
            let linked = store.get::<RoomId>(&linked_key(key)).await?;
            let linked = linked.or_else(|| RoomId::parse(room).ok());
            let is_the_same = linked.is_some()
                && wanted.get(key).and_then(|room| RoomId::parse(room).ok()) == linked;
            // By another name of the same room it stays linked.
            if is_the_same {
                continue;
            }
            unlink(&portals, key, linked.as_ref()).await?;
            store.forget(&linked_key(key)).await?;
            let (network, channel) = key;
            told.push(format!(
                "{channel} on {network} is not linked to {room} any more"
            ));
        }
    }
    let now: Vec<_> = wanted.iter().collect();
    store.put(KEY, &now).await?;
    for (key, room) in wanted {
        let is_new = before.get(&key) != Some(&room);
        if is_new {
            let (network, channel) = &key;
            told.push(format!(
                "{channel} on {network} is linked to {room} as soon as that can be done"
            ));
        }
        if is_new || is_start {
            spawn_link(service, key, room);
        }
    }
    Ok(told)
}

/// A channel as the network calls it; `None` where that is not known before it is connected to.
fn place(portals: &Portals<Irc>, (network, channel): &Key) -> Option<Place> {
    let handle = portals.network().network(network)?;
    let known = handle.directory.read().known_case_mapping();
    let is_one = CaseMapping::Rfc1459.fold(channel) == CaseMapping::Ascii.fold(channel);
    let mapping = known.or(is_one.then_some(CaseMapping::Ascii))?;
    Some(Place::channel(network, channel, mapping))
}

/// The same without regard to what the network takes for upper case beyond ASCII, as it was written down before that was
/// known.
fn former_place((network, channel): &Key) -> Place {
    Place::channel(network, channel, CaseMapping::Ascii)
}

/// Unlinks the room that the configuration has linked; without one that is known, whichever is.
async fn unlink(
    portals: &Portals<Irc>,
    key: &Key,
    linked: Option<&RoomId>,
) -> Result<(), HandlerError> {
    let canonical = match place(portals, key) {
        Some(place) => portals.of(&place).await?,
        None => None,
    };
    let portal = match canonical {
        Some(portal) => Some(portal),
        None => portals.of(&former_place(key)).await?,
    };
    let Some(portal) = portal else {
        return Ok(());
    };
    // It may have been linked elsewhere since, by somebody who may do that.
    if linked.is_some_and(|id| *id != portal.matrix) {
        return Ok(());
    }
    portals
        .unbridge(&portal, Some("The channel is bridged no more"))
        .await?;
    Ok(())
}

fn spawn_link(service: &Service, key: Key, room: String) {
    let service = service.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = service.stopped() => {}
            () = link(&service, key, room) => {}
        }
    });
}

/// Links a room, as soon as that can be done, for as long as the configuration wants it.
async fn link(service: &Service, key: Key, room: String) {
    for attempt in 0..ATTEMPTS {
        let Ok(portals) = service.portals::<Irc>() else {
            return;
        };
        if wanted(&portals).get(&key) != Some(&room) {
            return;
        }
        drop(portals);
        let linked = match attempt_link(service, &key, &room).await {
            Ok(id) => keep_linked(service, &key, &id).await,
            Err(reason) => Err(reason),
        };
        match linked {
            Ok(()) => return,
            Err(reason) => {
                if attempt == 0 {
                    let channel = &key.1;
                    tracing::warn!(
                        channel,
                        room,
                        reason,
                        "a channel is not linked yet: it is tried again"
                    );
                }
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Remembers which room is linked.
async fn keep_linked(service: &Service, key: &Key, id: &RoomId) -> Result<(), String> {
    let store = service.store().map_err(|error| error.to_string())?;
    let kept = store.put(&linked_key(key), id).await;
    kept.map_err(|error| error.to_string())
}

/// Links a room; gives back which one it is.
async fn attempt_link(service: &Service, key: &Key, room: &str) -> Result<RoomId, String> {
    let words = |error: &dyn std::fmt::Display| error.to_string();
    let bot = service.bot().map_err(|error| words(&error))?;
    let portals = service.portals::<Irc>().map_err(|error| words(&error))?;
    let place = &place(&portals, key)
        .ok_or("how the network writes its name in lower case is known when it is connected to")?;
    let room_id = match RoomAlias::parse(room) {
        Ok(alias) => {
            let joined = bot
                .join_alias(&alias)
                .await
                .map_err(|error| words(&error))?;
            joined.id.clone()
        }
        Err(_) => {
            let id = RoomId::parse(room).map_err(|error| words(&error))?;
            bot.join(&id).await.map_err(|error| words(&error))?;
            id
        }
    };
    let linked = portals.of(place).await.map_err(|error| words(&error))?;
    match linked {
        Some(portal) if portal.matrix == room_id => return Ok(room_id),
        Some(portal) => portals
            .unbridge(&portal, Some("The channel is mapped to another room now"))
            .await
            .map_err(|error| words(&error))?,
        None => {}
    }
    rename(&portals, &former_place(key), (place, &room_id))
        .await
        .map_err(|error| words(&error))?;
    match portals.link(None, &room_id, place).await {
        Ok(_) => Ok(room_id),
        Err(LinkRefused::RoomLinked(_)) if is_here(&portals, &room_id, place).await => Ok(room_id),
        Err(error) => Err(words(&error)),
    }
}

/// A room that was linked before it was known how the network calls its channel stays linked.
async fn rename(
    portals: &Portals<Irc>,
    former: &Place,
    (place, room): (&Place, &RoomId),
) -> Result<(), Error> {
    if former == place {
        return Ok(());
    }
    match portals.of(former).await? {
        Some(portal) if portal.matrix == *room => portals.rename(&portal, place).await.map(drop),
        _ => Ok(()),
    }
}

async fn is_here(portals: &Portals<Irc>, room: &RoomId, place: &Place) -> bool {
    matches!(portals.at(room).await, Ok(Some(portal)) if portal.remote == *place)
}
