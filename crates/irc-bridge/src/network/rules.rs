//! Who may come into a channel: invited, with a key, or everybody; and who is let in after all. Who comes where nobody
//! has asked for them is in [`access`](super::access).
//!
//! A closed channel has a closed room. But who has just joined its alias is on the way into that room, and would be shut
//! out half way, without a word: so a room stays open for a moment after it was made. Who comes in then, and is not let
//! into the channel, is told why and what to do.
//!
//! And who may speak there: in the room of a moderated channel those who have at least the power of a voice. Each change
//! of modes brings the whole room in line, so what comes back of a change that Matrix has made changes nothing.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use bridgehead_appservice::{bridge::RoomChange, format::Rich, id::UserId};
use bridgehead_irc_protocol::{ModeChange, Source};

use super::{Hub, Owner, answers::Refusal, deeds::Deed, standing::level_of};
use crate::settings::{DynamicSettings, Mode};

/// A key's place in what a server tells to those who may not know it.
const HIDDEN_KEY: &str = "*";
/// How long a room that was just made stays open, for those who are on their way in.
const OPEN_AT_FIRST: Duration = Duration::from_secs(10);
/// Refusals that were told and are remembered; with more, some are told once more.
const MAX_TOLD: usize = 10_000;

/// What is on its way into closed channels.
#[derive(Debug, Default)]
pub(super) struct Doors {
    /// Until when the rooms of channels stay open, by folded channel.
    open: BTreeMap<String, Instant>,
    /// What people were told of channels that do not let them in.
    told: BTreeMap<(UserId, String), String>,
}

impl Doors {
    /// A channel's room is being made.
    pub(super) fn made(&mut self, channel: &str, now: Instant) {
        self.open.insert(channel.to_owned(), now + OPEN_AT_FIRST);
    }

    fn is_open(&self, channel: &str) -> bool {
        self.open.contains_key(channel)
    }

    /// The channels whose rooms may be closed from now on.
    fn end(&mut self, now: Instant) -> Vec<String> {
        let over = self.open.extract_if(.., |_, until| *until <= now);
        over.map(|(channel, _)| channel).collect()
    }

    /// Whether somebody has to be told this of a channel.
    fn note_told(&mut self, person: &UserId, channel: &str, words: &str) -> bool {
        if self.told.len() >= MAX_TOLD {
            self.told.clear();
        }
        let whom = (person.clone(), channel.to_owned());
        self.told.insert(whom, words.to_owned()).as_deref() != Some(words)
    }

    /// Somebody is in a channel: what they were told is so no more.
    pub(super) fn entered(&mut self, person: &UserId, channel: &str) {
        self.told.remove(&(person.clone(), channel.to_owned()));
    }
}

impl Hub {
    /// Who may join a channel, and whether it may be found: of rooms that the bridge has made. Whoever has linked a room
    /// of their own decides that themselves.
    pub(super) fn rules(&mut self, channel: &str, by: Option<&Source>, changes: &[ModeChange]) {
        if !changes.iter().any(|change| "ikmsp".contains(change.mode)) {
            return;
        }
        self.keep_key_of(channel, changes);
        self.change_rules(channel, by);
    }

    /// The modes were told whole.
    pub(super) fn modes_are(&mut self, channel: &str, changes: &[ModeChange]) {
        self.keep_key_of(channel, changes);
        if !changes.iter().any(|change| change.mode == 'k') {
            let folded = self.directory.read().case_mapping().fold(channel);
            self.keep_key(&folded, None);
        }
        self.change_rules(channel, None);
    }

    /// Whether everybody may come into a channel, and whether it may be found; `None` where its room's rules are not the
    /// bridge's affair.
    fn openness(&self, channel: &str) -> Option<(bool, bool)> {
        let known = self.watcher(channel)?.view.channel(channel)?;
        let is_closed = known.has_mode('i') || known.has_mode('k');
        let is_hidden = known.has_mode('s') || known.has_mode('p') || is_closed;
        let place = self.channel(channel);
        let folded = place.target_name();
        let dynamic = self.own_rules(folded)?;
        Some((!is_closed, dynamic.published && !is_hidden))
    }

