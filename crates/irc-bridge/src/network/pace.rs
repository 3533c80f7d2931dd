//! When connections may be made: a bucket of them for the network, growing waits for each, and a breaker that keeps
//! all back when the network has had enough.

use std::time::{Duration, Instant};

/// Waits between attempts of one connection.
const FIRST_WAIT: Duration = Duration::from_secs(2);
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// How many connections may be made.
#[derive(Debug)]
pub(super) struct Bucket {
    /// How long until there is another.
    every: Duration,
    /// As many may be saved up.
    at_once: u32,
    tokens: f64,
    filled_at: Instant,
    /// Nobody connects before.
    closed_until: Option<Instant>,
}

impl Bucket {
    pub(super) fn new(per_minute: u32, at_once: u32, now: Instant) -> Self {
        let at_once = at_once.max(1);
        Self {
            every: Duration::from_secs(60) / per_minute.max(1),
            at_once,
            tokens: f64::from(at_once),
            filled_at: now,
            closed_until: None,
        }
    }

    /// Takes one, or says when to ask again.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Instant> {
        if let Some(until) = self.closed_until.filter(|until| *until > now) {
            return Err(until);
        }
        self.closed_until = None;
        let passed = now.saturating_duration_since(self.filled_at);
        self.filled_at = now;
        let gained = passed.as_secs_f64() / self.every.as_secs_f64();
        self.tokens = (self.tokens + gained).min(f64::from(self.at_once));
        if self.tokens < 1.0 {
            return Err(now + self.every.mul_f64(1.0 - self.tokens));
        }
        self.tokens -= 1.0;
        Ok(())
    }

    /// The network has had enough: nobody connects for so long, and slowly after that.
    pub(super) fn close(&mut self, now: Instant, wait: Duration) {
        let until = now + wait;
        self.closed_until = Some(self.closed_until.map_or(until, |at| at.max(until)));
        self.tokens = 0.0;
    }
}

/// How long one connection waits after so many failures in a row; `random` spreads those that failed together.
pub(super) fn wait(failures: u32, random: u64) -> Duration {
    let longest = FIRST_WAIT
        .saturating_mul(1 << failures.saturating_sub(1).min(16))
        .min(LONGEST_WAIT);
    let millis = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(millis / 2 + random % (millis / 2 + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_at_once_and_then_one_by_one() {
        let start = Instant::now();
        let mut bucket = Bucket::new(60, 3, start);
        for _ in 0..3 {
            assert_eq!(bucket.take(start), Ok(()));
        }
        let again = bucket.take(start).expect_err("none is left");
        assert_eq!(again, start + Duration::from_secs(1));
        assert_eq!(bucket.take(again), Ok(()));
        assert!(bucket.take(again).is_err());
        // A quiet hour saves up no more than three.
        let later = start + Duration::from_secs(3600);
        let taken = (0..10).take_while(|_| bucket.take(later).is_ok()).count();
        assert_eq!(taken, 3);
    }

    #[test]
    fn a_closed_network_is_left_alone() {
        let start = Instant::now();
        let mut bucket = Bucket::new(60, 3, start);
        bucket.close(start, Duration::from_secs(30));
        bucket.close(start, Duration::from_secs(10));
        assert_eq!(bucket.take(start), Err(start + Duration::from_secs(30)));
        let open = start + Duration::from_secs(30);
        assert_eq!(bucket.take(open), Ok(()));
    }

    #[test]
    fn waits_grow_up_to_a_bound_and_are_spread() {
        for random in [0, 1, 12_345, u64::MAX] {
            assert!((1000..=2000).contains(&wait(1, random).as_millis()));
            assert!((2000..=4000).contains(&wait(2, random).as_millis()));
            assert!(wait(1000, random) <= LONGEST_WAIT);
        }
        assert_ne!(wait(5, 0), wait(5, 999));
    }
}
