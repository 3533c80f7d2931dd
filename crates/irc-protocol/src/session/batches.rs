//! Batches that are open (IRCv3 batch), and the texts that are put together of them (draft/multiline).

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use super::event::Batch;
use crate::Line;

/// Batches that are open at once.
const MAX_OPEN: usize = 16;
/// Lines of one text.
const MAX_LINES: usize = 1_000;
/// Bytes of one text.
const MAX_BYTES: usize = 256 << 10;
/// A batch of which nothing was heard for so long counts as closed: its end was lost, or the server never meant to say it.
const MAX_SILENCE: Duration = Duration::from_secs(60);

/// Batches that are open.
#[derive(Debug, Default)]
pub(super) struct Batches {
    open: HashMap<String, Open>,
}

/// One batch that is open.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) batch: Arc<Batch>,
    /// The label that its lines answer, and whether its end is the answer's end.
    pub(super) label: Option<String>,
    pub(super) ends_label: bool,
    pub(super) text: Option<Text>,
    opening: Line,
    heard_at: Instant,
}

/// A text of several lines.
#[derive(Debug, Default)]
pub(super) struct Text {
    first: Option<Line>,
    lines: Vec<(Vec<u8>, bool)>,
    bytes: usize,
}

/// A text of several lines that is complete.
pub(super) struct Whole {
    /// Tags and source of the batch, with command and target of its lines.
    pub(super) first: Line,
    /// The lines, and whether each goes on where the one before ends.
    pub(super) lines: Vec<(Vec<u8>, bool)>,
}

impl Whole {
    /// All of it as one line, with breaks in its text.
    pub(super) fn joined(&self) -> Line {
        let mut text = Vec::new();
        for (at, (line, goes_on)) in self.lines.iter().enumerate() {
            if at > 0 && !goes_on {
                text.push(b'\n');
            }
            text.extend_from_slice(line);
        }
        let mut joined = self.first.clone();
        if let Some(last) = joined.params.last_mut() {
            *last = text;
        }
        joined
    }
}

/// What a `BATCH` does.
pub(super) enum Change {
    /// It is open; one that had to make room for it.
    Opened(Option<Box<Open>>),
    Closed(Box<Open>),
    /// It makes no sense.
    Nothing,
}

impl Batches {
    pub(super) fn is_any_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Takes a `BATCH`.
    pub(super) fn take(&mut self, line: &Line, now: Instant) -> Change {
        let id = line.text(0).into_owned();
        if let Some(id) = id.strip_prefix('-') {
            let closed = self.open.remove(id);
            return closed.map_or(Change::Nothing, |open| Change::Closed(Box::new(open)));
        }
        let Some(id) = id.strip_prefix('+') else {
            return Change::Nothing;
        };
        let evicted = self.make_room(id);
        let open = Open::new(id, line, self.of(line), now);
        self.open.insert(id.to_owned(), open);
        Change::Opened(evicted.map(Box::new))
    }

    fn make_room(&mut self, id: &str) -> Option<Open> {
        if self.open.contains_key(id) || self.open.len() < MAX_OPEN {
            return self.open.remove(id);
        }
        let oldest = self.open.iter().min_by_key(|(_, open)| open.heard_at);
        let oldest = oldest.map(|(id, _)| id.clone())?;
        self.open.remove(&oldest)
    }

    /// The open batch that a line belongs to.
    pub(super) fn of(&self, line: &Line) -> Option<&Open> {
        self.open.get(line.tags.get("batch")?)
    }

    /// Something was heard of a line's batch, and so of those that it is in.
    pub(super) fn touch(&mut self, line: &Line, now: Instant) {
        let mut id = line.tags.get("batch").map(str::to_owned);
        for _ in 0..MAX_OPEN {
            let Some(open) = id.take().and_then(|id| self.open.get_mut(&id)) else {
                return;
            };
            open.heard_at = now;
            id = open.batch.parent.as_ref().map(|parent| parent.id.clone());
        }
    }

    /// Puts a line to its text; whether it belongs to one that has room.
    pub(super) fn gather(&mut self, line: &Line) -> bool {
        let Some(id) = line.tags.get("batch") else {
            return false;
        };
        let is_text = matches!(line.command.as_str(), "PRIVMSG" | "NOTICE");
        let text = self.open.get_mut(id).and_then(|open| open.text.as_mut());
        let Some(text) = text.filter(|_| is_text) else {
            return false;
        };
        let said = line.param(1).unwrap_or_default();
        if text.lines.len() >= MAX_LINES || text.bytes + said.len() > MAX_BYTES {
            return false;
        }
        let goes_on = line.tags.get("draft/multiline-concat").is_some();
        text.bytes += said.len();
        text.lines
            .push((said.to_vec(), goes_on && text.first.is_some()));
        text.first.get_or_insert_with(|| line.clone());
        true
    }

