//! What was set aside: listed, handled again, or given up, by a person.

use std::sync::Arc;

use super::Inbox;
use crate::store::{ParkedRow, Result as StoreResult};

/// An event that no handler could handle.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Parked {
    /// Its number, for [`replay`](crate::Running::replay).
    pub number: i64,
    /// The room, or what else it belongs to.
    pub lane: Arc<str>,
    /// The event as it came.
    pub event: Arc<str>,
    /// The homeserver's id of the transaction.
    pub txn_id: Arc<str>,
    /// How often it was tried.
    pub attempts: u32,
    /// What the last attempt brought.
    pub error: Arc<str>,
    /// When it came, ms since the Unix epoch.
    pub received_ms: i64,
    /// When it was set aside, ms since the Unix epoch.
    pub parked_ms: i64,
}

impl From<ParkedRow> for Parked {
    fn from(parked: ParkedRow) -> Self {
        Self {
            number: parked.row.id,
            lane: parked.row.lane.into(),
            event: parked.row.body.into(),
            txn_id: parked.row.txn_id.into(),
            attempts: parked.row.attempts,
            error: parked.error.into(),
            received_ms: parked.row.received_ms,
            parked_ms: parked.parked_ms,
        }
    }
}

impl Inbox {
    /// What was set aside with numbers above `after`, oldest first.
    pub(crate) async fn parked(&self, after: i64, limit: usize) -> StoreResult<Vec<Parked>> {
        let rows = self
            .store
            .read(move |unit| unit.parked(after, limit))
            .await?;
        Ok(rows.into_iter().map(Parked::from).collect())
    }

    /// Handles a parked event again, behind what waits in its room; `false` when there is none with this number.
    pub(crate) async fn replay(&self, number: i64) -> StoreResult<bool> {
        let begun = self.taking.lock().await;
        let row = self.store.write(move |unit| unit.unpark(number)).await?;
        let found = row.is_some();
        self.queue(row, *begun);
        Ok(found)
    }

    /// Gives a parked event up for good; `false` when there is none with this number.
    pub(crate) async fn drop_parked(&self, number: i64) -> StoreResult<bool> {
        self.store.write(move |unit| unit.drop_parked(number)).await
    }
}
