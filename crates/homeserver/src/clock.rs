//! The time, injected.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> i64;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| {
                i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
            })
    }
}

/// The time as the runtime's timers have it: where that is paused, this stands still too, and an
/// hour that a timer skips is an hour here. For servers with [`crate::Surroundings::inline`]: read
/// on a thread that is not the runtime's it would go on with the machine's time.
#[derive(Debug, Clone, Copy)]
pub struct TimerClock {
    base_ms: i64,
    since: Instant,
}

impl TimerClock {
    /// It is `base_ms` (since the Unix epoch) now. Called in the runtime whose time it follows.
    pub fn starting_at(base_ms: i64) -> Self {
        Self {
            base_ms,
            since: Instant::now(),
        }
    }
}

impl Clock for TimerClock {
    fn now_ms(&self) -> i64 {
        let elapsed_ms = i64::try_from(self.since.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.base_ms.saturating_add(elapsed_ms)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Clock as _, TimerClock};

    #[tokio::test(start_paused = true)]
    async fn the_timers_time_moves_with_the_timers() {
        let clock = TimerClock::starting_at(1_000);
        assert_eq!(clock.now_ms(), 1_000);
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert_eq!(clock.now_ms(), 3_601_000);
    }
}
