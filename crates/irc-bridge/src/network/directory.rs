//! Who is who on a network: what those ask who write texts, and who look for somebody.
//!
//! The network's loop writes it, others read it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{Duration, Instant},
};

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
    /// What channels begin with, once the network has said so.
    channel_types: Option<String>,
    title: Option<String>,
    offers: Offers,
    /// Folded channels in which the bridge may not speak for others (draft/relaymsg).
    relays_not: BTreeSet<String>,
    /// Names that the network has refused there, by folded channel, and until when they are not tried again.
    refused_names: BTreeMap<(String, String), Instant>,
    /// By folded nick.
    owners: HashMap<String, Owner>,
    nicks: HashMap<Owner, String>,
    /// Nicks that ours had, folded: the network may speak of them until it has told that they are gone.
    former: HashMap<String, (Owner, Instant)>,
    /// By folded channel, by folded nick: nicks as they are written.
    channels: HashMap<String, BTreeMap<String, String>>,
    /// Who has spoken to somebody alone, or where they were not known to be, by folded nick.
    met: BTreeMap<String, String>,
    /// Folded channels whose keys are known.
    keyed: BTreeSet<String>,
}

/// Those who have spoken without being known to be there that are remembered; then it is begun anew.
const MAX_MET: usize = 4096;
/// For how long a nick may be one of ours after its connection has ended: servers that hear nothing any more wait for
/// some minutes.
const FORMER_FOR: Duration = Duration::from_secs(300);
/// Former nicks that are remembered; then those whose time is over go first, and then all.
const MAX_FORMER: usize = 4096;

