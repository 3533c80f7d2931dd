//! How much goes into a transaction: as much as is configured, less after refusals.
//!
//! A transaction that a service keeps refusing is suspected and split: the next is cut from the
//! same place with half the entries (or bytes), under a new id, until it goes through or only one
//! entry is left, which is then known to be what the service refuses. After that the limit grows
//! again, doubling with each acknowledgement up to where the last refusal was, and beyond that
//! only after a row of acknowledgements: a service behind a proxy with a small body limit is not
//! tried with too large a body again and again.

use bridgehead_store::FrozenTransaction;

use super::{batch::Limits, transport::Failure};

/// Acknowledgements in a row after which a refused size is tried again.
const TRUST_AFTER: u32 = 32;
/// A single entry is refused this often before it is called stuck.
const STUCK_AFTER: u32 = 2;

/// A service's limit, and what has been learnt from its refusals.
#[derive(Debug)]
pub(super) struct AdaptiveLimit {
    full: Limits,
    now: Limits,
    /// Sizes that were refused.
    ceiling: Option<Limits>,
    acknowledged: u32,
}

/// What to do about a transaction that failed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Suspicion {
    /// Send it again as it is.
    None,
    /// Cut it smaller.
    Split,
    /// Its only entry is what the service refuses.
    Stuck,
}

impl AdaptiveLimit {
    pub(super) fn new(full: Limits) -> Self {
        Self {
            full,
            now: full,
            ceiling: None,
            acknowledged: 0,
        }
    }

    /// What the next transaction may hold.
    pub(super) fn now(&self) -> Limits {
        self.now
    }

    /// Whether contents are under suspicion: what need not be sent (typing, presence, receipts)
    /// stays out then.
    pub(super) fn is_suspicious(&self) -> bool {
        self.ceiling.is_some()
    }

    /// Judges a failure, the `failures`th of this transaction in a row. `divisible`: less of it
    /// could be sent.
    pub(super) fn refused(
        &mut self,
        transaction: &FrozenTransaction,
        divisible: bool,
        failure: &Failure,
        failures: u32,
    ) -> Suspicion {
        let Some(patience) = failure.suspicion() else {
            return Suspicion::None;
        };
        // Once there is suspicion, halving goes on without being told again and again.
        let patience = if self.is_suspicious() { 1 } else { patience };
        if failures < patience {
            return Suspicion::None;
        }
        if !divisible {
            return if failures >= STUCK_AFTER {
                Suspicion::Stuck
            } else {
                Suspicion::None
            };
        }
        self.acknowledged = 0;
        let items = usize::try_from(transaction.items).unwrap_or(usize::MAX);
        if items == 0 {
            // Typing, presence and receipts alone: dropping them is enough.
            self.ceiling.get_or_insert(self.full);
            return Suspicion::Split;
        }
        self.ceiling = Some(Limits {
            events: items,
            bytes: transaction.body.len(),
        });
        self.now.events = (items / 2).max(1);
        if matches!(failure, Failure::Refused { status: 413, .. }) {
            self.now.bytes = (transaction.body.len() / 2).max(1);
        }
        Suspicion::Split
    }

    /// A transaction went through.
    pub(super) fn acknowledged(&mut self) {
        let Some(ceiling) = self.ceiling else {
            return;
        };
        self.acknowledged += 1;
        if self.acknowledged >= TRUST_AFTER {
            self.trust();
            return;
        }
        self.now.events = (self.now.events * 2)
            .min((ceiling.events / 2).max(1))
            .max(self.now.events);
    }

    /// Forgets what was learnt: after a person's act, or a long time without a refusal.
    pub(super) fn trust(&mut self) {
        self.now = self.full;
        self.ceiling = None;
        self.acknowledged = 0;
    }
}

#[cfg(test)]
mod tests {
    use bridgehead_store::FrozenTransaction;

    use super::{AdaptiveLimit, Limits, Suspicion, TRUST_AFTER};
    use crate::appservices::delivery::transport::Failure;

    const FULL: Limits = Limits {
        events: 100,
        bytes: 1 << 20,
    };

    fn transaction(items: u64) -> FrozenTransaction {
        FrozenTransaction {
            items,
            body: vec![b' '; 1000 * usize::try_from(items).unwrap()],
            ..FrozenTransaction::default()
        }
    }

    fn refused(status: u16) -> Failure {
        Failure::Refused {
            status,
            body: String::new(),
        }
    }

    #[test]
    fn too_large_is_halved_at_once_and_parse_errors_on_the_second_time() {
        let mut limit = AdaptiveLimit::new(FULL);
        let outcome = limit.refused(&transaction(100), true, &refused(413), 1);
        assert_eq!(outcome, Suspicion::Split);
        assert_eq!((limit.now().events, limit.now().bytes), (50, 50_000));

        let mut limit = AdaptiveLimit::new(FULL);
        let outcome = limit.refused(&transaction(100), true, &refused(400), 1);
        assert_eq!(outcome, Suspicion::None);
        let outcome = limit.refused(&transaction(100), true, &refused(400), 2);
        assert_eq!(outcome, Suspicion::Split);
        assert_eq!((limit.now().events, limit.now().bytes), (50, FULL.bytes));
    }

    #[test]
    fn nothing_is_split_for_an_outage() {
        let mut limit = AdaptiveLimit::new(FULL);
        for failure in [
            Failure::Unreachable(String::new()),
            refused(401),
            refused(404),
            refused(429),
            refused(502),
            refused(503),
        ] {
            let outcome = limit.refused(&transaction(100), true, &failure, 1_000);
            assert_eq!(outcome, Suspicion::None, "{failure}");
        }
    }

    #[test]
    fn halving_ends_at_the_one_entry() {
        let mut limit = AdaptiveLimit::new(FULL);
        let mut entries = 100;
        let mut failures = 2;
        let mut splits = 0;
        loop {
            match limit.refused(&transaction(entries), entries > 1, &refused(400), failures) {
                Suspicion::Split => splits += 1,
                Suspicion::None => {}
                Suspicion::Stuck => break,
            }
            failures = if entries == 1 { failures + 1 } else { 1 };
            entries = u64::try_from(limit.now().events).unwrap();
        }
        assert_eq!((entries, splits), (1, 6));
    }

    #[test]
    fn a_refused_size_is_tried_again_only_after_a_while() {
        let mut limit = AdaptiveLimit::new(FULL);
        limit.refused(&transaction(100), true, &refused(413), 1);
        limit.refused(&transaction(50), true, &refused(413), 1);
        assert_eq!(limit.now().events, 25);
        for _ in 0..TRUST_AFTER - 1 {
            limit.acknowledged();
            assert!(limit.now().events <= 25);
        }
        limit.acknowledged();
        assert_eq!(limit.now().events, FULL.events);
        assert!(!limit.is_suspicious());
    }
}
