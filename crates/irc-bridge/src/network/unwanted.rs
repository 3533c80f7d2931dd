//! Who has no reason any more to be where they are: a keeper goes on with all connections, whatever the configuration of the
//! next run says. What came meanwhile is taken first.

use bridgehead_appservice::{bridge::Level, id::UserId};

use super::{
    Hub, Owner,
    changes::{NOT_WANTED, SPOKEN_FOR},
    upkeep::BLOCKED,
};

impl Hub {
    /// By the configuration of this run somebody may have nothing to do any more where they are.
    pub(super) fn leave_unwanted(&mut self, owner: &Owner) {
        if *owner == Owner::Bot && !self.settings.bot.enabled {
            return self.drop_link(owner, NOT_WANTED);
        }
        if self.is_blocked(owner) {
            return self.drop_link(owner, BLOCKED);
        }
        let live = self.client(owner).live.as_ref();
        let there = live.map(|live| live.standings.keys().cloned().collect());
        let there: Vec<String> = there.unwrap_or_default();
        for channel in there {
            if self.is_out_of_place(owner, &channel) {
                let why = match self.is_bridged(&channel) {
                    true => SPOKEN_FOR,
                    false => NOT_WANTED,
                };
                self.leave(owner, &channel, Some(why));
            }
        }
        let client = self.client(owner);
        let live = client.live.as_ref();
        let is_somewhere = live.is_some_and(|live| !live.standings.is_empty());
        let is_idle = !is_somewhere && client.wanted.is_empty() && !client.has_to_speak();
        if let Some(person) = owner.person()
            && is_idle
            && !self.talks_with_somebody(person)
        {
            self.park(owner, NOT_WANTED);
        }
    }

    /// Whether somebody is in a channel for nothing.
    fn is_out_of_place(&self, owner: &Owner, channel: &str) -> bool {
        if self.is_awaited_in(owner, channel) {
            return false;
        }
        match owner {
            Owner::Bot => true,
            // Where people come when they speak, they stay.
            Owner::Person(person) => {
                !self.is_bridged(channel)
                    || self.mirrors(channel)
                    || !self.has_connection(channel, person)
            }
        }
    }

    fn talks_with_somebody(&self, person: &UserId) -> bool {
        let level = self.remote.level(person);
        level.is_ok_and(|level| level >= Level::User) && self.talks.has_any(person)
    }
}
