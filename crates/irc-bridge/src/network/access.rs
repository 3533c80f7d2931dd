//! Who gets where: channels that are bridged, channels that nobody has asked for, invitations, and keys.
//!
//! ```text
//! a client is in a channel ──bridged, or asked for?──yes──▶ it is heard, once it is bridged
//!                                    └──no──▶ its person is told, and it leaves in a minute
//! ```
//!
//! Only in bridged channels somebody observes, and only from there anything is brought ([`observe`](super::observe)). A key
//! that somebody gives is kept when it has opened the channel, and never in the place of one that does.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use bridgehead_appservice::{bridge::Level, format::Rich, id::UserId};
use bridgehead_irc_protocol::{Source, channels::Typing};

use super::{Hub, Owner, deeds::Deed};
use crate::{
    clock::now,
    ids::{Nick, Place},
};

/// How long somebody stays in a channel that nobody has asked for: until then it can be linked.
const STRAYS_FOR: Duration = Duration::from_secs(60);
/// How long it may take from a wish to enter a channel until it is bridged.
const TO_BE_BRIDGED: Duration = Duration::from_secs(300);
/// Wishes and strays at the same time; those beyond them leave at once.
const MAX_WAITING: usize = 4096;
/// Who was told of which channel; then it is begun anew.
const MAX_TOLD: usize = 4096;
/// Invitations that one person is told of in so much time.
const INVITATIONS: usize = 10;
const INVITATIONS_IN: Duration = Duration::from_secs(3600);

/// A client, and a channel's folded name.
type Stay = (Owner, String);

/// What is known of who may be where.
#[derive(Debug, Default)]
pub(super) struct Access {
    /// Channels that are bridged, folded.
    bridged: BTreeSet<String>,
    /// Channels that people have asked to be let into, until when they may be bridged, and the key that was given.
    wishes: BTreeMap<Stay, (Instant, Option<String>)>,
    /// Where somebody is unasked, and until when.
    strays: BTreeMap<Stay, Instant>,
    /// Of which channels people were told that they are there unasked.
    told: BTreeSet<Stay>,
    /// When each person was invited.
    invited: BTreeMap<UserId, VecDeque<Instant>>,
}

impl Access {
    /// Whether one more invitation of a person is brought; it counts as brought.
    fn may_be_invited(&mut self, person: &UserId, now: Instant) -> bool {
        self.invited.retain(|_, all| {
            all.retain(|at| *at + INVITATIONS_IN > now);
            !all.is_empty()
        });
        let all = self.invited.entry(person.clone()).or_default();
        let may = all.len() < INVITATIONS;
        if may {
            all.push_back(now);
        }
        may
    }

    /// A channel is bridged from now on: whoever is there is so with good reason.
    pub(super) fn note_bridged(&mut self, channel: &str) {
        self.bridged.insert(channel.to_owned());
        self.strays.retain(|(_, there), _| there != channel);
        self.told.retain(|(_, there)| there != channel);
    }

    /// It is bridged no more.
    pub(super) fn note_unbridged(&mut self, channel: &str) {
        self.bridged.remove(channel);
    }
}

impl Hub {
    /// Whether a channel is bridged. Channels are folded here.
    pub(super) fn is_bridged(&self, channel: &str) -> bool {
        let bridged = &self.access.bridged;
        let mapping = self.directory.read().case_mapping();
        // What was linked before the network has said how it folds case may be folded otherwise.
        bridged.contains(channel) || bridged.iter().any(|other| mapping.is_same(other, channel))
    }

    /// Whether a channel is heard: it is bridged, or its operators are asked whether it may be.
    pub(super) fn is_heard_at_all(&self, channel: &str) -> bool {
        self.is_bridged(channel) || self.is_asked_about(channel)
    }

    /// Whether a client is in a channel with good reason.
    fn is_there_rightly(&self, owner: &Owner, channel: &str) -> bool {
        let client = self.clients.get(owner);
        self.is_heard_at_all(channel)
            || client.is_some_and(|client| client.wanted.contains(channel))
    }

    /// Whether somebody is to be in a channel, or it is about to be known whether they are.
    pub(super) fn is_awaited_in(&self, owner: &Owner, channel: &str) -> bool {
        let mapping = self.directory.read().case_mapping();
        let client = self.clients.get(owner);
        let mut wanted = client.into_iter().flat_map(|client| &client.wanted);
        let stay = (owner.clone(), channel.to_owned());
        wanted.any(|wanted| mapping.is_same(wanted, channel))
            || self.is_asked_about(channel)
            || self.access.wishes.contains_key(&stay)
    }

