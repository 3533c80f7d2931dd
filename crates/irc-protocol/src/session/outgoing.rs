//! What waits to be sent, and when it may go.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::{
    Say,
    event::{Full, Priority},
    settings::Pace,
};
use crate::Line;

/// Lines that wait at most.
const MAX_LINES: usize = 8_000;
/// Bytes that wait at most.
const MAX_BYTES: usize = 2 << 20;
/// The session's own lines that wait at most: a server that asks faster than it reads is not answered.
const MAX_OWN: usize = 256;
/// Bytes of one of them: servers cut lines that are half as long.
const MAX_OWN_BYTES: usize = 1024;
/// What has waited so long is passed over a few times only.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often in a row that is.
const MAX_PASSED_OVER: u32 = 4;
/// What is owed at most: answers to a flood of `PING` do not silence the client.
const MAX_OWED: Duration = Duration::from_secs(60);
const LANES: [Priority; 4] = [
    Priority::Urgent,
    Priority::Moderation,
    Priority::Said,
    Priority::Membership,
];

/// What waits to be sent.
pub(super) struct Outgoing {
    /// The session's own: registration and answers to `PING`. Never held back.
    own: VecDeque<Vec<u8>>,
    lanes: [VecDeque<Item>; LANES.len()],
    lines: usize,
    bytes: usize,
    /// How often in a row something that waits too long was passed over.
    passed_over: u32,
    pace: Pace,
    /// When all that was sent has been worked off.
    free_at: Option<Instant>,
}

/// Something that goes out at once.
#[derive(Clone)]
pub(super) struct Item {
    pub(super) of: Of,
    pub(super) what: What,
    pub(super) queued_at: Instant,
}

/// Whose it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Nobody,
    /// A say's line: which, and whether no other follows.
    Say {
        id: u64,
        part: usize,
        is_last: bool,
    },
    Ask(u64),
}

impl Of {
    pub(super) fn is(self, wanted: u64) -> bool {
        matches!(self, Self::Say { id, .. } | Self::Ask(id) if id == wanted)
    }
}

/// What goes out. Labels are added then.
#[derive(Clone)]
pub(super) enum What {
    Line(Line),
    /// All lines of a say in one batch.
    Multiline(Box<Say>),
}

impl Item {
    fn lines(&self) -> usize {
        match &self.what {
            What::Line(_) => 1,
            What::Multiline(say) => say.lines.len(),
        }
    }

    fn bytes(&self) -> usize {
        match &self.what {
            What::Line(line) => bytes_of(line),
            What::Multiline(say) => say.lines.iter().map(Vec::len).sum(),
        }
    }
}

/// About what a line takes.
fn bytes_of(line: &Line) -> usize {
    let tags = line.tags.iter().map(|(key, value)| key.len() + value.len());
    let params = line.params.iter().map(|param| param.len() + 1);
    line.command.len() + tags.sum::<usize>() + params.sum::<usize>()
}

impl Outgoing {
    pub(super) fn new(pace: Pace) -> Self {
        Self {
            own: VecDeque::new(),
            lanes: Default::default(),
            lines: 0,
            bytes: 0,
            passed_over: 0,
            pace,
            free_at: None,
        }
    }

    /// Takes a line of the session's own.
    pub(super) fn push_own(&mut self, bytes: Vec<u8>) {
        if self.own.len() < MAX_OWN && bytes.len() <= MAX_OWN_BYTES {
            self.own.push_back(bytes);
        }
    }

    pub(super) fn pop_own(&mut self) -> Option<Vec<u8>> {
        self.own.pop_front()
    }

    pub(super) fn has_own(&self) -> bool {
        !self.own.is_empty()
    }

    /// Takes all of it, or nothing.
    pub(super) fn push(&mut self, priority: Priority, items: Vec<Item>) -> Result<(), Full> {
        let lines: usize = items.iter().map(Item::lines).sum();
        let bytes: usize = items.iter().map(Item::bytes).sum();
        if self.lines + lines > MAX_LINES || self.bytes + bytes > MAX_BYTES {
            return Err(Full);
        }
        self.lines += lines;
        self.bytes += bytes;
        self.lanes[priority as usize].extend(items);
        Ok(())
    }

    /// Puts these where the one that was popped was.
    pub(super) fn put_back(&mut self, priority: Priority, items: Vec<Item>) {
        for item in items.into_iter().rev() {
            self.lines += item.lines();
            self.bytes += item.bytes();
            self.lanes[priority as usize].push_front(item);
        }
    }

    /// The next that may go; texts only where there is room to prove them.
    pub(super) fn pop(&mut self, now: Instant, may_say: bool) -> Option<(Priority, Item)> {
        let priority = self.next_lane(now, may_say)?;
        let item = self.lanes[priority as usize].pop_front()?;
        self.lines -= item.lines();
        self.bytes -= item.bytes();
        Some((priority, item))
    }

