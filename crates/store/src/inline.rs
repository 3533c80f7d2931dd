//! Inline mode: callers run their units and reads themselves, one at a time, on one connection.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use parking_lot::Mutex;

use crate::{
    Error, Gate, Result, Snapshot, closed,
    committer::{Committer, Work},
    dropped,
    readers::snapshot,
};

/// The committer without its thread.
pub(crate) struct Inline {
    /// `None` once the store is closed, or restarted.
    committer: Mutex<Option<Committer>>,
    gate: Option<Arc<dyn Gate>>,
}

impl Inline {
    pub(crate) fn new(committer: Committer, gate: Option<Arc<dyn Gate>>) -> Self {
        Self {
            committer: Mutex::new(Some(committer)),
            gate,
        }
    }

    /// Runs one unit in a database transaction of its own. Its answer is sent when this returns.
    pub(crate) async fn write(&self, unit: Work) -> Result<()> {
        if let Some(gate) = &self.gate {
            gate.before_commit().await;
        }
        self.committer
            .lock()
            .as_mut()
            .ok_or_else(closed)?
            .run_batch(unit, || None);
        if let Some(gate) = &self.gate {
            gate.after_commit().await;
        }
        Ok(())
    }

    pub(crate) fn read<T, E: From<Error>>(
        &self,
        work: impl FnOnce(&Snapshot<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let committer = self.committer.lock();
        let conn = &committer.as_ref().ok_or_else(closed)?.conn;
        // As on a reader's thread, a panic is the caller's error and leaves the connection whole.
        catch_unwind(AssertUnwindSafe(|| snapshot(conn, work)))
            .unwrap_or_else(|_| Err(dropped().into()))
    }

    /// Ends this handle and its clones.
    pub(crate) fn take(&self) -> Result<Committer> {
        self.committer.lock().take().ok_or_else(closed)
    }
}
