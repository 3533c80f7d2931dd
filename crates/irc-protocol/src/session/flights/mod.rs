//! What was written and is not proven or answered yet.
//!
//! ```text
//! say ─ written ─▶ in flight ── its echo, or what its label answers ──▶ said, or refused
//!                     │  └───── a numeric that names its target ─────▶ refused
//!                     └──────── the barrier comes back ──▶ said; where an echo was due, refused a little later
//! ```
//!
//! A barrier is a `PING` that is written later: the server answers in order, so its `PONG` says that all before it was
//! looked at. Neighbours: [`take`] what a line is for what is in flight, [`outcome`] how it ends; [`refusals`] knows the
//! numerics that refuse, [`ask`] the lines that answer a command.

mod ask;
mod outcome;
mod refusals;
mod take;

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    time::{Duration, Instant},
};

use self::ask::Asked;
pub(super) use self::outcome::failed;
pub use self::refusals::{is_refusal, is_refused};
use super::event::Event;
use crate::{CaseMapping, Line};

/// Texts that are unproven at once.
const MAX_SAYS: usize = 64;
/// Commands that wait or are unanswered at once: whoever enters hundreds of channels asks for all of them at the start.
pub(super) const MAX_ASKS: usize = 4096;
/// How long an echo may come after the barrier: bouncers answer `PING` themselves, and the server behind them may lag.
const ECHO_GRACE: Duration = Duration::from_secs(30);
/// How long a label may be unanswered before a barrier is sent after it.
const LABEL_PATIENCE: Duration = Duration::from_secs(10);
/// How long an answer may pause once the barrier has come back: a slow server is waited for.
const ANSWER_PAUSE: Duration = Duration::from_secs(30);
/// How long an answer may take.
const ANSWER_TIME: Duration = Duration::from_secs(300);
/// No echo where one was due.
const SWALLOWED: &str = "the server has dropped it without a word";

/// Who this client is on this network.
pub(super) struct Who {
    pub(super) nick: String,
    pub(super) case: CaseMapping,
}

impl Who {
    pub(super) fn is_me(&self, name: &str) -> bool {
        !name.is_empty() && self.case.is_same(&self.nick, name)
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

    /// Others have written so much before.
    pub(super) fn go_on(&mut self, written: u64) {
        self.labels = written;
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

    /// Nothing is written; it ends when the server has looked at all that was.
    pub(super) fn sound(&mut self, id: u64, now: Instant) {
        self.fly(id, None, Flown::Ask(Asked::sounding()), now);
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

    /// The label of the last line of it that was written.
    pub(super) fn label_of(&self, id: u64) -> Option<&str> {
        let mut list = self.list.iter().rev();
        list.find(|flight| flight.id == id)?.label.as_deref()
    }

    /// Whether nothing is owed any more.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.list.is_empty() && self.says.is_empty() && self.asks.is_empty()
    }

    /// How much is in flight.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// The number of what was written last.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// How many lines need a barrier that is written now, beside what one covers already.
    pub(super) fn uncovered(&self, covered: u64, now: Instant) -> usize {
        let later = self
            .list
            .iter()
            .filter(|flight| flight.is_uncovered(covered));
        later
            .filter(|flight| flight.needs_barrier_at() <= now)
            .count()
    }

    /// When something here is to be looked at; `covered` by a barrier already is all up to this number.
    pub(super) fn wake_at(&self, covered: u64) -> Option<Instant> {
        let ends = self.list.iter().filter_map(Flight::ends_at);
        let later = self
            .list
            .iter()
            .filter(|flight| flight.is_uncovered(covered));
        ends.chain(later.map(Flight::needs_barrier_at)).min()
    }

    /// All is over.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Flight {
    /// Whether no barrier is behind it, of which one would tell something.
    fn is_uncovered(&self, covered: u64) -> bool {
        self.number > covered && self.passed_at.is_none()
    }

    /// From when on a barrier is needed behind it.
    fn needs_barrier_at(&self) -> Instant {
        match self.label {
            None => self.written_at,
            Some(_) => self.written_at + LABEL_PATIENCE,
        }
    }

    /// When it ends without anything more coming.
    fn ends_at(&self) -> Option<Instant> {
        match &self.what {
            Flown::Say(said) if said.is_echoed => self.passed_at.map(|at| at + ECHO_GRACE),
            Flown::Say(_) => self.passed_at,
            Flown::Ask(asked) => {
                let latest = self.written_at + ANSWER_TIME;
                let is_barrier_enough = self.label.is_none() && !asked.has_end();
                let end = self.passed_at.map(|at| match is_barrier_enough {
                    true => at,
                    false => at.max(self.touched_at) + ANSWER_PAUSE,
                });
                Some(end.map_or(latest, |at| at.min(latest)))
            }
        }
    }
}
