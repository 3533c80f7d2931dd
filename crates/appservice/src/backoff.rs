//! Waits that grow from failure to failure, up to a bound, with some chance in them so that those who failed together
//! do not come back together.
//!
//! Nothing here sleeps or draws random numbers: the caller brings the randomness and waits by itself.

use std::time::Duration;

/// How waits grow: the first is `first`, each further one twice as long, none longer than `max`.
///
/// Holds no state, so it suits attempts that are counted elsewhere, for instance in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Growth {
    first: Duration,
    max: Duration,
}

impl Growth {
    /// A first wait below one millisecond is taken as one millisecond, and a `max` below `first` as `first`.
    #[must_use]
    pub fn new(first: Duration, max: Duration) -> Self {
        let first = first.max(Duration::from_millis(1));
        Self {
            first,
            max: max.max(first),
        }
    }

    /// The longest wait after this many failures in a row; zero after none.
    #[must_use]
    pub fn ceiling(&self, failures: u32) -> Duration {
        let Some(doublings) = failures.checked_sub(1) else {
            return Duration::ZERO;
        };
        let factor = 2_u32.checked_pow(doublings);
        let wait = factor.and_then(|factor| self.first.checked_mul(factor));
        wait.unwrap_or(self.max).min(self.max)
    }

    /// The wait after this many failures in a row: between half of [`Growth::ceiling`] and all of it, evenly spread
    /// over `random`, of which every bit should be random.
    #[must_use]
    pub fn wait(&self, failures: u32, random: u64) -> Duration {
        let ceiling = self.ceiling(failures);
        let half = ceiling / 2;
        // The upper 53 bits are what a float can hold: a share from 0 up to, but not including, 1.
        let share = (random >> 11) as f64 / (1_u64 << 53) as f64;
        half + (ceiling - half).mul_f64(share)
    }
}

/// A [`Growth`] that counts the failures itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    growth: Growth,
    failures: u32,
}

impl Backoff {
    /// Begins without a failure. The bounds are those of [`Growth::new`].
    #[must_use]
    pub fn new(first: Duration, max: Duration) -> Self {
        Self {
            growth: Growth::new(first, max),
            failures: 0,
        }
    }

    /// Counts a failure and says how long to wait before the next attempt.
    pub fn fail(&mut self, random: u64) -> Duration {
        self.failures = self.failures.saturating_add(1);
        self.growth.wait(self.failures, random)
    }

    /// An attempt succeeded: the next wait is a first one again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Failures since the last success.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn waits_double_up_to_the_bound() {
        let growth = Growth::new(SECOND, 30 * SECOND);
        let ceilings = [0, 1, 2, 3, 5, 6, 7, u32::MAX].map(|n| growth.ceiling(n).as_secs());
        assert_eq!(ceilings, [0, 1, 2, 4, 16, 30, 30, 30]);
    }

    #[test]
    fn chance_spreads_over_the_upper_half() {
        let growth = Growth::new(SECOND, 30 * SECOND);
        assert_eq!(growth.wait(3, 0), 2 * SECOND);
        assert_eq!(growth.wait(3, 1 << 63), 3 * SECOND);
        let longest = growth.wait(3, u64::MAX);
        assert!(longest > Duration::from_millis(3999) && longest <= 4 * SECOND);
    }

    #[test]
    fn a_success_begins_anew() {
        let mut backoff = Backoff::new(SECOND, 30 * SECOND);
        let waits: Vec<_> = (0..3).map(|_| backoff.fail(0)).collect();
        assert_eq!(waits, [SECOND / 2, SECOND, 2 * SECOND]);
        assert_eq!(backoff.failures(), 3);
        backoff.reset();
        assert_eq!((backoff.failures(), backoff.fail(0)), (0, SECOND / 2));
    }

    #[test]
    fn bounds_that_contradict_are_made_to_agree() {
        let growth = Growth::new(10 * SECOND, SECOND);
        assert_eq!(growth.ceiling(1), 10 * SECOND);
        assert_eq!(growth.ceiling(9), 10 * SECOND);
        let instant = Growth::new(Duration::ZERO, Duration::ZERO);
        assert_eq!(instant.ceiling(4), Duration::from_millis(1));
    }

    proptest! {
        #[test]
        fn every_wait_is_within_its_bounds(
            first in 0_u64..100_000, max in 0_u64..10_000_000, failures: u32, random: u64,
        ) {
            let growth = Growth::new(Duration::from_millis(first), Duration::from_millis(max));
            let (wait, ceiling) = (growth.wait(failures, random), growth.ceiling(failures));
            prop_assert!(wait <= ceiling && wait >= ceiling / 2);
            prop_assert!(ceiling <= Duration::from_millis(max.max(first).max(1)));
            prop_assert_eq!(wait.is_zero(), failures == 0);
        }
    }
}
