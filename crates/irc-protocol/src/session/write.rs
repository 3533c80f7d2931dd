//! What goes out, and when.

use std::time::Instant;

use super::{
    Event, Say, Session,
    flights::Uttered,
    outgoing::{Of, What},
    speak::{separately, tags_of},
};
use crate::{Line, Tags, line::LineError};

/// Lines that are written before a barrier, while more may go out.
const SHARED: usize = 16;

impl Session {
    /// What may be written now: whole lines. `None` until [`Session::wake_at`], or until something comes in.
    pub fn poll_output(&mut self, now: Instant) -> Option<Vec<u8>> {
        loop {
            if let Some(bytes) = self.out.pop_own() {
                if self.is_ready() {
                    self.out.charge(1, bytes.len(), now);
                }
                return Some(bytes);
            }
            if !self.is_ready() {
                return None;
            }
            let may_say = self.flights.may_say();
            let is_free = self.out.next_at().is_none_or(|at| at <= now);
            let may_write = is_free && self.out.has_next(may_say);
            if self.is_barrier_due(may_write, now) {
                self.ping(now);
            } else if !may_write {
                return None;
            } else {
                let written = self.write_next(may_say, now);
                self.tell_outcomes();
                if written.is_some() {
                    return written;
                }
            }
        }
    }

    /// A barrier is shared by what is in flight: it is written when nothing else may be, or when much waits for it.
    fn is_barrier_due(&self, may_write: bool, now: Instant) -> bool {
        if self.life.ping.is_some() {
            return false;
        }
        let open = self.flights.uncovered(self.life.covered, now);
        open >= SHARED || (open > 0 && !may_write)
    }

    fn write_next(&mut self, may_say: bool, now: Instant) -> Option<Vec<u8>> {
        let (priority, item) = self.out.pop(now, may_say)?;
        match item.what {
            What::Line(line) => self.write_line(item.of, line, now),
            What::Multiline(say) => {
                let lines = self.pieces(&say);
                if self.is_multiline_possible(&lines) {
                    return self.write_multiline(&say, &lines, now);
                }
                let items = separately(&say, lines, item.queued_at);
                self.flights.expect_say(say.id, items.len());
                self.out.put_back(priority, items);
                None
            }
        }
    }

    fn write_line(&mut self, of: Of, mut line: Line, now: Instant) -> Option<Vec<u8>> {
        let has_tags = self.caps.has("message-tags");
        if line.command == "TAGMSG" && !has_tags {
            self.fail(of, line);
            return None;
        }
        // A server without tags would take them for a command.
        if !has_tags {
            line.tags = Tags::default();
        }
        let label = match of {
            Of::Nobody => None,
            _ => self.caps.has_labels().then(|| self.flights.next_label()),
        };
        let labelled = label
            .iter()
            .fold(line.clone(), |line, label| line.tag("label", label));
        // It was one when it was taken, and a label makes no difference to that.
        let bytes = labelled.to_bytes().ok()?;
        self.note_written(of, label, line, now);
        self.out.charge(1, bytes.len(), now);
        Some(bytes)
    }

    /// It is nothing but tags, and the server takes none.
    fn fail(&mut self, of: Of, line: Line) {
        const WHY: &str = "the server takes no tags";
        match of {
            Of::Nobody => {}
            Of::Say { id, part, .. } => self.flights.fail_say(id, &self.uttered(part, line), WHY),
            Of::Ask(id) => self.flights.fail_ask(id, &line, WHY),
        }
    }

    fn note_written(&mut self, of: Of, label: Option<String>, line: Line, now: Instant) {
        match of {
            Of::Nobody => {}
            Of::Say { id, part, is_last } => {
                let said = self.uttered(part, line);
                self.flights.fly_say(id, label, said, now);
                if is_last {
                    self.emit(Event::Written { id });
                } else if part == 0 {
                    self.emit(Event::Begun { id });
                }
            }
            Of::Ask(id) => {
                self.flights.fly_ask(id, label, line, now);
                self.emit(Event::Written { id });
            }
        }
    }

