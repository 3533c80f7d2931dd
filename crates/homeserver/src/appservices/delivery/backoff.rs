//! How long to wait after a failed attempt.

use std::time::Duration;

use crate::{config, random::Random};

/// The shortest time between attempts that signs of life ask for; doubles while they keep failing.
const SIGN_OF_LIFE_GAP: Duration = Duration::from_millis(100);

/// Exponential with jitter between the configured bounds.
pub(super) struct Backoff {
    min: Duration,
    max: Duration,
    failures: u32,
    sign_failed: bool,
    signs: u32,
    /// An open port ended a wait, and the attempt found no connection all the same.
    pub(super) misled: bool,
}

impl Backoff {
    pub(super) fn new(config: &config::Appservices) -> Self {
        Self {
            min: config.backoff_min,
            max: config.backoff_max,
            failures: 0,
            sign_failed: false,
            signs: 0,
            misled: false,
        }
    }

    /// The wait after one more failure: between half and all of the full one, so that services
    /// which failed together do not return together.
    pub(super) fn next(&mut self, random: &Random) -> Duration {
        let full = self
            .min
            .saturating_mul(1 << self.failures.min(16))
            .min(self.max);
        self.failures = self.failures.saturating_add(1);
        let half_ms = u64::try_from(full.as_millis() / 2)
            .unwrap_or(u64::MAX)
            .max(1);
        Duration::from_millis(half_ms + random.below(half_ms + 1))
    }

    /// The wait ran to its end.
    pub(super) fn ran_out(&mut self) {
        self.sign_failed = false;
    }

    /// How long to wait after a sign of life: a service that talks to us and yet refuses its
    /// transactions must not make us hammer it.
    pub(super) fn sign_of_life_gap(&mut self) -> Duration {
        self.signs = if self.sign_failed {
            (self.signs + 1).min(8)
        } else {
            0
        };
        self.sign_failed = true;
        SIGN_OF_LIFE_GAP.saturating_mul(1 << self.signs)
    }
}
