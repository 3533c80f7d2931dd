//! Who may do what: operators and voices as powers of rooms, and the other way round.
//!
//! ```text
//! MODE +o ──▶ has Matrix asked for it? ──no──▶ Deed::Power ──▶ the room's levels, where they mean something else
//! a level ──▶ steps from what they hold to what it means ──▶ MODE, noted as asked for
//! ```
//!
//! What is asked for is heard later, and until then counts as if it were there: steps are taken from it, and what was told
//! before it does not change the room. Where both sides change the same at once, what Matrix has asked for stays.
//!
//! Levels that mean the same mode are the same: nobody's 60 becomes 50 because IRC calls both `o`. So neither side's
//! change comes back, and a change that both sides have already is none.

use std::time::{Duration, Instant};

use bridgehead_appservice::{bridge::Member as Who, id::UserId};
use bridgehead_irc_protocol::{Isupport, ModeChange, Source, channels::Member, isupport::ModeKind};

use super::{
    Hub, Owner,
    deeds::Deed,
    doing::{Level, Powers},
    expected::{Holding, MAX_EXPECTED},
};
use crate::{
    clock::now,
    ids::{Nick, Place},
};

/// Who loses so soon what the bridge has given them was not to have it: services see to who is what in their channels.
const REFUSED_WITHIN: Duration = Duration::from_secs(60);

/// The power level that a member's mode stands for: founders and admins are more than operators, half-operators less.
pub(crate) fn level_of(mode: Option<char>) -> i64 {
    match mode {
        Some('q' | 'y' | 'Y') => 95,
        Some('a' | '!') => 75,
        Some('o') => 50,
        Some('h') => 40,
        Some('v') => 1,
        _ => 0,
    }
}

/// The mode that a power level stands for, of those that a bridge gives on a server that knows half-operators or not.
pub(crate) fn mode_of(level: i64, knows_half: bool) -> Option<char> {
    match level {
        50.. => Some('o'),
        40.. if knows_half => Some('h'),
        1.. => Some('v'),
        _ => None,
    }
}

/// Whether two power levels mean the same on IRC, founders and admins being operators.
pub(crate) fn is_same_standing(level: i64, other: i64) -> bool {
    mode_of(level, true) == mode_of(other, true)
}

/// What has to be changed so that somebody who holds these modes has what a level means; to ask for what is on its way
/// already harms nobody. What founders and admins are is for the network's services alone.
fn steps(nick: &str, holding: &Holding, want: Option<char>) -> Vec<ModeChange> {
    let wanted = level_of(want);
    if holding.held.iter().any(|mode| level_of(Some(*mode)) > 50) {
        return Vec::new();
    }
    let too_much = holding
        .may_hold()
        .filter(|mode| level_of(Some(*mode)) > wanted);
    let mut changes: Vec<ModeChange> = too_much
        .map(|mode| ModeChange::unset(mode, Some(nick)))
        .collect();
    let is_held = |mode: &char| holding.held.contains(mode) && !holding.going.contains(mode);
    if let Some(mode) = want.filter(|mode| !is_held(mode)) {
        changes.push(ModeChange::set(mode, Some(nick)));
    }
    changes
}

/// What the bridge has given somebody of Matrix because of what they are there.
pub(super) struct Given {
    channel: String,
    person: UserId,
    at: Instant,
}