    /// Takes out what was silent for too long.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<Open> {
        let mut old: Vec<Open> = self
            .open
            .extract_if(|_, open| open.heard_at + MAX_SILENCE <= now)
            .map(|(_, open)| open)
            .collect();
        old.sort_by_key(|open| open.heard_at);
        old
    }

    /// When the next one has been silent for too long.
    pub(super) fn expires_at(&self) -> Option<Instant> {
        self.open
            .values()
            .map(|open| open.heard_at + MAX_SILENCE)
            .min()
    }
}

/// A batch with its parent, without more of its ancestors: nesting without end takes no memory without end.
fn flat(batch: &Arc<Batch>) -> Arc<Batch> {
    let has_grandparent = batch
        .parent
        .as_ref()
        .is_some_and(|parent| parent.parent.is_some());
    if !has_grandparent {
        return Arc::clone(batch);
    }
    let mut flat = (**batch).clone();
    flat.parent = None;
    Arc::new(flat)
}

impl Open {
    fn new(id: &str, line: &Line, parent: Option<&Self>, now: Instant) -> Self {
        let own_label = line.tags.get("label").map(str::to_owned);
        let ends_label = own_label.is_some();
        let kind = line.text(1).into_owned();
        let is_text = matches!(kind.as_str(), "draft/multiline" | "multiline");
        let params = 2..line.params.len();
        Self {
            batch: Arc::new(Batch {
                id: id.to_owned(),
                kind,
                params: params.map(|at| line.text(at).into_owned()).collect(),
                tags: line.tags.clone(),
                parent: parent.map(|open| flat(&open.batch)),
            }),
            label: own_label.or_else(|| parent.and_then(|open| open.label.clone())),
            ends_label,
            text: is_text.then(Text::default),
            opening: line.clone(),
            heard_at: now,
        }
    }

    /// The text that it holds: a line with the tags of the batch, and all lines.
    pub(super) fn into_text(self) -> Option<Whole> {
        let text = self.text?;
        let mut first = text.first?;
        let mut tags = self.opening.tags;
        for (key, value) in first.tags.iter() {
            if tags.get(key).is_none() && !matches!(key, "batch" | "draft/multiline-concat") {
                tags.set(key, value);
            }
        }
        first.tags = tags;
        first.source = self.opening.source.or(first.source);
        Some(Whole {
            first,
            lines: text.lines,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Line {
        Line::parse(text.as_bytes()).expect("a line")
    }

    #[test]
    fn a_text_is_put_together() {
        let now = Instant::now();
        let mut batches = Batches::default();
        batches.take(&read("@msgid=m1 :a!u@h BATCH +x draft/multiline #c"), now);
        for line in [
            "@batch=x :a!u@h PRIVMSG #c :one",
            "@batch=x;draft/multiline-concat :a!u@h PRIVMSG #c :and",
            "@batch=x :a!u@h PRIVMSG #c :two",
        ] {
            assert!(batches.gather(&read(line)));
        }
        let Change::Closed(open) = batches.take(&read(":a!u@h BATCH -x"), now) else {
            panic!("it was open");
        };
        let Whole { first, lines } = open.into_text().expect("a text");
        assert_eq!(format!("{first:?}"), "@msgid=m1 :a!u@h PRIVMSG #c :one");
        let text = |text: &str, goes_on| (text.as_bytes().to_vec(), goes_on);
        assert_eq!(
            lines,
            [text("one", false), text("and", true), text("two", false)]
        );
    }

    #[test]
    fn endless_batches_take_no_endless_memory() {
        let now = Instant::now();
        let mut batches = Batches::default();
        for at in 0..100 {
            let parent = format!("@batch={} :s BATCH +{at} chathistory #c", at - 1);
            batches.take(&read(&parent), now);
        }
        assert_eq!(batches.open.len(), MAX_OPEN);
        let depth = std::iter::successors(
            batches.open.values().next().map(|open| &open.batch),
            |batch| batch.parent.as_ref(),
        );
        assert!(depth.count() <= 4);
        batches.take(&read(":s BATCH +t draft/multiline #c"), now);
        let taken = (0..2_000).filter(|_| batches.gather(&read("@batch=t :s PRIVMSG #c :x")));
        assert_eq!(taken.count(), MAX_LINES);
        assert_eq!(batches.expire(now + MAX_SILENCE).len(), MAX_OPEN);
        assert_eq!(batches.expires_at(), None);
    }

    #[test]
    fn a_batch_that_goes_on_stays_open_however_long_it_takes() {
        let begin = Instant::now();
        let mut batches = Batches::default();
        batches.take(&read(":s BATCH +whole labeled-response"), begin);
        let history = read("@batch=whole :s BATCH +part chathistory #c");
        batches.take(&history, begin);
        let half = MAX_SILENCE / 2;
        for turn in 1..=4 {
            let now = begin + half * turn;
            batches.touch(&read("@batch=part :a!u@h PRIVMSG #c :x"), now);
            assert_eq!(batches.expire(now).len(), 0, "turn {turn}");
        }
        let over = begin + half * 4 + MAX_SILENCE;
        assert_eq!(batches.expires_at(), Some(over));
        assert_eq!(batches.expire(over).len(), 2);
    }
}
