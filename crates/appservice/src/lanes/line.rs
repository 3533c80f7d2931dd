//! The lines of lanes that wait for a worker: one for what is most urgent, with workers of its own, and one for the
//! rest, in which the more urgent stand in front and equals in the order in which they came.

use std::collections::VecDeque;

/// How many ranks there are; 0 is the most urgent.
const RANKS: usize = 4;

/// So often may others be taken before a rank in which somebody waits; then it is that rank's turn.
const PATIENCE: u32 = 16;

/// Which workers are for a lane. What is urgent must not wait for a worker that is itself kept waiting with something
/// less urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Rank 0.
    Urgent,
    /// All other ranks.
    Patient,
}

impl Class {
    /// The class of a rank.
    pub(super) fn of(rank: usize) -> Self {
        match rank {
            0 => Self::Urgent,
            _ => Self::Patient,
        }
    }

    fn ranks(self) -> std::ops::Range<usize> {
        match self {
            Self::Urgent => 0..1,
            Self::Patient => 1..RANKS,
        }
    }
}

/// Names of lanes.
#[derive(Default)]
pub(super) struct Line {
    waiting: [VecDeque<String>; RANKS],
    /// How often another rank was taken while somebody waited in this one.
    passed_over: [u32; RANKS],
}

impl Line {
    /// Puts a lane behind the others of its rank.
    pub(super) fn push(&mut self, rank: usize, name: String) {
        self.waiting[rank.min(RANKS - 1)].push_back(name);
    }

    /// Takes whose turn it is.
    pub(super) fn pop(&mut self, class: Class) -> Option<String> {
        let waits = |rank: &usize| !self.waiting[*rank].is_empty();
        let is_impatient = |rank: &usize| waits(rank) && self.passed_over[*rank] >= PATIENCE;
        let chosen = class
            .ranks()
            .find(is_impatient)
            .or_else(|| class.ranks().find(waits))?;
        for rank in class.ranks() {
            if rank == chosen || self.waiting[rank].is_empty() {
                self.passed_over[rank] = 0;
            } else {
                self.passed_over[rank] += 1;
            }
        }
        self.waiting[chosen].pop_front()
    }

    /// Whether somebody waits for the same workers who is more urgent than this.
    pub(super) fn is_urged(&self, rank: usize) -> bool {
        let before = Class::of(rank).ranks().take_while(|other| *other < rank);
        before
            .into_iter()
            .any(|other| !self.waiting[other].is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(line: &mut Line, class: Class) -> Vec<String> {
        std::iter::from_fn(|| line.pop(class)).collect()
    }

    #[test]
    fn the_urgent_go_first_and_equals_in_turn() {
        let mut line = Line::default();
        for (rank, name) in [(3, "history"), (0, "a"), (2, "name"), (0, "b"), (9, "odd")] {
            line.push(rank, name.to_owned());
        }
        assert!(line.is_urged(3) && !line.is_urged(2) && !line.is_urged(0));
        assert_eq!(order(&mut line, Class::Patient), ["name", "history", "odd"]);
        assert_eq!(order(&mut line, Class::Urgent), ["a", "b"]);
        assert!(!line.is_urged(3));
    }

    #[test]
    fn nobody_starves() {
        let mut line = Line::default();
        line.push(3, "history".to_owned());
        for number in 0..100 {
            line.push(1, number.to_string());
        }
        let order = order(&mut line, Class::Patient);
        assert_eq!(order.iter().position(|name| name == "history"), Some(16));
    }
}
