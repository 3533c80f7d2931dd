//! Who hears channels for all: the bridge's own connection, and where that is not, somebody's.
//!
//! In each channel one connection observes, and another stands by, so that nothing is lost when the first is. What two
//! hear is told once ([`Overlap`](super::overlap::Overlap)). The bridge's own takes over where it comes in: the others
//! are people's, who come and go.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use bridgehead_irc_protocol::{
    Line,
    channels::{Happening, Kind, Place as Where, Said},
};

use super::{
    Hub, Owner,
    client::{Live, Standing},
    deeds::Deed,
    overlap::{Ear, Overlap},
};
use crate::{
    clock::now,
    link::drive::{LineId, Order},
};

/// How long the bridge's own connection stands by before it takes over from a person's: until then both hear the same.
const OVERLAPS_FOR: Duration = Duration::from_secs(2);

/// Who hears a channel.
#[derive(Debug)]
pub(super) struct Ears {
    observer: Option<Owner>,
    standby: Option<Owner>,
    /// Since when they are these two.
    since: Instant,
    heard: Heard,
    /// The line that was told last, and the last that the observer before this one has told.
    told: Option<LineId>,
    told_before: Option<LineId>,
}

/// What was heard of a channel lately.
pub(super) type Heard = Overlap<(Box<Said>, Option<LineId>)>;

/// By folded channel.
pub(super) type AllEars = BTreeMap<String, Ears>;

impl Hub {
    /// Something has happened, as one connection has heard it.
    pub(super) fn route(&mut self, owner: &Owner, happening: Happening) {
        match happening {
            Happening::Said(said) => self.route_said(owner, said),
            Happening::Quit {
                who,
                channels,
                reason,
                split,
            } => {
                let ours = |channel: &String| self.ear(owner, channel) == Some(Ear::Observer);
                let is_observer = channels.iter().any(ours) || *owner == Owner::Bot;
                let channels = channels.iter().filter(|channel| ours(channel));
                let channels: Vec<String> = channels.cloned().collect();
                if is_observer {
                    // Whoever is on the far side of a netsplit is connected still.
                    if split.is_none() {
                        self.note_gone(&who.name);
                    }
                    self.observe(Happening::Quit {
                        who,
                        channels,
                        reason,
                        split,
                    });
                }
            }
            Happening::Nick { ref channels, .. } => {
                let ours = |channel: &String| self.ear(owner, channel) == Some(Ear::Observer);
                if channels.iter().any(ours) {
                    self.observe(happening);
                }
            }
            other => {
                let observes = match channel_of(&other) {
                    Some(channel) => self.ear(owner, channel) == Some(Ear::Observer),
                    None => *owner == Owner::Bot,
                };
                if observes {
                    self.observe(other);
                }
            }
        }
    }

    /// What a server repeats, of what was.
    pub(super) fn route_history(&mut self, owner: &Owner, happening: Happening) {
        let channel = match &happening {
            Happening::Said(said) => match &said.place {
                Where::Channel { name, .. } => Some(name.as_str()),
                _ => None,
            },
            other => channel_of(other),
        };
        if channel.is_some_and(|channel| self.ear(owner, channel) == Some(Ear::Observer)) {
            self.recall(happening);
        }
    }

    fn route_said(&mut self, owner: &Owner, said: Box<Said>) {
        let Where::Channel { name, .. } = &said.place else {
            if *owner == Owner::Bot {
                self.observe(Happening::Said(said));
            }
            return;
        };
        let Some(ear) = self.ear(owner, name) else {
            return;
        };
        let folded = self.directory.read().case_mapping().fold(name);
        let key = self.key_of(&said);
        let Some(ears) = self.ears.get_mut(&folded) else {
            return;
        };
        // Where the standby has heard it first, it is the observer's line all the same: that one comes again.
        if let Some((said, _)) = ears.heard.hear(ear, key, (said, self.line), now()) {
            ears.told = self.line.or(ears.told);
            self.note_told_for_others(owner);
            self.observe(Happening::Said(said));
        }
    }

    /// Takes what a line has said that came before, or by another connection, than the one that is taken at this moment.
    pub(super) fn as_of(&mut self, line: Option<LineId>, take: impl FnOnce(&mut Self)) {
        let taken = std::mem::replace(&mut self.line, line);
        take(self);
        self.line = taken;
    }

