//! Attempts that wait for something outside that is away, such as another network: they say nothing of the event, and
//! do not count.

use std::time::Duration;

/// What a row has waited since the service started.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Waiting {
    attempts: u32,
    since_ms: i64,
}

impl Waiting {
    /// Attempts that do not count.
    pub(crate) fn attempts(self) -> u32 {
        self.attempts
    }

    /// Since when it waits, if it does; ms since the Unix epoch.
    pub(super) fn since_ms(self) -> Option<i64> {
        (self.attempts > 0).then_some(self.since_ms)
    }

    /// Notes an attempt that waits. Gives back whether it may: for no longer than `patience`, from the first on.
    pub(super) fn note(&mut self, now_ms: i64, patience: Duration) -> bool {
        if self.attempts == 0 {
            self.since_ms = now_ms;
        }
        let waited = u64::try_from(now_ms.saturating_sub(self.since_ms)).unwrap_or(0);
        let may_wait = Duration::from_millis(waited) < patience;
        if may_wait {
            self.attempts += 1;
        }
        may_wait
    }
}
