//! What the lines of IRC mean in Matrix.
//!
//! Lines of the bridge's own clients are no news there: they were said in Matrix first. They are proof that they have
//! arrived.

use std::{collections::BTreeSet, time::Instant};

use bridgehead_appservice::{
    bridge::{Member, RoomChange},
    id::UserId,
};
use bridgehead_irc_protocol::{
    Line, Source,
    channels::{Happening, Place as Where},
    encoding, formatting,
    session::{Batch, Heard},
};

use super::{
    Hub, Owner,
    deeds::{self, Deed},
    doing::{Level, Powers},
    history,
    standing::level_of,
};
use crate::{
    clock::now,
    ids::{Nick, Place},
};

/// Who may be away in a netsplit at the same time; others have left.
const MAX_SPLIT: usize = 20_000;

impl Hub {
    /// A line has come.
    pub(super) fn hear(&mut self, owner: &Owner, heard: &Heard) {
        self.hear_line(owner, &heard.line, (heard.batch.as_deref(), &heard.me));
    }

    /// A message of several lines has come: it is one in Matrix as well.
    pub(super) fn hear_lines(
        &mut self,
        owner: &Owner,
        (first, batch, me): (Line, Option<&Batch>, &str),
        lines: &[(Vec<u8>, bool)],
    ) {
        let mut whole = first;
        let mut text = Vec::new();
        for (at, (line, goes_on)) in lines.iter().enumerate() {
            if at > 0 && !goes_on {
                text.push(b'\n');
            }
            text.extend_from_slice(line);
        }
        if let Some(last) = whole.params.last_mut() {
            *last = text;
        }
        self.hear_line(owner, &whole, (batch, me));
    }

    /// Takes a line, with the batch that it came in, and the nick that the connection had then: by now it may have
    /// another.
    pub(super) fn hear_line(
        &mut self,
        owner: &Owner,
        line: &Line,
        (batch, me): (Option<&Batch>, &str),
    ) {
        self.hear_monitor(owner, line);
        let kind = batch.map(kind_of);
        let Some(live) = self
            .clients
            .get_mut(owner)
            .and_then(|client| client.live.as_mut())
        else {
            return;
        };
        let facts = live.link.facts();
        let happenings = live.view.take_in(line, me, &facts.isupport, kind);
        let is_history = kind.is_some_and(history::is_history);
        for happening in happenings {
            if is_history {
                self.hear_missed(owner, &happening);
                self.route_history(owner, happening);
                continue;
            }
            if let Happening::Renamed { from, to, .. } = &happening {
                self.channel_renamed(from, to);
                continue;
            }
            if let Owner::Person(person) = owner {
                self.overhear(owner, person, &happening);
            }
            self.route(owner, happening);
        }
    }

    /// What a person's own connection hears is for them alone.
    fn overhear(&mut self, owner: &Owner, person: &UserId, happening: &Happening) {
        match happening {
            Happening::Entered { channel } => self.entered(owner, channel),
            Happening::Expelled {
                channel,
                by,
                reason,
                is_kick,
            } => self.was_expelled(person, channel, (by.clone(), reason.clone(), *is_kick)),
            // Others' invitations are told to whoever may invite (invite-notify).
            Happening::Invited { channel, by, whom } if self.own(whom).as_ref() == Some(owner) => {
                self.take_invitation(owner, channel, by);
            }
            Happening::Said(said) if said.place == Where::Private && !said.is_own => {
                self.private_now(owner, person, said);
            }
            Happening::Said(said) => {
                if let Where::Channel {
                    name,
                    status: Some(prefix),
                } = &said.place
                {
                    self.said_to_some(person, (name, *prefix), said);
                }
            }
            Happening::Typing {
                place: Where::Private,
                who,
                state,
            } => self.writes_alone(person, who, *state),
            Happening::Reacted {
                place: Where::Private,
                who,
                to,
                reaction,
                is_undone,
            } => self.reacted_alone(person, who, (to, reaction, *is_undone)),
            Happening::Redacted {
                place: Where::Private,
                who,
                target,
                reason,
            } => self.redacted_alone(person, who, (target, reason.as_deref())),
            _ => {}
        }
    }

