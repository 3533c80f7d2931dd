//! What a homeserver's rate limits seem to be, learned from its answers, and how long to wait because of them.
//!
//! A homeserver limits each account by kinds of calls, and does not say how. Until it refuses (429), nothing waits
//! here and nothing is remembered. From then on a bucket of tokens imitates the limit:
//!
//! ```text
//! refused  ─▶ empty until the time that the answer names (a growing guess if it names none),
//!             tokens come more slowly, fewer fit in
//! success  ─▶ tokens come a little faster, a little more fit in; forgotten when they would come at once
//! ```
//!
//! So a backlog goes out about as fast as the homeserver lets it, with a refusal now and then to find the limit again
//! instead of one for each call. Pure: the time is an argument, and nobody is made to wait here.

use std::{num::NonZeroUsize, time::Duration};

use lru::LruCache;
use smallvec::SmallVec;
use tokio::time::Instant;

/// The first guess when a refusal names no wait; doubles with each further one.
const FIRST_GUESS: Duration = Duration::from_secs(1);
/// Tokens that come faster than this are as good as no limit.
const NO_LIMIT: Duration = Duration::from_millis(5);
/// The longest that anything may be made to wait.
const DAY: Duration = Duration::from_secs(86_400);
/// A success shortens the time for a token to this share of it.
const FASTER: f64 = 127.0 / 128.0;
/// The same while that time is no more than a guess.
const MUCH_FASTER: f64 = 15.0 / 16.0;
/// A refusal lengthens it by this factor.
const SLOWER: f64 = 1.25;
/// By so much more fits in after a success.
const ROOMIER: f64 = 0.125;
/// A refusal leaves this share of what fitted in.
const TIGHTER: f64 = 0.5;
/// The most that is ever saved up.
const MOST_TOKENS: f64 = 100.0;

/// A kind of calls with a limit of its own. Homeservers divide them in about this way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Class {
    /// Messages and other events sent into rooms, state included.
    Message,
    /// Joins by room id or alias.
    Join,
    /// Invites.
    Invite,
    /// Display names and avatars.
    Profile,
    /// Making accounts.
    Registration,
    /// Uploads and downloads.
    Media,
    /// Everything else.
    Other,
}

/// Whose calls, and which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target<'a> {
    /// The full user id that acts.
    pub(crate) account: &'a str,
    /// What kind of calls it makes.
    pub(crate) class: Class,
}

/// How a call ended, as far as limits are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The homeserver did not object: any answer but 429 and 5xx.
    Admitted,
    /// 429, with the wait that the answer names (`retry_after` in this folder reads it).
    Limited(Option<Duration>),
    /// No answer, or one that says nothing about limits.
    Unknown,
}

/// The limits that were met so far.
#[derive(Debug)]
pub(crate) struct Limiter {
    max_wait: Duration,
    accounts: LruCache<Box<str>, Account>,
}

/// The limited classes of one account; hardly ever more than two.
type Account = SmallVec<[(Class, Bucket); 1]>;

#[derive(Debug, Clone)]
struct Bucket {
    /// Time in which one token comes.
    interval: Duration,
    /// No answer has confirmed the interval so far.
    is_guess: bool,
    /// How many fit in; at least one.
    capacity: f64,
    /// Tokens at `counted_at`; negative while they are owed.
    tokens: f64,
    counted_at: Instant,
    /// Nothing goes out before.
    blocked_until: Instant,
    /// The refusal that was learned from. Calls begun before say nothing new.
    refused_at: Instant,
    /// Refusals in a row that named no wait.
    guesses: u32,
}

impl Limiter {
    /// Remembers at most `accounts` accounts, those that were limited longest ago forgotten first, and never asks for a
    /// wait beyond `max_wait` (5 ms to a day), whatever a homeserver says.
    #[must_use]
    pub(crate) fn new(accounts: NonZeroUsize, max_wait: Duration) -> Self {
        Self {
            max_wait: max_wait.clamp(NO_LIMIT, DAY),
            // Grows as needed, instead of taking the room for all of them at once.
            accounts: LruCache::sparse(accounts),
        }
    }

    /// Like [`Limiter::take`], and takes nothing.
    #[cfg(test)]
    pub(crate) fn delay(&self, now: Instant, target: Target<'_>) -> Duration {
        let bucket = self.bucket(target);
        bucket.map_or(Duration::ZERO, |bucket| bucket.delay(now, self.max_wait))
    }

    /// How long a call had better wait, from `now`. If it is zero the call counts as made. Otherwise wait that long and
    /// ask again: somebody else may have been faster.
    pub(crate) fn take(&mut self, now: Instant, target: Target<'_>) -> Duration {
        let max_wait = self.max_wait;
        let Some(bucket) = self.bucket_mut(target) else {
            return Duration::ZERO;
        };
        let delay = bucket.delay(now, max_wait);
        if delay.is_zero() {
            bucket.count(now);
            bucket.tokens -= 1.0;
        }
        delay
    }

    /// Learns from the answer to a call that was begun at `started`.
    pub(crate) fn observe(
        &mut self,
        now: Instant,
        target: Target<'_>,
        started: Instant,
        outcome: Outcome,
    ) {
        match outcome {
            Outcome::Admitted => self.admitted(now, target),
            Outcome::Limited(named) => self.limited(now, target, started, named),
            Outcome::Unknown => {}
        }
    }

