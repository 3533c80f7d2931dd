//! What the server remembers of accounts and tokens, so that a request needs no database read:
//! bounded caches, dropped by whoever changes the account.

use std::num::NonZeroUsize;

use bridgehead_store::{Store, TokenOwner};
use lru::LruCache;
use parking_lot::Mutex;
use ruma::UserId;

/// Tokens and users remembered, each.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(50_000).expect("not zero");

/// What identity assertion asks of an account.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UserState {
    /// Deactivated accounts may not act.
    pub(crate) deactivated: bool,
}

/// The caches.
pub(crate) struct Sessions {
    tokens: Mutex<LruCache<[u8; 32], TokenOwner>>,
    users: Mutex<LruCache<String, UserState>>,
    /// Counts drops: an answer read before a drop is not kept after it.
    epoch: std::sync::atomic::AtomicU64,
}

impl Sessions {
    pub(crate) fn new() -> Self {
        Self {
            tokens: Mutex::new(LruCache::new(CAPACITY)),
            users: Mutex::new(LruCache::new(CAPACITY)),
            epoch: std::sync::atomic::AtomicU64::new(0),
        }
    }

    /// Whose token this is.
    pub(crate) async fn owner_of(
        &self,
        store: &Store,
        token_hash: &[u8; 32],
    ) -> bridgehead_store::Result<Option<TokenOwner>> {
        if let Some(owner) = self.tokens.lock().get(token_hash) {
            return Ok(Some(owner.clone()));
        }
        let (epoch, hash) = (self.epoch(), *token_hash);
        let owner = store.read(move |s| s.token_owner(&hash)).await?;
        if let Some(owner) = &owner {
            // Compared under the lock: whoever drops counts first, and takes the lock then.
            let mut tokens = self.tokens.lock();
            if self.epoch() == epoch {
                tokens.put(*token_hash, owner.clone());
            }
        }
        Ok(owner)
    }

    /// A local account's state; `None` when there is no such account.
    pub(crate) async fn user_state(
        &self,
        store: &Store,
        user_id: &UserId,
    ) -> bridgehead_store::Result<Option<UserState>> {
        if let Some(state) = self.users.lock().get(user_id.as_str()) {
            return Ok(Some(*state));
        }
        let (epoch, id) = (self.epoch(), user_id.to_string());
        let row = store.read(move |s| s.user(&id)).await?;
        let state = row.map(|row| UserState {
            deactivated: row.deactivated,
        });
        if let Some(state) = state {
            let mut users = self.users.lock();
            if self.epoch() == epoch {
                users.put(user_id.to_string(), state);
            }
        }
        Ok(state)
    }

    /// Forgets a user and all its tokens (logout, deactivation, device deletion, password change).
    pub(crate) fn forget_user(&self, user_id: &UserId) {
        self.bump();
        self.users.lock().pop(user_id.as_str());
        let mut tokens = self.tokens.lock();
        let hashes: Vec<_> = tokens
            .iter()
            .filter(|(_, owner)| owner.user_id == user_id.as_str())
            .map(|(hash, _)| *hash)
            .collect();
        for hash in hashes {
            tokens.pop(&hash);
        }
    }

    fn epoch(&self) -> u64 {
        self.epoch.load(std::sync::atomic::Ordering::Acquire)
    }

    fn bump(&self) {
        self.epoch.fetch_add(1, std::sync::atomic::Ordering::AcqRel);
    }
}