    /// Whether everybody may come into a room that the bridge has made for a channel.
    pub(super) fn is_open(&self, channel: &str) -> Option<bool> {
        let (is_open, _) = self.openness(channel)?;
        let place = self.channel(channel);
        // On the way into a closed one there may be somebody.
        (is_open || !self.doors.is_open(place.target_name())).then_some(is_open)
    }

    pub(super) fn is_moderated(&self, channel: &str) -> bool {
        let live = self.watcher(channel);
        let known = live.and_then(|live| live.view.channel(channel));
        known.is_some_and(|known| known.has_mode('m'))
    }

    /// A room is to be as open as its channel, and to let those speak who may speak there.
    pub(super) fn change_rules(&mut self, channel: &str, by: Option<&Source>) {
        let Some((is_open, is_listed)) = self.openness(channel) else {
            return;
        };
        let is_closed = !is_open;
        let place = self.channel(channel);
        let folded = place.target_name();
        let speech_level = match self.is_moderated(channel) && self.has_voices(folded) {
            true => level_of(Some('v')),
            false => 0,
        };
        let change = RoomChange::new()
            .listed(is_listed)
            .spoken_from(speech_level);
        let change = match is_closed {
            // It is closed when those who are on their way in have come.
            true if self.doors.is_open(folded) => change,
            is_closed => change.open(!is_closed),
        };
        let by = self.who_did(channel, by);
        self.deed(Deed::Change(place, by, change));
    }

    /// The rules of a channel's room, where it is the bridge's to make them: not in rooms that are somebody's own.
    pub(super) fn own_rules(&self, folded: &str) -> Option<&DynamicSettings> {
        let rules = self.settings.dynamic_rules(folded);
        rules.filter(|_| !self.settings.is_mapped(folded))
    }

    /// Whether a voice in a channel is a power in its room. Where the bridge speaks for all, it is its own voice that
    /// counts, and nobody else's.
    pub(super) fn has_voices(&self, folded: &str) -> bool {
        self.settings.sync.powers && self.settings.mode_of(folded) == Mode::Puppet
    }

    /// Rooms that were made some moments ago are what their channels are.
    pub(super) fn close_doors(&mut self, now: Instant) {
        for channel in self.doors.end(now) {
            self.change_rules(&channel, None);
        }
    }

    /// A channel does not let a person in who is in its room: they are told once for each reason, with what to do.
    pub(super) fn tell_of_refusal(&mut self, owner: &Owner, channel: &str, refusal: &Refusal) {
        let words = refusal.words();
        let Some(person) = owner.person().cloned() else {
            return;
        };
        if !self.doors.note_told(&person, channel, &words) {
            return;
        }
        let nick = self.live_facts(owner).map(|facts| facts.source.name);
        let nick = nick.unwrap_or_else(|| person.localpart().to_owned());
        let cure = match refusal.line.numeric() {
            Some(475) => format!("Who knows the key says to me: `join {channel} KEY`."),
            Some(473) if self.needs_no_invitation(channel, &person) => {
                "You need no invitation there (`+I`), so it is tried again by itself.".to_owned()
            }
            Some(473) => {
                format!(
                    "An operator of the channel lets you in on IRC by `/invite {nick} {channel}`."
                )
            }
            _ => "It is tried again by itself.".to_owned(),
        };
        let text = format!(
            "You are in the room of `{channel}`, but the channel on {} does not let you in: {words} What you say in the room \
             does not arrive until then. {cure}",
            self.name
        );
        self.deed(Deed::Tell(person, Rich::from_markdown(&text)));
    }

