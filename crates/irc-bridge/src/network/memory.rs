//! How far channels were heard, on disk: so that the next run asks for what was said since, or says that it is missing.
//!
//! It is written by whoever carries out deeds, behind them: what counts as heard is on its way to Matrix whatever
//! crashes.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use bridgehead_appservice::store::{Store, StoreError};
use serde::{Deserialize, Serialize};

/// How often it is written at most.
const WRITE_EVERY: Duration = Duration::from_secs(2);

/// How far channels were heard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Heard {
    /// When the network was connected to last, ms since the Unix epoch.
    pub(super) alive_ms: i64,
    /// By folded channel: when that was said which was heard last, by the server's clock; where nothing was heard, when
    /// it was listened to first.
    pub(super) channels: BTreeMap<String, i64>,
}

impl Heard {
    /// Something was said at that time in a channel that is listened to.
    pub(super) fn hear(&mut self, channel: &str, at_ms: i64) {
        let last = self.channels.entry(channel.to_owned()).or_insert(at_ms);
        *last = at_ms.max(*last);
    }
}

fn key(network: &str) -> String {
    format!("heard/{network}")
}

/// What the last run has heard of a network.
pub(super) async fn load(store: &Store, network: &str) -> Result<Heard, StoreError> {
    Ok(store.get(&key(network)).await?.unwrap_or_default())
}

/// Keeps on disk what is heard.
pub(super) struct Memory {
    store: Store,
    key: String,
    heard: Heard,
    written_at: Option<Instant>,
    is_written: bool,
}

impl Memory {
    pub(super) fn new(store: Store, network: &str, heard: Heard) -> Self {
        Self {
            store,
            key: key(network),
            heard,
            written_at: None,
            is_written: true,
        }
    }

    /// Changes what is remembered.
    pub(super) fn change(&mut self, change: impl FnOnce(&mut Heard)) {
        let before = self.heard.clone();
        change(&mut self.heard);
        self.is_written &= before == self.heard;
    }

    /// When it is to be written; never, while it is.
    pub(super) fn due_at(&self, now: Instant) -> Option<Instant> {
        let due = self.written_at.map_or(now, |at| at + WRITE_EVERY);
        (!self.is_written).then_some(due)
    }

    /// Writes what has changed.
    pub(super) async fn write(&mut self, now: Instant) {
        self.written_at = Some(now);
        match self.store.put(&self.key, &self.heard).await {
            Ok(()) => self.is_written = true,
            Err(error) => tracing::error!(%error, "how far channels were heard is not noted"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_heard_last_is_the_latest() {
        let mut heard = Heard::default();
        for at in [5, 9, 7] {
            heard.hear("#tea", at);
        }
        assert_eq!(heard.channels.get("#tea"), Some(&9));
    }
}
