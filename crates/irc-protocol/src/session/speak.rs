//! What the caller wants said: taken, checked, and put in the queue.

use std::time::{Duration, Instant};

use super::{
    Ask, Full, Priority, Say, SayCommand, SendError, Session, Stage,
    flights::failed,
    outgoing::{Item, Of, What},
};
use crate::{
    Line, Tags,
    line::{MAX_CLIENT_TAGS_BYTES, MAX_LINE_BYTES},
};

/// How long the server may take to close after a `QUIT`.
const QUIT: Duration = Duration::from_secs(5);

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
        let line = fitted(outward(ask.line), self.isupport.line_bytes());
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

    /// Finds out when the server has looked at all that was written, by this session or by one before it: that is told as
    /// the answer to this id, of no lines.
    ///
    /// # Errors
    /// [`Full`]; nothing was taken then.
    pub fn sound(&mut self, id: u64, now: Instant) -> Result<(), Full> {
        if !self.is_open() || !self.flights.expect_ask(id) {
            return Err(Full);
        }
        self.flights.sound(id, now);
        Ok(())
    }

    /// The label of what was written last of this.
    #[must_use]
    pub fn label_of(&self, id: u64) -> Option<&str> {
        self.flights.label_of(id)
    }

    /// Sends a line whose outcome nobody wants to know, once the session is ready.
    ///
    /// # Errors
    /// [`SendError`]; nothing was taken then.
    pub fn send(&mut self, line: Line, priority: Priority) -> Result<(), SendError> {
        if !self.is_open() {
            return Err(Full.into());
        }
        let line = fitted(outward(line), self.isupport.line_bytes());
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

    /// Whether it takes something to say: it has neither said goodbye nor ended.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !matches!(self.stage, Stage::Ended | Stage::Quitting(_))
    }

    /// Takes a line of the session's own, in front of everything.
    pub(super) fn push_own(&mut self, line: &Line) {
        let mut line = line.clone();
        for param in &mut line.params {
            *param = sanitized(param);
        }
        let line = fitted(line, MAX_LINE_BYTES);
        // What still is no line was made of settings or of a server's line that make none.
        if let Ok(bytes) = line.to_bytes() {
            self.out.push_own(bytes);
        }
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

/// The line with a text that fits: a server closes the connection of whoever sends longer ones (ngIRCd), or cuts them
/// anywhere. What is no text is left as it is.
fn fitted(mut line: Line, max_bytes: usize) -> Line {
    let is_text = match line.command.as_str() {
        "QUIT" | "AWAY" | "SETNAME" => line.params.len() == 1,
        "TOPIC" | "PART" | "PRIVMSG" | "NOTICE" => line.params.len() == 2,
        "KICK" | "REDACT" => line.params.len() == 3,
        _ => false,
    };
    let params = line.params.iter().map(|param| param.len() + 1);
    let bytes = line.command.len() + params.sum::<usize>() + " :\r\n".len();
    if let (true, Some(over @ 1..), Some(text)) = (
        is_text,
        bytes.checked_sub(max_bytes),
        line.params.last_mut(),
    ) {
        let mut end = text.len().saturating_sub(over);
        // Not inside a character.
        while end > 0 && text[end] & 0xc0 == 0x80 {
            end -= 1;
        }
        text.truncate(end);
    }
    line
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
pub(super) fn tags_of(given: &[(String, String)]) -> Tags {
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
pub(super) fn separately(say: &Say, lines: Vec<(Vec<u8>, bool)>, queued_at: Instant) -> Vec<Item> {
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
