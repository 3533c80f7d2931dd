//! User-interactive authentication (client-server API, "User-interactive authentication API"):
//! which stages of which flow a session has completed.

use std::{collections::BTreeSet, num::NonZeroUsize};

use lru::LruCache;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::{http::error::ApiError, random};

/// Sessions remembered; the oldest are forgotten first, their users start over.
const SESSIONS: NonZeroUsize = NonZeroUsize::new(10_000).expect("not zero");

/// Sessions in progress.
pub(crate) struct UiaSessions {
    completed: Mutex<LruCache<String, BTreeSet<String>>>,
}

impl UiaSessions {
    pub(crate) fn new() -> Self {
        Self {
            completed: Mutex::new(LruCache::new(SESSIONS)),
        }
    }

    /// Starts a session.
    pub(crate) fn start(&self) -> String {
        let session = random::alphanumeric(24);
        self.completed.lock().put(session.clone(), BTreeSet::new());
        session
    }

    /// Whether the session is one of ours.
    pub(crate) fn knows(&self, session: &str) -> bool {
        self.completed.lock().contains(session)
    }

    /// A stage was passed. Returns all stages passed so far.
    pub(crate) fn complete(&self, session: &str, stage: &str) -> BTreeSet<String> {
        let mut completed = self.completed.lock();
        let stages = completed.get_or_insert_mut(session.to_owned(), BTreeSet::new);
        stages.insert(stage.to_owned());
        stages.clone()
    }

    /// The session is over.
    pub(crate) fn end(&self, session: &str) {
        self.completed.lock().pop(session);
    }

    /// 401 that tells the client which flows are open.
    pub(crate) fn challenge(&self, session: &str, flows: &[&[&str]]) -> ApiError {
        let completed: Vec<String> = self
            .completed
            .lock()
            .get(session)
            .map(|stages| stages.iter().cloned().collect())
            .unwrap_or_default();
        let flows: Vec<Value> = flows
            .iter()
            .map(|stages| json!({ "stages": stages }))
            .collect();
        ApiError::new(
            http::StatusCode::UNAUTHORIZED,
            "M_FORBIDDEN",
            "Complete one of the flows to go on",
        )
        .with("session", json!(session))
        .with("flows", json!(flows))
        .with("params", json!({}))
        .with("completed", json!(completed))
    }
}