    /// The most urgent lane. What waits too long in another comes after four of it.
    fn next_lane(&mut self, now: Instant, may_say: bool) -> Option<Priority> {
        let heads = LANES
            .into_iter()
            .filter(|priority| may_say || *priority != Priority::Said)
            .filter_map(|priority| {
                Some((priority, self.lanes[priority as usize].front()?.queued_at))
            });
        let heads: Vec<_> = heads.collect();
        let (first, others) = heads.split_first()?;
        let waits = |at: Instant| now.saturating_duration_since(at) >= PATIENCE;
        let late = others
            .iter()
            .filter(|(_, at)| waits(*at))
            .min_by_key(|(_, at)| *at);
        match late {
            Some((late, _)) if self.passed_over >= MAX_PASSED_OVER => {
                self.passed_over = 0;
                Some(*late)
            }
            _ => {
                self.passed_over = if late.is_some() {
                    self.passed_over + 1
                } else {
                    0
                };
                Some(first.0)
            }
        }
    }

    pub(super) fn has_next(&self, may_say: bool) -> bool {
        let lanes = self.lanes.iter().enumerate();
        lanes
            .filter(|(at, _)| may_say || *at != Priority::Said as usize)
            .any(|(_, lane)| !lane.is_empty())
    }

    /// Takes out what is left of it; how much that was.
    pub(super) fn remove(&mut self, mut is_it: impl FnMut(Of) -> bool) -> usize {
        let (mut count, mut lines, mut bytes) = (0, 0, 0);
        for lane in &mut self.lanes {
            lane.retain(|item| {
                let is_gone = is_it(item.of);
                if is_gone {
                    count += 1;
                    lines += item.lines();
                    bytes += item.bytes();
                }
                !is_gone
            });
        }
        self.lines -= lines;
        self.bytes -= bytes;
        count
    }

    /// Lines that wait.
    pub(super) fn lines(&self) -> usize {
        self.lines
    }

    /// Notes what a server reckons for lines that were sent.
    pub(super) fn charge(&mut self, lines: usize, bytes: usize, now: Instant) {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let cost_ms = u64::from(self.pace.line_ms).saturating_mul(count(lines))
            + u64::from(self.pace.hundred_bytes_ms).saturating_mul(count(bytes)) / 100;
        let from = self.free_at.map_or(now, |at| at.max(now));
        self.free_at = Some((from + Duration::from_millis(cost_ms)).min(now + MAX_OWED));
    }

    /// When the next line may go; `None` for at once.
    pub(super) fn next_at(&self) -> Option<Instant> {
        if self.pace.line_ms == 0 {
            return None;
        }
        let lines = self.pace.burst_lines.max(1) - 1;
        let owed = Duration::from_millis(u64::from(self.pace.line_ms) * u64::from(lines));
        self.free_at?.checked_sub(owed)
    }

    /// Drops all of it.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.pace);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(text: &str, queued_at: Instant) -> Item {
        Item {
            of: Of::Nobody,
            what: What::Line(Line::new(text, [""; 0])),
            queued_at,
        }
    }

    fn name(popped: Option<(Priority, Item)>) -> String {
        match popped.map(|(_, item)| item.what) {
            Some(What::Line(line)) => line.command,
            _ => String::new(),
        }
    }

    #[test]
    fn the_urgent_goes_first_and_nothing_waits_for_ever() {
        let now = Instant::now();
        let mut out = Outgoing::new(Pace::default());
        let mut push = |priority, text| out.push(priority, vec![item(text, now)]);
        push(Priority::Membership, "JOIN").expect("room");
        push(Priority::Said, "PRIVMSG").expect("room");
        push(Priority::Moderation, "KICK").expect("room");
        assert_eq!(name(out.pop(now, true)), "KICK");
        // Who never stops to moderate does not keep the others from speaking.
        let later = now + PATIENCE;
        for _ in 0..6 {
            out.push(Priority::Moderation, vec![item("MODE", later)])
                .expect("room");
        }
        let order: Vec<_> = (0..8).map(|_| name(out.pop(later, true))).collect();
        let modes = ["MODE"; 4];
        assert_eq!(order[..4], modes);
        assert_eq!(order[4..], ["PRIVMSG", "MODE", "MODE", "JOIN"]);
        assert_eq!((out.lines, out.bytes), (0, 0));
    }

    #[test]
    fn a_full_queue_takes_nothing() {
        let now = Instant::now();
        let mut out = Outgoing::new(Pace::default());
        for _ in 0..MAX_LINES {
            out.push(Priority::Said, vec![item("A", now)])
                .expect("room");
        }
        let more = out.push(Priority::Urgent, vec![item("B", now)]);
        assert_eq!(more, Err(Full));
        assert_eq!(out.remove(|_| true), MAX_LINES);
        let long = "x".repeat(MAX_BYTES + 1);
        let more = out.push(Priority::Said, vec![item(&long, now)]);
        assert_eq!(more, Err(Full));
    }

    #[test]
    fn a_burst_passes_and_then_each_waits() {
        let now = Instant::now();
        let mut out = Outgoing::new(Pace {
            burst_lines: 3,
            line_ms: 1_000,
            hundred_bytes_ms: 100,
        });
        let waits_ms = |out: &Outgoing| {
            let at = out.next_at().unwrap_or(now);
            at.saturating_duration_since(now).as_millis()
        };
        for expected in [0, 0, 200, 1_300, 2_400] {
            assert_eq!(waits_ms(&out), expected);
            out.charge(1, 100, now);
        }
    }
}
