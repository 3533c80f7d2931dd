//! What IRC says, on its way to Matrix: one after another, in the order in which it was heard.
//!
//! The network's loop never waits for Matrix: what Matrix takes its time with waits here. So what depends on how it is
//! in Matrix is found out here, and what the loop has to do about it goes back to it.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use bridgehead_appservice::{
    Error, HandlerError, Power,
    bridge::{Member, Remote, RemoteMessage, RoomChange, UserInfo},
    format::Rich,
    id::UserId,
};
use tokio::sync::mpsc;

use super::{Upkeep, standing};
use crate::{
    Irc,
    clock::now,
    ids::{Nick, Place},
    kept::{self, Seen},
};

/// Deeds that may wait.
pub(super) const MAX_DEEDS: usize = 20_000;

/// How long a level that was set counts for more than what is read: until it has come back as an event.
const SET_FOR: Duration = Duration::from_secs(60);

/// The power that somebody is to have.
pub(super) struct Level {
    who: Member<Irc>,
    level: i64,
    /// More is as good.
    is_least: bool,
}

impl Level {
    /// Not more and not less than what this means on IRC.
    pub(super) fn exactly(who: Member<Irc>, level: i64) -> Self {
        Self {
            who,
            level,
            is_least: false,
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

/// What is to be done in Matrix.
pub(super) enum Deed {
    Message(RemoteMessage<Irc>),
    Join(Place, Nick),
    Part(Place, Nick, Option<String>),
    Members(Place, Vec<Nick>),
    Renamed(Vec<Place>, Nick, Nick),
    Profile(Nick, String),
    Change(Place, Option<Nick>, RoomChange),
    Power(Place, Powers),
    /// A person has come: what they have in Matrix they are to have on IRC.
    Stand(Place, UserId),
    Kick(Place, UserId, Option<Nick>, Option<String>),
    Ban(Place, Member<Irc>, Option<Nick>),
    Unban(Place, Member<Irc>, Option<Nick>),
    Bans(Place, Vec<Member<Irc>>),
    /// A person was invited to a channel, by somebody with this nick.
    Invite(Place, UserId, String),
    Tell(UserId, Rich),
    /// A channel's key is kept, or forgotten.
    Key(String, Option<String>),
    /// The same with the mask for somebody in a channel.
    Mask((String, String), Option<String>),
    SeenAs(UserId, Seen),
    React {
        place: Place,
        target: String,
        who: Nick,
        key: String,
        is_undone: bool,
    },
    Redact(Place, String, Nick, Option<String>),
    Typing(Place, Nick, bool),
    Gone(Place, String),
    Back(Place),
}

/// Does them until there are no more.
pub(super) async fn carry_out(
    remote: Remote<Irc>,
    network: String,
    mut deeds: mpsc::Receiver<Deed>,
) {
    let mut doing = Doing {
        remote,
        network,
        levels: BTreeMap::new(),
    };
    while let Some(deed) = deeds.recv().await {
        if let Err(error) = doing.carry_out(deed).await {
            // Only where the database cannot be written, or the service ends.
            tracing::error!(%error, "something from IRC is lost");
        }
    }
}

/// Who does them.
struct Doing {
    remote: Remote<Irc>,
    network: String,
    /// Levels that were set a moment ago, by room and user.
    levels: BTreeMap<(Place, UserId), (i64, Instant)>,
}

impl Doing {
    async fn carry_out(&mut self, deed: Deed) -> Result<(), Error> {
        match deed {
            Deed::Power(place, powers) => self.power(&place, powers).await,
            Deed::Stand(place, person) => self.stand(place, person).await,
            Deed::Invite(place, person, by) => {
                if let Err(error) = self.invite(&place, &person, &by).await {
                    tracing::warn!(%person, %error, "an invitation from IRC cannot be brought");
                }
                Ok(())
            }
            Deed::Tell(person, text) => self.remote.tell(&person, &text).await,
            Deed::Key(channel, key) => {
                let store = self.remote.store()?;
                let channel = (self.network.as_str(), channel.as_str());
                Ok(kept::keep_key(&store, channel, key.as_deref()).await?)
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
            deed => deed.carry_out(&self.remote).await,
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

    /// Invites a person to a channel's room; there may be none yet.
    async fn invite(&self, place: &Place, person: &UserId, by: &str) -> Result<(), HandlerError> {
        let portal = self.remote.portals()?.ensure(place, Some(person)).await?;
        let bot = self.remote.handle()?.bot()?;
        bot.invite(&portal.matrix, person).await?;
        let channel = place.target_name();
        let words = format!("{by} invites you to {channel}: you are invited to its room.");
        self.remote.tell(person, &Rich::plain(&words)).await?;
        Ok(())
    }
}

impl Deed {
    async fn carry_out(self, remote: &Remote<Irc>) -> Result<(), Error> {
        match self {
            Self::Message(message) => remote.message(message).await,
            Self::Join(place, nick) => remote.join(&place, &nick).await,
            Self::Part(place, nick, reason) => remote.part(&place, &nick, reason.as_deref()).await,
            Self::Members(place, nicks) => remote.members(&place, &nicks).await,
            Self::Renamed(places, from, to) => remote.renamed_in(&places, &from, &to).await,
            Self::Profile(nick, name) => remote.profile(&nick, UserInfo::named(&name)).await,
            Self::Change(place, by, change) => remote.change(&place, by.as_ref(), change).await,
            Self::Kick(place, person, by, reason) => {
                let reason = reason.as_deref();
                remote.kick(&place, &person, by.as_ref(), reason).await
            }
            Self::Ban(place, whom, by) => remote.ban(&place, whom, by.as_ref(), None).await,
            Self::Unban(place, whom, by) => remote.unban(&place, whom, by.as_ref()).await,
            Self::Bans(place, all) => remote.bans(&place, &all).await,
            Self::React {
                place,
                target,
                who,
                key,
                is_undone,
            } => match is_undone {
                false => remote.react(&place, &target, &who, &key).await,
                true => remote.unreact(&place, &target, &who, &key).await,
            },
            Self::Redact(place, target, who, reason) => {
                let reason = reason.as_deref();
                remote.redact(&place, &target, Some(&who), reason).await
            }
            Self::Typing(place, who, is_typing) => {
                remote.typing(&place, &who, is_typing).await;
                Ok(())
            }
            Self::Gone(place, reason) => remote.gone(&place, &reason).await,
            Self::Back(place) => remote.back(&place).await,
            // Done by who remembers.
            Self::Power(..)
            | Self::Stand(..)
            | Self::Invite(..)
            | Self::Tell(..)
            | Self::Key(..)
            | Self::Mask(..)
            | Self::SeenAs(..) => Ok(()),
        }
    }
}