    /// When the last of `calls` calls could go out if they were all that is to be done, from `now`; zero when there is
    /// no limit known.
    #[must_use]
    pub(crate) fn forecast(&self, now: Instant, target: Target<'_>, calls: u32) -> Duration {
        let Some(bucket) = self.bucket(target).filter(|_| calls > 0) else {
            return Duration::ZERO;
        };
        let missing = (f64::from(calls) - bucket.tokens_at(now)).max(0.0);
        let paced = times(bucket.interval, missing);
        paced.max(bucket.delay(now, self.max_wait))
    }

    fn admitted(&mut self, now: Instant, target: Target<'_>) {
        let Some(bucket) = self.bucket_mut(target) else {
            return;
        };
        bucket.count(now);
        bucket.guesses = 0;
        let faster = if bucket.is_guess { MUCH_FASTER } else { FASTER };
        bucket.interval = bucket.interval.mul_f64(faster);
        bucket.capacity = (bucket.capacity + ROOMIER).min(MOST_TOKENS);
        if bucket.interval < NO_LIMIT {
            self.forget(target);
        }
    }

    fn limited(
        &mut self,
        now: Instant,
        target: Target<'_>,
        started: Instant,
        named: Option<Duration>,
    ) {
        let max_wait = self.max_wait;
        match self.bucket_mut(target) {
            Some(bucket) => bucket.refused(now, started, named, max_wait),
            None => {
                let bucket = Bucket::new(now, named, max_wait);
                let account = self
                    .accounts
                    .get_or_insert_mut(target.account.into(), Account::new);
                account.push((target.class, bucket));
            }
        }
    }

    fn bucket(&self, target: Target<'_>) -> Option<&Bucket> {
        let account = self.accounts.peek(target.account)?;
        let found = account.iter().find(|(class, _)| *class == target.class);
        found.map(|(_, bucket)| bucket)
    }

    fn bucket_mut(&mut self, target: Target<'_>) -> Option<&mut Bucket> {
        let account = self.accounts.get_mut(target.account)?;
        let found = account.iter_mut().find(|(class, _)| *class == target.class);
        found.map(|(_, bucket)| bucket)
    }

    fn forget(&mut self, target: Target<'_>) {
        if let Some(account) = self.accounts.get_mut(target.account) {
            account.retain(|(class, _)| *class != target.class);
            if account.is_empty() {
                self.accounts.pop(target.account);
            }
        }
    }
}

impl Bucket {
    fn new(now: Instant, named: Option<Duration>, max_wait: Duration) -> Self {
        let wait = named.unwrap_or(FIRST_GUESS).min(max_wait);
        let mut bucket = Self {
            interval: wait.clamp(NO_LIMIT, max_wait),
            is_guess: named.is_none(),
            capacity: 1.0,
            tokens: 0.0,
            counted_at: now,
            blocked_until: now,
            refused_at: now,
            guesses: u32::from(named.is_none()),
        };
        bucket.block(now, wait);
        bucket
    }

    /// Nothing goes out for `wait`; then one token is there.
    fn block(&mut self, now: Instant, wait: Duration) {
        let until = now + wait;
        if until < self.blocked_until {
            return;
        }
        self.blocked_until = until;
        self.counted_at = now;
        self.tokens = 1.0 - wait.div_duration_f64(self.interval);
    }

    fn refused(
        &mut self,
        now: Instant,
        started: Instant,
        named: Option<Duration>,
        max_wait: Duration,
    ) {
        // Of calls under way together, the first refusal tells all that there is to learn.
        let is_news = started >= self.refused_at;
        if is_news {
            self.refused_at = now;
            // The limit was undercut and is met again: it is near.
            self.is_guess = self.is_guess && self.guesses > 0;
            self.interval = self.interval.mul_f64(SLOWER).clamp(NO_LIMIT, max_wait);
            self.capacity = (self.capacity * TIGHTER).max(1.0);
        }
        let wait = match named {
            Some(wait) => wait,
            None if is_news => self.guess(),
            None => return,
        };
        self.block(now, wait.min(max_wait));
    }

    /// One second, or the time for a token where that is known; then twice as long, four times as long…
    fn guess(&mut self) -> Duration {
        let first = if self.is_guess {
            FIRST_GUESS
        } else {
            self.interval
        };
        let factor = 2_u32.saturating_pow(self.guesses);
        self.guesses = self.guesses.saturating_add(1);
        first.saturating_mul(factor)
    }

    fn tokens_at(&self, now: Instant) -> f64 {
        let came = now
            .saturating_duration_since(self.counted_at)
            .div_duration_f64(self.interval);
        (self.tokens + came).min(self.capacity)
    }

    fn count(&mut self, now: Instant) {
        self.tokens = self.tokens_at(now);
        self.counted_at = self.counted_at.max(now);
    }

    fn delay(&self, now: Instant, max_wait: Duration) -> Duration {
        let blocked = self.blocked_until.saturating_duration_since(now);
        let missing = 1.0 - self.tokens_at(now);
        // Rounding must not make anybody wait for a billionth of a token.
        let paced = if missing > 1e-6 {
            times(self.interval, missing)
        } else {
            Duration::ZERO
        };
        blocked.max(paced).min(max_wait)
    }
}

/// `interval` as many times; the longest duration if that is too long for one.
fn times(interval: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(interval.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests;
