//! Nonces of the shared-secret registration: short-lived, good once, a bounded number of them.

use std::num::NonZeroUsize;

use lru::LruCache;
use parking_lot::Mutex;

use crate::random::Random;

/// How long a nonce is good, ms.
const TTL_MS: i64 = 60_000;
/// Nonces at once; the oldest go first.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(1_000).expect("not zero");

/// Nonces handed out and not used yet.
pub(crate) struct Nonces {
    issued: Mutex<LruCache<String, i64>>,
}

impl Nonces {
    pub(crate) fn new() -> Self {
        Self {
            issued: Mutex::new(LruCache::new(CAPACITY)),
        }
    }

    /// A new one.
    pub(crate) fn issue(&self, random: &Random, now_ms: i64) -> String {
        let nonce = random.hex(64);
        self.issued.lock().put(nonce.clone(), now_ms);
        nonce
    }

    /// Uses one up. False: unknown, used or too old.
    pub(crate) fn redeem(&self, nonce: &str, now_ms: i64) -> bool {
        self.issued
            .lock()
            .pop(nonce)
            .is_some_and(|issued_at| now_ms - issued_at <= TTL_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::{Nonces, Random};

    #[test]
    fn good_once_and_for_a_minute() {
        let (nonces, random) = (Nonces::new(), Random::system());
        let first = nonces.issue(&random, 0);
        assert!(nonces.redeem(&first, 60_000));
        assert!(!nonces.redeem(&first, 60_000));
        let late = nonces.issue(&random, 0);
        assert!(!nonces.redeem(&late, 60_001));
        assert!(!nonces.redeem("unknown", 0));
    }
}
