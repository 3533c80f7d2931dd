//! Channels that the configuration maps to rooms: linked at the start, and unlinked when they are taken out of it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bridgehead_appservice::{
    Handle as Service, HandlerError,
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

/// What the configuration maps: rooms by network and channel.
type Mapped = BTreeMap<(String, String), String>;

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

/// Brings what is linked in line with the configuration. Nobody waits for it.
pub(crate) async fn keep(service: Service, settings: Arc<Settings>) -> Result<(), HandlerError> {
    let wanted = mapped(&settings);
    let store = service.store()?;
    let before: Vec<((String, String), String)> = store.get(KEY).await?.unwrap_or_default();
    let portals = service.portals::<Irc>()?;
    for ((network, channel), room) in before {
        let key = (network, channel);
        if wanted.get(&key) != Some(&room) {
            unlink(&portals, &place(&key)).await?;
        }
    }
    let now: Vec<_> = wanted.iter().collect();
    store.put(KEY, &now).await?;
    for (key, room) in wanted {
        tokio::spawn(link(service.clone(), place(&key), room));
    }
    Ok(())
}

fn place((network, channel): &(String, String)) -> Place {
    Place::channel(network, channel, CaseMapping::Ascii)
}

async fn unlink(portals: &Portals<Irc>, place: &Place) -> Result<(), HandlerError> {
    if let Some(portal) = portals.of(place).await? {
        portals
            .unbridge(&portal, Some("The channel is bridged no more"))
            .await?;
    }
    Ok(())
}

/// Links a room, as soon as that can be done.
async fn link(service: Service, place: Place, room: String) {
    for attempt in 0..ATTEMPTS {
        match attempt_link(&service, &place, &room).await {
            Ok(()) => return,
            Err(reason) => {
                if attempt == 0 {
                    let channel = place.target_name();
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

async fn attempt_link(service: &Service, place: &Place, room: &str) -> Result<(), String> {
    let words = |error: &dyn std::fmt::Display| error.to_string();
    let bot = service.bot().map_err(|error| words(&error))?;
    let portals = service.portals::<Irc>().map_err(|error| words(&error))?;
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
        Some(portal) if portal.matrix == room_id => return Ok(()),
        Some(portal) => portals
            .unbridge(&portal, Some("The channel is mapped to another room now"))
            .await
            .map_err(|error| words(&error))?,
        None => {}
    }
    match portals.link(None, &room_id, place).await {
        Ok(_) => Ok(()),
        Err(LinkRefused::RoomLinked(_)) if is_here(&portals, &room_id, place).await => Ok(()),
        Err(error) => Err(words(&error)),
    }
}

async fn is_here(portals: &Portals<Irc>, room: &RoomId, place: &Place) -> bool {
    matches!(portals.at(room).await, Ok(Some(portal)) if portal.remote == *place)
}
