//! Rows that were handled without writing anything: they are removed together, so that a unit of work is not spent on
//! each of them.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::store::{Result as StoreResult, Store, Unit};

#[derive(Default)]
struct Waiting {
    ids: Vec<i64>,
    /// A unit of work that removes them is on its way.
    is_seen_to: bool,
}

/// Rows that wait for their removal; cheap to clone.
///
/// Whenever there are some, a unit of work that removes them is on its way. A later write of the inbox removes them as
/// well ([`Handled::consume`]), so that of a room's events none is remembered as handled before an earlier one is.
/// Where such a write was not committed, they wait again, for the next one.
#[derive(Clone, Default)]
pub(super) struct Handled(Arc<Mutex<Waiting>>);

impl Handled {
    /// A row has been handled. Must not be cancelled.
    pub(super) async fn add(&self, store: &Store, id: i64) {
        let is_first = {
            let mut waiting = self.0.lock();
            waiting.ids.push(id);
            !std::mem::replace(&mut waiting.is_seen_to, true)
        };
        if is_first {
            self.remove(store).await;
        }
    }

    /// Removes what an earlier write has failed to remove; to be called when no more is handled.
    pub(super) async fn flush(&self, store: &Store) {
        if !self.0.lock().ids.is_empty() {
            self.remove(store).await;
        }
    }

    async fn remove(&self, store: &Store) {
        let handled = self.clone();
        store.write_later(move |unit| handled.consume(unit)).await;
    }

    /// Removes what has been handled so far.
    pub(super) fn consume(&self, unit: &Unit<'_>) -> StoreResult<()> {
        let ids = {
            let mut waiting = self.0.lock();
            waiting.is_seen_to = false;
            std::mem::take(&mut waiting.ids)
        };
        let (back, again) = (self.clone(), ids.clone());
        unit.if_undone(move || back.0.lock().ids.extend(again));
        ids.into_iter()
            .try_for_each(|id| unit.consume_inbox(id).map(drop))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{InboxKind, Location, NewInboxRow, StoreError};

    #[tokio::test]
    async fn what_was_not_removed_is_removed_by_the_next_write() {
        let store = Store::open(&Location::Memory, true, &[]).expect("a store");
        let row = || NewInboxRow {
            lane: "!r:x".to_owned(),
            kind: InboxKind::Event,
            body: "{}".to_owned(),
            digest: None,
            state: None,
            trace: None,
            name: None,
        };
        let insert = move |unit: &Unit<'_>| {
            for _ in 0..3 {
                unit.insert_inbox(&row(), "1", 1)?;
            }
            Ok(())
        };
        store.write(insert).await.expect("three rows");
        let left = async || store.read(|unit| unit.inbox_lanes()).await.expect("read");
        let handled = Handled::default();
        // As when the commit fails.
        let failing = handled.clone();
        handled.0.lock().ids.push(1);
        let failed: StoreResult<()> = store
            .write(move |unit| {
                failing.consume(unit)?;
                Err(StoreError::Unavailable("the disk is full".to_owned()))
            })
            .await;
        assert!(failed.is_err());
        assert_eq!(left().await, [("!r:x".to_owned(), 3)]);
        handled.add(&store, 2).await;
        assert_eq!(left().await, [("!r:x".to_owned(), 1)]);
        handled.0.lock().ids.push(3);
        handled.flush(&store).await;
        assert!(left().await.is_empty());
    }
}
