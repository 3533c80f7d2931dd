//! Which lines answer a command, where the server puts no labels on them.

use super::{Who, refusals};
use crate::{Line, history::LastSaid};

/// What is answered by the barrier behind it, and by no line.
pub(super) const SOUNDING: &str = "PING";
/// Lines of an answer that are kept.
const MAX_LINES: usize = 1_000;
/// Bytes of an answer that are kept.
const MAX_BYTES: usize = 256 << 10;

/// What a line is for a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    None,
    One,
    Last,
}

/// A command that waits for its answer.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) line: Line,
    pub(super) lines: Vec<Line>,
    bytes: usize,
    /// Channels of a `JOIN` whose fate is known.
    decided: usize,
}

impl Asked {
    pub(super) fn new(line: Line) -> Self {
        Self {
            line,
            lines: Vec::new(),
            bytes: 0,
            decided: 0,
        }
    }

    /// Keeps a line of the answer, as long as there is room.
    pub(super) fn gather(&mut self, line: &Line) {
        let bytes: usize = line.params.iter().map(Vec::len).sum();
        if self.lines.len() < MAX_LINES && self.bytes + bytes <= MAX_BYTES {
            self.bytes += bytes;
            self.lines.push(line.clone());
        }
    }

    /// Asks nothing: how far the server is.
    pub(super) fn sounding() -> Self {
        Self::new(Line {
            command: SOUNDING.to_owned(),
            ..Line::default()
        })
    }

    fn command(&self) -> &str {
        &self.line.command
    }

    /// The names that the command was given.
    fn words(&self) -> Vec<String> {
        let params = (0..self.line.params.len()).map(|at| self.line.text(at).into_owned());
        let words = params.flat_map(|param| {
            let words: Vec<_> = param.split(',').map(str::to_owned).collect();
            words
        });
        words.filter(|word| !word.is_empty()).collect()
    }

    fn channels(&self) -> usize {
        self.line.text(0).split(',').count()
    }

    fn is_named(&self, line: &Line, who: &Who) -> bool {
        let is_word = |word: &String| refusals::names(line, word, who.case);
        self.words().iter().any(is_word)
    }

    /// What a line is for this command.
    pub(super) fn part(&mut self, line: &Line, who: &Who) -> Part {
        if self.command() == SOUNDING {
            return Part::None;
        }
        match line.numeric() {
            None => self.part_of_word(line, who),
            Some(numeric) => self.part_of_numeric(numeric, line, who),
        }
    }

    fn part_of_word(&mut self, line: &Line, who: &Who) -> Part {
        match line.command.as_str() {
            "FAIL" if line.text(0).eq_ignore_ascii_case(self.command()) => Part::Last,
            "WARN" | "NOTE" if line.text(0).eq_ignore_ascii_case(self.command()) => Part::One,
            "CHATHISTORY" if self.lists_talks() && LastSaid::of_line(line).is_some() => Part::One,
            command if command == self.command() && who.is_me(line.from_name()) => {
                self.part_of_own(line, who)
            }
            _ => Part::None,
        }
    }

    /// Whether it asks where something was said (draft/chathistory).
    fn lists_talks(&self) -> bool {
        self.command() == "CHATHISTORY" && self.line.text(0).eq_ignore_ascii_case("TARGETS")
    }

    /// The client's own doing, as the server tells it to everybody.
    fn part_of_own(&mut self, line: &Line, who: &Who) -> Part {
        let same = |at: usize| who.case.is_same(&line.text(at), &self.line.text(at));
        let is_last = match self.command() {
            "JOIN" => return self.part_of_join(line, who),
            "NICK" => same(0),
            "PART" => self.channels() == 1 && same(0),
            "KICK" => same(0) && same(1),
            "TOPIC" => same(0),
            "MODE" | "INVITE" | "RENAME" | "REDACT" | "AWAY" | "SETNAME" if same(0) => {
                return Part::One;
            }
            _ => false,
        };
        if is_last { Part::Last } else { Part::None }
    }

    fn part_of_join(&mut self, line: &Line, who: &Who) -> Part {
        let joined = line.text(0);
        let is_asked = self
            .words()
            .iter()
            .any(|word| who.case.is_same(word, &joined));
        let is_forward = self
            .lines
            .iter()
            .any(|line| line.numeric() == Some(470) && refusals::names(line, &joined, who.case));
        if is_asked || is_forward {
            self.decide()
        } else {
            Part::None
        }
    }

    fn decide(&mut self) -> Part {
        self.decided += 1;
        if self.decided >= self.channels() {
            Part::Last
        } else {
            Part::One
        }
    }

