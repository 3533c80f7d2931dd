//! Rate limits of ordinary users: token buckets, a bounded number of them.
//!
//! Application services and their users are exempt unless the registration says `rate_limited`;
//! a service's own user always is.

use std::num::NonZeroUsize;

use lru::LruCache;
use parking_lot::Mutex;

use crate::{
    config::{Limits, RateCategory, RateLimit},
    http::{auth::Requester, error::ApiError},
};

/// Buckets remembered; a forgotten one starts full again.
const BUCKETS: NonZeroUsize = NonZeroUsize::new(50_000).expect("not zero");

/// All buckets.
pub(crate) struct RateLimits {
    limits: Limits,
    buckets: Mutex<LruCache<(RateCategory, String), Bucket>>,
}

/// A token bucket.
#[derive(Clone, Copy)]
pub(crate) struct Bucket {
    tokens: f64,
    at_ms: i64,
}

impl RateLimits {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            buckets: Mutex::new(LruCache::new(BUCKETS)),
        }
    }

    /// Counts an action of a requester.
    ///
    /// # Errors
    /// 429 with the wait until the next one is allowed.
    pub(crate) fn check_requester(
        &self,
        category: RateCategory,
        requester: &Requester,
        now_ms: i64,
    ) -> Result<(), ApiError> {
        if requester.is_exempt_from_limits() {
            return Ok(());
        }
        self.check(category, requester.user_id.as_str(), now_ms)
    }

    /// Counts an action under a key (an address, an account).
    ///
    /// # Errors
    /// 429 with the wait until the next one is allowed.
    pub(crate) fn check(
        &self,
        category: RateCategory,
        key: &str,
        now_ms: i64,
    ) -> Result<(), ApiError> {
        let Some(rate) = self.limits.rate_limit(category) else {
            return Ok(());
        };
        let mut buckets = self.buckets.lock();
        let key = (category, key.to_owned());
        let bucket = buckets.get_or_insert_mut(key, || Bucket::full(rate, now_ms));
        bucket.take(rate, now_ms).map_err(ApiError::limit_exceeded)
    }

    /// Uncounts an action that was in order, where only the others are to be limited.
    pub(crate) fn give_back(&self, category: RateCategory, key: &str) {
        if let Some(bucket) = self.buckets.lock().get_mut(&(category, key.to_owned())) {
            bucket.give_back();
        }
    }
}

impl Bucket {
    /// With its whole burst.
    pub(crate) fn full(rate: RateLimit, now_ms: i64) -> Self {
        Self {
            tokens: f64::from(rate.burst),
            at_ms: now_ms,
        }
    }

    /// Puts a token back that was not to be counted.
    pub(crate) fn give_back(&mut self) {
        self.tokens += 1.0;
    }

    /// Takes a token, or says how long until there is one, ms.
    pub(crate) fn take(&mut self, rate: RateLimit, now_ms: i64) -> Result<(), u64> {
        let passed = (now_ms - self.at_ms).max(0) as f64 / 1000.0;
        self.tokens = (self.tokens + passed * rate.per_second).min(f64::from(rate.burst));
        self.at_ms = now_ms;
        // A client that waits just as long as it was told must not fail by a rounding error.
        if self.tokens >= 1.0 - 1e-6 {
            self.tokens -= 1.0;
            return Ok(());
        }
        Err(((1.0 - self.tokens) / rate.per_second * 1000.0 - 1e-6).ceil() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::Bucket;
    use crate::config::RateLimit;

    #[test]
    fn burst_then_refill() {
        let rate = RateLimit {
            per_second: 2.0,
            burst: 2,
        };
        let mut bucket = Bucket {
            tokens: 2.0,
            at_ms: 0,
        };
        assert_eq!(bucket.take(rate, 0), Ok(()));
        assert_eq!(bucket.take(rate, 0), Ok(()));
        assert_eq!(bucket.take(rate, 0), Err(500));
        assert_eq!(bucket.take(rate, 499), Err(1));
        assert_eq!(bucket.take(rate, 500), Ok(()));
    }
}