    fn uttered(&self, part: usize, line: Line) -> Uttered {
        Uttered {
            part,
            is_echoed: self.is_echoed(&line),
            line,
            is_multiline: false,
            reply: None,
        }
    }

    /// Whether the server must bring it back. Some bring back nothing that is said to services.
    fn is_echoed(&self, line: &Line) -> bool {
        let target = line.text(0).to_lowercase();
        let is_service =
            target.ends_with("serv") || target.contains('@') || target.starts_with('*');
        self.caps.has("echo-message") && line.command != "TAGMSG" && !is_service
    }

    /// The lines of a text, those that are too long cut in pieces: each with whether it goes on the one before.
    fn pieces(&self, say: &Say) -> Vec<(Vec<u8>, bool)> {
        let room = self.payload_bytes(say.command.name(), &say.target).max(1);
        let mut pieces = Vec::new();
        for line in &say.lines {
            let mut rest = line.as_slice();
            let mut goes_on = false;
            loop {
                let (piece, after) = rest.split_at(cut_at(rest, room));
                pieces.push((piece.to_vec(), goes_on));
                rest = after;
                goes_on = true;
                if rest.is_empty() {
                    break;
                }
            }
        }
        pieces
    }

    fn is_multiline_possible(&self, lines: &[(Vec<u8>, bool)]) -> bool {
        let bytes: usize = lines
            .iter()
            .map(|(line, goes_on)| line.len() + usize::from(!goes_on))
            .sum();
        self.caps.multiline().is_some_and(|limits| {
            lines.len() <= limits.max_lines
                && bytes <= limits.max_bytes + 1
                && lines.iter().any(|(line, _)| !line.is_empty())
        })
    }

    /// Writes all lines at once: nothing may come between them.
    fn write_multiline(
        &mut self,
        say: &Say,
        lines: &[(Vec<u8>, bool)],
        now: Instant,
    ) -> Option<Vec<u8>> {
        let id = say.id;
        let label = self.caps.has_labels().then(|| self.flights.next_label());
        let name = format!("t{}", self.flights.written() + 1);
        let mut opening = Line::new(
            "BATCH",
            [&format!("+{name}"), "draft/multiline", &say.target],
        );
        if self.caps.has("message-tags") {
            opening.tags = tags_of(&say.tags);
        }
        if let Some(label) = &label {
            opening.tags.set("label", label);
        }
        let said = Uttered {
            is_multiline: true,
            ..self.uttered(0, Line::new(say.command.name(), [&say.target]))
        };
        let Ok(whole) = batch_of(opening, &name, say, lines) else {
            self.flights.fail_say(id, &said, "no line of IRC");
            return None;
        };
        self.flights.fly_say(id, label, said, now);
        self.emit(Event::Written { id });
        let bytes = whole.concat();
        self.out.charge(whole.len(), bytes.len(), now);
        Some(bytes)
    }
}

/// The lines of a batch, from its opening to its end.
fn batch_of(
    opening: Line,
    name: &str,
    say: &Say,
    lines: &[(Vec<u8>, bool)],
) -> Result<Vec<Vec<u8>>, LineError> {
    let texts = lines.iter().map(|(text, goes_on)| {
        let target = say.target.as_bytes();
        let line = Line::new(say.command.name(), [target, text]).tag("batch", name);
        match goes_on {
            true => line.tag("draft/multiline-concat", ""),
            false => line,
        }
    });
    let closing = Line::new("BATCH", [format!("-{name}")]);
    let all = std::iter::once(opening).chain(texts).chain([closing]);
    all.map(|line| line.to_bytes()).collect()
}

/// Where to cut so that no character of UTF-8 is.
fn cut_at(text: &[u8], limit: usize) -> usize {
    if text.len() <= limit {
        return text.len();
    }
    let is_inside = |at: usize| text[at] & 0b1100_0000 == 0b1000_0000;
    let start = (limit.saturating_sub(3)..=limit)
        .rev()
        .find(|at| !is_inside(*at));
    start.filter(|at| *at > 0).unwrap_or(limit)
}
