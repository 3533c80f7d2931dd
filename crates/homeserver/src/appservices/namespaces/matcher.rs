//! The patterns of one kind (users, aliases or rooms), and a bounded memory of answers.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use lru::LruCache;
use parking_lot::Mutex;
use regex::{RegexSet, RegexSetBuilder};
use smallvec::SmallVec;

use super::{AsIndex, CompileError, Owners};
use crate::appservices::registration::{
    Backtracking, Namespace, NamespaceKind, PatternMatcher, Registration, anchored, compile,
};

const CACHE_ENTRIES: usize = 100_000;
const CACHE_SHARDS: usize = 16;
/// No valid id is longer; longer ones are answered but not remembered.
const MAX_CACHED_BYTES: usize = 255;
/// Room in the automaton for each pattern; one pattern alone is held to less when its registration is read.
const SET_BYTES_PER_PATTERN: usize = 2 << 20;
const SET_BYTES_AT_LEAST: usize = 16 << 20;

/// One pattern's owner, and what a match means.
#[derive(Clone, Copy, Debug)]
struct Slot {
    owner: AsIndex,
    exclusive: bool,
}

/// A pattern that the automaton cannot hold.
#[derive(Debug)]
struct FancyPattern {
    slot: usize,
    regex: Backtracking,
    /// Exceeding the limit is reported once per compiled pattern, not once per id.
    reported: AtomicBool,
}

/// All patterns of one kind. Slots stand in the order of services and, within one, of its list.
#[derive(Debug)]
pub(super) struct KindMatcher {
    slots: Vec<Slot>,
    set: RegexSet,
    /// From the automaton's pattern numbers to slots.
    set_slots: Vec<usize>,
    fancy: Vec<FancyPattern>,
    senders: HashMap<String, SmallVec<[AsIndex; 2]>>,
    cache: Cache,
    nobody: Arc<Owners>,
}

impl KindMatcher {
    pub(super) fn compile(
        kind: NamespaceKind,
        registrations: &[Arc<Registration>],
        senders: HashMap<String, SmallVec<[AsIndex; 2]>>,
    ) -> Result<Self, CompileError> {
        let mut slots = Vec::new();
        let mut plain = Vec::new();
        let mut set_slots = Vec::new();
        let mut fancy = Vec::new();
        for (owner, registration) in (0..).map(AsIndex).zip(registrations) {
            for namespace in registration.namespaces(kind) {
                let slot = slots.len();
                let exclusive = namespace.exclusive && kind != NamespaceKind::Rooms;
                slots.push(Slot { owner, exclusive });
                match compile(&namespace.regex)
                    .map_err(|reason| pattern_error(registration, namespace, reason))?
                {
                    PatternMatcher::Plain => {
                        plain.push(anchored(&namespace.regex));
                        set_slots.push(slot);
                    }
                    PatternMatcher::Backtracking(regex) => {
                        fancy.push(FancyPattern {
                            slot,
                            regex,
                            reported: AtomicBool::new(false),
                        });
                    }
                }
            }
        }
        let size_limit = plain
            .len()
            .saturating_mul(SET_BYTES_PER_PATTERN)
            .max(SET_BYTES_AT_LEAST);
        let set = RegexSetBuilder::new(&plain)
            .size_limit(size_limit)
            .dfa_size_limit(SET_BYTES_AT_LEAST)
            .build()
            .map_err(|error| CompileError::Together(Box::new(error)))?;
        let nobody = Arc::new(Owners::default());
        Ok(Self {
            slots,
            set,
            set_slots,
            fancy,
            senders,
            cache: Cache::new(),
            nobody,
        })
    }

    /// The answer for an id that no pattern is asked about.
    pub(super) fn nobody(&self) -> Arc<Owners> {
        Arc::clone(&self.nobody)
    }

    pub(super) fn owners(&self, id: &str) -> Arc<Owners> {
        if let Some(owners) = self.cache.get(id) {
            return owners;
        }
        let owners = self.evaluate(id);
        // Most ids belong to nobody; they share one answer.
        let owners = if owners.is_empty() {
            self.nobody()
        } else {
            Arc::new(owners)
        };
        self.cache.put(id, &owners);
        owners
    }

