//! What is said on IRC to one person of Matrix alone, or to the bridge itself.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bridgehead_appservice::{
    bridge::SendError,
    format::{Rich, Style},
    id::UserId,
};
use bridgehead_irc_protocol::{
    Line, Source,
    channels::{Kind, Said},
    formatting,
    session::Priority,
};

use super::{Hub, Owner, deeds::Deed};
use crate::{
    clock::now,
    ids::{Nick, Place, Target},
    link::drive::Order,
};

/// The bridge answers so many people in so much time; others it does not hear.
const ANSWERS: usize = 20;
const IN: Duration = Duration::from_secs(10);
/// How long after its start the bridge waits for those whose talks go on under other nicks to be seen, and how often it
/// looks.
const TO_BE_SEEN: Duration = Duration::from_secs(60);
pub(super) const TO_BE_SEEN_EVERY: Duration = Duration::from_secs(1);

/// How fast the bridge answers those who talk to it.
#[derive(Debug, Default)]
pub(super) struct Answers(VecDeque<Instant>);

impl Answers {
    /// Whether one more may be given now; it counts as given.
    pub(super) fn may(&mut self, now: Instant) -> bool {
        while self.0.front().is_some_and(|at| *at + IN <= now) {
            self.0.pop_front();
        }
        let may = self.0.len() < ANSWERS;
        if may {
            self.0.push_back(now);
        }
        may
    }
}

impl Hub {
    /// Something was said to a person alone.
    pub(super) fn private(&mut self, owner: &Owner, person: &UserId, said: &Said) {
        // A nick that was one of ours may be somebody else's by now.
        let is_ours = self.directory.read().owner(&said.who.name).is_some();
        if said.is_server || is_ours {
            return;
        }
        if self.answer_ctcp(owner, said) {
            return;
        }
        if !self.may_reach(person, &said.who) {
            return;
        }
        self.directory.write().met(&said.who.name);
        let place = self.talk(person, &said.who);
        match said.kind {
            // Services and programs give notices: they are no talk, unless there is one already.
            Kind::Notice => self.private_notice(place, person, said),
            _ => {
                let folded = self.nick(&said.who.name).nick;
                self.monitor.talks(&folded);
                self.bring(place, said);
            }
        }
    }

    /// The room in which somebody talks to a person who has just said something.
    fn talk(&mut self, person: &UserId, who: &Source) -> Place {
        let nick = self.nick(&who.name);
        self.note_seen_to_be(who);
        self.talks
            .speaks(person, &nick.nick, address_of(who).as_deref());
        let room = self.talks.room(person, &nick.nick).to_owned();
        self.write_talks_down();
        Place::private(&Nick { nick: room, ..nick }, person)
    }

    /// Whether the network may be about to show who is meant in a talk.
    pub(super) fn is_to_be_seen(&self, place: &Place, now: Instant) -> bool {
        let Target::Private { nick, person } = &place.target else {
            return false;
        };
        now.saturating_duration_since(self.begun_at) < TO_BE_SEEN
            && self.talks.is_awaited(person, nick)
    }

    /// A person writes in the room of a talk: who is meant there now.
    pub(super) fn meant(&self, place: Place) -> Place {
        let Target::Private { nick, person } = &place.target else {
            return place;
        };
        let nick = Nick {
            network: self.name.clone(),
            nick: self.talks.nick(person, nick).to_owned(),
        };
        Place::private(&nick, person)
    }

    /// Somebody is seen with their address: a talk that was theirs before the bridge was restarted is theirs again.
    pub(super) fn note_seen_to_be(&mut self, who: &Source) {
        if self.talks.awaits_somebody()
            && let Some(address) = address_of(who)
        {
            let nick = self.nick(&who.name);
            self.talks.seen(&nick.nick, &address);
            self.write_talks_down();
        }
    }

    /// Nobody has this nick any more: whoever takes it next gets no talk with it.
    pub(super) fn nobody_is(&mut self, nick: &str) {
        let nick = self.nick(nick);
        self.talks.gone(&nick.nick);
        self.write_talks_down();
    }

    /// Somebody has gone in a netsplit, and may come back: until they are seen, their nick may be anybody's.
    pub(super) fn may_come_back(&mut self, nick: &str) {
        let nick = self.nick(nick);
        self.talks.away(&nick.nick);
        self.write_talks_down();
    }

