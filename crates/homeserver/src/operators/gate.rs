//! How fast one may try tokens at the login: some from one address, some more from all together.
//! Nobody guesses 256 bits; this keeps those who try from costing anything.

use std::{
    net::{IpAddr, Ipv6Addr},
    num::NonZeroUsize,
};

use lru::LruCache;
use parking_lot::Mutex;

use crate::{
    config::RateLimit,
    http::{address::ClientAddress, error::ApiError},
    limits::Bucket,
};

/// From one address.
const PER_ADDRESS: RateLimit = RateLimit {
    per_second: 0.2,
    burst: 10,
};
/// From everywhere. So many that strangers do not easily keep an operator from logging in.
const TOGETHER: RateLimit = RateLimit {
    per_second: 10.0,
    burst: 100,
};
/// Addresses remembered; a forgotten one starts anew, and the limit for all holds.
const ADDRESSES: NonZeroUsize = NonZeroUsize::new(10_000).expect("not zero");

/// Counts attempts that failed.
pub(super) struct Gate {
    buckets: Mutex<Buckets>,
}

struct Buckets {
    together: Option<Bucket>,
    by_address: LruCache<Option<IpAddr>, Bucket>,
}

impl Gate {
    pub(super) fn new() -> Self {
        Self {
            buckets: Mutex::new(Buckets {
                together: None,
                by_address: LruCache::new(ADDRESSES),
            }),
        }
    }

    /// Counts an attempt.
    ///
    /// # Errors
    /// 429 with the wait until the next one is allowed.
    pub(super) fn enter(&self, address: ClientAddress, now_ms: i64) -> Result<(), ApiError> {
        let mut buckets = self.buckets.lock();
        buckets
            .by_address
            .get_or_insert_mut(network(address), || Bucket::full(PER_ADDRESS, now_ms))
            .take(PER_ADDRESS, now_ms)
            .map_err(ApiError::limit_exceeded)?;
        buckets
            .together
            .get_or_insert_with(|| Bucket::full(TOGETHER, now_ms))
            .take(TOGETHER, now_ms)
            .map_err(ApiError::limit_exceeded)
    }

    /// Uncounts an attempt that was in order.
    pub(super) fn give_back(&self, address: ClientAddress) {
        let mut buckets = self.buckets.lock();
        if let Some(bucket) = buckets.by_address.get_mut(&network(address)) {
            bucket.give_back();
        }
        if let Some(bucket) = &mut buckets.together {
            bucket.give_back();
        }
    }
}

/// Whoever has one IPv6 address has a whole /64 of them.
fn network(address: ClientAddress) -> Option<IpAddr> {
    address.0.map(|ip| match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX))),
    })
}

#[cfg(test)]
mod tests {
    use super::{Gate, PER_ADDRESS, TOGETHER};
    use crate::http::address::ClientAddress;

    fn at(ip: &str) -> ClientAddress {
        ClientAddress(Some(ip.parse().unwrap()))
    }

    #[test]
    fn failures_from_one_address_are_limited_and_successes_are_not() {
        let gate = Gate::new();
        for _ in 0..1_000 {
            gate.enter(at("192.0.2.1"), 0).unwrap();
            gate.give_back(at("192.0.2.1"));
        }
        for _ in 0..PER_ADDRESS.burst {
            gate.enter(at("2001:db8::1"), 0).unwrap();
        }
        gate.enter(at("2001:db8::2"), 0).unwrap_err();
        gate.enter(at("2001:db8:0:1::1"), 0).unwrap();
        gate.enter(at("2001:db8::2"), 5_000).unwrap();
    }

    #[test]
    fn failures_from_everywhere_are_limited_together() {
        let gate = Gate::new();
        for number in 0..TOGETHER.burst {
            gate.enter(at(&format!("192.0.2.{number}")), 0).unwrap();
        }
        gate.enter(at("198.51.100.1"), 0).unwrap_err();
    }
}