    /// A key that is seen is kept: without it nobody comes back after a reconnect.
    fn keep_key_of(&mut self, channel: &str, changes: &[ModeChange]) {
        let folded = self.directory.read().case_mapping().fold(channel);
        let change = changes.iter().rfind(|change| change.mode == 'k');
        match change {
            Some(change) if !change.is_set => self.keep_key(&folded, None),
            Some(ModeChange {
                param: Some(key), ..
            }) if key != HIDDEN_KEY => {
                let key = key.clone();
                self.keep_key(&folded, Some(key));
            }
            _ => {}
        }
    }

    /// Keeps a channel's key, or forgets it.
    pub(super) fn keep_key(&mut self, folded: &str, key: Option<String>) {
        if self.keys.get(folded) == key.as_ref() {
            return;
        }
        match &key {
            Some(key) => self.keys.insert(folded.to_owned(), key.clone()),
            None => self.keys.remove(folded),
        };
        self.directory.write().set_keyed(folded, key.is_some());
        self.deed(Deed::Key(folded.to_owned(), key));
    }

    /// Something that has kept people out of a channel is not so any more: those who were refused are tried at once.
    pub(super) fn may_be_let_in(&mut self, channel: &str, changes: &[ModeChange]) {
        let opens = |change: &ModeChange| match change.is_set {
            true => "kleI".contains(change.mode),
            false => "iklbRrOz".contains(change.mode),
        };
        if changes.iter().any(opens) {
            let folded = self.directory.read().case_mapping().fold(channel);
            for client in self.clients.values_mut() {
                client.refused.remove(&folded);
            }
        }
    }

    /// The bridge is not let into a channel: those in the room are told, once for each reason.
    pub(super) fn tell_shut_out(&mut self, channel: &str, words: &str) {
        let before = self.shut_out.insert(channel.to_owned(), words.to_owned());
        if before.as_deref() != Some(words) {
            let place = self.channel(channel);
            let words = format!(
                "The bridge is not let into {channel}, so nothing from there is heard here: {words}"
            );
            self.deed(Deed::Notice(place, Rich::plain(&words)));
        }
    }

    /// A person's name is another one now; who has chosen no nick goes by it on IRC.
    pub(super) async fn follow_name(&mut self, person: &UserId, name: &str) {
        let owner = Owner::Person(person.clone());
        let Some(client) = self.clients.get_mut(&owner) else {
            return;
        };
        client.name = Some(name.to_owned());
        if !self.settings.people.follow_names {
            return;
        }
        let made = self.people.person(person, (&*self.settings, Some(name)));
        let Ok(made) = made.await else { return };
        let wanted = made.nicks.first().cloned();
        let now = self.directory.read().nick(&owner).map(str::to_owned);
        let (Some(wanted), Some(now)) = (wanted, now) else {
            return;
        };
        if wanted != now
            && let Some(live) = self.client(&owner).live.as_mut()
        {
            live.upkeep(bridgehead_irc_protocol::Line::new("NICK", [wanted]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_is_open_for_a_moment() {
        let begin = Instant::now();
        let mut doors = Doors::default();
        doors.made("#a", begin);
        assert!(doors.is_open("#a") && !doors.is_open("#b"));
        assert_eq!(doors.end(begin), [""; 0]);
        assert_eq!(doors.end(begin + OPEN_AT_FIRST), ["#a"]);
        assert!(!doors.is_open("#a"));
    }

    #[test]
    fn a_refusal_is_told_once_for_each_reason() {
        let person = UserId::parse("@ann:example.org").expect("an id");
        let mut doors = Doors::default();
        assert!(doors.note_told(&person, "#a", "a key"));
        assert!(!doors.note_told(&person, "#a", "a key"));
        assert!(doors.note_told(&person, "#a", "a ban"));
        doors.entered(&person, "#a");
        assert!(doors.note_told(&person, "#a", "a ban"));
        for n in 0..MAX_TOLD {
            doors.note_told(&person, &n.to_string(), "full");
        }
        assert!(doors.told.len() <= MAX_TOLD);
    }
}
