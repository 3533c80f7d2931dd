//! How often something may be tried: a bucket of tries for each name, which fills up again.

use std::{num::NonZeroUsize, time::Duration};

use lru::LruCache;
use parking_lot::Mutex;
use tokio::time::Instant;

/// Names remembered; the one that was not heard of the longest is forgotten, and starts with a full bucket.
const NAMES: NonZeroUsize = NonZeroUsize::new(10_000).expect("not zero");

/// Buckets of one size.
pub(super) struct Rate {
    /// Tries of a full bucket.
    burst: u32,
    /// How long until one is back.
    every: Duration,
    /// When each bucket will be full again.
    full_at: Mutex<LruCache<String, Instant>>,
}

impl Rate {
    pub(super) fn new(burst: u32, every: Duration) -> Self {
        Self {
            burst,
            every,
            full_at: Mutex::new(LruCache::new(NAMES)),
        }
    }

    /// Takes a try.
    ///
    /// # Errors
    /// How long to wait, when there is none left.
    pub(super) fn take(&self, name: &str) -> Result<(), Duration> {
        let now = Instant::now();
        let mut buckets = self.full_at.lock();
        let full_at = buckets.get(name).copied().unwrap_or(now).max(now) + self.every;
        let most = self.every * self.burst;
        if full_at - now > most {
            return Err(full_at - now - most);
        }
        buckets.put(name.to_owned(), full_at);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_bucket_empties_and_fills_up_again() {
        let rate = Rate::new(3, Duration::from_secs(10));
        for _ in 0..3 {
            assert_eq!(rate.take("a"), Ok(()));
        }
        assert_eq!(rate.take("a"), Err(Duration::from_secs(10)));
        assert_eq!(rate.take("b"), Ok(()), "each name has a bucket of its own");
        tokio::time::advance(Duration::from_secs(4)).await;
        assert_eq!(
            rate.take("a"),
            Err(Duration::from_secs(6)),
            "a refused try costs nothing"
        );
        tokio::time::advance(Duration::from_secs(6)).await;
        assert_eq!(rate.take("a"), Ok(()));
        assert!(rate.take("a").is_err());
        tokio::time::advance(Duration::from_secs(3600)).await;
        for _ in 0..3 {
            assert_eq!(rate.take("a"), Ok(()));
        }
        assert!(rate.take("a").is_err(), "no more than full");
    }
}
