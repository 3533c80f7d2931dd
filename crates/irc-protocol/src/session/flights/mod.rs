//! What was written and is not proven or answered yet.
//!
//! ```text
//! say ─ written ─▶ in flight ── its echo, or what its label answers ──▶ said, or refused
//!                     │  └───── a numeric that names its target ─────▶ refused
//!                     └──────── the barrier comes back ──▶ said; where an echo was due, refused a little later
//! ```
//!
//! A barrier is a `PING` that is written later: the server answers in order, so its `PONG` says that all before it was
//! looked at. Neighbours: [`refusals`] knows the numerics that refuse, [`ask`] the lines that answer a command.

mod ask;
pub(super) mod refusals;

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    time::{Duration, Instant},
};

use self::ask::{Asked, Part};
use super::event::{Event, Proof};
use crate::{CaseMapping, Line};

/// Texts that are unproven at once.
const MAX_SAYS: usize = 64;
/// Commands that wait or are unanswered at once.
pub(super) const MAX_ASKS: usize = 64;
/// How long an echo may come after the barrier: bouncers answer `PING` themselves.
const ECHO_GRACE: Duration = Duration::from_secs(5);
/// How long a label may be unanswered before a barrier is sent after it.
const LABEL_PATIENCE: Duration = Duration::from_secs(10);
/// How long an answer may pause.
const ANSWER_PAUSE: Duration = Duration::from_secs(30);
/// How long an answer may take.
const ANSWER_TIME: Duration = Duration::from_secs(300);
/// No echo where one was due.
const SWALLOWED: &str = "the server has dropped it without a word";

/// Who this client is on this network.
pub(super) struct Who<'a> {
    pub(super) nick: &'a str,
    pub(super) case: CaseMapping,
}

impl Who<'_> {
    pub(super) fn is_me(&self, name: &str) -> bool {
        !name.is_empty() && self.case.is_same(self.nick, name)
    }
}

/// What is not proven or answered yet.
#[derive(Default)]
pub(super) struct Flights {
    list: VecDeque<Flight>,
    says: HashMap<u64, Spoken>,
    asks: BTreeSet<u64>,
    written: u64,
    labels: u64,
    /// What became of it, to be told.
    pub(super) events: Vec<Event>,
    /// Texts whose other lines must not be written.
    pub(super) dropped: Vec<u64>,
}

/// One line that was written.
struct Flight {
    id: u64,
    label: Option<String>,
    /// Its place in the order of what was written.
    number: u64,
    written_at: Instant,
    touched_at: Instant,
    /// When the barrier behind it came back.
    passed_at: Option<Instant>,
    what: Flown,
}

enum Flown {
    Say(Uttered),
    Ask(Asked),
}

/// One line of a text.
pub(super) struct Uttered {
    pub(super) part: usize,
    /// As it was written; without its text where that is a batch.
    pub(super) line: Line,
    pub(super) is_multiline: bool,
    /// Whether it must come back.
    pub(super) is_echoed: bool,
    pub(super) reply: Option<Reply>,
}

/// What the lines of a label have said.
pub(super) enum Reply {
    Echo(Echo),
    Refusal(Line),
}

/// A text that came back.
#[derive(Clone, Debug, Default)]
pub(super) struct Echo {
    msgid: Option<String>,
    time: Option<String>,
}

impl Echo {
    pub(super) fn of(line: &Line) -> Self {
        let tag = |key: &str| line.tags.get(key).map(str::to_owned);
        Self {
            msgid: tag("msgid"),
            time: tag("time"),
        }
    }
}

/// A text, of which lines are in flight or wait.
#[derive(Default)]
struct Spoken {
    left: usize,
    msgids: Vec<(usize, String)>,
    time: Option<(usize, String)>,
    is_by_barrier: bool,
    is_refused: bool,
    /// Whether one of its lines is proven already.
    is_begun: bool,
}

/// How one line of a text ends.
enum Fate {
    Echo(Echo),
    Barrier,
    Refused(Line),
    /// The server has not said so: why it failed.
    Failed(&'static str),
}

/// What a line was for what is in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attended {
    Not,
    /// It is told as an outcome, and not otherwise.
    Taken,
    /// It answers an ask.
    Answers(u64),
}