    /// Who is meant has to be on IRC: people of Matrix have no talks with each other there.
    pub(super) fn is_on_irc(&self, place: &Place) -> Result<(), SendError> {
        let Target::Private { nick, .. } = &place.target else {
            return Ok(());
        };
        match self.directory.read().owner(nick) {
            None => Ok(()),
            Some(Owner::Person(person)) => Err(SendError::reject(format!(
                "{nick} is {person} of Matrix: write to them there"
            ))),
            Some(Owner::Bot) => Err(SendError::reject(format!(
                "{nick} is the bridge itself: talk to it in your own room with it"
            ))),
        }
    }

    pub(super) fn private_notice(&mut self, place: Place, person: &UserId, said: &Said) {
        let words = self.words(None, Some(&said.text)).unwrap_or_default();
        let words = format!(" on {}: {}", self.name, formatting::strip(&words));
        let note = Rich::builder()
            .text(&said.who.name, &Style::bold())
            .text(&words, &Style::default())
            .build();
        let messages = self.messages(place, said);
        self.deed(Deed::PrivateNotice(person.clone(), note, messages));
    }

    /// Somebody goes by another nick: their talks go on.
    pub(super) fn talks_go_on(&mut self, who: &Source, to: &str) {
        let from = &who.name;
        let (old, new) = (self.nick(from), self.nick(to));
        self.monitor.renamed(&old.nick, &new.nick);
        self.note_seen_to_be(who);
        let address = address_of(who);
        for (person, room) in self
            .talks
            .renamed((&old.nick, &new.nick), address.as_deref())
        {
            let nick = Nick {
                nick: room,
                ..new.clone()
            };
            let place = Place::private(&nick, &person);
            let words = format!("{from} is now called {to}.");
            self.deed(Deed::Notice(place, Rich::plain(&words)));
        }
        self.write_talks_down();
    }

    pub(super) fn write_talks_down(&mut self) {
        for change in self.talks.take_changes() {
            self.deed(Deed::Talk(self.name.clone(), change));
        }
    }

    /// Something was said to the bridge alone.
    pub(super) fn told_bot(&mut self, said: &Said) {
        if said.is_own || said.is_server || self.own(&said.who.name).is_some() {
            return;
        }
        match said.kind {
            Kind::Ctcp { .. } => drop(self.answer_ctcp(&Owner::Bot, said)),
            Kind::Text => {
                let words = self.words(None, Some(&said.text)).unwrap_or_default();
                let words = formatting::strip(&words).into_owned();
                if self.answers.may(now())
                    && let Some(answer) = self.answer_to(&said.who, &words)
                {
                    self.notice_to(&said.who.name, &answer);
                }
            }
            // What programs say is answered by nobody, or two of them go on for ever.
            _ => {}
        }
    }

    /// What the bridge answers to somebody of IRC.
    fn answer_to(&mut self, who: &Source, words: &str) -> Option<String> {
        if let Some(answer) = self.take_consent(who, words) {
            return Some(answer);
        }
        let mut words = words.split_whitespace();
        let command = words.next()?.trim_start_matches('!').to_lowercase();
        Some(match (command.as_str(), words.next()) {
            ("who" | "whois", Some(nick)) => self.who_is(nick),
            _ => format!(
                "I am a bridge between {} and Matrix. `who <nick>` tells you who of Matrix somebody is. To talk to one of \
                 them alone, write to their nick. Who is in Matrix can talk to you there as {}.",
                self.name,
                self.remote
                    .ghost_id(&self.nick(&who.name))
                    .map_or_else(|_| who.name.clone(), |ghost| ghost.to_string()),
            ),
        })
    }

    fn who_is(&self, nick: &str) -> String {
        match self.own(nick) {
            Some(Owner::Person(person)) => format!("{nick} is {person} of Matrix."),
            Some(Owner::Bot) => "That is me.".to_owned(),
            None => format!("{nick} is nobody of Matrix who is connected by this bridge."),
        }
    }

    /// Says something to somebody of IRC by the bridge's own connection, so that no program answers it.
    pub(super) fn notice_to(&mut self, nick: &str, text: &str) {
        let line = Line::new("NOTICE", [nick, text]);
        if let Some(live) = self.client(&Owner::Bot).live.as_ref() {
            // A link that takes no orders is about to end.
            let _ = live.link.order(Order::Send(line, Priority::Said));
        }
    }
}

/// The user and the host of somebody, where they are known: what others cannot take with a nick.
pub(super) fn address_of(who: &Source) -> Option<String> {
    Some(format!("{}@{}", who.user.as_ref()?, who.host.as_ref()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bridge_is_no_echo_chamber() {
        let start = Instant::now();
        let mut answers = Answers::default();
        let given = (0..100).filter(|_| answers.may(start)).count();
        assert_eq!(given, ANSWERS);
        assert!(answers.may(start + IN));
    }
}
