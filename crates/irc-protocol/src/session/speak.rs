//! What goes out, and when.

use std::time::{Duration, Instant};

use super::{
    Ask, Event, Full, Priority, Say, SayCommand, SendError, Session, Stage,
    flights::{Uttered, failed},
    outgoing::{Item, Of, What},
};
use crate::{
    Line, Tags,
    line::{LineError, MAX_CLIENT_TAGS_BYTES},
};

/// How long the server may take to close after a `QUIT`.
const QUIT: Duration = Duration::from_secs(5);
/// Lines that are written before a barrier, while more may go out.
const SHARED: usize = 16;

impl Session {
    /// Says something, once the session is ready. Its outcome is told once; what cannot be said is refused at once.
    ///
    /// # Errors
    /// [`Full`]; nothing was taken then.
    pub fn say(&mut self, say: Say, now: Instant) -> Result<(), Full> {
        if !self.is_open() {
            return Err(Full);
        }
        let say = clean(say);
        let id = say.id;
        let items = match items_of(&say, now) {
            Ok(items) => items,
            Err(why) => {
                let line = first_line(&say);
                self.emit(failed(id, why, &line));
                return Ok(());
            }
        };
        let parts = items.len();
        self.out.push(Priority::Said, items)?;
        self.flights.expect_say(id, parts);
        Ok(())
    }

    /// Gives a command, once the session is ready. Its outcome is told once; what is no line is refused at once.
    ///
    /// # Errors
    /// [`Full`]; nothing was taken then.
    pub fn ask(&mut self, ask: Ask, now: Instant) -> Result<(), Full> {
        if !self.is_open() {
            return Err(Full);
        }
        let line = outward(ask.line);
        if let Err(why) = line.to_bytes() {
            self.emit(failed(ask.id, &why.to_string(), &line));
            return Ok(());
        }
        if !self.flights.expect_ask(ask.id) {
            return Err(Full);
        }
        let item = Item {
            of: Of::Ask(ask.id),
            what: What::Line(line),
            queued_at: now,
        };
        let pushed = self.out.push(ask.priority, vec![item]);
        if pushed.is_err() {
            self.flights.forget(ask.id);
        }
        pushed
    }

    /// Sends a line whose outcome nobody wants to know, once the session is ready.
    ///
    /// # Errors
    /// [`SendError`]; nothing was taken then.
    pub fn send(&mut self, line: Line, priority: Priority) -> Result<(), SendError> {
        if !self.is_open() {
            return Err(Full.into());
        }
        let line = outward(line);
        line.to_bytes()?;
        let item = Item {
            of: Of::Nobody,
            what: What::Line(line),
            queued_at: self.life.heard_at(),
        };
        Ok(self.out.push(priority, vec![item])?)
    }

    /// Takes back what was not written yet; whether all of it was taken back. No outcome is told of it then.
    pub fn cancel(&mut self, id: u64) -> bool {
        if self.flights.has_begun(id) || self.out.remove(|of| of.is(id)) == 0 {
            return false;
        }
        self.flights.forget(id);
        true
    }

    /// Says goodbye. What waits is not sent; the session ends when the server closes, or after five seconds.
    pub fn quit(&mut self, reason: &str, now: Instant) {
        if !self.is_open() {
            return;
        }
        self.out.clear();
        self.stage = Stage::Quitting(now + QUIT);
        let reason = sanitized(reason.as_bytes());
        self.push_own(&Line::new("QUIT", [reason]));
    }

    fn is_open(&self) -> bool {
        !matches!(self.stage, Stage::Ended | Stage::Quitting(_))
    }

