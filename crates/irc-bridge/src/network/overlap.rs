//! What two connections hear of one channel, told once.
//!
//! One of them observes: what it hears is told. The other stands by, and what it hears is remembered until the observer
//! has heard it too. When the observer is lost, what only the other has heard is told, and nothing is missing and
//! nothing is told twice.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// For how long something that was told is expected from the other connection: servers are that far behind each other.
const TOLD_FOR: Duration = Duration::from_secs(15);
/// For how long something that was not told is kept: until then a dead observer is known to be dead.
const HELD_FOR: Duration = Duration::from_secs(240);
/// Lines of one channel that are remembered.
const MAX_LINES: usize = 4096;

/// Which of the two has heard something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ear {
    /// The one that tells.
    Observer,
    /// The one that stands by.
    Standby,
}

/// What was heard of one channel lately.
#[derive(Debug)]
pub(super) struct Overlap<T> {
    lines: VecDeque<Line<T>>,
}

#[derive(Debug)]
struct Line<T> {
    /// The same wherever it is heard.
    key: String,
    at: Instant,
    by_observer: bool,
    by_standby: bool,
    /// What is to be told if the observer is lost; `None`: it was told.
    held: Option<T>,
}

impl<T> Line<T> {
    fn is_heard_by(&self, ear: Ear) -> bool {
        match ear {
            Ear::Observer => self.by_observer,
            Ear::Standby => self.by_standby,
        }
    }

    fn heard_by(&mut self, ear: Ear) {
        match ear {
            Ear::Observer => self.by_observer = true,
            Ear::Standby => self.by_standby = true,
        }
    }

    fn is_over(&self, now: Instant) -> bool {
        let kept = match self.held {
            Some(_) => HELD_FOR,
            None => TOLD_FOR,
        };
        (self.by_observer && self.by_standby) || now.saturating_duration_since(self.at) >= kept
    }
}

impl<T> Overlap<T> {
    pub(super) fn new() -> Self {
        Self {
            lines: VecDeque::new(),
        }
    }

    /// Something was heard; gives it back if it is to be told now.
    pub(super) fn hear(&mut self, ear: Ear, key: String, what: T, now: Instant) -> Option<T> {
        self.lines.retain(|line| !line.is_over(now));
        let mut known = self.lines.iter_mut();
        if let Some(line) = known.find(|line| line.key == key && !line.is_heard_by(ear)) {
            line.heard_by(ear);
            let held = line.held.take();
            return match ear {
                Ear::Observer => held,
                Ear::Standby => {
                    line.held = held;
                    None
                }
            };
        }
        if self.lines.len() >= MAX_LINES {
            self.lines.pop_front();
        }
        let (told, held) = match ear {
            Ear::Observer => (Some(what), None),
            Ear::Standby => (None, Some(what)),
        };
        self.lines.push_back(Line {
            key,
            at: now,
            by_observer: ear == Ear::Observer,
            by_standby: ear == Ear::Standby,
            held,
        });
        told
    }

    /// What only the one that stands by has heard so far.
    pub(super) fn held(&self, now: Instant) -> impl Iterator<Item = &T> {
        let lines = self.lines.iter().filter(move |line| !line.is_over(now));
        lines.filter_map(|line| line.held.as_ref())
    }

    /// The one that stood by observes from now on, and the observer stands by; gives back what is to be told, in order.
    pub(super) fn swap(&mut self, now: Instant) -> Vec<T> {
        self.lines.retain(|line| !line.is_over(now));
        let swapped = self.lines.iter_mut().filter_map(|line| {
            std::mem::swap(&mut line.by_observer, &mut line.by_standby);
            line.held.take()
        });
        swapped.collect()
    }

    /// Another stands by, or nobody: what only the last one has heard is none of its affair.
    pub(super) fn replace_standby(&mut self) {
        self.lines.retain(|line| line.held.is_none());
        for line in &mut self.lines {
            line.by_standby = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn hear(overlap: &mut Overlap<u32>, ear: Ear, line: u32, now: Instant) -> Option<u32> {
        overlap.hear(ear, line.to_string(), line, now)
    }

    #[test]
    fn what_only_the_standby_has_heard_is_told_when_it_takes_over() {
        let now = Instant::now();
        let mut overlap = Overlap::new();
        assert_eq!(hear(&mut overlap, Ear::Observer, 1, now), Some(1));
        assert_eq!(hear(&mut overlap, Ear::Standby, 1, now), None);
        assert_eq!(hear(&mut overlap, Ear::Standby, 2, now), None);
        assert_eq!(hear(&mut overlap, Ear::Standby, 3, now), None);
        assert_eq!(hear(&mut overlap, Ear::Observer, 2, now), Some(2));
        assert_eq!(overlap.swap(now), [3]);
        // The old observer comes later with what was told already.
        assert_eq!(hear(&mut overlap, Ear::Standby, 3, now), None);
        assert_eq!(hear(&mut overlap, Ear::Observer, 4, now), Some(4));
        assert_eq!(overlap.swap(now), [0; 0]);
    }

    #[test]
    fn the_same_words_twice_are_two_lines() {
        let now = Instant::now();
        let mut overlap = Overlap::new();
        assert_eq!(hear(&mut overlap, Ear::Standby, 1, now), None);
        assert_eq!(hear(&mut overlap, Ear::Standby, 1, now), None);
        assert_eq!(hear(&mut overlap, Ear::Observer, 1, now), Some(1));
        assert_eq!(overlap.swap(now), [1]);
    }

    #[test]
    fn what_was_told_long_ago_is_said_again() {
        let now = Instant::now();
        let mut overlap = Overlap::new();
        assert_eq!(hear(&mut overlap, Ear::Observer, 1, now), Some(1));
        let later = now + TOLD_FOR;
        assert_eq!(hear(&mut overlap, Ear::Standby, 1, later), None);
        assert_eq!(overlap.swap(later), [1]);
        assert_eq!(hear(&mut overlap, Ear::Standby, 2, later), None);
        overlap.replace_standby();
        assert_eq!(
            overlap.swap(later),
            [0; 0],
            "what only the last one has heard"
        );
    }

    proptest! {
        /// Two connections hear the same lines, each as far as it comes; whenever the observer is lost, each line was
        /// told once, in order, up to what the other has heard.
        #[test]
        fn every_line_is_told_once_and_in_order(
            lines in prop::collection::vec(0_u32..4, 1..60),
            steps in prop::collection::vec(any::<bool>(), 1..120),
            lost_after in 0_usize..120,
        ) {
            let now = Instant::now();
            let mut overlap = Overlap::new();
            let (mut told, mut at) = (Vec::new(), BTreeMap::from([(false, 0), (true, 0)]));
            let mut observer = false;
            for (step, who) in steps.into_iter().enumerate() {
                if step == lost_after {
                    told.extend(overlap.swap(now));
                    overlap.replace_standby();
                    observer = true;
                }
                let who = who || observer;
                let heard = at.get_mut(&who).expect("one of two");
                let Some(line) = lines.get(*heard) else { continue };
                *heard += 1;
                let ear = match who == observer {
                    true => Ear::Observer,
                    false => Ear::Standby,
                };
                told.extend(hear(&mut overlap, ear, *line, now));
            }
            let furthest = match observer {
                true => at[&true].max(at[&false]),
                false => at[&false],
            };
            prop_assert_eq!(&told[..], &lines[..furthest]);
        }
    }
}
