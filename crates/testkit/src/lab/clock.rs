//! The lab's time, as host and kit want it.

use bridgehead_appservice::surroundings as kit;
use bridgehead_homeserver::{Clock, SystemClock, TimerClock};

/// It is 2026-01-01T00:00:00Z when a lab with a clock of its own begins, ms.
const BEGINNING_MS: i64 = 1_767_225_600_000;

/// The time of a lab.
#[derive(Clone, Copy, Debug)]
pub(super) enum LabClock {
    /// Moves when nothing is left to do.
    Paused(TimerClock),
    /// The machine's.
    Real,
}

impl LabClock {
    pub(super) fn new(paused: bool) -> Self {
        if paused {
            Self::Paused(TimerClock::starting_at(BEGINNING_MS))
        } else {
            Self::Real
        }
    }

    pub(super) fn now(&self) -> i64 {
        match self {
            Self::Paused(clock) => clock.now_ms(),
            Self::Real => SystemClock.now_ms(),
        }
    }
}

impl Clock for LabClock {
    fn now_ms(&self) -> i64 {
        self.now()
    }
}

impl kit::Clock for LabClock {
    fn now_ms(&self) -> i64 {
        self.now()
    }
}
