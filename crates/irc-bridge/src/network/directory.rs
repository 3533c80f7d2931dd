//! Who is who on a network: what those ask who write texts, and who look for somebody.
//!
//! The network's loop writes it, others read it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bridgehead_appservice::id::UserId;
use bridgehead_irc_protocol::CaseMapping;

use super::Offers;

/// Whose a connection is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Owner {
    /// The bridge's own.
    Bot,
    /// A person's of Matrix.
    Person(UserId),
}

impl Owner {
    /// The person, if it is one.
    #[must_use]
    pub(crate) fn person(&self) -> Option<&UserId> {
        match self {
            Self::Bot => None,
            Self::Person(person) => Some(person),
        }
    }
}

/// Who is who on a network.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    case_mapping: CaseMapping,
    title: Option<String>,
    offers: Offers,
    /// Folded channels in which the bridge may not speak for others (draft/relaymsg).
    relays_not: BTreeSet<String>,
    /// By folded nick.
    owners: HashMap<String, Owner>,
    nicks: HashMap<Owner, String>,
    /// By folded channel, by folded nick: nicks as they are written.
    channels: HashMap<String, BTreeMap<String, String>>,
    /// Who has spoken to somebody alone, by folded nick.
    met: BTreeMap<String, String>,
}

/// Those who have spoken to somebody alone that are remembered; then it is begun anew.
const MAX_MET: usize = 4096;

impl Directory {
    /// How the network folds case.
    #[must_use]
    pub(crate) fn case_mapping(&self) -> CaseMapping {
        self.case_mapping
    }

    /// What the network calls itself, once it has said so.
    #[must_use]
    pub(crate) fn title(&self) -> Option<&str> {
        self.title.as_deref()
    }

    /// What the network takes beside plain lines.
    #[must_use]
    pub(crate) fn offers(&self) -> &Offers {
        &self.offers
    }

    /// The characters of which one has to stand in names that the bridge speaks for in a channel, if it can speak for
    /// any.
    #[must_use]
    pub(crate) fn relays_in(&self, channel: &str) -> Option<&str> {
        let relays = self.offers.relays.as_deref();
        relays.filter(|_| !self.relays_not.contains(&self.case_mapping.fold(channel)))
    }

    pub(super) fn set_offers(&mut self, offers: Offers) {
        self.offers = offers;
        self.relays_not.clear();
    }

    /// The network does not let the bridge speak for others there.
    pub(super) fn relays_not_in(&mut self, channel: &str) {
        self.relays_not.insert(self.case_mapping.fold(channel));
    }

    /// Whose connection has this nick.
    #[must_use]
    pub(crate) fn owner(&self, nick: &str) -> Option<&Owner> {
        self.owners.get(&self.case_mapping.fold(nick))
    }

    /// Somebody's nick, while they are connected.
    #[must_use]
    pub(crate) fn nick(&self, owner: &Owner) -> Option<&str> {
        self.nicks.get(owner).map(String::as_str)
    }

    /// How somebody in a channel writes their nick.
    #[must_use]
    pub(crate) fn written(&self, channel: &str, nick: &str) -> Option<&str> {
        let members = self.channels.get(channel)?;
        members
            .get(&self.case_mapping.fold(nick))
            .map(String::as_str)
    }

    /// How somebody seen anywhere writes their nick.
    #[must_use]
    pub(crate) fn written_anywhere(&self, nick: &str) -> Option<&str> {
        let folded = self.case_mapping.fold(nick);
        let channels = self.channels.values().chain([&self.met]);
        let mut found = channels.filter_map(|members| members.get(&folded));
        found.next().map(String::as_str)
    }

    /// In which channels somebody is, by their folded names.
    #[must_use]
    pub(crate) fn whereabouts(&self, nick: &str) -> Vec<String> {
        let folded = self.case_mapping.fold(nick);
        let channels = self.channels.iter();
        let there = channels.filter(|(_, members)| members.contains_key(&folded));
        there.map(|(channel, _)| channel.clone()).collect()
    }