    /// What is the same about something said, whoever hears it.
    fn key_of(&self, said: &Said) -> String {
        let kind = match &said.kind {
            Kind::Text => "",
            Kind::Notice => "n",
            Kind::Action => "a",
            Kind::Ctcp { .. } | Kind::CtcpReply { .. } => "c",
        };
        match &said.msgid {
            Some(msgid) => format!("={msgid}"),
            None => {
                let who = self.directory.read().case_mapping().fold(&said.who.name);
                // Bytes that are no UTF-8 are told apart by what is around them, or not at all.
                let text = String::from_utf8_lossy(&said.text);
                format!("{kind} {who} {text}")
            }
        }
    }

    /// How a connection hears a channel.
    fn ear(&self, owner: &Owner, channel: &str) -> Option<Ear> {
        let folded = self.directory.read().case_mapping().fold(channel);
        let ears = self.ears.get(&folded)?;
        if ears.observer.as_ref() == Some(owner) {
            Some(Ear::Observer)
        } else {
            (ears.standby.as_ref() == Some(owner)).then_some(Ear::Standby)
        }
    }

    /// Whose connection hears a channel for all.
    pub(super) fn observer(&self, channel: &str) -> Option<&Owner> {
        let folded = self.directory.read().case_mapping().fold(channel);
        self.ears.get(&folded)?.observer.as_ref()
    }

    /// Whether a connection hears a channel for all, or stands by to.
    pub(super) fn is_hearing(&self, owner: &Owner) -> bool {
        let all = self.ears.values();
        let all = all.flat_map(|ears| [&ears.observer, &ears.standby]);
        all.flatten().any(|hearing| hearing == owner)
    }

    /// The connections that hear channels for all, since when, and the last line that the ones before them have told.
    pub(super) fn observers(
        &self,
    ) -> impl Iterator<Item = (&String, &Owner, (Instant, Option<LineId>))> {
        let ears = self.ears.iter();
        ears.filter_map(|(channel, ears)| {
            let since = (ears.since, ears.told_before);
            Some((channel, ears.observer.as_ref()?, since))
        })
    }

    /// Whether a connection hears a channel for all, and another stands by.
    pub(super) fn is_paired(&self, owner: &Owner) -> bool {
        let mut all = self.ears.values();
        all.any(|ears| ears.observer.as_ref() == Some(owner) && ears.standby.is_some())
    }

    /// The lines that somebody who stands by has heard, and nobody has told. What is said by the bridge's own people, or to
    /// some of a channel, they may hear alone.
    pub(super) fn overheard_lines(
        &self,
        owner: &Owner,
        now: Instant,
    ) -> impl Iterator<Item = LineId> {
        let all = self.ears.values();
        let own = all.filter(move |ears| ears.standby.as_ref() == Some(owner));
        let held = own.flat_map(move |ears| ears.heard.held(now));
        let is_for_all = |said: &Said| matches!(&said.place, Where::Channel { status: None, .. });
        let of_others =
            held.filter(move |(said, _)| is_for_all(said) && self.own(&said.who.name).is_none());
        of_others.filter_map(|(_, line)| *line)
    }

    /// The connection that knows most of a channel.
    pub(super) fn watcher(&self, channel: &str) -> Option<&Live> {
        let observer = self.observer(channel)?;
        self.clients.get(observer)?.live.as_ref()
    }

    /// The channels that others than this connection hear.
    pub(super) fn overheard_without(&self, owner: &Owner) -> BTreeSet<String> {
        let ears = self.ears.iter().filter(|(_, ears)| {
            let all = [&ears.observer, &ears.standby];
            all.into_iter().flatten().any(|other| other != owner)
        });
        ears.map(|(channel, _)| channel.clone()).collect()
    }

    /// Whether a channel is heard by this connection for want of a better one.
    pub(super) fn is_needed(&self, owner: &Owner) -> bool {
        *owner != Owner::Bot
            && self
                .ears
                .values()
                .any(|ears| ears.observer.as_ref() == Some(owner))
    }

