//! Who is where, and by which names: the one place where people are put into channels and taken out.
//!
//! Somebody is a member of a channel exactly when the channel is among theirs; whoever is in none is forgotten.

use super::{
    Channels,
    lists::Lists,
    people::{self, Name, People, Person},
    standing::Standing,
};
use crate::{CaseMapping, Isupport};

impl Channels {
    /// Takes over how the server folds names and which modes it has; it may change its mind.
    pub(super) fn follow(&mut self, isupport: &Isupport) {
        let modes = isupport.prefixes().iter().map(|(mode, _)| *mode);
        if !modes.clone().eq(self.ranks.iter().copied()) {
            self.ranks = modes.collect();
        }
        if self.case_mapping != isupport.case_mapping() {
            self.refold(isupport.case_mapping());
        }
    }

    /// Keeps all by names as they are folded now. Those that are the same now are one.
    fn refold(&mut self, case_mapping: CaseMapping) {
        let people = std::mem::take(&mut self.people);
        let channels = std::mem::take(&mut self.channels);
        self.case_mapping = case_mapping;
        self.memberships = 0;
        self.lists = Lists::default();
        for mut record in channels.into_values() {
            let members = std::mem::take(&mut record.members);
            record.doubtful.clear();
            let name: Name = self.fold(&record.name).into();
            self.channels.entry(name.clone()).or_insert(record);
            for (member, standing) in members {
                if let Some(person) = people.get(&member) {
                    self.place(&name, &person.nick, standing, || person.again());
                }
            }
        }
    }

    /// Somebody is in a channel. One who was already keeps what is known of them and has another standing.
    pub(super) fn place(
        &mut self,
        channel: &str,
        nick: &str,
        standing: Standing,
        as_seen: impl FnOnce() -> Person,
    ) {
        let folded = self.fold(nick);
        let Some((channel, record)) = self.channels.get_key_value(channel) else {
            return;
        };
        let (channel, is_there) = (
            channel.clone(),
            record.members.contains_key(folded.as_str()),
        );
        let has_room = record.members.len() < self.bounds.members
            && self.memberships < self.bounds.memberships
            && people::is_name(nick);
        let name = match (is_there, has_room) {
            (true, _) => self.people.name(&folded),
            (false, true) => {
                self.memberships += 1;
                Some(self.people.admit(&folded, channel.clone(), as_seen))
            }
            (false, false) => {
                self.dropped += 1;
                None
            }
        };
        if let (Some(name), Some(record)) = (name, self.channels.get_mut(&channel)) {
            record.members.insert(name.clone(), standing);
            record.doubt(name, standing, &self.ranks);
        }
    }

    /// Somebody is no longer in a channel.
    pub(super) fn displace(&mut self, channel: &str, who: &str) {
        if let Some(record) = self.channels.get_mut(channel)
            && record.members.remove(who).is_some()
        {
            record.doubtful.remove(who);
            self.memberships -= 1;
            self.people.dismiss(who, channel);
        }
    }

    /// The connection is no longer in a channel.
    pub(super) fn forget(&mut self, channel: &str) {
        if let Some(record) = self.channels.remove(channel) {
            self.memberships -= record.members.len();
            self.lists.forget(channel);
            for member in record.members.keys() {
                self.people.dismiss(member, channel);
            }
        }
    }

    /// Somebody is in no channel any more. Gives back in which they were.
    pub(super) fn vanish(&mut self, who: &str) -> Vec<String> {
        let Some(person) = self.people.remove(who) else {
            return Vec::new();
        };
        let mut channels = Vec::with_capacity(person.channels.len());
        for channel in &person.channels {
            if let Some(record) = self.channels.get_mut(channel) {
                record.members.remove(who);
                record.doubtful.remove(who);
                self.memberships -= 1;
                channels.push(record.name.clone());
            }
        }
        channels
    }

    /// The connection is in no channel any more. Gives back in which it was.
    pub(super) fn forget_all(&mut self) -> Vec<String> {
        let channels = std::mem::take(&mut self.channels).into_values();
        self.people = People::default();
        self.lists = Lists::default();
        self.memberships = 0;
        channels.map(|record| record.name).collect()
    }

    /// Somebody has another nick. Who had it before must have gone unseen.
    pub(super) fn rename(&mut self, before: &str, after: &str, nick: &str) {
        if self.people.get(before).is_none() {
            return;
        }
        self.vanish(after);
        let Some(mut person) = self.people.remove(before) else {
            return;
        };
        let name: Name = after.into();
        for channel in &person.channels {
            if let Some(record) = self.channels.get_mut(channel)
                && let Some(standing) = record.members.remove(before)
            {
                record.members.insert(name.clone(), standing);
                if record.doubtful.remove(before) {
                    record.doubtful.insert(name.clone());
                }
            }
        }
        person.nick = nick.into();
        self.people.insert(name, person);
    }
}