/// For so long a name that the network has refused is not tried again: it may have been the line.
const NAMES_REFUSED_FOR: Duration = Duration::from_secs(600);
/// Refused names that are remembered; then it is begun anew.
const MAX_REFUSED_NAMES: usize = 4096;

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

    /// Whether the network has refused to let the bridge speak under a name there, a short while ago.
    #[must_use]
    pub(crate) fn refuses_name(&self, channel: &str, name: &str, now: Instant) -> bool {
        let key = (self.case_mapping.fold(channel), name.to_owned());
        self.refused_names
            .get(&key)
            .is_some_and(|until| *until > now)
    }

    /// The network does not let the bridge speak under a name there.
    pub(super) fn relays_not_as(&mut self, channel: &str, name: &str, now: Instant) {
        self.refused_names.retain(|_, until| *until > now);
        if self.refused_names.len() >= MAX_REFUSED_NAMES {
            self.refused_names.clear();
        }
        let key = (self.case_mapping.fold(channel), name.to_owned());
        self.refused_names.insert(key, now + NAMES_REFUSED_FOR);
    }

    pub(super) fn set_offers(&mut self, offers: Offers) {
        self.offers = offers;
        self.relays_not.clear();
        self.refused_names.clear();
    }

    /// The network does not let the bridge speak for others there.
    pub(super) fn relays_not_in(&mut self, channel: &str) {
        self.relays_not.insert(self.case_mapping.fold(channel));
    }

    /// Whether a channel has a key that somebody has given.
    #[must_use]
    pub(crate) fn is_keyed(&self, channel: &str) -> bool {
        self.keyed.contains(&self.case_mapping.fold(channel))
    }

    pub(super) fn set_keyed(&mut self, folded: &str, is_keyed: bool) {
        match is_keyed {
            true => self.keyed.insert(folded.to_owned()),
            false => self.keyed.remove(folded),
        };
    }

    /// Whose connection has this nick.
    #[must_use]
    pub(crate) fn owner(&self, nick: &str) -> Option<&Owner> {
        self.owners.get(&self.case_mapping.fold(nick))
    }

    /// Whose connection has this nick, or had it until a moment ago: what the observer hears is older than what
    /// connections tell themselves.
    #[must_use]
    pub(crate) fn owner_or_former(&self, nick: &str) -> Option<&Owner> {
        let folded = self.case_mapping.fold(nick);
        let former = || self.former.get(&folded).map(|(owner, _)| owner);
        self.owners.get(&folded).or_else(former)
    }

    /// Whether a nick is one of ours, or was until a moment ago and nobody else was seen to take it.
    #[must_use]
    pub(crate) fn is_or_was_ours(&self, nick: &str) -> bool {
        self.owner_or_former(nick).is_some()
    }

    /// Somebody's nick, while they are connected.
    #[must_use]
    pub(crate) fn nick(&self, owner: &Owner) -> Option<&str> {
        self.nicks.get(owner).map(String::as_str)
    }

    /// Whether nobody of ours is connected.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.nicks.is_empty()
    }

    /// Whether the members of a channel are known: the bridge is there.
    #[must_use]
    pub(crate) fn is_seen(&self, channel: &str) -> bool {
        let folded = self.case_mapping.fold(channel);
        self.channels.contains_key(&folded)
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

    /// The same, once the network has said so.
    #[must_use]
    pub(crate) fn known_case_mapping(&self) -> Option<CaseMapping> {
        self.channel_types.as_ref().map(|_| self.case_mapping)
    }

    /// Whether the network may have a channel of this name: one that was never connected to may have any.
    #[must_use]
    pub(crate) fn may_be_channel(&self, name: &str) -> bool {
        let types = self.channel_types.as_deref();
        types.is_none_or(|types| name.starts_with(|first| types.contains(first)))
    }

    pub(super) fn set_channel_types(&mut self, types: &str) {
        self.channel_types = Some(types.to_owned());
    }

    pub(super) fn set_network(&mut self, case_mapping: CaseMapping, title: Option<&str>) {
        if case_mapping != self.case_mapping {
            self.case_mapping = case_mapping;
            // From the nicks as they are written: what was folded by another rule cannot be folded anew.
            let nicks = self.nicks.iter();
            let owners = nicks.map(|(owner, nick)| (case_mapping.fold(nick), owner.clone()));
            self.owners = owners.collect();
        }
        if let Some(title) = title {
            self.title = Some(title.to_owned());
        }
    }

    /// Somebody of ours has this nick now.
    pub(super) fn named(&mut self, owner: &Owner, nick: &str, now: Instant) {
        if self.nick(owner) == Some(nick) {
            return;
        }
        self.unnamed(owner, now);
        let folded = self.case_mapping.fold(nick);
        // Where it was theirs before, the network has yet to tell that they were gone.
        self.former
            .retain(|former, (whose, _)| *former != folded || whose == owner);
        self.owners
            .insert(self.case_mapping.fold(nick), owner.clone());
        self.nicks.insert(owner.clone(), nick.to_owned());
    }

    /// Somebody of ours is gone, or has another nick.
    pub(super) fn unnamed(&mut self, owner: &Owner, now: Instant) {
        let Some(nick) = self.nicks.remove(owner) else {
            return;
        };
        let folded = self.case_mapping.fold(&nick);
        if self.owners.get(&folded) == Some(owner) {
            self.owners.remove(&folded);
        }
        if self.former.len() >= MAX_FORMER {
            self.former.retain(|_, (_, until)| *until > now);
        }
        if self.former.len() >= MAX_FORMER {
            self.former.clear();
        }
        let until = now + FORMER_FOR;
        self.former.insert(folded, (owner.clone(), until));
    }

    /// The network has told that nobody has this nick any more, or that somebody has it from now on: it is none that
    /// ours had. Gives back whose it was.
    pub(super) fn settle_former(&mut self, nick: &str, now: Instant) -> Option<Owner> {
        let (owner, until) = self.former.remove(&self.case_mapping.fold(nick))?;
        (until > now).then_some(owner)
    }

    /// Former nicks whose time is over are forgotten.
    pub(super) fn end_former(&mut self, now: Instant) {
        self.former.retain(|_, (_, until)| *until > now);
    }

    pub(super) fn entered(&mut self, channel: &str, nick: &str) {
        let folded = self.case_mapping.fold(nick);
        self.channels
            .entry(self.case_mapping.fold(channel))
            .or_default()
            .insert(folded, nick.to_owned());
    }

    /// Somebody has spoken to somebody alone, or where they are not known to be.
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
        self.former.remove(&folded);
        for members in self.channels.values_mut() {
            if members.remove(&from).is_some() {
                members.insert(folded.clone(), to.to_owned());
            }
        }
        if self.met.remove(&from).is_some() {
            self.met.insert(folded, to.to_owned());
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nicks_lead_to_their_owners_and_back() {
        let mut directory = Directory::default();
        let now = Instant::now();
        let ann = Owner::Person(UserId::parse("@ann:example.org").expect("an id"));
        directory.named(&ann, "Ann[m]", now);
        assert_eq!(directory.owner("ANN{M}"), Some(&ann));
        directory.named(&ann, "Ann", now);
        assert_eq!(directory.owner("ann[m]"), None);
        assert_eq!(directory.nick(&ann), Some("Ann"));
        // The nick was taken by another of ours before the first was known to be gone.
        directory.named(&Owner::Bot, "ann", now);
        directory.unnamed(&ann, now);
        assert_eq!(directory.owner("ann"), Some(&Owner::Bot));
    }

    #[test]
    fn a_nick_stays_ours_until_the_network_has_told_that_it_is_gone() {
        let mut directory = Directory::default();
        let now = Instant::now();
        let ann = Owner::Person(UserId::parse("@ann:example.org").expect("an id"));
        directory.named(&ann, "Ann", now);
        directory.unnamed(&ann, now);
        assert_eq!(directory.owner("ann"), None);
        assert_eq!(directory.owner_or_former("ANN"), Some(&ann));
        assert_eq!(directory.settle_former("ann", now), Some(ann.clone()));
        assert_eq!(directory.owner_or_former("ann"), None);
        directory.named(&ann, "Ann", now);
        directory.unnamed(&ann, now);
        directory.end_former(now + FORMER_FOR);
        assert_eq!(directory.owner_or_former("ann"), None);
    }

    #[test]
    fn nicks_of_ours_are_found_by_the_rule_that_is_learned_later() {
        let mut directory = Directory::default();
        directory.named(&Owner::Bot, "bridge[m]", Instant::now());
        directory.set_network(CaseMapping::Ascii, None);
        assert_eq!(directory.owner("Bridge[m]"), Some(&Owner::Bot));
        assert_eq!(directory.owner("bridge{m}"), None);
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

    #[test]
    fn who_is_nowhere_is_written_as_they_were_met() {
        let mut directory = Directory::default();
        directory.met("Bob[]");
        assert_eq!(directory.written_anywhere("bob{}"), Some("Bob[]"));
        directory.renamed("bob{}", "BOB[]");
        assert_eq!(directory.written_anywhere("bob{}"), Some("BOB[]"));
        directory.renamed("BOB[]", "Rob");
        assert_eq!(directory.written_anywhere("bob{}"), None);
        assert_eq!(directory.written_anywhere("rob"), Some("Rob"));
        // Where somebody is, it is known best.
        directory.entered("#a", "ROB");
        assert_eq!(directory.written_anywhere("rob"), Some("ROB"));
    }
}