    fn evaluate(&self, id: &str) -> Owners {
        let mut matched: SmallVec<[usize; 8]> = self
            .set
            .matches(id)
            .iter()
            .map(|index| self.set_slots[index])
            .collect();
        matched.extend(
            self.fancy
                .iter()
                .filter(|pattern| pattern.matches(id))
                .map(|pattern| pattern.slot),
        );
        matched.sort_unstable();

        let mut owners = Owners::default();
        for Slot { owner, exclusive } in matched.into_iter().map(|slot| self.slots[slot]) {
            // The first match of a service decides; its later ones follow at once.
            if owners.any.last() == Some(&owner) {
                continue;
            }
            owners.any.push(owner);
            if exclusive {
                owners.exclusive.push(owner);
            }
        }
        for sender_of in self.senders.get(id).into_iter().flatten() {
            insert_sorted(&mut owners.any, *sender_of);
            insert_sorted(&mut owners.exclusive, *sender_of);
        }
        owners
    }
}

impl FancyPattern {
    fn matches(&self, id: &str) -> bool {
        match self.regex.matches(id) {
            Ok(matched) => matched,
            Err(error) => {
                if !self.reported.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        pattern = self.regex.as_str(),
                        %error,
                        "a namespace pattern took too many steps on an id and counts as not matching it",
                    );
                }
                false
            }
        }
    }
}

fn pattern_error(
    registration: &Registration,
    namespace: &Namespace,
    reason: String,
) -> CompileError {
    CompileError::Pattern {
        id: registration.id.clone(),
        regex: namespace.regex.clone(),
        reason,
    }
}

fn insert_sorted<A: smallvec::Array<Item = AsIndex>>(list: &mut SmallVec<A>, index: AsIndex) {
    if let Err(place) = list.binary_search(&index) {
        list.insert(place, index);
    }
}

/// The least recently used answers go first. Sharded, so that askers seldom wait for each other.
struct Cache {
    shards: Vec<Mutex<LruCache<Box<str>, Arc<Owners>>>>,
    hasher: RandomState,
}

impl Cache {
    fn new() -> Self {
        // Unbounded ones do not reserve memory ahead; `put` keeps the bound.
        let shards = (0..CACHE_SHARDS)
            .map(|_| Mutex::new(LruCache::unbounded()))
            .collect();
        Self {
            shards,
            hasher: RandomState::new(),
        }
    }

    fn get(&self, id: &str) -> Option<Arc<Owners>> {
        self.shard(id).lock().get(id).cloned()
    }

    fn put(&self, id: &str, owners: &Arc<Owners>) {
        if id.len() > MAX_CACHED_BYTES {
            return;
        }
        let mut shard = self.shard(id).lock();
        shard.put(id.into(), Arc::clone(owners));
        if shard.len() > CACHE_ENTRIES / CACHE_SHARDS {
            shard.pop_lru();
        }
    }

    fn shard(&self, id: &str) -> &Mutex<LruCache<Box<str>, Arc<Owners>>> {
        let hash = usize::try_from(self.hasher.hash_one(id) % CACHE_SHARDS as u64)
            .expect("below the shard count");
        &self.shards[hash]
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cache")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_that_backtracks_without_end_does_not_match() {
        let PatternMatcher::Backtracking(regex) = compile("@(a|b|ab)*(?=c)").unwrap() else {
            panic!("look-ahead cannot join the automaton");
        };
        let pattern = FancyPattern {
            slot: 0,
            regex,
            reported: AtomicBool::new(false),
        };
        assert!(pattern.matches("@ababc:example.org"));
        assert!(!pattern.reported.load(Ordering::Relaxed));
        assert!(!pattern.matches(&format!("@{}:example.org", "ab".repeat(60))));
        assert!(
            pattern.reported.load(Ordering::Relaxed),
            "the limit was not reached"
        );
    }

    #[test]
    fn cache_is_bounded_and_skips_overlong_ids() {
        let cache = Cache::new();
        let owners = Arc::new(Owners::default());
        cache.put(&"x".repeat(MAX_CACHED_BYTES + 1), &owners);
        assert_eq!(cache.len(), 0);
        for number in 0..CACHE_ENTRIES + 20_000 {
            cache.put(&format!("@u{number}:localhost"), &owners);
        }
        assert!(cache.len() <= CACHE_ENTRIES);
        assert!(cache.len() > CACHE_ENTRIES / 2);
    }
}
