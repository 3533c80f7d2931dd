//! What a line is for what is in flight.

use std::time::Instant;

use super::{Attended, Echo, Flight, Flights, Flown, Reply, Uttered, Who, ask::Part, refusals};
use crate::{CaseMapping, Line};

impl Flights {
    /// Whether the client has asked for this nick itself.
    pub(in crate::session) fn is_nick_asked(&self, nick: &str, case: CaseMapping) -> bool {
        self.list.iter().any(|flight| match &flight.what {
            Flown::Ask(asked) => {
                asked.line.command == "NICK" && case.is_same(&asked.line.text(0), nick)
            }
            Flown::Say(_) => false,
        })
    }

    /// Takes a line that bears a label, or is in a batch that bears one.
    pub(in crate::session) fn take_labelled(
        &mut self,
        label: &str,
        line: &Line,
        who: &Who,
        now: Instant,
    ) -> Attended {
        let Some(flight) = self.by_label(label) else {
            return Attended::Not;
        };
        flight.touched_at = now;
        let id = flight.id;
        match &mut flight.what {
            Flown::Say(said) => {
                let is_echo = line.command == said.line.command && who.is_me(line.from_name());
                if is_echo {
                    said.reply = Some(Reply::Echo(Echo::of(line)));
                } else if refusals::is_refusal(line) && said.reply.is_none() {
                    said.reply = Some(Reply::Refusal(line.clone()));
                } else if line.command != "ACK" {
                    return Attended::Not;
                }
                Attended::Taken
            }
            Flown::Ask(_) if line.command == "ACK" => Attended::Taken,
            Flown::Ask(asked) => {
                asked.gather(line);
                Attended::Answers(id)
            }
        }
    }

    /// Notes that a text of several lines came back, in a batch with a label.
    pub(in crate::session) fn take_labelled_echo(&mut self, label: &str, echo: Echo) -> bool {
        let flight = self.by_label(label);
        match flight.map(|flight| &mut flight.what) {
            Some(Flown::Say(said)) => {
                said.reply = Some(Reply::Echo(echo));
                true
            }
            _ => false,
        }
    }

    fn by_label(&mut self, label: &str) -> Option<&mut Flight> {
        let mut list = self.list.iter_mut();
        list.find(|flight| flight.label.as_deref() == Some(label))
    }

    /// Takes a line of a history that came without a label; which ask it answers.
    pub(in crate::session) fn take_history(
        &mut self,
        target: &str,
        line: &Line,
        who: &Who,
        now: Instant,
    ) -> Attended {
        let at = self.history(target, who.case);
        match at.map(|at| &mut self.list[at]) {
            Some(Flight {
                id,
                touched_at,
                what: Flown::Ask(asked),
                ..
            }) => {
                *touched_at = now;
                asked.gather(line);
                Attended::Answers(*id)
            }
            _ => Attended::Not,
        }
    }

    /// A history that came without a label is complete.
    pub(in crate::session) fn end_history(&mut self, target: &str, who: &Who) {
        if let Some(at) = self.history(target, who.case) {
            self.end(at);
        }
    }

    fn history(&self, target: &str, case: CaseMapping) -> Option<usize> {
        self.list.iter().position(|flight| match &flight.what {
            Flown::Ask(asked) => {
                flight.label.is_none()
                    && asked.line.command == "CHATHISTORY"
                    && case.is_same(&asked.line.text(1), target)
            }
            Flown::Say(_) => false,
        })
    }

    /// Takes a line without a label; what it was for what is in flight.
    pub(in crate::session) fn take(&mut self, line: &Line, who: &Who, now: Instant) -> Attended {
        if refusals::refuses_commands_first(line) {
            let answered = self.take_among(line, (who, now), |what| matches!(what, Flown::Ask(_)));
            if !matches!(answered, Attended::Not) {
                return answered;
            }
        }
        self.take_among(line, (who, now), |_| true)
    }