impl Hub {
    /// All who are in a channel.
    pub(super) fn members(&mut self, channel: &str, members: &[Member]) {
        let nicks = members.iter().map(|member| member.source.name.as_str());
        self.directory.write().set_members(channel, nicks);
        self.tell_gap_to_others(channel);
        if let Some(live) = self.client(&Owner::Bot).live.as_mut() {
            live.naming.remove(channel);
        }
        for member in members {
            self.note_seen_to_be(&member.source);
        }
        let place = self.channel(channel);
        let others: Vec<&Member> = members
            .iter()
            .filter(|member| !self.directory.read().is_or_was_ours(&member.source.name))
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
            self.stand(&place, members);
        }
    }

    /// Brings everybody's power in line with what was told of all of them. Of those on IRC, IRC knows best; people of
    /// Matrix keep what they have there, and are given it on IRC where the bridge can.
    fn stand(&mut self, place: &Place, members: &[Member]) {
        let mut levels = Vec::new();
        let mut people = Vec::new();
        for member in members {
            let level = self.holding(place.target_name(), member).level();
            match self.own(&member.source.name) {
                Some(Owner::Bot) => {}
                Some(Owner::Person(person)) => {
                    levels.push(Level::at_least(Who::Person(person.clone()), level));
                    people.push(person);
                }
                None => {
                    let nick = self.nick(&member.source.name);
                    levels.push(Level::exactly(Who::User(nick), level));
                }
            }
        }
        self.deed(Deed::Power(place.clone(), Powers { levels }));
        for person in people {
            self.deed(Deed::Stand(place.clone(), person));
        }
    }

    /// Who is away in a netsplit, and so is a member all the same.
    pub(super) fn absent(&self, place: &Place) -> Vec<Nick> {
        let channel = place.as_channel().unwrap_or_default();
        let absent = self.split.iter();
        let absent = absent.filter(|(_, (channels, _))| channels.contains(channel));
        absent.map(|(nick, _)| self.nick(nick)).collect()
    }

    /// Modes of a channel are other ones now.
    pub(super) fn modes(&mut self, channel: &str, by: Option<&Source>, changes: &[ModeChange]) {
        let Some(isupport) = self.watcher(channel).map(|live| live.link.facts().isupport) else {
            return;
        };
        let is_own = by.is_some_and(|by| self.own(&by.name).is_some());
        let mut news = Vec::new();
        let mut expected = Vec::new();
        for change in changes {
            match is_own && self.take_expected(channel, change) {
                true => expected.push(change.clone()),
                false => news.push(change.clone()),
            }
            if !is_own {
                self.expect_no_more(channel, change);
            }
        }
        let of_kind = |kind: ModeKind| -> Vec<ModeChange> {
            let of_kind = news
                .iter()
                .filter(|change| isupport.mode_kind(change.mode) == kind);
            of_kind.cloned().collect()
        };
        let (members, lists) = (of_kind(ModeKind::Member), of_kind(ModeKind::List));
        if self.settings.sync.powers && !members.is_empty() {
            self.standings(channel, &members, is_own);
        }
        if self.settings.sync.powers {
            self.stand_as_asked(channel, &expected);
        }
        if self.settings.sync.bans {
            for change in &lists {
                self.listed(channel, by, change);
            }
        }
        self.rules(channel, by, changes);
        self.may_be_let_in(channel, changes);
        self.ask_for_names();
    }

    /// Members have another standing. What is the bridge's own (`is_own`) may have been heard before, and so be older than
    /// what is on its way.
    fn standings(&mut self, channel: &str, changes: &[ModeChange], is_own: bool) {
        let place = self.channel(channel);
        let mut levels = Vec::new();
        let mut is_stronger = false;
        for change in changes {
            let Some(nick) = change.param.as_deref() else {
                continue;
            };
            let level = match is_own {
                true => self.level_soon(channel, nick),
                false => level_of(self.standing(channel, nick)),
            };
            let who = match self.own(nick) {
                Some(Owner::Bot) => {
                    is_stronger |= change.is_set;
                    continue;
                }
                Some(Owner::Person(person)) => {
                    // That the channel does not let them have what they are in the room is no reason to take it there.
                    if !change.is_set && self.was_given(channel, &person) {
                        continue;
                    }
                    Who::Person(person)
                }
                None => Who::User(self.nick(nick)),
            };
            levels.push(match change.is_set {
                true => Level::at_least(who, level),
                false => Level::exactly(who, level),
            });
        }
        if !levels.is_empty() {
            self.deed(Deed::Power(place.clone(), Powers { levels }));
        }
        if is_stronger {
            self.bot_stronger(&place);
        }
    }

    /// Whether the bridge has just given somebody what they hold in a channel.
    fn was_given(&mut self, channel: &str, person: &UserId) -> bool {
        let now = now();
        self.given
            .retain(|given| now.saturating_duration_since(given.at) < REFUSED_WITHIN);
        let mapping = self.directory.read().case_mapping();
        self.given
            .iter()
            .any(|given| mapping.is_same(&given.channel, channel) && given.person == *person)
    }

    /// The bridge may do more in a channel: it sees lists that it did not see, and gives people what they have in
    /// Matrix.
    fn bot_stronger(&mut self, place: &Place) {
        let channel = place.target_name().to_owned();
        self.ask_for_lists(&channel);
        for person in self.people_in(&channel) {
            self.deed(Deed::Stand(place.clone(), person));
        }
    }

    /// People of Matrix who are in a channel with connections of their own.
    pub(super) fn people_in(&self, folded: &str) -> Vec<UserId> {
        let clients = self.clients.values();
        let there = clients.filter(|client| client.is_in(folded));
        there
            .filter_map(|client| client.owner.person().cloned())
            .collect()
    }

    /// A person of Matrix has this power there, and is to stand no lower on IRC, if the bridge can see to that.
    pub(super) fn give_standing(&mut self, channel: &str, person: &UserId, level: i64) {
        let owner = Owner::Person(person.clone());
        let nick = self.directory.read().nick(&owner).map(str::to_owned);
        let Some(nick) = nick.filter(|_| self.settings.sync.powers) else {
            return;
        };
        let bot = self.directory.read().nick(&Owner::Bot).map(str::to_owned);
        let own = bot.and_then(|bot| self.standing(channel, &bot));
        if level_of(own) < level_of(Some('h')) {
            return;
        }
        let changes: Vec<ModeChange> = self
            .modes_for(channel, &[(nick, level)])
            .into_iter()
            .filter(|change| change.is_set)
            .collect();
        if !changes.is_empty() {
            self.given.push_back(Given {
                channel: channel.to_owned(),
                person: person.clone(),
                at: now(),
            });
            if self.given.len() > MAX_EXPECTED {
                self.given.pop_front();
            }
        }
        self.change_modes_quietly(channel, &changes);
    }

    /// The highest mode that somebody has in a channel, as far as the observer knows.
    pub(super) fn standing(&self, channel: &str, nick: &str) -> Option<char> {
        let live = self.watcher(channel)?;
        live.view.standing(channel, nick)
    }

    /// Somebody of Matrix gives these the power that they have there now. Where the bridge has just given them another one
    /// in the room, because of what it had heard before, they have this one again.
    pub(super) fn power_is_asked(&mut self, channel: &str, levels: &[(String, i64)]) {
        if !self.settings.sync.powers {
            return;
        }
        let levels = levels.iter().filter_map(|(nick, level)| {
            let who = match self.own(nick) {
                Some(Owner::Bot) => return None,
                Some(Owner::Person(person)) => Who::Person(person),
                None => Who::User(self.nick(nick)),
            };
            Some(Level::again(who, *level))
        });
        let levels: Vec<Level> = levels.collect();
        if !levels.is_empty() {
            self.deed(Deed::Power(self.channel(channel), Powers { levels }));
        }
    }

    /// What Matrix has asked for is heard: so it is, whatever was heard while it was on its way.
    fn stand_as_asked(&mut self, channel: &str, changes: &[ModeChange]) {
        let nicks = changes.iter().filter_map(|change| change.param.as_deref());
        let settled = nicks.filter(|nick| self.on_their_way(channel, nick).next().is_none());
        let levels: Vec<(String, i64)> = settled
            .filter_map(|nick| {
                let known = self.watcher(channel)?.view.channel(channel)?;
                let modes = known.member(nick)?.modes;
                Some((nick.to_owned(), level_of(modes.first().copied())))
            })
            .collect();
        self.power_is_asked(channel, &levels);
    }

    /// What levels mean as changes of modes, for those who are in the channel.
    pub(super) fn modes_for(&self, channel: &str, levels: &[(String, i64)]) -> Vec<ModeChange> {
        let Some(live) = self.watcher(channel) else {
            return Vec::new();
        };
        let facts = live.link.facts();
        let knows_half = knows_half(&facts.isupport);
        let changes = levels.iter().filter_map(|(nick, level)| {
            let member = live.view.channel(channel)?.member(nick)?;
            let holding = self.holding(channel, &member);
            let name = member.source.name;
            Some(steps(&name, &holding, mode_of(*level, knows_half)))
        });
        changes.flatten().collect()
    }

    /// Asks again who is in channels where it is not known what somebody holds, now that the highest of it was taken.
    fn ask_for_names(&mut self) {
        let Some(live) = self
            .clients
            .get_mut(&Owner::Bot)
            .and_then(|bot| bot.live.as_mut())
        else {
            return;
        };
        for channel in live.view.needs_names() {
            if live.naming.insert(channel.clone()) {
                live.question(bridgehead_irc_protocol::Line::new("NAMES", [channel]));
            }
        }
    }
}