    /// A connection came into a channel, or is there no more: who hears it is found anew. Channels are folded here.
    pub(super) fn elect(&mut self, channel: &str) {
        let now = now();
        let mut candidates = self.candidates(channel);
        match self.heard_before(channel, &candidates) {
            // What was not dealt with comes by the connection that heard it.
            Some(None) => return,
            Some(Some(before)) => candidates.sort_by_key(|owner| *owner != before),
            // What was said while the bridge was away only a connection from before has.
            None => candidates.sort_by_key(|owner| !self.held.is_behind(owner)),
        }
        if candidates.is_empty() && !self.ears.contains_key(channel) {
            return;
        }
        let left = &mut self.held.left;
        let ears = self.ears.entry(channel.to_owned()).or_insert_with(|| Ears {
            observer: None,
            standby: None,
            since: now,
            heard: left.remove(channel).unwrap_or_else(Overlap::new),
            told: None,
            told_before: None,
        });
        let is_there = |owner: &Owner| candidates.contains(owner);
        let lost_standby = ears.standby.take_if(|standby| !is_there(standby)).is_some();
        let mut told = Vec::new();
        let is_lost = ears
            .observer
            .take_if(|observer| !is_there(observer))
            .is_some();
        if lost_standby && !is_lost {
            ears.heard.replace_standby();
        }
        let mut is_new = false;
        if ears.observer.is_none() {
            ears.observer = ears.standby.take().or_else(|| candidates.first().cloned());
            if is_lost {
                told = ears.heard.swap(now);
                ears.heard.replace_standby();
            }
            is_new = ears.observer.is_some();
            ears.since = now;
            ears.told_before = ears.told.take().or(ears.told_before);
        }
        let others = candidates
            .iter()
            .find(|owner| Some(*owner) != ears.observer.as_ref());
        // The bridge's own stands by as soon as it can, to take over: where nothing is lost with who stands by now.
        let standby = ears.standby.as_ref();
        let pair = [standby, ears.observer.as_ref()].into_iter().flatten();
        let is_free = pair.into_iter().all(|owner| !self.held.is_behind(owner));
        let wants = standby.is_none() || (others == Some(&Owner::Bot) && is_free);
        if wants && ears.standby.as_ref() != others {
            ears.standby = others.cloned();
            ears.since = now;
            ears.heard.replace_standby();
        }
        let is_unheard = ears.observer.is_none();
        if is_unheard
            && let Some(ears) = self.ears.remove(channel)
            && self.held.is_any_behind()
        {
            // One that comes after it may turn out to have been there as well.
            self.held.left.insert(channel.to_owned(), ears.heard);
        }
        self.tell_ears();
        for (said, line) in told {
            self.as_of(line, |hub| hub.observe(Happening::Said(said)));
        }
        if is_new {
            self.observer_changed(channel);
        } else if is_lost && is_unheard {
            self.directory.write().forget(channel);
            self.note_deaf([channel.to_owned()]);
        }
    }

    /// Connections in a channel, the best first: the bridge's own, then those that have stood for longest. Nobody's, where
    /// the channel is not bridged.
    fn candidates(&self, channel: &str) -> Vec<Owner> {
        if !self.is_heard_at_all(channel) {
            return Vec::new();
        }
        let there = self.clients.values().filter_map(|client| {
            let live = client.live.as_ref().filter(|live| live.is_ready)?;
            let is_in = live.standings.get(channel) == Some(&Standing::In);
            is_in.then_some((client.owner != Owner::Bot, live.begun_at, &client.owner))
        });
        let mut there: Vec<_> = there.collect();
        there.sort();
        there
            .into_iter()
            .map(|(_, _, owner)| owner.clone())
            .collect()
    }

    /// A connection is over: others hear what it has heard.
    pub(super) fn elect_without(&mut self, owner: &Owner) {
        let concerned = self.ears.iter().filter(|(_, ears)| {
            ears.observer.as_ref() == Some(owner) || ears.standby.as_ref() == Some(owner)
        });
        let concerned: Vec<String> = concerned.map(|(channel, _)| channel.clone()).collect();
        for channel in concerned {
            self.elect(&channel);
        }
    }