    /// Somebody asks to be let into a channel, with this key; `false` if they do already, or too many do.
    pub(super) fn wishes_in(&mut self, owner: &Owner, channel: &str, key: Option<String>) -> bool {
        let (now, wish) = (now(), (owner.clone(), channel.to_owned()));
        let is_open = self.access.wishes.get(&wish);
        let is_open = is_open.is_some_and(|(until, key)| *until > now && key.is_some());
        if is_open || self.access.wishes.len() >= MAX_WAITING {
            return false;
        }
        let wished = (now + TO_BE_BRIDGED, key);
        self.access.wishes.insert(wish, wished);
        true
    }

    /// Whether somebody who was let in is there now. The key that they gave has opened the channel then.
    pub(super) fn has_entered(&mut self, owner: &Owner, channel: &str) -> Result<(), String> {
        let wish = (owner.clone(), channel.to_owned());
        if !self.client(owner).is_in(channel) {
            self.access.wishes.remove(&wish);
            return Err(format!(
                "the server did not let you into {channel}, or has sent you elsewhere"
            ));
        }
        let wish = self.access.wishes.get_mut(&wish);
        if let Some(key) = wish.and_then(|(_, key)| key.take()) {
            self.has_fit(owner, channel, key);
        }
        Ok(())
    }

    /// What somebody wanted in a channel has come to nothing.
    pub(super) fn forgo(&mut self, owner: &Owner, channel: &str) {
        let wish = (owner.clone(), channel.to_owned());
        self.access.wishes.remove(&wish);
    }

    /// The same, and they have no business there.
    pub(super) fn abandon(&mut self, owner: &Owner, channel: &str) {
        self.forgo(owner, channel);
        if !self.client(owner).wanted.contains(channel) {
            self.leave(owner, channel, Some("It has no room in Matrix"));
        }
    }

    /// A client is in a channel now: unless somebody has asked for that, it does not stay.
    pub(super) fn look_at_stay(&mut self, owner: &Owner, channel: &str) {
        let stay = (owner.clone(), channel.to_owned());
        let is_expected = self.access.wishes.contains_key(&stay) || self.held.is_behind(owner);
        if is_expected || self.is_there_rightly(owner, channel) {
            return;
        }
        tracing::info!(
            network = self.name,
            ?owner,
            channel,
            "a client is in a channel unasked"
        );
        let until = match self.access.strays.len() < MAX_WAITING {
            true => now() + STRAYS_FOR,
            false => now(),
        };
        self.access.strays.insert(stay.clone(), until);
        if self.access.told.len() >= MAX_TOLD {
            self.access.told.clear();
        }
        if self.access.told.insert(stay)
            && let Some(person) = owner.person().cloned()
        {
            let words = format!(
                "The server has sent you to {channel} on {}, where nobody has asked for you to be: that channel is not \
                 bridged, and you leave it in a minute. `!join {} {channel}` gets you its room.",
                self.name, self.name
            );
            self.deed(Deed::Tell(person, Rich::from_markdown(&words)));
        }
    }

    /// Whoever has been in a channel for nothing leaves it.
    pub(super) fn end_stays(&mut self, now: Instant) {
        let wishes = self.access.wishes.iter();
        let wishes = wishes.filter(|(_, (until, _))| *until <= now);
        let strays = self.access.strays.iter();
        let strays = strays.filter(|(_, until)| **until <= now);
        let over = wishes.map(|(stay, _)| stay);
        let over: Vec<Stay> = over.chain(strays.map(|(stay, _)| stay)).cloned().collect();
        for stay in over {
            self.access.wishes.remove(&stay);
            self.access.strays.remove(&stay);
            let (owner, channel) = stay;
            if !self.is_there_rightly(&owner, &channel) {
                self.leave(&owner, &channel, Some("This channel is not bridged"));
            }
        }
    }

    /// A key has opened a channel for somebody: it is kept, unless there is none, or one is known that does.
    fn has_fit(&mut self, owner: &Owner, channel: &str, key: String) {
        let is_heard_by_others = self.observer(channel).is_some_and(|other| other != owner);
        let known = self.watcher(channel);
        let known = known.and_then(|live| live.view.channel(channel));
        let has_none = known.is_some_and(|channel| !channel.has_mode('k'));
        if is_heard_by_others && (has_none || self.knows_key(channel)) {
            return;
        }
        self.take_key(channel, key);
    }

