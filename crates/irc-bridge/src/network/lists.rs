//! Lists of masks: bans and exceptions, and whom of Matrix they meet. Of those who may not speak see
//! [`quiets`](super::quiets).
//!
//! People are met by what others see of them on IRC. That is remembered, also on disk: who is banned has no connection
//! any more by which they could be known when the ban is lifted.

use std::collections::BTreeSet;

use bridgehead_appservice::{bridge::Member as Who, format::Rich, id::UserId};
use bridgehead_irc_protocol::{
    Isupport, Line, ModeChange, Source,
    channels::ListEntry as Listed,
    mask::{ListEntry, Mask, Person},
};

use super::{Hub, Owner, deeds::Deed, standing::level_of};
use crate::{kept::Seen, settings::BanBy};

/// Bans of Matrix that may not have been set yet, and are remembered to be.
const MAX_OWED: usize = 1000;

impl Hub {
    /// Asks for a channel's lists, as far as this server has them.
    pub(super) fn ask_for_lists(&mut self, channel: &str) {
        let Some(observer) = self.observer(channel).cloned() else {
            return;
        };
        let Some(isupport) = self.watcher(channel).map(|live| live.link.facts().isupport) else {
            return;
        };
        if !self.settings.sync.bans {
            return;
        }
        // What is excepted is known before what it is excepted from.
        let lists = isupport.except_mode().into_iter().chain(['b']);
        let lists = lists.chain(self.quiet_mode(channel));
        let lists: Vec<char> = lists.chain(isupport.invite_except_mode()).collect();
        if let Some(live) = self.client(&observer).live.as_mut() {
            for list in lists {
                let list = format!("+{list}");
                live.question(Line::new("MODE", [channel, list.as_str()]));
            }
        }
    }

    /// A list was told whole.
    pub(super) fn list_is(&mut self, channel: &str, mode: char, is_cut: bool) {
        if is_cut || !self.settings.sync.bans {
            return;
        }
        if mode == 'b' {
            self.bans_are(channel);
        }
        self.look_at_quiets(channel);
    }

    /// The room's bans are those of the channel.
    fn bans_are(&mut self, channel: &str) {
        if let Some(barred) = self.barred(channel) {
            for person in &barred {
                self.leave_banned(channel, person);
            }
            let place = self.channel(channel);
            let barred = barred.into_iter().map(Who::Person).collect();
            self.deed(Deed::Bans(place, barred));
        }
        self.set_owed_bans(channel);
    }

    /// A mask was put on a list, or taken from it.
    pub(super) fn listed(&mut self, channel: &str, by: Option<&Source>, change: &ModeChange) {
        let Some(written) = change.param.as_deref() else {
            return;
        };
        let entry = ListEntry::parse(written);
        let met: Vec<UserId> = self
            .seen
            .iter()
            .filter(|(_, seen)| self.meets(&entry, seen))
            .map(|(person, _)| person.clone())
            .collect();
        let except = self
            .watcher(channel)
            .and_then(|live| live.link.facts().isupport.except_mode());
        match change.mode {
            'q' => self.quieted(channel, &met, change),
            'b' if entry.is_quiet() => self.quieted(channel, &met, change),
            'b' => {
                self.ban_or_not(channel, by, &met);
                if !change.is_set {
                    self.mask_is_gone(channel, written);
                }
            }
            mode if Some(mode) == except => {
                self.ban_or_not(channel, by, &met);
                self.tell_excepted(channel, &met, change);
            }
            _ => {}
        }
    }

    /// Those whom a change was about are banned now, or are not any more.
    fn ban_or_not(&mut self, channel: &str, by: Option<&Source>, people: &[UserId]) {
        let place = self.channel(channel);
        let by = self.who_did(channel, by);
        let barred = self.barred(channel).unwrap_or_default();
        for person in people {
            if barred.contains(person) {
                self.leave_banned(channel, person);
            }
            let deed = match barred.contains(person) {
                true => Deed::Ban(place.clone(), Who::Person(person.clone()), by.clone()),
                false => Deed::Unban(place.clone(), Who::Person(person.clone()), by.clone()),
            };
            self.deed(deed);
        }
    }

    /// Who is banned is put out of the room by the bridge, of which it hears nothing more: so they leave the channel here.
    fn leave_banned(&mut self, channel: &str, person: &UserId) {
        let owner = Owner::Person(person.clone());
        let folded = self.directory.read().case_mapping().fold(channel);
        let client = self.clients.get(&owner);
        if client.is_some_and(|client| client.wanted.contains(&folded)) {
            self.leave(&owner, &folded, Some("Banned"));
        }
    }

