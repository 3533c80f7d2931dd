//! Who may do what: operators, voices, bans and the modes of channels, as powers and rules of rooms.

use bridgehead_appservice::{JoinRule, bridge::RoomChange, id::UserId};
use bridgehead_irc_protocol::{
    CaseMapping, ModeChange, Source,
    channels::Member,
    isupport::ModeKind,
    mask::{ListEntry, Mask},
};

use super::{Hub, Owner, deeds::Deed};
use crate::ids::{Nick, Place};

/// The power level that a member's mode stands for: founders and admins are more than operators, half-operators less.
pub(super) fn level_of(mode: Option<char>) -> i64 {
    match mode {
        Some('q' | 'y' | 'Y') => 95,
        Some('a' | '!') => 75,
        Some('o') => 50,
        Some('h') => 40,
        Some('v') => 1,
        _ => 0,
    }
}

/// The mode that a power level stands for, of those that one can be given.
pub(super) fn mode_of(level: i64) -> Option<char> {
    match level {
        50.. => Some('o'),
        1.. => Some('v'),
        _ => None,
    }
}

impl Hub {
    /// All who are in a channel.
    pub(super) fn members(&mut self, channel: &str, members: &[Member]) {
        let nicks = members.iter().map(|member| member.source.name.as_str());
        self.directory.write().set_members(channel, nicks);
        let place = self.channel(channel);
        let others: Vec<&Member> = members
            .iter()
            .filter(|member| self.own(&member.source.name).is_none())
            .collect();
        if self.settings.sync.to_matrix {
            let mut nicks: Vec<Nick> = others
                .iter()
                .map(|member| self.nick(&member.source.name))
                .collect();
            nicks.extend(self.absent(&place));
            self.deed(Deed::Members(place.clone(), nicks));
        }
        if self.settings.sync.powers {
            let powers = others.iter().map(|member| {
                let level = level_of(member.modes.first().copied());
                (self.nick(&member.source.name), level)
            });
            let powers: Vec<(Nick, i64)> = powers.filter(|(_, level)| *level > 0).collect();
            if !powers.is_empty() {
                self.deed(Deed::Power(place, powers, Vec::new()));
            }
        }
    }

    /// Who is away in a netsplit, and so is a member all the same.
    pub(super) fn absent(&self, place: &Place) -> Vec<Nick> {
        let mapping = self.directory.read().case_mapping();
        let is_there = |channels: &[String]| {
            channels
                .iter()
                .any(|channel| Some(mapping.fold(channel).as_str()) == place.as_channel())
        };
        let absent = self.split.iter();
        let absent = absent.filter(|(_, (channels, _))| is_there(channels));
        absent.map(|(nick, _)| self.nick(nick)).collect()
    }

    /// Modes of a channel are other ones now.
    pub(super) fn modes(&mut self, channel: &str, by: Option<&Source>, changes: &[ModeChange]) {
        let Some(live) = self.watcher(channel) else {
            return;
        };
        let facts = live.link.facts();
        let kind_of = |change: &&ModeChange| facts.isupport.mode_kind(change.mode);
        let of_kind = |kind: ModeKind| -> Vec<ModeChange> {
            let of_kind = changes.iter().filter(|change| kind_of(change) == kind);
            of_kind.cloned().collect()
        };
        let (members, lists) = (of_kind(ModeKind::Member), of_kind(ModeKind::List));
        let is_own = by.is_some_and(|by| self.own(&by.name).is_some());
        if self.settings.sync.powers && !is_own && !members.is_empty() {
            self.standings(channel, &members);
        }
        if self.settings.sync.bans && !is_own {
            for change in lists.iter().filter(|change| change.mode == 'b') {
                self.ban(channel, by, change);
            }
        }
        if !is_own {
            self.rules(channel, by, changes);
        }
    }

    /// Members have another standing.
    fn standings(&mut self, channel: &str, changes: &[ModeChange]) {
        let place = self.channel(channel);
        let (mut users, mut people) = (Vec::new(), Vec::new());
        for nick in changes.iter().filter_map(|change| change.param.as_deref()) {
            let level = level_of(self.standing(channel, nick));
            match self.own(nick) {
                Some(Owner::Person(person)) => people.push((person, level)),
                Some(Owner::Bot) => {}
                None => users.push((self.nick(nick), level)),
            }
        }
        if !users.is_empty() || !people.is_empty() {
            self.deed(Deed::Power(place, users, people));
        }
    }

    /// The highest mode that somebody has in a channel, as far as the observer knows.
    pub(super) fn standing(&self, channel: &str, nick: &str) -> Option<char> {
        let live = self.watcher(channel)?;
        live.view.standing(channel, nick)
    }

    /// A ban was set or lifted: it is one for the people of Matrix whom it meets.
    fn ban(&mut self, channel: &str, by: Option<&Source>, change: &ModeChange) {
        let Some(ListEntry::Mask(mask, _)) = change.param.as_deref().map(ListEntry::parse) else {
            return;
        };
        let mapping = self.directory.read().case_mapping();
        let place = self.channel(channel);
        let by = by.filter(|by| !by.may_be_server());
        let by = by.map(|by| self.nick(&by.name));
        for person in self.met_by(&mask, mapping) {
            let deed = match change.is_set {
                true => Deed::Ban(place.clone(), person, by.clone()),
                false => Deed::Unban(place.clone(), person, by.clone()),
            };
            self.deed(deed);
        }
    }

    /// People of Matrix whom a mask meets: those who are connected, by all that others see of them.
    fn met_by(&self, mask: &Mask, mapping: CaseMapping) -> Vec<UserId> {
        let connected = self.clients.values().filter_map(|client| {
            let live = client.live.as_ref().filter(|live| live.is_ready)?;
            let person = client.owner.person()?;
            let source = live.link.facts().source;
            mask.matches(&source, mapping).then(|| person.clone())
        });
        connected.collect()
    }

    /// Who may join a channel, and whether it may be found.
    fn rules(&mut self, channel: &str, by: Option<&Source>, changes: &[ModeChange]) {
        if !changes.iter().any(|change| "ikspr".contains(change.mode)) {
            return;
        }
        let Some(live) = self.watcher(channel) else {
            return;
        };
        let isupport = live.link.facts().isupport;
        let Some(known) = live.view.channel(channel) else {
            return;
        };
        let is_closed = known.has_mode('i') || known.has_mode('k');
        let is_hidden = known.has_mode('s') || known.has_mode('p') || is_closed;
        let folded = isupport.case_mapping().fold(channel);
        let Some(dynamic) = self.settings.dynamic_rules(&folded) else {
            return;
        };
        let rule = match is_closed {
            true => JoinRule::Invite,
            false => JoinRule::Public,
        };
        let change = RoomChange::new()
            .joined_by(rule)
            .listed(dynamic.published && !is_hidden);
        let place = self.channel(channel);
        let by = by.filter(|by| !by.may_be_server());
        let by = by.map(|by| self.nick(&by.name));
        self.deed(Deed::Change(place, by, change));
    }
}
