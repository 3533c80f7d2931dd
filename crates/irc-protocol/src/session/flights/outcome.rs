//! How what is in flight ends.

use std::time::Instant;

use super::{
    Echo, Flight, Flights, Flown, Reply, SWALLOWED, Spoken, Uttered, ask::Asked, refusals,
};
use crate::{
    Line,
    session::event::{Event, Proof},
};

/// How one line of a text ends.
enum Fate {
    Echo(Echo),
    Barrier,
    Refused(Line),
    /// The server has not said so: why it failed.
    Failed(&'static str),
}

impl Flights {
    /// The answer to a label is complete.
    pub(in crate::session) fn end_label(&mut self, label: &str, now: Instant) {
        let mut list = self.list.iter();
        let found = list.position(|flight| flight.label.as_deref() == Some(label));
        let Some(at) = found else {
            return;
        };
        let flight = &mut self.list[at];
        match &flight.what {
            // What must come back and does not was dropped, even where its label is acknowledged; but bouncers bring it
            // back a little later, and some servers without its label.
            Flown::Say(said) if said.is_echoed && said.reply.is_none() => {
                flight.passed_at.get_or_insert(now);
            }
            _ => self.end(at),
        }
    }

    /// What is known of it is all there will be.
    pub(super) fn end(&mut self, at: usize) {
        let Some(flight) = self.list.remove(at) else {
            return;
        };
        match flight.what {
            Flown::Say(mut said) => {
                let fate = match said.reply.take() {
                    Some(Reply::Echo(echo)) => Fate::Echo(echo),
                    Some(Reply::Refusal(line)) => Fate::Refused(line),
                    None => Fate::Barrier,
                };
                self.decide(flight.id, &said, fate);
            }
            Flown::Ask(asked) => self.answer(flight.id, asked),
        }
    }

    fn answer(&mut self, id: u64, asked: Asked) {
        self.asks.remove(&id);
        let event = match asked.refusal() {
            Some(line) => refused(id, line),
            None => Event::Answered {
                id,
                lines: asked.lines,
            },
        };
        self.events.push(event);
    }

    fn decide(&mut self, id: u64, said: &Uttered, fate: Fate) {
        let Some(spoken) = self.says.get_mut(&id) else {
            return;
        };
        spoken.left = spoken.left.saturating_sub(1);
        spoken.is_begun = true;
        let refusal = match fate {
            Fate::Echo(echo) => {
                spoken.take_echo(said.part, echo);
                None
            }
            Fate::Barrier => {
                spoken.is_by_barrier = true;
                None
            }
            Fate::Refused(line) => Some(refused(id, &line)),
            Fate::Failed(why) => Some(failed(id, why, &said.line)),
        };
        if let Some(event) = refusal.filter(|_| !spoken.is_refused) {
            spoken.is_refused = true;
            self.events.push(event);
            self.dropped.push(id);
        }
        self.settle(id);
    }

    /// A line of a text cannot be written.
    pub(in crate::session) fn fail_say(&mut self, id: u64, said: &Uttered, why: &'static str) {
        self.decide(id, said, Fate::Failed(why));
    }

    /// A command cannot be written.
    pub(in crate::session) fn fail_ask(&mut self, id: u64, line: &Line, why: &str) {
        self.asks.remove(&id);
        self.events.push(failed(id, why, line));
    }

    /// Lines of a text that was refused were taken back.
    pub(in crate::session) fn drop_parts(&mut self, id: u64, parts: usize) {
        if let Some(spoken) = self.says.get_mut(&id) {
            spoken.left = spoken.left.saturating_sub(parts);
            self.settle(id);
        }
    }

    fn settle(&mut self, id: u64) {
        let is_over = self.says.get(&id).is_some_and(|spoken| spoken.left == 0);
        if !is_over {
            return;
        }
        if let Some(spoken) = self.says.remove(&id).filter(|spoken| !spoken.is_refused) {
            let proof = spoken.proof();
            self.events.push(Event::Said { id, proof });
        }
    }

    /// The barrier has come back: the server has looked at all up to this number.
    pub(in crate::session) fn pass(&mut self, number: u64, now: Instant) {
        for flight in self
            .list
            .iter_mut()
            .filter(|flight| flight.number <= number)
        {
            flight.passed_at.get_or_insert(now);
        }
        self.expire(now);
    }

    /// Ends what has waited for long enough.
    pub(in crate::session) fn expire(&mut self, now: Instant) {
        let mut at = 0;
        while at < self.list.len() {
            let flight = &self.list[at];
            if flight.ends_at().is_none_or(|end| end > now) {
                at += 1;
                continue;
            }
            self.end_waiting(at);
        }
    }

    fn end_waiting(&mut self, at: usize) {
        let flight = &self.list[at];
        let is_passed = flight.passed_at.is_some();
        match &flight.what {
            Flown::Say(said) if said.is_echoed && said.reply.is_none() => {
                if let Some(Flight {
                    id,
                    what: Flown::Say(said),
                    ..
                }) = self.list.remove(at)
                {
                    self.decide(id, &said, Fate::Failed(SWALLOWED));
                }
            }
            Flown::Ask(asked)
                if asked.lines.is_empty()
                    && (asked.has_end() || !is_passed || flight.label.is_some()) =>
            {
                let event = failed(flight.id, "the server has not answered", &asked.line);
                self.asks.remove(&flight.id);
                self.events.push(event);
                self.list.remove(at);
            }
            _ => self.end(at),
        }
    }
}

impl Spoken {
    fn take_echo(&mut self, part: usize, echo: Echo) {
        self.msgids.extend(echo.msgid.map(|msgid| (part, msgid)));
        let is_first = self.time.as_ref().is_none_or(|(first, _)| part < *first);
        if let Some(time) = echo.time.filter(|_| is_first) {
            self.time = Some((part, time));
        }
    }

    fn proof(mut self) -> Proof {
        if self.is_by_barrier {
            return Proof::Barrier;
        }
        self.msgids.sort();
        Proof::Echo {
            msgids: self.msgids.into_iter().map(|(_, msgid)| msgid).collect(),
            time: self.time.map(|(_, time)| time),
        }
    }
}

/// A failure of which the server says nothing.
pub(in crate::session) fn failed(id: u64, why: &str, line: &Line) -> Event {
    Event::Refused {
        id,
        numeric: None,
        fail: None,
        text: why.to_owned(),
        line: line.clone(),
    }
}

/// What a refusing line says.
pub(in crate::session) fn refused(id: u64, line: &Line) -> Event {
    Event::Refused {
        id,
        numeric: line.numeric(),
        fail: refusals::code(line),
        text: String::from_utf8_lossy(line.last()).into_owned(),
        line: line.clone(),
    }
}
