//! Sessions of browsers. They are kept in memory: a restart logs everybody out.

use std::num::NonZeroUsize;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use lru::LruCache;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use crate::{http::auth::hash, random::Random, secret::Secret};

/// Sessions kept; the one that was not used for longest makes place for a new one.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(500).expect("not zero");
/// How long a session is good (ms).
pub(crate) const LIFETIME_MS: i64 = 12 * 3600 * 1000;

/// All sessions, by the hash of their id.
pub(crate) struct Sessions {
    sessions: Mutex<LruCache<[u8; 32], Session>>,
}

/// A session stands for the token that it was begun with, and ends with it.
#[derive(Clone, Copy)]
struct Session {
    token_hash: [u8; 32],
    ends_at_ms: i64,
}

impl Sessions {
    pub(super) fn new() -> Self {
        Self {
            sessions: Mutex::new(LruCache::new(CAPACITY)),
        }
    }

    /// Begins a session; gives back its id.
    pub(super) fn begin(&self, random: &Random, token_hash: [u8; 32], now_ms: i64) -> Secret {
        let id = random.token();
        let session = Session {
            token_hash,
            ends_at_ms: now_ms.saturating_add(LIFETIME_MS),
        };
        self.sessions.lock().put(hash(&id), session);
        Secret::new(id)
    }

    /// The hash of the token that the session stands for.
    pub(super) fn token_hash(&self, id_hash: &[u8; 32], now_ms: i64) -> Option<[u8; 32]> {
        let mut sessions = self.sessions.lock();
        let session = *sessions.get(id_hash)?;
        if session.ends_at_ms <= now_ms {
            sessions.pop(id_hash);
            return None;
        }
        Some(session.token_hash)
    }

    /// Ends a session.
    pub(super) fn end(&self, id_hash: &[u8; 32]) {
        self.sessions.lock().pop(id_hash);
    }
}

/// What a page of the session shows with each change it asks for. Other sites can make a browser
/// send the cookie, but cannot know this.
pub(crate) fn csrf_token(session_id: &Secret) -> Secret {
    let mut digest = Sha256::new();
    digest.update(b"bridgehead csrf\0");
    digest.update(session_id.expose().as_bytes());
    Secret::new(URL_SAFE_NO_PAD.encode(digest.finalize()))
}

#[cfg(test)]
mod tests {
    use super::{LIFETIME_MS, Random, Sessions, csrf_token};
    use crate::http::auth::hash;

    #[test]
    fn a_session_ends_when_it_is_ended_or_old() {
        let sessions = Sessions::new();
        let (one, two) = (
            sessions.begin(&Random::system(), [1; 32], 0),
            sessions.begin(&Random::system(), [2; 32], 0),
        );
        assert_ne!(csrf_token(&one), csrf_token(&two));
        let (one, two) = (hash(one.expose()), hash(two.expose()));
        assert_eq!(sessions.token_hash(&one, LIFETIME_MS - 1), Some([1; 32]));
        assert_eq!(sessions.token_hash(&one, LIFETIME_MS), None);
        assert_eq!(sessions.token_hash(&one, 0), None);
        sessions.end(&two);
        assert_eq!(sessions.token_hash(&two, 0), None);
    }

    #[test]
    fn the_number_of_sessions_is_bounded() {
        let sessions = Sessions::new();
        let first = hash(sessions.begin(&Random::system(), [0; 32], 0).expose());
        for _ in 0..super::CAPACITY.get() {
            sessions.begin(&Random::system(), [1; 32], 0);
        }
        assert_eq!(sessions.token_hash(&first, 0), None);
        assert_eq!(sessions.sessions.lock().len(), super::CAPACITY.get());
    }
}