    /// Takes a line of the session's own, in front of everything.
    pub(super) fn push_own(&mut self, line: &Line) {
        let mut line = line.clone();
        for param in &mut line.params {
            *param = sanitized(param);
        }
        // What still is no line was made of settings or of a server's line that make none.
        if let Ok(bytes) = line.to_bytes() {
            self.out.push_own(bytes);
        }
    }

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
        let label = match of {
            Of::Nobody => None,
            _ => self.caps.has_labels().then(|| self.flights.next_label()),
        };
        // A server without tags would take them for a command.
        let has_tags = self.caps.has("message-tags");
        if !has_tags {
            line.tags = Tags::default();
        }
        let wire = match &label {
            Some(label) => line.clone().tag("label", label),
            None => line.clone(),
        };
        let is_bare = line.command == "TAGMSG" && !has_tags;
        let bytes = wire.to_bytes().ok().filter(|_| !is_bare);
        match of {
            Of::Nobody => {}
            Of::Say { id, part, is_last } => {
                let said = Uttered {
                    part,
                    is_echoed: self.is_echoed(&line),
                    line,
                    is_multiline: false,
                    reply: None,
                };
                if bytes.is_none() {
                    self.flights.fail_say(id, &said, "the server takes no tags");
                    return None;
                }
                self.flights.fly_say(id, label, said, now);
                if is_last {
                    self.emit(Event::Written { id });
                }
            }
            Of::Ask(id) => {
                if bytes.is_none() {
                    self.flights.fail_ask(id, &line, "the server takes no tags");
                    return None;
                }
                self.flights.fly_ask(id, label, line, now);
                self.emit(Event::Written { id });
            }
        }
        let bytes = bytes?;
        self.out.charge(1, bytes.len(), now);
        Some(bytes)
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
        let texts = lines.iter().map(|(text, goes_on)| {
            let target = say.target.as_bytes();
            let line = Line::new(say.command.name(), [target, text]).tag("batch", &name);
            match goes_on {
                true => line.tag("draft/multiline-concat", ""),
                false => line,
            }
        });
        let closing = Line::new("BATCH", [format!("-{name}")]);
        let whole: Result<Vec<Vec<u8>>, LineError> = std::iter::once(opening)
            .chain(texts)
            .chain([closing])
            .map(|line| line.to_bytes())
            .collect();
        let line = Line::new(say.command.name(), [&say.target]);
        let said = Uttered {
            part: 0,
            is_echoed: self.is_echoed(&line),
            line,
            is_multiline: true,
            reply: None,
        };
        let Ok(whole) = whole else {
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

/// Without what a line cannot hold.
fn sanitized(text: &[u8]) -> Vec<u8> {
    let clean = |byte: &u8| match byte {
        b'\r' | b'\n' | 0 => b' ',
        byte => *byte,
    };
    text.iter().map(clean).collect()
}

fn clean(mut say: Say) -> Say {
    for line in &mut say.lines {
        *line = sanitized(line);
    }
    say
}

/// A line as a client may send it.
fn outward(mut line: Line) -> Line {
    let given: Vec<_> = line
        .tags
        .iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    line.tags = tags_of(&given);
    line.source = None;
    line.command.make_ascii_uppercase();
    line
}

/// Those tags that a client may send (message-tags); none where they do not fit.
fn tags_of(given: &[(String, String)]) -> Tags {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-./".contains(c);
    let mut tags = Tags::default();
    let mut bytes = 2;
    for (key, value) in given {
        let name = key.strip_prefix('+').unwrap_or_default();
        if name.is_empty() || !name.chars().all(is_name) {
            continue;
        }
        // Each byte of a value takes two at most.
        bytes += key.len() + 2 * value.len() + 2;
        tags.set(key, &value.replace('\0', ""));
    }
    // Some room is for the label.
    if bytes + 64 > MAX_CLIENT_TAGS_BYTES {
        return Tags::default();
    }
    tags
}

fn first_line(say: &Say) -> Line {
    let text = say.lines.first().cloned().unwrap_or_default();
    let target = sanitized(say.target.as_bytes());
    Line::new(say.command.name(), [target, text])
}

/// What is to be written for a text; why it cannot be.
fn items_of(say: &Say, now: Instant) -> Result<Vec<Item>, &'static str> {
    let probe = Line::new(say.command.name(), [say.target.as_str(), "x"]);
    if probe.to_bytes().is_err() || say.target.contains(',') {
        return Err("no target that a line can name");
    }
    if say.command == SayCommand::Tagmsg {
        let mut line = Line::new("TAGMSG", [&say.target]);
        line.tags = tags_of(&say.tags);
        return match line.tags.is_empty() {
            true => Err("there is nothing to say"),
            false => Ok(vec![item(say.id, 0, true, What::Line(line), now)]),
        };
    }
    if say.lines.iter().all(Vec::is_empty) {
        return Err("there is nothing to say");
    }
    if say.as_multiline {
        let what = What::Multiline(Box::new(say.clone()));
        return Ok(vec![item(say.id, 0, true, what, now)]);
    }
    let lines = say.lines.iter().map(|line| (line.clone(), false));
    Ok(separately(say, lines.collect(), now))
}

/// Each line for itself. The tags stand on the first: they are the whole text's.
fn separately(say: &Say, lines: Vec<(Vec<u8>, bool)>, queued_at: Instant) -> Vec<Item> {
    let lines: Vec<_> = lines
        .into_iter()
        .filter(|(line, _)| !line.is_empty())
        .collect();
    let count = lines.len();
    let items = lines.into_iter().enumerate().map(|(part, (text, _))| {
        let mut line = Line::new(say.command.name(), [say.target.as_bytes(), &text]);
        if part == 0 {
            line.tags = tags_of(&say.tags);
        }
        item(say.id, part, part + 1 == count, What::Line(line), queued_at)
    });
    items.collect()
}

fn item(id: u64, part: usize, is_last: bool, what: What, queued_at: Instant) -> Item {
    Item {
        of: Of::Say { id, part, is_last },
        what,
        queued_at,
    }
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