    /// Where the bridge's own connection has stood by for long enough, it takes over.
    pub(super) fn take_over(&mut self, now: Instant) {
        let ripe = self.ears.iter().filter(|(_, ears)| {
            let observer = ears.observer.as_ref();
            ears.standby == Some(Owner::Bot)
                && observer.is_none_or(|observer| !self.held.is_behind(observer))
                && now.saturating_duration_since(ears.since) >= OVERLAPS_FOR
        });
        let ripe: Vec<String> = ripe.map(|(channel, _)| channel.clone()).collect();
        for channel in ripe {
            let Some(ears) = self.ears.get_mut(&channel) else {
                continue;
            };
            std::mem::swap(&mut ears.observer, &mut ears.standby);
            ears.since = now;
            ears.told_before = ears.told.take().or(ears.told_before);
            let told = ears.heard.swap(now);
            for (said, line) in told {
                self.as_of(line, |hub| hub.observe(Happening::Said(said)));
            }
            self.observer_changed(&channel);
        }
    }

    /// Each connection is told whether it hears for others.
    pub(super) fn tell_ears(&mut self) {
        let hearing: BTreeSet<&Owner> = self
            .ears
            .values()
            .flat_map(|ears| [&ears.observer, &ears.standby])
            .flatten()
            .collect();
        let people = self.clients.values_mut();
        for client in people.filter(|client| client.owner != Owner::Bot) {
            let observes = hearing.contains(&client.owner);
            if let Some(live) = client
                .live
                .as_mut()
                .filter(|live| live.observes != observes || live.entries.0 != live.entries.1)
            {
                live.observes = observes;
                live.entries.1 = live.entries.0;
                let order = match observes {
                    true => Order::Observe,
                    false => Order::Overlook(live.entries.0),
                };
                // One that takes no orders is about to end.
                let _ = live.link.order(order);
            }
        }
    }

    /// A channel is heard by another connection from now on: who is there, and what it is like, is asked anew.
    fn observer_changed(&mut self, channel: &str) {
        let place = self.channel(channel);
        self.shut_out.remove(place.target_name());
        self.deed(Deed::Back(place));
        self.catch_up(channel);
        let Some(owner) = self
            .ears
            .get(channel)
            .and_then(|ears| ears.observer.clone())
        else {
            return;
        };
        if let Some(live) = self.client(&owner).live.as_mut() {
            live.question(Line::new("MODE", [channel]));
            live.question(Line::new("NAMES", [channel]));
            if owner != Owner::Bot {
                // The bridge's own hears it with its entry.
                live.question(Line::new("TOPIC", [channel]));
            }
        }
        self.ask_for_lists(channel);
    }

    /// The bridge's own connection is not in a channel where it is to be. It tries again, more and more seldom; the
    /// people are told where nobody else hears the channel.
    pub(super) fn bot_kept_out(&mut self, channel: &str, words: &str) {
        self.client(&Owner::Bot).refused_by(channel, words, now());
        if self.ears.contains_key(channel) {
            return;
        }
        let place = self.channel(channel);
        let reason = format!("the bridge cannot be in the channel: {words}");
        self.deed(Deed::Gone(place, reason));
    }

    /// The network has told that nobody has this nick any more: what its owner has said there was heard, or has not
    /// arrived.
    pub(super) fn note_gone(&mut self, nick: &str) {
        let former = self.directory.write().settle_former(nick, now());
        if let Some(client) = former.and_then(|owner| self.clients.get_mut(&owner)) {
            client.doubts_until = Some(now());
            return;
        }
        let owner = self.directory.read().owner(nick).cloned();
        let client = owner.and_then(|owner| self.clients.get_mut(&owner));
        if let Some(live) = client.and_then(|client| client.live.as_mut()) {
            // The observer knows before the connection itself does.
            live.is_gone = true;
        }
    }
}

/// The channel that something has happened in.
fn channel_of(happening: &Happening) -> Option<&str> {
    match happening {
        Happening::Joined { channel, .. }
        | Happening::Parted { channel, .. }
        | Happening::Kicked { channel, .. }
        | Happening::Topic { channel, .. }
        | Happening::Modes { channel, .. }
        | Happening::Names { channel, .. }
        | Happening::Who { channel, .. }
        | Happening::ModesAre { channel, .. }
        | Happening::ListIs { channel, .. }
        | Happening::Created { channel, .. }
        | Happening::Url { channel, .. } => Some(channel),
        Happening::Reacted { place, .. }
        | Happening::Redacted { place, .. }
        | Happening::Typing { place, .. } => match place {
            Where::Channel { name, .. } => Some(name),
            Where::Private | Where::Other { .. } => None,
        },
        _ => None,
    }
}