    fn part_of_numeric(&mut self, numeric: u16, line: &Line, who: &Who) -> Part {
        if matches!(numeric, 263 | 421 | 461 | 481)
            && (numeric == 481 || line.text(1).eq_ignore_ascii_case(self.command()))
        {
            return Part::Last;
        }
        if ends(self.command()).contains(&numeric) && self.is_end(numeric, line, who) {
            return Part::Last;
        }
        let is_text = matches!(self.command(), "PRIVMSG" | "NOTICE" | "TAGMSG" | "RELAYMSG");
        if refusals::refuses_text_alone(numeric) && !is_text {
            return Part::None;
        }
        if refusals::is_refusal(line) {
            return self.part_of_refusal(numeric, line, who);
        }
        if self.is_data(numeric, line, who) {
            Part::One
        } else {
            Part::None
        }
    }

    fn part_of_refusal(&mut self, numeric: u16, line: &Line, who: &Who) -> Part {
        let is_nameless = match self.command() {
            "NICK" => matches!(numeric, 430 | 431 | 435 | 437 | 438 | 447 | 484),
            "MODE" => matches!(numeric, 472 | 501 | 502 | 696),
            "OPER" => matches!(numeric, 464 | 491),
            "MONITOR" => numeric == 734,
            _ => false,
        };
        if !is_nameless && !self.is_named(line, who) {
            return Part::None;
        }
        match self.command() {
            // Where the client lands is told after it.
            "JOIN" if numeric == 470 => Part::One,
            "JOIN" => self.decide(),
            "NICK" | "TOPIC" | "INVITE" => Part::Last,
            "PART" | "KICK" if self.words().len() <= 3 => Part::Last,
            _ => Part::One,
        }
    }

    fn is_end(&self, numeric: u16, line: &Line, who: &Who) -> bool {
        match self.command() {
            "WHOIS" | "WHOWAS" | "NAMES" | "MODE" | "INVITE" => {
                self.line.params.is_empty() || self.is_named(line, who)
            }
            "WHO" => self.line.params.is_empty() || self.is_named(line, who) || numeric == 315,
            _ => true,
        }
    }

    fn is_data(&self, numeric: u16, line: &Line, who: &Who) -> bool {
        match self.command() {
            "JOIN" | "PART" | "KICK" | "NICK" | "AWAY" => false,
            "INVITE" => numeric == 301 && self.is_named(line, who),
            "TOPIC" => matches!(numeric, 331..=333) && self.is_named(line, who),
            "MODE" => {
                numeric == 221
                    || matches!(numeric, 324 | 329 | 346..=349 | 367 | 368 | 728 | 729)
                        && self.is_named(line, who)
            }
            "NAMES" => numeric == 353,
            "LIST" => matches!(numeric, 321 | 322),
            "WHO" => matches!(numeric, 352 | 354),
            "WHOIS" | "WHOWAS" => {
                !matches!(numeric, 315 | 324 | 329 | 331..=333 | 352..=354 | 366..=368 | 730..=734)
                    && self
                        .words()
                        .iter()
                        .any(|word| who.case.is_same(word, &line.text(1)))
            }
            _ => !matches!(
                numeric,
                1..=5 | 332 | 333 | 353 | 366 | 396 | 730 | 731 | 900 | 901
            ),
        }
    }

    /// Whether the server says when the answer is over, which may be later than what it says to other commands.
    pub(super) fn has_end(&self) -> bool {
        !matches!(
            self.command(),
            "MODE" | "INVITE" | "AWAY" | "NAMES" | "USERHOST" | "ISON"
        ) && !ends(self.command()).is_empty()
    }

    /// The refusal, where nothing but refusals came.
    pub(super) fn refusal(&self) -> Option<&Line> {
        let ends = ends(self.command());
        let is_end = |line: &Line| {
            line.numeric()
                .is_some_and(|numeric| ends.contains(&numeric))
        };
        let is_data = |line: &&Line| {
            !refusals::is_refusal(line)
                && !is_end(line)
                && !matches!(line.command.as_str(), "NOTICE" | "ACK")
        };
        if self.lines.iter().any(|line| is_data(&line)) {
            return None;
        }
        self.lines.iter().find(|line| refusals::is_refusal(line))
    }
}

/// The numerics that end what a command is answered with.
fn ends(command: &str) -> &'static [u16] {
    match command {
        "WHOIS" => &[318],
        "WHOWAS" => &[369],
        "WHO" => &[315],
        "NAMES" => &[366],
        "LIST" => &[323],
        "LINKS" => &[365],
        "MOTD" => &[376, 422],
        "INFO" => &[374],
        "STATS" => &[219],
        "TIME" => &[391],
        "TRACE" => &[262],
        "USERHOST" => &[302],
        "ISON" => &[303],
        "AWAY" => &[305, 306],
        "INVITE" => &[341],
        "MODE" => &[347, 349, 368, 729],
        "OPER" => &[381],
        _ => &[],
    }
}
