//! Signs of life, and what the clock brings.

use std::time::{Duration, Instant};

use super::{Ended, Session, Stage, registration::STEP};
use crate::Line;

/// What is known of the server's life.
pub(super) struct Life {
    pub(super) began_at: Instant,
    heard_at: Instant,
    pub(super) ping: Option<Ping>,
    count: u64,
    /// Up to which number what is in flight has a barrier behind it.
    pub(super) covered: u64,
    pub(super) lag: Option<Duration>,
}

/// A `PING` that has no answer yet. There is one at most: it is barrier and question for a sign of life in one.
pub(super) struct Ping {
    token: String,
    sent_at: Instant,
}

impl Life {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            began_at: now,
            heard_at: now,
            ping: None,
            count: 0,
            covered: 0,
            lag: None,
        }
    }

    /// Others have written so much before.
    pub(super) fn go_on(&mut self, written: u64) {
        self.count = written;
    }

    pub(super) fn take_sign(&mut self, now: Instant) {
        self.heard_at = now;
    }

    /// When the server was heard last.
    pub(super) fn heard_at(&self) -> Instant {
        self.heard_at
    }

    /// Takes a `PONG`; whether it answers the open `PING`.
    fn take_pong(&mut self, line: &Line, now: Instant) -> bool {
        let is_it = |ping: &Ping| {
            line.params
                .iter()
                .any(|param| *param == ping.token.as_bytes())
        };
        let Some(ping) = self.ping.take_if(|ping| is_it(ping)) else {
            return false;
        };
        self.lag = Some(now.saturating_duration_since(ping.sent_at));
        true
    }
}

impl Session {
    /// Writes a `PING` behind all that was written.
    pub(super) fn ping(&mut self, now: Instant) {
        self.life.count += 1;
        let token = format!("barrier-{}", self.life.count);
        self.push_own(&Line::new("PING", [&token]));
        self.life.covered = self.flights.written();
        self.life.ping = Some(Ping {
            token,
            sent_at: now,
        });
    }

    /// Takes a `PONG`; whether it was for the session itself.
    pub(super) fn hear_pong(&mut self, line: &Line, now: Instant) -> bool {
        let is_own = self.life.take_pong(line, now);
        if is_own {
            self.flights.pass(self.life.covered, now);
        }
        is_own
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Instant) {
        if self.is_ended() {
            return;
        }
        self.tick_stage(now);
        self.tick_life(now);
        for open in self.batches.expire(now) {
            self.close_batch(open, now);
        }
        self.flights.expire(now);
        if self.nicks.next_try_at().is_some_and(|at| at <= now) {
            self.nicks.watch(now);
            self.regain(now);
        }
        self.settle(now);
        self.tell_outcomes();
    }

    fn tick_stage(&mut self, now: Instant) {
        match self.stage {
            Stage::Registering if self.registration_ends_at() <= now => {
                let refused = self.registration.refused.take();
                let refused = refused.map(|(numeric, text)| Ended::Registration(numeric, text));
                self.end(refused.unwrap_or(Ended::Timeout("the registration")));
            }
            Stage::Quitting(until) if until <= now => self.end(Ended::Quit),
            _ => {}
        }
        if self.step_ends_at().is_some_and(|at| at <= now) {
            self.give_up_step(now);
        }
    }

    fn tick_life(&mut self, now: Instant) {
        if !matches!(self.stage, Stage::Settling(_) | Stage::Ready) {
            return;
        }
        if self.dead_at() <= now {
            self.end(Ended::Timeout("a sign of life"));
        } else if self.life.ping.is_none() && self.ping_at() <= now {
            self.ping(now);
        }
    }

    fn registration_ends_at(&self) -> Instant {
        self.life.began_at + self.settings.keepalive.registration
    }

    fn ping_at(&self) -> Instant {
        self.life.heard_at + self.settings.keepalive.ping_after
    }

    fn dead_at(&self) -> Instant {
        let patience = self.settings.keepalive.dead_after;
        let silent_at = self.life.heard_at + patience;
        let ping = self.life.ping.as_ref();
        ping.map_or(silent_at, |ping| silent_at.min(ping.sent_at + patience))
    }

    /// When a step of the registration counts as unanswered.
    fn step_ends_at(&self) -> Option<Instant> {
        self.step_began_at().map(|at| at + STEP)
    }

    /// When [`Session::tick`] has something to do, or output may go out. It may have passed already; `None` once the
    /// session has ended.
    #[must_use]
    pub fn wake_at(&self) -> Option<Instant> {
        let at_once = self.out.has_own().then_some(self.life.began_at);
        let by_stage = match self.stage {
            Stage::Ended => return None,
            Stage::Registering => Some(self.registration_ends_at()),
            Stage::Settling(since) => Some(self.settles_at(since)),
            Stage::Ready => self.output_at(),
            Stage::Quitting(until) => Some(until),
        };
        let is_alive = matches!(self.stage, Stage::Settling(_) | Stage::Ready);
        let ping_at = (is_alive && self.life.ping.is_none()).then(|| self.ping_at());
        let may_ping = self.is_ready() && self.life.ping.is_none();
        let covered = match may_ping {
            true => self.life.covered,
            false => u64::MAX,
        };
        let all = [
            at_once,
            by_stage,
            ping_at,
            is_alive.then(|| self.dead_at()),
            self.step_ends_at(),
            self.batches.expires_at(),
            self.flights.wake_at(covered),
            self.nicks.next_try_at(),
        ];
        all.into_iter().flatten().min()
    }

    /// When the next line that waits may go.
    fn output_at(&self) -> Option<Instant> {
        let has_next = self.out.has_next(self.flights.may_say());
        has_next.then(|| self.out.next_at().unwrap_or(self.life.began_at))
    }
}