    /// People of Matrix whom a channel's bans meet and its exceptions do not; `None` where the bans are not known.
    pub(super) fn barred(&self, channel: &str) -> Option<BTreeSet<UserId>> {
        let live = self.watcher(channel)?;
        let except = live.link.facts().isupport.except_mode();
        let known = live.view.channel(channel)?;
        let parsed = |list: &[Listed]| -> Vec<ListEntry> {
            let entries = list.iter().map(|entry| ListEntry::parse(&entry.mask));
            entries.filter(|entry| !entry.is_quiet()).collect()
        };
        let bans = parsed(known.list('b')?);
        let exceptions = except.and_then(|mode| known.list(mode));
        let exceptions = exceptions.map(parsed).unwrap_or_default();
        let is_barred = |seen: &Seen| {
            let is_met = |list: &[ListEntry]| list.iter().any(|entry| self.meets(entry, seen));
            is_met(&bans) && !is_met(&exceptions)
        };
        let barred = self.seen.iter().filter(|(_, seen)| is_barred(seen));
        Some(barred.map(|(person, _)| person.clone()).collect())
    }

    pub(super) fn meets(&self, entry: &ListEntry, seen: &Seen) -> bool {
        let person = Person {
            source: &seen.source,
            account: Some(seen.account.as_deref()),
            real_name: None,
        };
        entry.matches(&person, self.directory.read().case_mapping()) == Some(true)
    }

    fn tell_excepted(&mut self, channel: &str, met: &[UserId], change: &ModeChange) {
        let mask = change.param.as_deref().unwrap_or_default();
        let words = match change.is_set {
            true => format!("Bans of {channel} are not for you any more: {mask} is excepted."),
            false => format!("Bans of {channel} may be for you again: {mask} is excepted no more."),
        };
        self.tell_there(channel, met, &words);
    }

    /// Tells something to those who are to be in a channel.
    fn tell_there(&mut self, channel: &str, people: &[UserId], words: &str) {
        let folded = self.directory.read().case_mapping().fold(channel);
        for person in people {
            let owner = Owner::Person(person.clone());
            let client = self.clients.get(&owner);
            if client.is_some_and(|client| client.wanted.contains(&folded)) {
                self.deed(Deed::Tell(person.clone(), Rich::plain(words)));
            }
        }
    }

    /// Whether a channel lets a person of Matrix in without an invitation, as far as that is known.
    pub(super) fn needs_no_invitation(&self, channel: &str, person: &UserId) -> bool {
        self.is_met(channel, Isupport::invite_except_mode, person)
    }

    /// Whether bans and quiets of a channel are not for a person of Matrix, as far as that is known.
    pub(super) fn is_excepted(&self, channel: &str, person: &UserId) -> bool {
        self.is_met(channel, Isupport::except_mode, person)
    }

    /// Whether a list of a channel, where the server has it and has told it, meets a person of Matrix.
    fn is_met(&self, channel: &str, list: fn(&Isupport) -> Option<char>, person: &UserId) -> bool {
        let known = self.watcher(channel).and_then(|live| {
            let mode = list(&live.link.facts().isupport)?;
            live.view.channel(channel)?.list(mode)
        });
        let seen = self.seen.get(person);
        seen.zip(known).is_some_and(|(seen, list)| {
            let mut entries = list.iter().map(|entry| ListEntry::parse(&entry.mask));
            entries.any(|entry| self.meets(&entry, seen))
        })
    }

    /// A mask that Matrix has set for somebody on IRC is lifted there: they may come to the room again.
    fn mask_is_gone(&mut self, channel: &str, written: &str) {
        let mapping = self.directory.read().case_mapping();
        let folded = mapping.fold(channel);
        let gone = self
            .masks
            .iter()
            .filter(|((place, _), mask)| *place == folded && mapping.is_same(mask, written));
        let gone: Vec<String> = gone.map(|((_, nick), _)| nick.clone()).collect();
        for nick in gone {
            self.forget_mask(&folded, &nick);
            let (place, nick) = (self.channel(channel), self.nick(&nick));
            self.deed(Deed::Unban(place, Who::User(nick), None));
        }
    }

    /// The mask that keeps somebody out and meets nobody else who is there: of their host, where the settings say so, of
    /// their user and host, or of their nick.
    pub(super) fn mask_for(&self, channel: &str, nick: &str) -> String {
        let by_nick = format!("{nick}!*@*");
        let Some(live) = self
            .watcher(channel)
            .filter(|_| self.settings.sync.ban_by == BanBy::Host)
        else {
            return by_nick;
        };
        let mapping = self.directory.read().case_mapping();
        let Some(known) = live.view.channel(channel) else {
            return by_nick;
        };
        let source = known.member(nick).map(|member| member.source);
        let Some((user, host)) = source.and_then(|source| source.user.zip(source.host)) else {
            return by_nick;
        };
        let members: Vec<Source> = known.members().map(|member| member.source).collect();
        let ours = self.seen.values().map(|seen| &seen.source);
        let others: Vec<&Source> = members.iter().chain(ours).collect();
        let is_theirs_alone = |mask: &String| {
            let parsed = Mask::parse(mask);
            let mut met = others.iter().filter(|other| parsed.matches(other, mapping));
            met.all(|other| mapping.is_same(&other.name, nick))
        };
        let masks = [format!("*!*@{host}"), format!("*!{user}@{host}")];
        masks.into_iter().find(is_theirs_alone).unwrap_or(by_nick)
    }

