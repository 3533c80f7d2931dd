//! Wakes long polls when something for them was committed, or happens in memory only.
//!
//! A waiting poll is registered under its user and its rooms, so a commit costs what is waiting
//! for it and not what is waiting at all.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bridgehead_store::{LogEntry, LogKind};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Polls that wait under one user or room id.
type Waiters = Vec<(u64, Arc<Notify>)>;

/// All waiting polls.
#[derive(Default)]
pub(crate) struct Notifier {
    waiting: Mutex<HashMap<String, Waiters>>,
    next_id: AtomicU64,
    closed: AtomicBool,
}

/// A registered poll; dropping it takes it out.
pub(crate) struct Waiter<'a> {
    notifier: &'a Notifier,
    id: u64,
    keys: Vec<String>,
    notify: Arc<Notify>,
}

impl Notifier {
    /// Registers a poll under its user id and room ids. Register first, then look for news, then
    /// wait: what happens in between is not missed.
    pub(crate) fn register(&self, keys: Vec<String>) -> Waiter<'_> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let notify = Arc::new(Notify::new());
        let mut waiting = self.waiting.lock();
        for key in &keys {
            waiting
                .entry(key.clone())
                .or_default()
                .push((id, notify.clone()));
        }
        drop(waiting);
        Waiter {
            notifier: self,
            id,
            keys,
            notify,
        }
    }

    /// The server ends: every poll answers now, and later ones do not wait.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        let waiting = self.waiting.lock();
        for key in waiting.keys() {
            notify_all(&waiting, key);
        }
    }

    /// Whether waiting is over for good.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Something was committed.
    pub(crate) fn committed(&self, entries: &[LogEntry]) {
        let waiting = self.waiting.lock();
        if waiting.is_empty() {
            return;
        }
        // Everybody who shares a room with that user is concerned, and only the store knows who
        // that is; such changes are rare.
        if entries
            .iter()
            .any(|entry| entry.kind == LogKind::DeviceList)
        {
            for key in waiting.keys() {
                notify_all(&waiting, key);
            }
            return;
        }
        for key in entries
            .iter()
            .flat_map(|entry| [&entry.room_id, &entry.user_id])
            .flatten()
        {
            notify_all(&waiting, key);
        }
    }

    /// Something that is not kept happened to a room or user.
    pub(crate) fn poke(&self, key: &str) {
        notify_all(&self.waiting.lock(), key);
    }
}

fn notify_all(waiting: &HashMap<String, Waiters>, key: &str) {
    for (_, notify) in waiting.get(key).into_iter().flatten() {
        notify.notify_one();
    }
}

impl Waiter<'_> {
    /// Returns when there may be news.
    pub(crate) async fn news(&self) {
        self.notify.notified().await;
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut waiting = self.notifier.waiting.lock();
        for key in &self.keys {
            if let Some(waiters) = waiting.get_mut(key) {
                waiters.retain(|(id, _)| *id != self.id);
                if waiters.is_empty() {
                    waiting.remove(key);
                }
            }
        }
    }
}