    /// What the observer hears is for everybody.
    pub(super) fn observe(&mut self, happening: Happening) {
        match happening {
            Happening::Entered { channel } => self.entered(&Owner::Bot, &channel),
            Happening::Expelled {
                channel,
                reason,
                is_kick,
                ..
            } => self.bot_expelled(&channel, reason.as_deref(), is_kick),
            Happening::Said(said) => self.said_now(*said),
            Happening::Joined {
                channel,
                who,
                account,
                ..
            } => self.joined(&channel, &who, account.as_deref()),
            Happening::Parted {
                channel,
                who,
                reason,
            } => self.parted(&channel, &who.name, reason.as_deref()),
            Happening::Kicked {
                channel,
                who,
                by,
                reason,
            } => self.kicked(&channel, &who, &by, reason.as_deref()),
            Happening::Quit {
                who,
                channels,
                reason,
                split,
            } => self.quit(&who, channels, &reason, split.is_some()),
            Happening::Nick { from, to, .. } => self.renamed(&from, &to),
            Happening::Topic {
                channel,
                by,
                topic,
                set_at_s,
            } => {
                // What is told to who comes in has no setter, or a time beside them.
                let is_news = by.is_some() && set_at_s.is_none();
                self.topic(&channel, (by.as_ref(), is_news), &topic);
            }
            Happening::Names { channel, members } => self.members(&channel, &members),
            Happening::Modes {
                channel,
                by,
                changes,
            } => self.modes(&channel, by.as_ref(), &changes),
            Happening::ModesAre { channel, changes } => self.modes_are(&channel, &changes),
            Happening::ListIs {
                channel,
                mode,
                is_cut,
                ..
            } => self.list_is(&channel, mode, is_cut),
            Happening::Invited { channel, by, whom } if self.own(&whom) == Some(Owner::Bot) => {
                self.take_invitation(&Owner::Bot, &channel, &by);
            }
            Happening::Host { who, user, host } => {
                if let Some(Owner::Person(person)) = self.own(&who.name) {
                    let source = Source {
                        name: who.name,
                        user: Some(user),
                        host: Some(host),
                    };
                    self.note_seen_as(&person, &source, None);
                }
            }
            Happening::Reacted {
                place,
                who,
                to,
                reaction,
                is_undone,
            } => self.reacted(&place, &who, (to, reaction, is_undone)),
            Happening::Redacted {
                place,
                who,
                target,
                reason,
            } => {
                if let Some(place) = self.place_of(&place) {
                    let (who, reason) = (self.nick(&who.name), self.words(None, reason.as_deref()));
                    self.deed(Deed::Redact(place, target, who, reason));
                }
            }
            Happening::Typing { place, who, state } => {
                if let (Some(place), None) = (self.place_of(&place), self.own(&who.name)) {
                    let who = self.nick(&who.name);
                    self.writes(place, who, state);
                }
            }
            Happening::Away { who, reason } => self.away(&who, reason.as_deref()),
            _ => {}
        }
    }

    fn reacted(&mut self, place: &Where, who: &Source, what: (String, String, bool)) {
        if let (Some(place), None) = (self.place_of(place), self.own(&who.name)) {
            let (target, key, is_undone) = what;
            let who = self.nick(&who.name);
            self.deed(Deed::React {
                place,
                target,
                who,
                key,
                is_undone,
            });
        }
    }

    fn joined(&mut self, channel: &str, who: &Source, account: Option<&str>) {
        self.gives_way(&who.name, who);
        self.directory.write().settle_former(&who.name, now());
        self.directory.write().entered(channel, &who.name);
        self.expect_nothing_for(channel, &who.name);
        let place = self.channel(channel);
        match self.own(&who.name) {
            Some(Owner::Person(person)) => {
                self.note_seen_as(&person, who, account);
                self.note_here(&person);
                self.look_at_quiet(channel, &person);
                if self.settings.sync.powers {
                    self.deed(Deed::Stand(place, person));
                }
            }
            Some(Owner::Bot) => {}
            None => {
                self.note_seen_to_be(who);
                let is_back = self.take_back_from_split(channel, &who.name);
                if !is_back && self.settings.sync.to_matrix {
                    let nick = self.nick(&who.name);
                    self.deed(Deed::Join(place, nick));
                }
            }
        }
    }

    /// The observer sees a person's connection come into a channel: whatever it has heard before, it stands.
    fn note_here(&mut self, person: &UserId) {
        let client = self.clients.get_mut(&Owner::Person(person.clone()));
        if let Some(live) = client.and_then(|client| client.live.as_mut()) {
            live.is_gone = false;
        }
    }