    /// An operator of a channel has given its key.
    pub(super) fn operator_gives_key(&mut self, channel: &str, key: String) {
        let works = self.client(&Owner::Bot).is_in(channel) && self.knows_key(channel);
        if !works {
            self.take_key(channel, key);
        }
    }

    fn knows_key(&self, channel: &str) -> bool {
        self.keys.contains_key(channel) || self.settings.key_of(channel).is_some()
    }

    fn take_key(&mut self, channel: &str, key: String) {
        self.keep_key(channel, Some(key));
        // Whoever was kept out for want of it may try again at once.
        for client in self.clients.values_mut() {
            client.refused.remove(channel);
        }
    }

    /// The key that people have given does not fit. Whether there is another: the configuration's.
    pub(super) fn has_another_key(&mut self, channel: &str) -> bool {
        let own = self.settings.key_of(channel);
        let given = self.keys.get(channel);
        let has_another = own.is_some() && given.is_some() && own.as_ref() != given;
        if has_another {
            self.keep_key(channel, None);
        }
        has_another
    }

    /// Somebody is invited into a channel: a person of Matrix by their own connection, or the bridge.
    pub(super) fn take_invitation(&mut self, owner: &Owner, channel: &str, by: &Source) {
        let place = self.channel(channel);
        let folded = place.target_name().to_owned();
        self.client(owner).refused.remove(&folded);
        let Some(person) = owner.person() else { return };
        if !self.may_reach(person, by) {
            return;
        }
        if !self.access.may_be_invited(person, now()) {
            tracing::info!(network = self.name, %person, channel, "an invitation too many is not told");
            return;
        }
        self.aside.invite(place, person.clone(), by.name.clone());
    }

    /// Whether somebody on IRC reaches a person alone.
    pub(super) fn may_reach(&self, person: &UserId, by: &Source) -> bool {
        let mapping = self.directory.read().case_mapping();
        let level = self.remote.level(person);
        level.is_ok_and(|level| level >= Level::User) && !self.ignoring.ignores(person, by, mapping)
    }

    /// Somebody writes to a person alone, or writes no more.
    pub(super) fn writes_alone(&self, person: &UserId, who: &Source, state: Typing) {
        if let Some((place, nick)) = self.talk_with(person, who) {
            self.writes(place, nick, state);
        }
    }

    /// Somebody reacts to something in a talk with a person.
    pub(super) fn reacted_alone(
        &mut self,
        person: &UserId,
        who: &Source,
        (target, key, is_undone): (&str, &str, bool),
    ) {
        if let Some((place, who)) = self.talk_with(person, who) {
            let (target, key) = (target.to_owned(), key.to_owned());
            self.deed(Deed::React {
                place,
                target,
                who,
                key,
                is_undone,
            });
        }
    }

    /// Somebody takes something back that they have said in a talk with a person.
    pub(super) fn redacted_alone(
        &mut self,
        person: &UserId,
        who: &Source,
        (target, reason): (&str, Option<&[u8]>),
    ) {
        if let Some((place, who)) = self.talk_with(person, who) {
            let reason = self.words(None, reason);
            self.deed(Deed::Redact(place, target.to_owned(), who, reason));
        }
    }

    /// Where somebody of IRC talks to a person, and who they are; nobody whom the person does not hear.
    fn talk_with(&self, person: &UserId, who: &Source) -> Option<(Place, Nick)> {
        if !self.may_reach(person, who) || self.own(&who.name).is_some() {
            return None;
        }
        let nick = self.nick(&who.name);
        let talk = Nick {
            nick: self.talks.room(person, &nick.nick).to_owned(),
            ..nick.clone()
        };
        Some((Place::private(&talk, person), nick))
    }

    /// Somebody writes somewhere, or writes no more.
    pub(super) fn writes(&self, place: Place, who: Nick, state: Typing) {
        if self.settings.messages.typing {
            self.aside.typing(place, who, state == Typing::Active);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_invited_without_end() {
        let (start, mut access) = (Instant::now(), Access::default());
        let ann = UserId::parse("@ann:x").expect("an id");
        let bea = UserId::parse("@bea:x").expect("an id");
        let brought = (0..100).filter(|_| access.may_be_invited(&ann, start));
        assert_eq!(brought.count(), INVITATIONS);
        assert!(access.may_be_invited(&bea, start));
        assert!(access.may_be_invited(&ann, start + INVITATIONS_IN));
        assert_eq!(access.invited.len(), 1, "what is over is forgotten");
    }
}