impl Flights {
    /// A text is to be written, in so many lines.
    pub(super) fn expect_say(&mut self, id: u64, parts: usize) {
        self.says.entry(id).or_default().left = parts;
    }

    /// A command is to be written; whether there is room for it.
    pub(super) fn expect_ask(&mut self, id: u64) -> bool {
        self.asks.len() < MAX_ASKS && self.asks.insert(id)
    }

    /// It will not be written after all.
    pub(super) fn forget(&mut self, id: u64) {
        self.says.remove(&id);
        self.asks.remove(&id);
    }

    /// Whether any line of it was written.
    pub(super) fn has_begun(&self, id: u64) -> bool {
        let is_proven = self.says.get(&id).is_some_and(|spoken| spoken.is_begun);
        is_proven || self.list.iter().any(|flight| flight.id == id)
    }

    pub(super) fn may_say(&self) -> bool {
        let says = self
            .list
            .iter()
            .filter(|flight| matches!(flight.what, Flown::Say(_)));
        says.count() < MAX_SAYS
    }

    pub(super) fn next_label(&mut self) -> String {
        self.labels += 1;
        format!("b{}", self.labels)
    }

    pub(super) fn fly_say(&mut self, id: u64, label: Option<String>, said: Uttered, now: Instant) {
        self.fly(id, label, Flown::Say(said), now);
    }

    pub(super) fn fly_ask(&mut self, id: u64, label: Option<String>, line: Line, now: Instant) {
        self.fly(id, label, Flown::Ask(Asked::new(line)), now);
    }

    fn fly(&mut self, id: u64, label: Option<String>, what: Flown, now: Instant) {
        self.written += 1;
        self.list.push_back(Flight {
            id,
            label,
            number: self.written,
            written_at: now,
            touched_at: now,
            passed_at: None,
            what,
        });
    }

    /// The number of what was written last.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// How many lines need a barrier that is written now, beside what one covers already.
    pub(super) fn uncovered(&self, covered: u64, now: Instant) -> usize {
        let later = self.list.iter().filter(|flight| flight.number > covered);
        later
            .filter(|flight| flight.needs_barrier_at().is_some_and(|at| at <= now))
            .count()
    }

