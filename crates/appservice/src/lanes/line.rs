//! The line of lanes that wait for a worker: the more urgent stand in front, equals in the order in which they came.

use std::collections::VecDeque;

/// How many ranks there are; 0 is the most urgent.
pub(super) const RANKS: usize = 4;

/// So often may others be taken before a rank in which somebody waits; then it is that rank's turn.
const PATIENCE: u32 = 16;

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
    pub(super) fn pop(&mut self) -> Option<String> {
        let waits = |rank: &usize| !self.waiting[*rank].is_empty();
        let is_impatient = |rank: &usize| waits(rank) && self.passed_over[*rank] >= PATIENCE;
        let chosen = (0..RANKS)
            .find(is_impatient)
            .or_else(|| (0..RANKS).find(waits))?;
        for rank in 0..RANKS {
            if rank == chosen || self.waiting[rank].is_empty() {
                self.passed_over[rank] = 0;
            } else {
                self.passed_over[rank] += 1;
            }
        }
        self.waiting[chosen].pop_front()
    }

    /// Whether somebody more urgent than this waits.
    pub(super) fn is_urged(&self, rank: usize) -> bool {
        let before = self.waiting.iter().take(rank);
        before.into_iter().any(|waiting| !waiting.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(line: &mut Line) -> Vec<String> {
        std::iter::from_fn(|| line.pop()).collect()
    }

    #[test]
    fn the_urgent_go_first_and_equals_in_turn() {
        let mut line = Line::default();
        for (rank, name) in [(3, "history"), (0, "a"), (2, "name"), (0, "b"), (9, "odd")] {
            line.push(rank, name.to_owned());
        }
        assert!(line.is_urged(3) && line.is_urged(1) && !line.is_urged(0));
        assert_eq!(order(&mut line), ["a", "b", "name", "history", "odd"]);
        assert!(!line.is_urged(3));
    }

    #[test]
    fn nobody_starves() {
        let mut line = Line::default();
        line.push(3, "history".to_owned());
        for number in 0..100 {
            line.push(0, number.to_string());
        }
        let order = order(&mut line);
        assert_eq!(order.iter().position(|name| name == "history"), Some(16));
    }
}
