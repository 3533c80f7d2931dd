//! What is known of one channel.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Channels,
    bounds::{MAX_MODES, MAX_TOPIC_BYTES, cut, is_short},
    people::{Name, Person},
    standing::Standing,
};
use crate::{Isupport, ModeChange, Source, isupport::ModeKind};

/// A topic, and where it comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topic {
    /// The topic as it came; empty for none.
    pub text: Vec<u8>,
    /// Who set it, where it is known.
    pub by: Option<Source>,
    /// When it was set, in seconds since the epoch, where it was told.
    pub set_at_s: Option<u64>,
}

/// One mask of a list of bans, exceptions, invites or quiets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListEntry {
    /// The mask as the server writes it.
    pub mask: String,
    /// Who set it, where it is said: a nick, `nick!user@host` or a server.
    pub by: Option<String>,
    /// When, in seconds since the epoch, where it is said.
    pub set_at_s: Option<u64>,
}

/// Somebody in a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Who, with user and host as far as they are known.
    pub source: Source,
    /// The modes of `PREFIX` that they are known to hold, from the highest down.
    pub modes: Vec<char>,
    /// The account that they are logged in to, where it is known and there is one.
    pub account: Option<String>,
    /// What they call themselves, where it is known.
    pub realname: Option<String>,
    /// Whether they are away, where it is known.
    pub is_away: Option<bool>,
}

/// What is kept of a channel that the connection is in.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) name: String,
    pub(super) topic: Option<Topic>,
    pub(super) created_at_s: Option<u64>,
    pub(super) url: Option<Box<str>>,
    pub(super) modes: BTreeMap<char, Option<Box<str>>>,
    pub(super) members: BTreeMap<Name, Standing>,
    /// Whether names are coming in: members who are not among them are gone.
    pub(super) is_naming: bool,
    /// Whether names were told whole since the channel was entered.
    pub(super) is_named: bool,
    /// Members whose highest mode is in doubt.
    pub(super) doubtful: BTreeSet<Name>,
}

impl Record {
    pub(super) fn set_topic(&mut self, text: &[u8], by: Option<Source>, set_at_s: Option<u64>) {
        let text = text[..text.len().min(MAX_TOPIC_BYTES)].to_vec();
        let by = by.filter(is_short);
        self.topic = Some(Topic { text, by, set_at_s });
    }

    /// Sets or takes away a mode that is no list and no member's standing.
    pub(super) fn set_mode(&mut self, change: &ModeChange) {
        if !change.is_set {
            self.modes.remove(&change.mode);
        } else if self.modes.len() < MAX_MODES || self.modes.contains_key(&change.mode) {
            let param = change.param.as_deref().map(cut);
            self.modes.insert(change.mode, param);
        }
    }

    /// All modes as they are, told anew.
    pub(super) fn set_modes(&mut self, isupport: &Isupport, changes: &[ModeChange]) {
        self.modes.clear();
        for change in changes {
            let kind = isupport.mode_kind(change.mode);
            if !matches!(kind, ModeKind::List | ModeKind::Member) {
                self.set_mode(change);
            }
        }
    }

    /// Somebody is given a mode of `PREFIX`, or it is taken from them.
    pub(super) fn set_standing(&mut self, who: &str, change: &ModeChange, ranks: &[char]) {
        let Some((name, _)) = self.members.get_key_value(who) else {
            return;
        };
        let name = name.clone();
        if let Some(standing) = self.members.get_mut(who) {
            standing.set(change.mode, change.is_set);
            let standing = *standing;
            self.doubt(name, standing, ranks);
        }
    }

    /// Notes whether somebody's highest mode is in doubt.
    pub(super) fn doubt(&mut self, name: Name, standing: Standing, ranks: &[char]) {
        if standing.is_doubtful(ranks) {
            self.doubtful.insert(name);
        } else {
            self.doubtful.remove(&name);
        }
    }
}

/// A channel that the connection is in, as far as it is known.
#[derive(Clone, Copy)]
pub struct Channel<'a> {
    pub(super) channels: &'a Channels,
    pub(super) record: &'a Record,
}

impl<'a> Channel<'a> {
    /// Its name, as when it was entered.
    #[must_use]
    pub fn name(self) -> &'a str {
        &self.record.name
    }

    /// Its topic, where it is known.
    #[must_use]
    pub fn topic(self) -> Option<&'a Topic> {
        self.record.topic.as_ref()
    }

    /// When it was made, in seconds since the epoch, where it is known.
    #[must_use]
    pub fn created_at_s(self) -> Option<u64> {
        self.record.created_at_s
    }

    /// Its address on the web, where the server tells one.
    #[must_use]
    pub fn url(self) -> Option<&'a str> {
        self.record.url.as_deref()
    }

    /// The modes that are set, with their parameters; without lists and members' standings.
    pub fn modes(self) -> impl Iterator<Item = (char, Option<&'a str>)> {
        let modes = self.record.modes.iter();
        modes.map(|(mode, param)| (*mode, param.as_deref()))
    }

    /// Whether a mode is set.
    #[must_use]
    pub fn has_mode(self, mode: char) -> bool {
        self.record.modes.contains_key(&mode)
    }

    /// The parameter of a mode that is set and has one.
    #[must_use]
    pub fn mode_param(self, mode: char) -> Option<&'a str> {
        self.record.modes.get(&mode)?.as_deref()
    }

    /// A list of masks, kept up to date; `None` where the server never told it whole.
    #[must_use]
    pub fn list(self, mode: char) -> Option<&'a [ListEntry]> {
        let name = self.channels.fold(&self.record.name);
        self.channels.lists.get(&name, mode)
    }

    /// Whether the names of all members were told since it was entered.
    #[must_use]
    pub fn is_named(self) -> bool {
        self.record.is_named
    }

    /// How many are in it, this connection included.
    #[must_use]
    pub fn member_count(self) -> usize {
        self.record.members.len()
    }

    /// Everybody in it, in the order of their nicks, this connection included.
    pub fn members(self) -> impl Iterator<Item = Member> {
        let members = self.record.members.iter();
        members.filter_map(move |(name, standing)| self.told(name, *standing))
    }

    /// Somebody in it.
    #[must_use]
    pub fn member(self, nick: &str) -> Option<Member> {
        let name = self.channels.fold(nick);
        self.told(&name, *self.record.members.get(name.as_str())?)
    }

    fn told(self, name: &str, standing: Standing) -> Option<Member> {
        let person = self.channels.people.get(name)?;
        Some(person.member(standing.modes(&self.channels.ranks).collect()))
    }
}

impl Person {
    fn member(&self, modes: Vec<char>) -> Member {
        Member {
            source: self.source(),
            modes,
            account: self.account.as_deref().map(str::to_owned),
            realname: self.realname.as_deref().map(str::to_owned),
            is_away: self.is_away,
        }
    }
}
