//! Attempts that failed for want of a homeserver: they say nothing of the event, and do not count.

use std::time::Duration;

use crate::Error;

/// How often a row may fail while the homeserver answers others, before that is put down to the row: there are
/// requests that a homeserver never survives.
const ANSWERED: u32 = 20;

/// What has stood between a row and its handlers since the service started.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outage {
    attempts: u32,
    since_ms: i64,
    last_ms: i64,
    /// Attempts that failed although others had been answered since the one before.
    answered: u32,
}

impl Outage {
    /// Attempts that do not count.
    pub(crate) fn attempts(self) -> u32 {
        self.attempts
    }

    /// Notes an attempt that has failed with an error that [may pass](Error::may_pass). Gives back whether it is put
    /// down to the homeserver, which has last answered anything at `answered_ms`: for no longer than `patience`, from the first such failure on, and not when others are
    /// answered all the time. A rate limit is waited for in any case.
    pub(super) fn note(
        &mut self,
        error: &Error,
        answered_ms: Option<i64>,
        now_ms: i64,
        patience: Duration,
    ) -> bool {
        if self.attempts == 0 {
            self.since_ms = now_ms;
        } else if !error.is_rate_limit() && answered_ms.is_some_and(|ms| ms > self.last_ms) {
            self.answered += 1;
        }
        let waited = u64::try_from(now_ms.saturating_sub(self.since_ms)).unwrap_or(0);
        let is_the_homeserver =
            Duration::from_millis(waited) < patience && self.answered < ANSWERED;
        if is_the_homeserver {
            self.attempts += 1;
            self.last_ms = now_ms;
        }
        is_the_homeserver
    }
}