fn knows_half(isupport: &Isupport) -> bool {
    isupport.prefix_of('h').is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(changes: &[ModeChange]) -> String {
        let sign = |change: &ModeChange| if change.is_set { '+' } else { '-' };
        let changes = changes.iter();
        changes.fold(String::new(), |all, change| {
            format!("{all}{}{}", sign(change), change.mode)
        })
    }

    #[test]
    fn a_level_is_reached_from_whatever_is_held() {
        let check = |held: &str, level: i64, knows_half: bool, wanted: &str| {
            let held: Vec<char> = held.chars().collect();
            let holding = Holding::of(&held, std::iter::empty());
            let changes = steps("ann", &holding, mode_of(level, knows_half));
            assert_eq!(written(&changes), wanted, "{held:?} to {level}");
        };
        check("", 50, false, "+o");
        check("v", 100, false, "+o");
        check("ov", 0, false, "-o-v");
        check("ov", 1, false, "-o");
        check("o", 10, false, "-o+v");
        check("o", 40, true, "-o+h");
        check("", 40, false, "+v");
        check("o", 60, true, "");
        // Founders are made by services.
        check("qo", 0, true, "");
    }

    #[test]
    fn a_level_is_reached_from_what_is_on_its_way() {
        let check = |held: &str, asked: &str, level: i64, wanted: &str| {
            let held: Vec<char> = held.chars().collect();
            let asked: Vec<char> = asked.chars().collect();
            let asked = asked.chunks(2).map(|change| match change[0] {
                '+' => ModeChange::set(change[1], Some("ann")),
                _ => ModeChange::unset(change[1], Some("ann")),
            });
            let holding = Holding::of(&held, asked);
            let changes = steps("ann", &holding, mode_of(level, false));
            assert_eq!(written(&changes), wanted, "{held:?} to {level}");
        };
        check("", "+v", 0, "-v");
        check("v", "+o", 0, "-v-o");
        check("", "+v+o", 0, "-v-o");
        check("ov", "-o-v", 50, "+o");
        check("o", "-o+v", 1, "-o+v");
        check("", "+o-o", 50, "+o");
        // What is on its way is asked for again: it may be refused.
        check("", "+v", 1, "+v");
    }

    #[test]
    fn levels_that_mean_the_same_are_the_same() {
        assert!(is_same_standing(50, 95));
        assert!(is_same_standing(1, 39));
        assert!(is_same_standing(0, -5));
        assert!(!is_same_standing(0, 1));
        assert!(!is_same_standing(40, 50));
    }
}