    /// Takes a line that bears a label, or is in a batch that bears one.
    pub(super) fn take_labelled(
        &mut self,
        label: &str,
        line: &Line,
        who: &Who<'_>,
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
    pub(super) fn take_labelled_echo(&mut self, label: &str, echo: Echo) -> bool {
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

    /// The answer to a label is complete.
    pub(super) fn end_label(&mut self, label: &str) {
        let mut list = self.list.iter();
        let found = list.position(|flight| flight.label.as_deref() == Some(label));
        if let Some(at) = found {
            self.end(at);
        }
    }

    /// What is known of it is all there will be.
    fn end(&mut self, at: usize) {
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
    pub(super) fn fail_say(&mut self, id: u64, said: &Uttered, why: &'static str) {
        self.decide(id, said, Fate::Failed(why));
    }

    /// A command cannot be written.
    pub(super) fn fail_ask(&mut self, id: u64, line: &Line, why: &str) {
        self.asks.remove(&id);
        self.events.push(failed(id, why, line));
    }

    /// Whether the client has asked for this nick itself.
    pub(super) fn is_nick_asked(&self, nick: &str, case: CaseMapping) -> bool {
        self.list.iter().any(|flight| match &flight.what {
            Flown::Ask(asked) => {
                asked.line.command == "NICK" && case.is_same(&asked.line.text(0), nick)
            }
            Flown::Say(_) => false,
        })
    }

    /// Takes a line of a history that came without a label; which ask it answers.
    pub(super) fn take_history(
        &mut self,
        target: &str,
        line: &Line,
        who: &Who<'_>,
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
    pub(super) fn end_history(&mut self, target: &str, who: &Who<'_>) {
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

    /// Lines of a text that was refused were taken back.
    pub(super) fn drop_parts(&mut self, id: u64, parts: usize) {
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

    /// Takes a line without a label; what it was for what is in flight.
    pub(super) fn take(&mut self, line: &Line, who: &Who<'_>, now: Instant) -> Attended {
        for at in 0..self.list.len() {
            let flight = &mut self.list[at];
            if flight.label.is_some() {
                continue;
            }
            let id = flight.id;
            match &mut flight.what {
                Flown::Say(said) if said.is_refused_by(line, who) => {
                    said.reply = Some(Reply::Refusal(line.clone()));
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

    /// Takes a text from the own nick. Where `is_lone`, no other client speaks for it, and the server may have altered
    /// the text.
    pub(super) fn take_echo(&mut self, line: &Line, who: &Who<'_>, is_lone: bool) -> bool {
        let is_alike = |said: &Uttered| {
            !said.is_multiline
                && said.line.command == line.command
                && who.case.is_same(&said.line.text(0), &line.text(0))
        };
        let is_same = |said: &Uttered| is_alike(said) && said.line.param(1) == line.param(1);
        let found = self.position(is_same);
        let found = found.or_else(|| self.position(is_alike).filter(|_| is_lone));
        self.end_echoed(found, Echo::of(line))
    }

    /// Takes a text of several lines from the own nick, without a label.
    pub(super) fn take_multiline_echo(&mut self, first: &Line, who: &Who<'_>) -> bool {
        let found = self.position(|said| {
            said.is_multiline && who.case.is_same(&said.line.text(0), &first.text(0))
        });
        self.end_echoed(found, Echo::of(first))
    }

    fn position(&self, is_it: impl Fn(&Uttered) -> bool) -> Option<usize> {
        self.list.iter().position(|flight| match &flight.what {
            Flown::Say(said) => said.reply.is_none() && is_it(said),
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

    /// The barrier has come back: the server has looked at all up to this number.
    pub(super) fn pass(&mut self, number: u64, now: Instant) {
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
    pub(super) fn expire(&mut self, now: Instant) {
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

    /// When something here is to be looked at; `covered` by a barrier already is all up to this number.
    pub(super) fn wake_at(&self, covered: u64) -> Option<Instant> {
        let ends = self.list.iter().filter_map(Flight::ends_at);
        let later = self.list.iter().filter(|flight| flight.number > covered);
        ends.chain(later.filter_map(Flight::needs_barrier_at)).min()
    }

    /// All is over.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Flight {
    /// From when on a barrier is needed behind it.
    fn needs_barrier_at(&self) -> Option<Instant> {
        match (&self.what, &self.label) {
            (_, None) => Some(self.written_at),
            (Flown::Say(_), Some(_)) => Some(self.written_at + LABEL_PATIENCE),
            (Flown::Ask(_), Some(_)) => None,
        }
    }

    /// When it ends without anything more coming.
    fn ends_at(&self) -> Option<Instant> {
        match &self.what {
            Flown::Say(said) if said.is_echoed => self.passed_at.map(|at| at + ECHO_GRACE),
            Flown::Say(_) => self.passed_at,
            Flown::Ask(asked) => {
                let latest = (self.touched_at + ANSWER_PAUSE).min(self.written_at + ANSWER_TIME);
                let is_barrier_enough = self.label.is_none() && !asked.has_end();
                let passed_at = self.passed_at.filter(|_| is_barrier_enough);
                Some(passed_at.map_or(latest, |at| at.min(latest)))
            }
        }
    }
}

impl Uttered {
    fn is_refused_by(&self, line: &Line, who: &Who<'_>) -> bool {
        let command = self.line.command.as_str();
        refusals::refuses_text(line, command, &self.line.text(0), who.case)
            || (self.is_multiline && line.command == "FAIL" && line.text(0) == "BATCH")
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
pub(super) fn failed(id: u64, why: &str, line: &Line) -> Event {
    Event::Refused {
        id,
        numeric: None,
        fail: None,
        text: why.to_owned(),
        line: line.clone(),
    }
}

/// What a refusing line says.
pub(super) fn refused(id: u64, line: &Line) -> Event {
    Event::Refused {
        id,
        numeric: line.numeric(),
        fail: refusals::code(line),
        text: String::from_utf8_lossy(line.last()).into_owned(),
        line: line.clone(),
    }
}
