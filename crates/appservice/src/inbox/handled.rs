//! Rows that were handled without writing anything: they are removed together, so that a unit of work is not spent on
//! each of them.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::store::{Result as StoreResult, Store, Unit};

/// Rows that wait for their removal; cheap to clone.
///
/// Whenever there are some, a unit of work that removes them is on its way. A later write of the inbox removes them as
/// well ([`Handled::consume`]), so that of a room's events none is remembered as handled before an earlier one is.
#[derive(Clone, Default)]
pub(super) struct Handled(Arc<Mutex<Vec<i64>>>);

impl Handled {
    /// A row has been handled. Must not be cancelled.
    pub(super) async fn add(&self, store: &Store, id: i64) {
        let is_first = {
            let mut ids = self.0.lock();
            ids.push(id);
            ids.len() == 1
        };
        if is_first {
            let handled = self.clone();
            store.write_later(move |unit| handled.consume(unit)).await;
        }
    }

    /// Removes what has been handled so far.
    pub(super) fn consume(&self, unit: &Unit<'_>) -> StoreResult<()> {
        let ids = std::mem::take(&mut *self.0.lock());
        ids.into_iter()
            .try_for_each(|id| unit.consume_inbox(id).map(drop))
    }
}
