//! When connections may be made: a bucket of them for the network, growing waits for each, and a breaker that keeps
//! all back when the network has had enough.

use std::time::{Duration, Instant};

/// Waits between attempts of one connection.
const FIRST_WAIT: Duration = Duration::from_secs(2);
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// How long a network is left alone that has had enough, the first time and at most.
const FIRST_BREAK: Duration = Duration::from_secs(30);
const LONGEST_BREAK: Duration = Duration::from_secs(600);
/// For how long it is believed that a network takes no more connections than it had.
const LIMIT_FOR: Duration = Duration::from_secs(600);

/// How many connections may be made.
#[derive(Debug)]
pub(super) struct Bucket {
    /// How long until there is another.
    every: Duration,
    /// As many may be saved up.
    at_once: u32,
    tokens: f64,
    filled_at: Instant,
    /// Nobody connects before, and why.
    closed: Option<(Instant, String)>,
}

impl Bucket {
    pub(super) fn new(per_minute: u32, at_once: u32, now: Instant) -> Self {
        let at_once = at_once.max(1);
        Self {
            every: Duration::from_secs(60) / per_minute.max(1),
            at_once,
            tokens: f64::from(at_once),
            filled_at: now,
            closed: None,
        }
    }

    /// Other limits; what was saved up is kept, as far as they allow it.
    pub(super) fn change(&mut self, per_minute: u32, at_once: u32) {
        self.every = Duration::from_secs(60) / per_minute.max(1);
        self.at_once = at_once.max(1);
        self.tokens = self.tokens.min(f64::from(self.at_once));
    }

    /// What has closed it is over.
    pub(super) fn open(&mut self) {
        if self.closed.take().is_some() {
            self.tokens = 1.0;
        }
    }

    /// Takes one, or says when to ask again.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Instant> {
        if let Some((until, _)) = self.closed.as_ref().filter(|(until, _)| *until > now) {
            return Err(*until);
        }
        self.closed = None;
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
    pub(super) fn close(&mut self, now: Instant, wait: Duration, why: &str) {
        let until = now + wait;
        let is_longer = self.closed.as_ref().is_none_or(|(at, _)| *at < until);
        if is_longer {
            self.closed = Some((until, why.to_owned()));
            // The first may go as soon as it opens, and the others after it.
            self.tokens = 1.0;
            self.filled_at = until;
        }
    }

    /// Why nobody connects now.
    pub(super) fn why(&self, now: Instant) -> Option<&str> {
        let closed = self.closed.as_ref().filter(|(until, _)| *until > now);
        closed.map(|(_, why)| why.as_str())
    }
}

/// What a network has shown that it does not bear.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    /// How often in a row it had enough.
    trips: u32,
    /// It takes no more than so many connections, as it was understood until then.
    limit: Option<(usize, Instant)>,
}

impl Breaker {
    /// The network has had enough: for how long it is left alone, where it does not say so itself.
    pub(super) fn trip(&mut self) -> Duration {
        let wait = FIRST_BREAK.saturating_mul(1 << self.trips.min(16));
        self.trips += 1;
        wait.min(LONGEST_BREAK)
    }

    /// It lets somebody in again.
    pub(super) fn calm(&mut self) {
        self.trips = 0;
    }

    /// It takes no more connections than there are.
    pub(super) fn note_full(&mut self, connections: usize, now: Instant) {
        self.limit = Some((connections.max(1), now + LIMIT_FOR));
    }

    /// How many connections it takes.
    pub(super) fn limit(&self, configured: usize, now: Instant) -> usize {
        let learned = self.limit.filter(|(_, until)| *until > now);
        learned.map_or(configured, |(limit, _)| limit.min(configured))
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
        bucket.close(start, Duration::from_secs(30), "throttled");
        bucket.close(start, Duration::from_secs(10), "full");
        assert_eq!(bucket.why(start), Some("throttled"));
        assert_eq!(bucket.take(start), Err(start + Duration::from_secs(30)));
        let open = start + Duration::from_secs(30);
        assert_eq!(bucket.why(open), None);
        assert_eq!(bucket.take(open), Ok(()));
        // What was saved up before is gone: those who have waited go one by one.
        assert!(bucket.take(open).is_err());
    }

    #[test]
    fn a_network_that_has_had_enough_again_and_again_is_left_alone_for_longer() {
        let mut breaker = Breaker::default();
        let waits: Vec<u64> = (0..7).map(|_| breaker.trip().as_secs()).collect();
        assert_eq!(waits, [30, 60, 120, 240, 480, 600, 600]);
        breaker.calm();
        assert_eq!(breaker.trip(), FIRST_BREAK);
    }

    #[test]
    fn a_limit_is_learned_and_tried_again_later() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        assert_eq!(breaker.limit(100, now), 100);
        breaker.note_full(7, now);
        assert_eq!(breaker.limit(100, now), 7);
        assert_eq!(breaker.limit(5, now), 5);
        assert_eq!(breaker.limit(100, now + LIMIT_FOR), 100);
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
