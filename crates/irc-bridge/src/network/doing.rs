//! What is done in Matrix according to how it is there: powers, which are changed where they mean something else.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use bridgehead_appservice::{
    Error, Power, Secret,
    bridge::{Member, Remote, RemoteMessage, RoomChange},
    id::UserId,
};

use super::{Upkeep, deeds::Deed, speaking::now_ms, standing};
use crate::{
    Irc,
    accounts::Accounts,
    clock::now,
    drift::is_same_topic,
    ids::{Nick, Place},
    kept,
    polls::{self, Said},
};

/// How long a level that was set counts for more than what is read: until it has come back as an event.
const SET_FOR: Duration = Duration::from_secs(60);

/// The power that somebody is to have.
pub(super) struct Level {
    who: Member<Irc>,
    level: i64,
    /// More is as good.
    is_least: bool,
    /// Only where the bridge has given them another one a moment ago.
    is_again: bool,
}

impl Level {
    /// Not more and not less than what this means on IRC.
    pub(super) fn exactly(who: Member<Irc>, level: i64) -> Self {
        Self {
            who,
            level,
            is_least: false,
            is_again: false,
        }
    }

    /// The one that they have in Matrix, unless the bridge has taken it from them: what it had heard then was older.
    pub(super) fn again(who: Member<Irc>, level: i64) -> Self {
        Self {
            is_again: true,
            ..Self::exactly(who, level)
        }
    }

    /// This, where they have less.
    pub(super) fn at_least(who: Member<Irc>, level: i64) -> Self {
        Self {
            is_least: true,
            ..Self::exactly(who, level)
        }
    }

    /// Whether somebody who has this much has to be given another level.
    fn differs_from(&self, now: i64) -> bool {
        let is_enough = self.is_least && now >= self.level;
        !is_enough && !standing::is_same_standing(now, self.level)
    }
}

/// The powers that some are to have.
pub(super) struct Powers {
    pub(super) levels: Vec<Level>,
}

/// Who does them.
pub(super) struct Doing {
    remote: Remote<Irc>,
    network: String,
    accounts: Accounts,
    /// Levels that were set a moment ago, by room and user.
    levels: BTreeMap<(Place, UserId), (i64, Instant)>,
}

impl Doing {
    pub(super) fn new(remote: Remote<Irc>, network: String, accounts: Accounts) -> Self {
        Self {
            remote,
            network,
            accounts,
            levels: BTreeMap::new(),
        }
    }

    pub(super) async fn carry_out(&mut self, deed: Deed) -> Result<(), Error> {
        match deed {
            Deed::Message(message) => self.say(message).await,
            Deed::Power(place, powers) => self.power(&place, powers).await,
            Deed::Stand(place, person) => self.stand(place, person).await,
            Deed::TopicIs(place, by, topic) => self.topic_is(&place, by.as_ref(), topic).await,
            Deed::Tell(person, text) => self.remote.tell(&person, &text).await,
            Deed::Key(channel, key) => {
                match key {
                    Some(key) => self.accounts.store_key(&channel, &Secret::new(key)).await?,
                    None => self.accounts.forget_key(&channel).await?,
                }
                Ok(())
            }
            Deed::Mask((channel, nick), mask) => {
                let store = self.remote.store()?;
                let whom = (self.network.as_str(), channel.as_str(), nick.as_str());
                Ok(kept::keep_mask(&store, whom, mask.as_deref()).await?)
            }
            Deed::SeenAs(person, seen) => {
                let store = self.remote.store()?;
                Ok(kept::keep_seen(&store, (&self.network, &person), &seen).await?)
            }
            Deed::Known(person, known) => {
                let store = self.remote.store()?;
                Ok(known.store(&store, (&self.network, &person)).await?)
            }
            deed => deed.carry_out(&self.remote).await,
        }
    }

    /// Brings the room's topic in line with the channel's, which may be what the server has made of the room's.
    async fn topic_is(&self, place: &Place, by: Option<&Nick>, topic: String) -> Result<(), Error> {
        let Some(portal) = self.remote.portal(place).await? else {
            return Ok(());
        };
        let room = self.remote.handle()?.room(&portal.matrix)?;
        let known = room.topic().await?.value().flatten().unwrap_or_default();
        if is_same_topic(&topic, &known) {
            return Ok(());
        }
        let change = RoomChange::new().topic(topic);
        self.remote.change(place, by, change).await
    }

    /// Says what somebody on IRC has said; what is a vote is one.
    async fn say(&self, message: RemoteMessage<Irc>) -> Result<(), Error> {
        let who = message.sender.nick.clone();
        match polls::taken(&self.remote, message, now_ms()).await? {
            Said::Vote(vote) => self.remote.message(*vote).await,
            Said::Other(message) => Deed::Message(*message).carry_out(&self.remote).await,
            Said::No(words) => {
                let portals = self.remote.portals()?;
                if let Some(handle) = portals.network().network(&self.network) {
                    handle.upkeep(Upkeep::Answer { nick: who, words }).await;
                }
                Ok(())
            }
        }
    }

    /// What somebody has in a room, as far as is known; creators have more than can be given.
    async fn level(&self, place: &Place, user: &UserId) -> Result<Option<i64>, Error> {
        let set = self.levels.get(&(place.clone(), user.clone()));
        if let Some((level, at)) = set
            && now().duration_since(*at) < SET_FOR
        {
            return Ok(Some(*level));
        }
        let Some(portal) = self.remote.portal(place).await? else {
            return Ok(None);
        };
        let room = self.remote.handle()?.room(&portal.matrix)?;
        let levels = room.power_levels().await?.value();
        Ok(levels.map(|levels| match levels.of(user) {
            Power::Level(level) => level,
            Power::Infinite => i64::MAX,
        }))
    }

    async fn power(&mut self, place: &Place, powers: Powers) -> Result<(), Error> {
        let (mut users, mut people) = (Vec::new(), Vec::new());
        let now = now();
        self.levels
            .retain(|_, (_, at)| now.duration_since(*at) < SET_FOR);
        for level in powers.levels {
            let id = match &level.who {
                Member::User(nick) => self.remote.ghost_id(nick)?,
                Member::Person(person) => person.clone(),
            };
            if level.is_again && !self.levels.contains_key(&(place.clone(), id.clone())) {
                continue;
            }
            let Some(before) = self.level(place, &id).await? else {
                continue;
            };
            if !level.differs_from(before) {
                continue;
            }
            self.levels.insert((place.clone(), id), (level.level, now));
            match level.who {
                Member::User(nick) => users.push((nick, level.level)),
                Member::Person(person) => people.push((person, level.level)),
            }
        }
        if !users.is_empty() {
            self.remote.power(place, &users).await?;
        }
        if !people.is_empty() {
            self.remote.power_of_people(place, &people).await?;
        }
        Ok(())
    }

    /// Tells the loop what somebody has in Matrix.
    async fn stand(&self, place: Place, person: UserId) -> Result<(), Error> {
        let Some(level) = self.level(&place, &person).await? else {
            return Ok(());
        };
        if standing::mode_of(level, true).is_none() {
            return Ok(());
        }
        let portals = self.remote.portals()?;
        if let Some(handle) = portals.network().network(&self.network) {
            let upkeep = Upkeep::Standing {
                place,
                person,
                level,
            };
            handle.upkeep(upkeep).await;
        }
        Ok(())
    }
}
