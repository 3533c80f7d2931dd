//! What Matrix changes, and IRC is to follow: where the bridge listens, and who is where.

use std::time::{Duration, Instant};

use bridgehead_appservice::{
    bridge::{Level, SendError},
    id::UserId,
};
use bridgehead_irc_protocol::Line;
use tokio::sync::oneshot;

use super::{Hub, Owner};
use crate::{
    clock::now,
    ids::{Place, Target},
    settings::Mode,
};

/// How long a room may take to be made after its channel was joined.
const TO_BE_LINKED: Duration = Duration::from_secs(60);

/// What the network is told of who is blocked.
pub(super) const BLOCKED: &str = "Blocked from this bridge";

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
    /// Who may do what has changed.
    Levels,
    /// A person is called something else.
    Name { person: UserId, name: String },
    /// Somebody on IRC is answered, alone.
    Answer { nick: String, words: String },
    /// A person has this power in a room.
    Standing {
        place: Place,
        person: UserId,
        level: i64,
    },
    /// A room is to be as open as its channel.
    Rules(Place),
    /// Somebody on IRC is banned from a room.
    KeepOut { place: Place, nick: String },
}

impl Hub {
    pub(super) async fn take_upkeep(&mut self, upkeep: Upkeep) {
        match upkeep {
            Upkeep::Watch(place) => {
                if let Some(channel) = place.as_channel() {
                    self.late.insert(channel.to_owned(), now() + TO_BE_LINKED);
                    self.doors.made(channel, now());
                }
                self.watch(&place).await;
                self.advance(&Owner::Bot).await;
            }
            Upkeep::Unwatch(place) => self.unwatch(&place).await,
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
            Upkeep::Levels => self.look_at_levels().await,
            Upkeep::Name { person, name } => self.follow_name(&person, &name).await,
            Upkeep::Standing {
                place,
                person,
                level,
            } => self.give_standing(place.target_name(), &person, level),
            Upkeep::Rules(place) => self.change_rules(place.target_name(), None),
            Upkeep::KeepOut { place, nick } => {
                // What becomes of it, the next look at the differences tells.
                let (reply, _) = oneshot::channel();
                let of = (place.target_name(), nick.as_str());
                self.remove(&Owner::Bot, of, (None, true), reply);
            }
            Upkeep::Answer { nick, words } => {
                if self.answers.may(now()) {
                    self.notice_to(&nick, &words);
                }
            }
        }
    }

    /// What a channel is like is told as the bridge comes in, and its room may be made only then: so it is asked for once
    /// more when there is one, and whoever is in it is looked for.
    pub(super) async fn look_at_late(&mut self, now: Instant) {
        self.late.retain(|_, until| *until > now);
        let late: Vec<String> = self.late.keys().cloned().collect();
        for channel in late {
            let is_in = self.client(&Owner::Bot).is_in(&channel);
            let place = self.channel(&channel);
            if !is_in || !matches!(self.remote.portal(&place).await, Ok(Some(_))) {
                continue;
            }
            self.late.remove(&channel);
            // Whoever was in the room before it had the channel is to be in the channel as well.
            self.watch(&place).await;
            if let Some(live) = self.client(&Owner::Bot).live.as_mut() {
                for command in ["NAMES", "TOPIC", "MODE"] {
                    let line = Line::new(command, [channel.as_str()]);
                    live.question(line);
                }
            }
        }
    }

