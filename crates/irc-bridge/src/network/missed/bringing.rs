//! What was said to a person alone, on its way to them: what was missed, and behind it what is said now.

use std::time::Instant;

use bridgehead_appservice::id::UserId;
use bridgehead_irc_protocol::{
    Source,
    channels::{Kind, Said, server_time_ms},
    session::Proof,
};

use super::{NOTE_EVERY, believed, fetching::Held};
use crate::{
    clock::now,
    ids::{Nick, Place},
    network::{Hub, Owner, deeds::Deed, private::address_of},
};

impl Hub {
    /// Something is said to a person alone now; where what was said before comes first, it waits for that.
    pub(in crate::network) fn private_now(&mut self, owner: &Owner, person: &UserId, said: &Said) {
        let folded = self.nick(&said.who.name).nick;
        let is_question = matches!(said.kind, Kind::Ctcp { .. });
        let fetching = self.missed.fetching.get_mut(person);
        if !is_question && fetching.is_some_and(|it| it.hold(&folded, (said, self.line), now())) {
            return;
        }
        self.private(owner, person, said);
        self.has_heard(person, said);
    }

    /// Something was said to a person alone, and is on its way to them.
    fn has_heard(&mut self, person: &UserId, said: &Said) {
        if let Some(fetching) = self.missed.fetching.get_mut(person) {
            fetching.brings(said);
            return;
        }
        if let Some(at_ms) = said.time_ms {
            let reached = self.missed.known.reach(person, believed(at_ms));
            self.note_known(person, reached);
        }
    }

    /// A person's own words have come back: what was said to them before has come as well.
    pub(in crate::network) fn has_spoken(&mut self, owner: &Owner, proof: &Proof) {
        let Proof::Echo { time, .. } = proof else {
            return;
        };
        let at_ms = time.as_deref().and_then(server_time_ms);
        if let (Some(person), Some(at_ms)) = (owner.person(), at_ms)
            && !self.missed.fetching.contains_key(person)
        {
            self.missed.known.drift(person, believed(at_ms));
        }
    }

    pub(super) fn bring_held(&mut self, owner: &Owner, person: &UserId, held: Vec<Held>) {
        for Held { said, line, .. } in held {
            self.as_of(line, |hub| {
                hub.private(owner, person, &said);
                hub.has_heard(person, &said);
            });
        }
    }

    /// Something was said to a person alone, before they were connected.
    pub(super) fn bring_missed(&mut self, person: &UserId, said: &Said) {
        let is_ours = self.directory.read().owner(&said.who.name).is_some();
        // Programs wait for no answer any more.
        let is_asked = matches!(said.kind, Kind::Ctcp { .. } | Kind::CtcpReply { .. });
        if is_ours || is_asked || !self.may_reach(person, &said.who) {
            return;
        }
        let place = self.talk_then(person, &said.who);
        if said.kind == Kind::Notice {
            self.private_notice(place, person, said);
            return;
        }
        let folded = self.nick(&said.who.name).nick;
        self.monitor.talks(&folded);
        self.bring(place, said);
    }

    /// The room in which somebody talked to a person. That they had the nick then does not say that they have it now.
    fn talk_then(&mut self, person: &UserId, who: &Source) -> Place {
        let nick = self.nick(&who.name);
        let address = address_of(who);
        self.talks.speaks(person, &nick.nick, address.as_deref());
        let room = self.talks.room_then(person, &nick.nick, address.as_deref());
        let room = room.to_owned();
        self.write_talks_down();
        Place::private(&Nick { nick: room, ..nick }, person)
    }

    /// What waits does not wait for ever; and it is noted how far talks are known.
    pub(in crate::network) fn tend_missed(&mut self, now: Instant) {
        let late = self.missed.fetching.iter();
        let late = late.filter(|(_, fetching)| fetching.is_late(now));
        let late: Vec<UserId> = late.map(|(person, _)| person.clone()).collect();
        for person in late {
            self.bring_late(&person);
        }
        if now.saturating_duration_since(self.missed.noted_at) >= NOTE_EVERY {
            self.missed.noted_at = now;
            for (person, known) in self.missed.known.take_ahead() {
                self.deed(Deed::Known(person, known));
            }
        }
    }

    fn bring_late(&mut self, person: &UserId) {
        let fetching = self.missed.fetching.get_mut(person);
        let held = fetching.map(|fetching| fetching.release(true));
        self.bring_held(
            &Owner::Person(person.clone()),
            person,
            held.unwrap_or_default(),
        );
    }

    /// A connection is over: what was not fetched is fetched by the next.
    pub(in crate::network) fn misses_again(&mut self, owner: &Owner) {
        let Some(person) = owner.person().cloned() else {
            return;
        };
        if self.missed.looked.remove(&person) {
            self.bring_late(&person);
        }
    }
}