    pub(super) fn set_network(&mut self, case_mapping: CaseMapping, title: Option<&str>) {
        if case_mapping != self.case_mapping {
            self.case_mapping = case_mapping;
            let owners = std::mem::take(&mut self.owners);
            for (nick, owner) in owners {
                self.owners.insert(case_mapping.fold(&nick), owner);
            }
        }
        if let Some(title) = title {
            self.title = Some(title.to_owned());
        }
    }

    /// Somebody of ours has this nick now.
    pub(super) fn named(&mut self, owner: &Owner, nick: &str) {
        self.unnamed(owner);
        self.owners
            .insert(self.case_mapping.fold(nick), owner.clone());
        self.nicks.insert(owner.clone(), nick.to_owned());
    }

    /// Somebody of ours is gone.
    pub(super) fn unnamed(&mut self, owner: &Owner) {
        if let Some(nick) = self.nicks.remove(owner) {
            let folded = self.case_mapping.fold(&nick);
            if self.owners.get(&folded) == Some(owner) {
                self.owners.remove(&folded);
            }
        }
    }

    pub(super) fn entered(&mut self, channel: &str, nick: &str) {
        let folded = self.case_mapping.fold(nick);
        self.channels
            .entry(self.case_mapping.fold(channel))
            .or_default()
            .insert(folded, nick.to_owned());
    }

    /// Somebody has spoken to somebody alone.
    pub(super) fn met(&mut self, nick: &str) {
        if self.met.len() >= MAX_MET {
            self.met.clear();
        }
        self.met
            .insert(self.case_mapping.fold(nick), nick.to_owned());
    }

    pub(super) fn left(&mut self, channel: &str, nick: &str) {
        let folded = self.case_mapping.fold(nick);
        if let Some(members) = self.channels.get_mut(&self.case_mapping.fold(channel)) {
            members.remove(&folded);
        }
    }

    pub(super) fn renamed(&mut self, from: &str, to: &str) {
        let (from, folded) = (self.case_mapping.fold(from), self.case_mapping.fold(to));
        for members in self.channels.values_mut() {
            if members.remove(&from).is_some() {
                members.insert(folded.clone(), to.to_owned());
            }
        }
    }

    pub(super) fn set_members<'a>(&mut self, channel: &str, nicks: impl Iterator<Item = &'a str>) {
        let members = nicks.map(|nick| (self.case_mapping.fold(nick), nick.to_owned()));
        self.channels
            .insert(self.case_mapping.fold(channel), members.collect());
    }

    /// Who is in a channel, as they write themselves.
    #[must_use]
    pub(super) fn nicks_in(&self, channel: &str) -> Vec<String> {
        let members = self.channels.get(&self.case_mapping.fold(channel));
        members
            .into_iter()
            .flat_map(|members| members.values().cloned())
            .collect()
    }

    pub(super) fn forget(&mut self, channel: &str) {
        self.channels.remove(&self.case_mapping.fold(channel));
    }

    pub(super) fn forget_all(&mut self) {
        self.channels.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nicks_lead_to_their_owners_and_back() {
        let mut directory = Directory::default();
        let ann = Owner::Person(UserId::parse("@ann:example.org").expect("an id"));
        directory.named(&ann, "Ann[m]");
        assert_eq!(directory.owner("ANN{M}"), Some(&ann));
        directory.named(&ann, "Ann");
        assert_eq!(directory.owner("ann[m]"), None);
        assert_eq!(directory.nick(&ann), Some("Ann"));
        // The nick was taken by another of ours before the first was known to be gone.
        directory.named(&Owner::Bot, "ann");
        directory.unnamed(&ann);
        assert_eq!(directory.owner("ann"), Some(&Owner::Bot));
    }

    #[test]
    fn members_are_written_as_they_write_themselves() {
        let mut directory = Directory::default();
        directory.set_members("#A", ["Bob", "Eve"].into_iter());
        assert_eq!(directory.written("#a", "bob"), Some("Bob"));
        directory.renamed("BOB", "Bobby");
        assert_eq!(directory.written_anywhere("bobby"), Some("Bobby"));
        assert_eq!(directory.written("#a", "bob"), None);
        directory.left("#a", "eve");
        assert_eq!(directory.written("#a", "eve"), None);
        assert_eq!(directory.written("#a", "bobby"), Some("Bobby"));
        directory.forget("#a");
        assert_eq!(directory.written("#a", "bobby"), None);
    }
}