    /// Whether somebody has come back to a channel from a netsplit, of which Matrix has not been told.
    fn take_back_from_split(&mut self, channel: &str, nick: &str) -> bool {
        let mapping = self.directory.read().case_mapping();
        let folded = mapping.fold(nick);
        let Some((channels, _)) = self.split.get_mut(&folded) else {
            return false;
        };
        let is_back = channels.remove(&mapping.fold(channel));
        if channels.is_empty() {
            self.split.remove(&folded);
        }
        is_back
    }

    fn parted(&mut self, channel: &str, who: &str, reason: Option<&[u8]>) {
        self.directory.write().left(channel, who);
        if self.own(who).is_none() {
            let (place, nick) = (self.channel(channel), self.nick(who));
            let reason = self.words(Some(channel), reason);
            self.deed(Deed::Part(place, nick, reason));
        }
    }

    fn kicked(&mut self, channel: &str, who: &str, by: &Source, reason: Option<&[u8]>) {
        match self.own(who) {
            // The person's own connection says so as well, and knows better what becomes of it.
            Some(_) => self.directory.write().left(channel, who),
            None => {
                let reason = self.words(Some(channel), reason).unwrap_or_default();
                let words = match reason.is_empty() || reason == by.name {
                    true => format!("Kicked by {}", by.name),
                    false => format!("Kicked by {}: {reason}", by.name),
                };
                self.parted(channel, who, Some(words.as_bytes()));
            }
        }
    }

    /// A person was put out of a channel, or has left it by another way than Matrix.
    fn was_expelled(
        &mut self,
        person: &UserId,
        channel: &str,
        (by, reason, is_kick): (Option<Source>, Option<Vec<u8>>, bool),
    ) {
        let owner = Owner::Person(person.clone());
        if !self.expelled(&owner, channel, is_kick) {
            return;
        }
        let folded = self.directory.read().case_mapping().fold(channel);
        let was_wanted = self.client(&owner).wanted.remove(&folded);
        if is_kick && was_wanted {
            let place = self.channel(channel);
            let by = by.map(|by| self.nick(&by.name));
            let reason = self.words(Some(channel), reason.as_deref());
            self.deed(Deed::Kick(place, person.clone(), by, reason));
        }
    }

    fn quit(&mut self, who: &Source, channels: Vec<String>, reason: &[u8], is_split: bool) {
        {
            let mut directory = self.directory.write();
            for channel in &channels {
                directory.left(channel, &who.name);
            }
        }
        if self.own(&who.name).is_some() {
            return;
        }
        if is_split {
            self.figures.split();
        }
        match is_split {
            true => self.may_come_back(&who.name),
            false => self.nobody_is(&who.name),
        }
        let hold = self.settings.sync.netsplit.get();
        if is_split && !hold.is_zero() && self.split.len() < MAX_SPLIT {
            self.note_split(&who.name, &channels, now() + hold);
            return;
        }
        self.tell_absent(&who.name);
        let reason = self.words(None, Some(reason));
        let reason = reason.filter(|reason| !reason.is_empty());
        let words = reason.map_or("Quit".to_owned(), |reason| format!("Quit: {reason}"));
        for channel in channels {
            let (place, nick) = (self.channel(&channel), self.nick(&who.name));
            self.deed(Deed::Part(place, nick, Some(words.clone())));
        }
    }

    /// Somebody is away in a netsplit. Of several observers each tells the channels that it hears.
    fn note_split(&mut self, nick: &str, channels: &[String], until: Instant) {
        if channels.is_empty() {
            return;
        }
        let mapping = self.directory.read().case_mapping();
        let away = self.split.entry(mapping.fold(nick));
        let (all, _) = away.or_insert_with(|| (BTreeSet::new(), until));
        all.extend(channels.iter().map(|channel| mapping.fold(channel)));
    }

    /// Who has not come back from a netsplit has left. Where many have, Matrix is told of as many at a time as it takes
    /// beside what is said.
    pub(super) fn end_splits(&mut self, now: Instant) {
        let over: Vec<String> = self
            .split
            .iter()
            .filter(|(_, (_, until))| *until <= now)
            .map(|(nick, _)| nick.clone())
            .collect();
        for folded in over {
            let places = self
                .split
                .get(&folded)
                .map_or(0, |(channels, _)| channels.len());
            if self.deeds.capacity() < 2 * deeds::RESERVE + places {
                return;
            }
            let Some((channels, _)) = self.split.remove(&folded) else {
                continue;
            };
            for channel in channels {
                let (place, nick) = (self.channel(&channel), self.nick(&folded));
                self.deed(Deed::Part(place, nick, Some("Netsplit".to_owned())));
            }
        }
    }

