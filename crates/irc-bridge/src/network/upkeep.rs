//! What Matrix changes, and IRC is to follow: where the bridge listens, and who is where.

use bridgehead_appservice::id::UserId;
use bridgehead_irc_protocol::Line;

use super::{Hub, Owner};
use crate::{clock::now, ids::Place, settings::Mode};

/// Something that Matrix has changed.
#[derive(Debug)]
pub(crate) enum Upkeep {
    /// A channel is bridged now.
    Watch(Place),
    /// A channel is bridged no more.
    Unwatch(Place),
    /// A person has joined a room.
    Join {
        place: Place,
        person: UserId,
        /// What they are called, where it is known.
        name: Option<String>,
    },
    /// A person has left a room.
    Leave {
        place: Place,
        person: UserId,
        reason: Option<String>,
    },
    /// A person is called something else.
    Name { person: UserId, name: String },
    /// A person has this power in a room.
    Standing {
        place: Place,
        person: UserId,
        level: i64,
    },
}

impl Hub {
    pub(super) async fn take_upkeep(&mut self, upkeep: Upkeep) {
        match upkeep {
            Upkeep::Watch(place) => {
                self.watch(&place).await;
                self.advance(&Owner::Bot).await;
            }
            Upkeep::Unwatch(place) => self.unwatch(&place),
            Upkeep::Join {
                place,
                person,
                name,
            } => self.person_joins(&place, &person, name).await,
            Upkeep::Leave {
                place,
                person,
                reason,
            } => self.person_leaves(&place, &person, reason.as_deref()),
            Upkeep::Name { person, name } => self.is_named(&person, &name).await,
            Upkeep::Standing {
                place,
                person,
                level,
            } => self.give_standing(place.target_name(), &person, level),
        }
    }

    /// The bridge listens in a channel, and whoever is in its rooms is to be in it.
    pub(super) async fn watch(&mut self, place: &Place) {
        let Some(channel) = place.as_channel() else {
            return;
        };
        if self.settings.bot.enabled {
            self.client(&Owner::Bot).wanted.insert(channel.to_owned());
        }
        if !self.mirrors(channel) {
            return;
        }
        match self.remote.people(place).await {
            Ok(people) => {
                for member in people {
                    let owner = Owner::Person(member.user_id.clone());
                    let client = self.client(&owner);
                    client.wanted.insert(channel.to_owned());
                    client.name = member.displayname.clone().or(client.name.take());
                }
            }
            Err(error) => {
                tracing::warn!(network = self.name, channel, %error, "it is not known who is in the room");
            }
        }
    }

    fn unwatch(&mut self, place: &Place) {
        let Some(channel) = place.as_channel() else {
            return;
        };
        self.forget_heard(channel);
        self.shut_out.remove(channel);
        self.topics.remove(channel);
        let owners: Vec<Owner> = self.clients.keys().cloned().collect();
        for owner in owners {
            self.leave(&owner, channel, Some("This channel is bridged no more"));
        }
    }

    /// Whether whoever is in a channel's room is in the channel.
    fn mirrors(&self, channel: &str) -> bool {
        self.settings.sync.to_irc && self.settings.mode_of(channel) == Mode::Puppet
    }

    async fn person_joins(&mut self, place: &Place, person: &UserId, name: Option<String>) {
        let Some(channel) = place.as_channel() else {
            return;
        };
        if !self.mirrors(channel) {
            return;
        }
        let owner = Owner::Person(person.clone());
        let client = self.client(&owner);
        client.name = name.or(client.name.take());
        client.wanted.insert(channel.to_owned());
        client.is_in_at_last(channel);
        client.is_parked = false;
        client.spoke_at = now();
        self.advance(&owner).await;
    }

    fn person_leaves(&mut self, place: &Place, person: &UserId, reason: Option<&str>) {
        let owner = Owner::Person(person.clone());
        if let (Some(channel), true) = (place.as_channel(), self.clients.contains_key(&owner)) {
            self.leave(&owner, channel, reason);
        }
    }

    pub(super) fn leave(&mut self, owner: &Owner, channel: &str, reason: Option<&str>) {
        let client = self.client(owner);
        client.wanted.remove(channel);
        let is_idle = client.wanted.is_empty() && client.pendings.is_empty();
        let Some(live) = client.live.as_mut() else {
            return;
        };
        if live.standings.remove(channel).is_some() {
            let params = std::iter::once(channel).chain(reason.map(one_line));
            let line = Line::new("PART", params);
            live.upkeep(line);
        }
        self.elect(channel);
        // Whoever is nowhere has nothing to stay for; who is talked to alone is connected again by speaking.
        if is_idle && *owner != Owner::Bot {
            self.park(owner, reason.map_or("Left", one_line));
        }
    }
}

/// The first line of a text.
fn one_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
