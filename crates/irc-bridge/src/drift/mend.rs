//! Brings a channel and its room in line: of those on IRC, of the topic and of who may come in, the channel is right; of
//! people of Matrix, and of whom its moderators have banned, the room.

use bridgehead_appservice::{
    HandlerError,
    bridge::{Member, RoomChange},
};

use super::{Drift, ask::Pair};
use crate::{
    ids::Nick,
    network::{Upkeep, standing::level_of},
};

pub(super) async fn mend(pair: &Pair<'_>, differences: &[Drift]) -> Result<(), HandlerError> {
    let is_about_ghosts =
        |drift: &Drift| matches!(drift, Drift::NotInRoom(_) | Drift::NotInChannel(_));
    if differences.iter().any(is_about_ghosts) {
        members(pair).await?;
    }
    for drift in differences {
        one(pair, drift).await?;
    }
    Ok(())
}

fn nick(pair: &Pair<'_>, name: &str) -> Nick {
    let mapping = pair.handle.directory.read().case_mapping();
    Nick::new(&pair.handle.name, name, mapping)
}

async fn members(pair: &Pair<'_>) -> Result<(), HandlerError> {
    let others = pair.look.seats.iter().filter(|seat| seat.person.is_none());
    let names = others.map(|seat| &seat.nick).chain(&pair.look.absent);
    let nicks: Vec<Nick> = names.map(|name| nick(pair, name)).collect();
    Ok(pair
        .irc
        .remote()
        .members(&pair.portal.remote, &nicks)
        .await?)
}

async fn one(pair: &Pair<'_>, drift: &Drift) -> Result<(), HandlerError> {
    let (remote, place) = (pair.irc.remote(), &pair.portal.remote);
    match drift {
        Drift::NotInRoom(_) | Drift::NotInChannel(_) => {}
        Drift::NotOnIrc(person, _) => {
            let upkeep = Upkeep::Join {
                place: place.clone(),
                person: person.clone(),
                name: None,
            };
            pair.handle.upkeep(upkeep).await;
        }
        Drift::Power(name, _, mode) => {
            let level = (nick(pair, name), level_of(*mode));
            remote.power(place, &[level]).await?;
        }
        Drift::PersonsPower(person, level, mode) if *level < level_of(*mode) => {
            let level = (person.clone(), level_of(*mode));
            remote.power_of_people(place, &[level]).await?;
        }
        Drift::PersonsPower(person, level, _) => {
            let upkeep = Upkeep::Standing {
                place: place.clone(),
                person: person.clone(),
                level: *level,
            };
            pair.handle.upkeep(upkeep).await;
        }
        Drift::NotBanned(person) => {
            let whom = Member::Person(person.clone());
            remote.ban(place, whom, None, None).await?;
        }
        Drift::GhostNotBanned(name) => {
            let upkeep = Upkeep::KeepOut {
                place: place.clone(),
                nick: name.clone(),
            };
            pair.handle.upkeep(upkeep).await;
        }
        Drift::Open(_) => pair.handle.upkeep(Upkeep::Rules(place.clone())).await,
        Drift::Topic(topic, _) => {
            let change = RoomChange::new().topic(topic.clone());
            remote.change(place, None, change).await?;
        }
    }
    Ok(())
}