    fn renamed(&mut self, from: &Source, to: &str) {
        self.gives_way(to, from);
        self.has_renamed(from, to);
        self.directory.write().settle_former(to, now());
        let is_own = self.own(&from.name).is_some() || self.own(to).is_some();
        self.directory.write().settle_former(&from.name, now());
        self.directory.write().renamed(&from.name, to);
        if is_own {
            return;
        }
        self.tell_presence_moved(&from.name, to);
        self.talks_go_on(from, to);
        let (old, new) = (self.nick(&from.name), self.nick(to));
        match old == new {
            true => self.deed(Deed::Profile(new, to.to_owned())),
            false => {
                let channels = self.directory.read().whereabouts(to);
                let places = channels.iter().map(|channel| self.channel(channel));
                let places: Vec<Place> = places.collect();
                self.deed(Deed::Renamed(places.clone(), old, new.clone()));
                self.stand_as(&places, &new);
            }
        }
    }

    /// What somebody holds they hold under another nick as well.
    fn stand_as(&mut self, places: &[Place], nick: &Nick) {
        if !self.settings.sync.powers {
            return;
        }
        for place in places {
            let level = level_of(self.standing(place.target_name(), &nick.nick));
            if level > 0 {
                let levels = vec![Level::exactly(Member::User(nick.clone()), level)];
                self.deed(Deed::Power(place.clone(), Powers { levels }));
            }
        }
    }

    fn topic(&mut self, channel: &str, (by, is_news): (Option<&Source>, bool), topic: &[u8]) {
        if !self.settings.sync.topics {
            return;
        }
        let place = self.channel(channel);
        let own = by.and_then(|by| self.own(&by.name));
        let by = self.who_did(channel, by);
        let words = self.words(Some(channel), Some(topic)).unwrap_or_default();
        let words = formatting::strip(&words);
        if !is_news {
            self.deed(Deed::TopicIs(place, by, words.to_string()));
            return;
        }
        // What Matrix has asked for is no news there, whatever the server has made of its length.
        let folded = place.target_name().to_owned();
        let asked = own.and_then(|_| self.topics.remove(&folded));
        if !asked.is_some_and(|asked| asked.starts_with(&*words)) {
            let change = RoomChange::new().topic(words);
            self.deed(Deed::Change(place, by, change));
        }
    }

    /// The bridge's own connection is in a channel no more.
    fn bot_expelled(&mut self, channel: &str, reason: Option<&[u8]>, is_kick: bool) {
        if !self.expelled(&Owner::Bot, channel, is_kick) {
            return;
        }
        let folded = self.directory.read().case_mapping().fold(channel);
        if self.client(&Owner::Bot).wanted.contains(&folded) {
            let words = self.words(Some(channel), reason).unwrap_or_default();
            self.bot_kept_out(&folded, &format!("it was put out ({words})"));
        }
    }

    /// Whose of ours a nick is.
    pub(super) fn own(&self, nick: &str) -> Option<Owner> {
        self.directory.read().owner_or_former(nick).cloned()
    }

    pub(super) fn nick(&self, nick: &str) -> Nick {
        Nick::new(&self.name, nick, self.directory.read().case_mapping())
    }

    pub(super) fn channel(&self, channel: &str) -> Place {
        Place::channel(&self.name, channel, self.directory.read().case_mapping())
    }

    /// Where it was said, if that is a channel that everybody in it hears.
    pub(super) fn place_of(&self, place: &Where) -> Option<Place> {
        match place {
            Where::Channel { name, status: None } => Some(self.channel(name)),
            _ => None,
        }
    }

    /// A text of IRC as text.
    pub(super) fn words(&self, channel: Option<&str>, bytes: Option<&[u8]>) -> Option<String> {
        let encoding = self.settings.encoding_of(channel);
        bytes.map(|bytes| encoding::decode(bytes, Some(encoding)).0.into_owned())
    }
}

/// What a line's batch means, which is what the outermost one that is not the answer to a question means.
fn kind_of(batch: &Batch) -> &str {
    let parent = batch.parent.as_deref();
    let parent = parent.filter(|parent| parent.kind != "labeled-response");
    parent.map_or(&batch.kind, |parent| kind_of(parent))
}