    fn take_among(
        &mut self,
        line: &Line,
        (who, now): (&Who, Instant),
        is_meant: impl Fn(&Flown) -> bool,
    ) -> Attended {
        for at in 0..self.list.len() {
            let flight = &mut self.list[at];
            if flight.label.is_some() || !is_meant(&flight.what) {
                continue;
            }
            let id = flight.id;
            match &mut flight.what {
                Flown::Say(said) if said.is_refused_by(line, who) => {
                    let at = self.likeliest(at, line, who);
                    if let Flown::Say(said) = &mut self.list[at].what {
                        said.reply = Some(Reply::Refusal(line.clone()));
                    }
                    self.end(at);
                    return Attended::Taken;
                }
                Flown::Say(_) => {}
                Flown::Ask(asked) => match asked.part(line, who) {
                    Part::None => {}
                    part => {
                        asked.gather(line);
                        flight.touched_at = now;
                        if part == Part::Last {
                            self.end(at);
                        }
                        return Attended::Answers(id);
                    }
                },
            }
        }
        Attended::Not
    }

    /// Of several texts that a refusal may be about, the one that it fits best; the first, where nothing tells them
    /// apart.
    fn likeliest(&self, first: usize, line: &Line, who: &Who) -> usize {
        let candidates = || {
            let later = self.list.iter().enumerate().skip(first);
            later.filter_map(|(at, flight)| match &flight.what {
                Flown::Say(said) if flight.label.is_none() && said.is_refused_by(line, who) => {
                    Some((at, said.line.param(1).unwrap_or_default()))
                }
                _ => None,
            })
        };
        let found = match line.numeric() {
            // Too long is the longest.
            Some(417) => candidates().rev().max_by_key(|(_, text)| text.len()),
            _ => candidates().find(|(_, text)| refusals::suits(line, text)),
        };
        found.map_or(first, |(at, _)| at)
    }

    /// Takes a text from the own nick. Where `is_lone`, no other client speaks for it, and the server may have altered
    /// the text.
    pub(in crate::session) fn take_echo(&mut self, line: &Line, who: &Who, is_lone: bool) -> bool {
        let is_alike = |said: &Uttered| {
            !said.is_multiline
                && said.line.command == line.command
                && who.case.is_same(&said.line.text(0), &line.text(0))
        };
        let has_tags = |said: &Uttered| {
            let mut tags = said
                .line
                .tags
                .iter()
                .filter(|(key, _)| key.starts_with('+'));
            tags.all(|(key, value)| line.tags.get(key) == Some(value))
        };
        let is_same = |said: &Uttered| {
            let is_text = said.line.param(1) == line.param(1);
            is_alike(said) && is_text && (line.command != "TAGMSG" || has_tags(said))
        };
        let found = self.position(is_same);
        let found = found.or_else(|| self.position(is_alike).filter(|_| is_lone));
        self.end_echoed(found, Echo::of(line))
    }

    /// Takes a text of several lines from the own nick, without a label.
    pub(in crate::session) fn take_multiline_echo(&mut self, first: &Line, who: &Who) -> bool {
        let found = self.position(|said| {
            said.is_multiline && who.case.is_same(&said.line.text(0), &first.text(0))
        });
        self.end_echoed(found, Echo::of(first))
    }

    fn position(&self, is_it: impl Fn(&Uttered) -> bool) -> Option<usize> {
        self.list.iter().position(|flight| match &flight.what {
            // What has a label has its echo with that label, unless the server has answered the label otherwise.
            Flown::Say(said) => {
                let is_open = flight.label.is_none() || flight.passed_at.is_some();
                is_open && said.reply.is_none() && is_it(said)
            }
            Flown::Ask(_) => false,
        })
    }

    fn end_echoed(&mut self, found: Option<usize>, echo: Echo) -> bool {
        let Some(at) = found else {
            return false;
        };
        if let Flown::Say(said) = &mut self.list[at].what {
            said.reply = Some(Reply::Echo(echo));
        }
        self.end(at);
        true
    }
}

impl Uttered {
    fn is_refused_by(&self, line: &Line, who: &Who) -> bool {
        let command = self.line.command.as_str();
        refusals::refuses_text(line, command, &self.line.text(0), who.case)
            || (self.is_multiline && line.command == "FAIL" && line.text(0) == "BATCH")
    }
}