    /// The bridge listens in a channel, and whoever is in its rooms is to be in it.
    pub(super) async fn watch(&mut self, place: &Place) {
        if let Target::Private { nick, person } = &place.target {
            self.talks.begun(person, nick);
            let partner = self.talks.nick(person, nick).to_owned();
            self.monitor.has_talked(&partner);
        }
        let Some(channel) = place.as_channel() else {
            return;
        };
        self.access.note_bridged(channel);
        if self.renamed.contains(channel) {
            return;
        }
        // Somebody may be there already: it is heard from now on.
        self.elect(channel);
        if self.settings.bot.enabled {
            self.client(&Owner::Bot).wanted.insert(channel.to_owned());
        }
        if !self.mirrors(channel) {
            return;
        }
        match self.remote.people(place).await {
            Ok(people) => {
                for member in people {
                    if !self.has_connection(channel, &member.user_id) {
                        continue;
                    }
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

    async fn unwatch(&mut self, place: &Place) {
        if let Target::Private { nick, person } = &place.target {
            let partner = self.talks.nick(person, nick).to_owned();
            self.talks.ended(person, nick);
            if !self.talks.has_partner(&partner) {
                self.monitor.ended(&partner);
            }
            self.write_talks_down();
        }
        let Some(channel) = place.as_channel() else {
            return;
        };
        self.access.note_unbridged(channel);
        self.shut_out.remove(channel);
        self.renamed.remove(channel);
        self.topics.remove(channel);
        let owners: Vec<Owner> = self.clients.keys().cloned().collect();
        for owner in owners {
            self.leave(&owner, channel, Some("This channel is bridged no more"));
        }
        self.forget_channel(channel).await;
    }

    /// Who may not have a connection any more loses it, and does not come back by speaking; who may again is where they
    /// are in Matrix.
    async fn look_at_levels(&mut self) {
        let blocked: Vec<Owner> = self
            .clients
            .keys()
            .filter(|owner| self.is_blocked(owner))
            .cloned()
            .collect();
        for owner in blocked {
            tracing::info!(
                network = self.name,
                ?owner,
                "blocked from now on: the connection ends"
            );
            let client = self.client(&owner);
            client.wanted.clear();
            for pending in client.take_pendings(|pending| !pending.is_in_doubt) {
                pending.end(Err(SendError::forbidden(BLOCKED)));
            }
            // Not parked: whoever may come back is to come back without a word.
            self.drop_link(&owner, BLOCKED);
        }
        match self.remote.rooms().await {
            Ok(places) => {
                let own = places
                    .into_iter()
                    .filter(|place| place.network == self.name);
                for place in own.collect::<Vec<_>>() {
                    self.watch(&place).await;
                }
            }
            Err(error) => {
                tracing::warn!(network = self.name, %error, "who may be where again is not known");
            }
        }
    }

    /// Whether somebody may not use the bridge at all.
    pub(super) fn is_blocked(&self, owner: &Owner) -> bool {
        match owner {
            Owner::Person(person) => self
                .remote
                .level(person)
                .is_ok_and(|level| level < Level::Relay),
            Owner::Bot => false,
        }
    }

    /// Whether whoever is in a channel's room is in the channel.
    pub(super) fn mirrors(&self, channel: &str) -> bool {
        self.settings.sync.to_irc && self.settings.mode_of(channel) == Mode::Puppet
    }

    /// Whether a person has a connection of their own for a channel.
    pub(super) fn has_connection(&self, channel: &str, person: &UserId) -> bool {
        let level = self.remote.level(person);
        level.is_ok_and(|level| self.settings.mode_for(channel, level) == Mode::Puppet)
    }

    async fn person_joins(&mut self, place: &Place, person: &UserId, name: Option<String>) {
        let Some(channel) = place.as_channel() else {
            return;
        };
        let is_there = self.mirrors(channel) && !self.renamed.contains(channel);
        if !is_there || !self.has_connection(channel, person) {
            return;
        }
        let owner = Owner::Person(person.clone());
        let client = self.client(&owner);
        client.name = name.or(client.name.take());
        client.wanted.insert(channel.to_owned());
        client.asks_anew(channel);
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
        let stands = client.live.as_ref().map(|live| &live.standings);
        let is_there = stands.is_some_and(|stands| stands.contains_key(channel));
        // Whoever has nothing to do with the channel keeps their connection.
        if !client.wanted.remove(channel) && !is_there {
            return;
        }
        let is_idle = client.wanted.is_empty() && client.pendings.is_empty();
        let Some(live) = client.live.as_mut() else {
            return;
        };
        if live.standings.remove(channel).is_some() {
            let params = std::iter::once(channel).chain(reason.map(one_line));
            let line = Line::new("PART", params);
            live.leaving.insert(channel.to_owned());
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