    /// The nicks that a channel's bans are about, folded: whom Matrix has banned, by whatever mask, and whom masks name;
    /// `None` where the bans are not known.
    pub(super) fn banned_nicks(&self, channel: &str) -> Option<BTreeSet<String>> {
        let mapping = self.directory.read().case_mapping();
        let folded = mapping.fold(channel);
        let known = self.watcher(channel)?.view.channel(channel)?;
        let listed = known.list('b')?;
        let is_listed = |mask: &str| {
            listed
                .iter()
                .any(|entry| mapping.is_same(&entry.mask, mask))
        };
        let ours = self.masks.iter();
        let ours = ours.filter(|((place, _), mask)| *place == folded && is_listed(mask));
        let named = listed
            .iter()
            .map(|entry| mapping.fold(&Mask::parse(&entry.mask).nick));
        let all = ours.map(|((_, nick), _)| nick.clone()).chain(named);
        Some(all.collect())
    }

    /// Whom Matrix has banned while nobody of ours could ban there is banned as soon as the bridge can.
    fn set_owed_bans(&mut self, channel: &str) {
        let folded = self.directory.read().case_mapping().fold(channel);
        let bot = self.directory.read().nick(&Owner::Bot).map(str::to_owned);
        let own = bot.and_then(|bot| self.standing(channel, &bot));
        let Some(banned) = self.banned_nicks(channel) else {
            return;
        };
        if level_of(own) < level_of(Some('h')) {
            return;
        }
        let owed = std::mem::take(&mut self.owed_bans);
        let (here, elsewhere) = owed.into_iter().partition(|(place, _)| *place == folded);
        self.owed_bans = elsewhere;
        let here: BTreeSet<_> = here;
        let missing = here.iter().filter(|(_, nick)| !banned.contains(nick));
        let masks = missing.filter_map(|owed| self.masks.get(owed));
        let changes: Vec<ModeChange> = masks.map(|mask| ModeChange::set('b', Some(mask))).collect();
        self.change_modes_quietly(channel, &changes);
    }

    /// The masks to lift so that somebody may come back.
    pub(super) fn masks_of(&self, channel: &str, nick: &str) -> Vec<String> {
        let mapping = self.directory.read().case_mapping();
        let (folded, name) = (mapping.fold(channel), mapping.fold(nick));
        let mut masks: Vec<String> = self
            .masks
            .get(&(folded, name))
            .cloned()
            .into_iter()
            .collect();
        let known = self
            .watcher(channel)
            .and_then(|live| live.view.channel(channel));
        let listed = known.and_then(|known| known.list('b')).unwrap_or_default();
        for entry in listed {
            let mask = Mask::parse(&entry.mask);
            if mapping.is_same(&mask.nick, nick) && !masks.contains(&entry.mask) {
                masks.push(entry.mask.clone());
            }
        }
        if masks.is_empty() {
            masks.push(format!("{nick}!*@*"));
        }
        masks
    }

    pub(super) fn keep_mask(&mut self, channel: &str, nick: &str, mask: &str) {
        let mapping = self.directory.read().case_mapping();
        let key = (mapping.fold(channel), mapping.fold(nick));
        self.deed(Deed::Mask(key.clone(), Some(mask.to_owned())));
        if self.owed_bans.len() < MAX_OWED {
            self.owed_bans.insert(key.clone());
        }
        self.masks.insert(key, mask.to_owned());
    }

    pub(super) fn forget_mask(&mut self, folded: &str, nick: &str) {
        let mapping = self.directory.read().case_mapping();
        let key = (folded.to_owned(), mapping.fold(nick));
        self.owed_bans.remove(&key);
        if self.masks.remove(&key).is_some() {
            self.deed(Deed::Mask(key, None));
        }
    }

    /// This is what others see of one of our people.
    pub(super) fn note_seen_as(&mut self, person: &UserId, source: &Source, account: Option<&str>) {
        if source.host.is_none() {
            return;
        }
        let seen = Seen {
            source: source.clone(),
            account: account.map(str::to_owned),
        };
        if self.seen.get(person) != Some(&seen) {
            self.seen.insert(person.clone(), seen.clone());
            self.deed(Deed::SeenAs(person.clone(), seen));
        }
    }

    /// Who has done something, where they are seen in the channel: of others there is no ghost to do it.
    pub(super) fn who_did(&self, channel: &str, by: Option<&Source>) -> Option<crate::ids::Nick> {
        let by = by.filter(|by| !by.may_be_server())?;
        let directory = self.directory.read();
        let is_there = directory.written(channel, &by.name).is_some();
        let is_own = directory.owner(&by.name).is_some();
        drop(directory);
        (is_there && !is_own).then(|| self.nick(&by.name))
    }
}
